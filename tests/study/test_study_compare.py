"""``brainaligner compare`` on a finished run, from its store and its data."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from study_trees import Cli, save_study, tiny_study

from brainaligner.evaluation import mean_interval
from brainaligner.study import ArmConfig, _compare, compare_run, load_study
from brainaligner.study._arms import ArmRun
from brainaligner.study._compare import named_runs
from brainaligner.study._compare_words import comparison_lines, comparison_record


def scored(out: Path, arm: str, subject: str, cut: int = 0) -> np.ndarray:
    """Stored r of each target."""
    with np.load(out / "tiny" / "scores.npz", allow_pickle=False) as scores:
        return scores[f"{arm}/{subject}/test/cut{cut}"]


@pytest.mark.usefixtures("unchecked")
def test_compare_prints_each_subject_and_replication(cli: Cli, out: Path) -> None:
    done = cli("compare", out / "tiny", "--arms", "first", "second")
    assert done.code == 0, done.err
    assert "second less first" in done.out
    for subject in ("P1", "P2"):
        means = [scored(out, arm, subject).mean() for arm in ("second", "first")]
        assert f"mean r {means[0]:.4f} against {means[1]:.4f} over 6 targets" in done.out
        assert f"difference {means[0] - means[1]:+.4f} [" in done.out
    assert "conditional on these stories" in done.out
    assert "test stories of this group: compared 1 time so far, 1 set of arms" in done.out
    assert "of 2 subjects" in done.out


@pytest.mark.usefixtures("unchecked")
def test_json_holds_all_arms_after_the_reference_and_follows_the_cut(cli: Cli, out: Path) -> None:
    arguments = ("--arms", "second", "--arms", "first", "--cut", "5", "--json")
    done = cli("compare", out / "tiny", *arguments)
    assert done.code == 0, done.err
    found = json.loads(done.out)
    assert (found["reference"], found["rows_cut"], found["not_valid"]) == ("second", 5, None)
    assert found["arms"][0]["arm"] == "first"
    one = found["arms"][0]["subjects"]["P1"]
    wanted = scored(out, "first", "P1", 5).mean() - scored(out, "second", "P1", 5).mean()
    assert one["difference"] == pytest.approx(wanted)
    assert one["interval"]["method"] == "too few rows"  # of two stories of 38 rows
    assert [one["interval"]["low"], one["detectable"], one["equivalence"]["p"]] == [None] * 3
    assert one["equivalence"]["verdict"] == "not tested"
    assert found["settings"] == {"margin": 0.02, "alpha": 0.05, "power": 0.8}


def test_the_study_file_sets_the_margin(
    checkpoint: Path, sound_data: Path, tmp_path: Path, out: Path
) -> None:
    study = tiny_study(checkpoint, sound_data) | {"comparison": {"margin": 0.9}}
    path = save_study(tmp_path / "wide.yaml", study)
    assert load_study(str(path)).comparison.margin == 0.9
    shutil.copy(path, out / "tiny" / "study.yaml")
    found = compare_run(out / "tiny", ["first", "second"]).subjects["P1"][0]
    assert found.equivalence.margin == pytest.approx(0.9 * found.reference_mean)


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--arms", "first", "secnd"), "Did you mean 'second'?"),
        (("--arms", "first"), "two or more arms"),
        (("--arms", "first", "first"), "none of them twice"),
        (("--arms", "first", "second", "--group", "tset"), "Did you mean 'test'?"),
        (("--arms", "first", "second", "--cut", "-1"), "0 or more"),
        (("--arms", "first", "second", "--cut", "40"), "rows"),
        (("--arms", "first", "second", "--data", "nowhere"), "nowhere"),
        (("--arms", "first", "second", "--out", "elsewhere"), "the store that the run was made in"),
    ],
)
def test_bad_requests_are_refused(
    cli: Cli, finished: Path, arguments: tuple[str, ...], said: str
) -> None:
    done = cli("compare", finished / "tiny", *arguments)
    assert done.code == 2
    assert said in done.err
    assert len(done.lines) == 1
    assert done.out == ""


@pytest.mark.usefixtures("unchecked")
def test_a_folder_without_a_run_is_refused(cli: Cli, tmp_path: Path) -> None:
    done = cli("compare", tmp_path, "--arms", "first", "second")
    assert done.code == 2
    assert "no run.json" in done.err


@pytest.mark.usefixtures("unchecked")
def test_a_ledger_that_takes_no_line_is_refused_before_any_work(
    cli: Cli, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def work(*_: object) -> None:
        raise AssertionError("computed first")

    monkeypatch.setattr(_compare, "_compare_subject", work)
    ledger = out / "store" / "openings.jsonl"
    ledger.unlink()
    ledger.mkdir()
    done = cli("compare", out / "tiny", "--arms", "first", "second")
    assert (done.code, len(done.lines), done.out) == (2, 1, "")
    assert f"{out / 'store'}: got a folder that cannot be written" in done.err
    assert "copy the run and its store" in done.err


@pytest.mark.usefixtures("unchecked")
def test_an_emptied_store_is_refused_with_the_reason(cli: Cli, out: Path) -> None:
    shutil.rmtree(out / "store" / "readout")
    done = cli("compare", out / "tiny", "--arms", "first", "second")
    assert done.code == 2
    assert "no readout" in done.err
    assert "Run the study again" in done.err


@pytest.mark.usefixtures("unchecked")
def test_a_run_that_is_not_valid_says_so_and_has_its_code(cli: Cli, out: Path) -> None:
    path = out / "tiny" / "run.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    content["audit"] = {"verdict": "FAIL", "reason": "same rows"}
    path.write_text(json.dumps(content), encoding="utf-8")
    done = cli("compare", out / "tiny", "--arms", "first", "second")
    assert done.code == 4
    assert done.out.startswith("NOT VALID: same rows")


def test_an_entry_brings_all_its_seeds_and_a_run_only_itself() -> None:
    arm = ArmConfig(("one",))
    runs = [ArmRun("es.s0", "es", arm, 0), ArmRun("es.s1", "es", arm, 1)]
    assert named_runs(runs, "es") == tuple(runs)
    assert named_runs(runs, "es.s1") == (runs[1],)


def test_the_record_has_seeds_apart(out: Path) -> None:
    record = comparison_record(compare_run(out / "tiny", ["first", "second"]))
    one = record["arms"][0]["subjects"]["P1"]
    assert one["seeds"] == {"n": 1, "means": [one["mean"]], "sd": None}
    one["seeds"] = {"n": 2, "means": [0.1, 0.2], "sd": 0.0707}
    assert any("seeds: 0.1000, 0.2000 (sd 0.0707" in line for line in comparison_lines(record))


def test_a_mean_of_one_arm_has_the_interval_of_its_scores(finished: Path) -> None:
    """The stories that compare reads are those that were scored."""
    from brainaligner.study._compare import StoredRows
    from brainaligner.study._progress import reporting
    from brainaligner.study._reopened import reopen_run

    with reporting() as reporter:
        plan, store = reopen_run(finished / "tiny", data=None, out=None, reporter=reporter)
    sides = StoredRows(plan, store, "P1", "test").sides(plan.runs[0])
    found = mean_interval(*sides, seed=0, n_draws=20)
    run = json.loads((finished / "tiny" / "run.json").read_text(encoding="utf-8"))
    first = next(
        r for r in run["results"] if (r["arm"], r["subject"], r["rows_cut"]) == ("first", "P1", 0)
    )
    assert first["interval"]["low"] == pytest.approx(found.low)
