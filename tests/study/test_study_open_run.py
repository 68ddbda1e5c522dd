"""A finished run opened from Python, against its files; what a notebook shows of it."""

from __future__ import annotations

import csv
import json
import math
from pathlib import Path

import numpy as np
import pytest

from brainaligner.core import InputError
from brainaligner.report import Column, Table
from brainaligner.study import compare_run, open_run

HOSTILE = "<img src=x onerror=alert(1)>"


def changed(out: Path, **changes: object) -> Path:
    """The run with other entries in its run.json."""
    path = out / "tiny" / "run.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes), encoding="utf-8")
    return path.parent


def test_results_are_the_lines_of_the_table(finished: Path) -> None:
    run = open_run(finished / "tiny")
    with (finished / "tiny" / "table.tsv").open(encoding="utf-8", newline="") as file:
        lines = list(csv.DictReader(file, delimiter="\t"))
    wanted = {
        (one["arm"], one["subject"], one["group"], one["rows_cut"]): float(one["r_mean"])
        for one in lines
    }
    found = {(one.arm, one.subject, one.group, str(one.rows_cut)): one.mean for one in run.results}
    assert found.keys() == wanted.keys()
    for place, mean in found.items():
        assert mean == pytest.approx(wanted[place], abs=1e-6)
    assert (run.study, run.label, run.simulated) == ("tiny", "held-out stories", False)
    assert (run.arms, run.subjects, run.cuts) == (("first", "second"), ("P1", "P2"), (0, 5))


def test_r_is_that_of_the_scores_and_its_mean_that_of_the_summary(finished: Path) -> None:
    run = open_run(str(finished / "tiny"))
    with np.load(finished / "tiny" / "scores.npz", allow_pickle=False) as scores:
        np.testing.assert_array_equal(run.r("second", "P2", cut=5), scores["second/P2/test/cut5"])
    for one in run.results:
        r = run.r(one.arm, one.subject, group=one.group, cut=one.rows_cut)
        assert r.shape == (one.n_targets,)
        assert not r.flags.writeable
        assert np.nanmean(r) == pytest.approx(one.mean)
        assert run.summary(one.arm, one.subject, group=one.group, cut=one.rows_cut) == one


def test_null_in_the_file_is_nan(out: Path) -> None:
    record = json.loads((out / "tiny" / "run.json").read_text())
    record["results"][0] |= {"mean": None, "interval": record["results"][0]["interval"]}
    record["results"][0]["interval"] |= {"low": None, "high": None}
    run = open_run(changed(out, results=record["results"]))
    assert math.isnan(run.results[0].mean)
    assert math.isnan(run.results[0].interval.low)
    assert "n/a" in repr(run)


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"arm": "secnd"}, "Did you mean 'second'"),
        ({"subject": "P3"}, "unknown subject 'P3'"),
        ({"group": "fig"}, "unknown group 'fig'"),
        ({"cut": 7}, "rows cut: 0, 5"),
    ],
)
def test_what_was_not_scored_is_refused(finished: Path, asked: dict[str, str], said: str) -> None:
    run = open_run(finished / "tiny")
    named = {"arm": "first", "subject": "P1"} | asked
    with pytest.raises(InputError, match=said):
        run.r(**named)


def test_a_folder_without_a_run_and_damaged_files_are_refused(out: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no run\.json"):
        open_run(tmp_path)
    (out / "tiny" / "scores.npz").unlink()
    with pytest.raises(InputError, match="Run the study again"):
        open_run(out / "tiny").r("first", "P1")
    whole = json.loads((out / "tiny" / "run.json").read_text(encoding="utf-8"))["results"]
    wordy = [whole[0] | {"mean": "high"}]
    for results in ([{"arm": "first"}], ["first"], 3, [], wordy):
        with pytest.raises(InputError, match="damaged file"):
            open_run(changed(out, results=results))


def test_what_is_shown_is_stamped_and_escaped(out: Path) -> None:
    folder = changed(
        out,
        title=HOSTILE,
        simulated=True,
        audit={"verdict": "FAIL", "reason": f"test-rows-in-fit {HOSTILE}"},
    )
    run = open_run(folder)
    html = run._repr_html_()
    assert "<img" not in html
    assert "&lt;img src=x" in html
    assert html.index("NOT VALID") < html.index("SIMULATED DATA") < html.index("<thead>")
    assert html.count('<th scope="row">') == len(run.arms)
    assert "NOT VALID: test-rows-in-fit" in repr(run)
    assert open_run(folder).not_valid is not None
    assert len(html) < 3_000


def test_a_comparison_is_shown_as_the_command_prints_it(out: Path) -> None:
    found = compare_run(out / "tiny", ["first", "second"])
    one = found.of_arm(0)["P1"]
    assert "second less first" in repr(found)
    assert f"{one.difference:+.4f} [" in repr(found)
    html = found._repr_html_()
    assert f"<td>{one.mean:.4f}</td><td>{one.reference_mean:.4f}</td>" in html
    assert html.count('<th scope="row">second</th>') == 2
    assert one.equivalence.verdict in html
    assert repr(one.targets) == f"TargetTests({one.targets.p.size} targets, 6 tested)"


def test_a_table_of_a_report_is_shown_with_its_notes() -> None:
    table = Table(HOSTILE, (Column("arm"), Column("r", "P1")), (("a & b", ".1"),), (("N", "x"),))
    html = table._repr_html_()
    assert "<img" not in html
    assert '<th scope="row">a &amp; b</th><td>.1</td>' in html
    assert '<th scope="col">P1 r</th>' in html
    assert html.endswith("<p>N: x.</p>")
