"""Tables in the layout of the published report."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from made_reports import ARMS, SUBJECTS, made_report

import brainaligner.report
from brainaligner.core import InputError
from brainaligner.report import PublishedLayout, RunReport, published_table, render_page
from brainaligner.report._published import published_numbers

NUISANCE, CONTEXT, RRR = ARMS
ALL = "all subjects"


def _lines() -> list[dict[str, str]]:
    path = Path(brainaligner.report.__file__).parent / "published.csv"
    return list(csv.DictReader(path.read_text(encoding="utf-8").splitlines()))


def _rows(report: RunReport, layout: PublishedLayout) -> dict[tuple[str, str], dict[str, str]]:
    table = published_table(report, layout)
    columns = [str(column) for column in table.columns]
    rows = [dict(zip(columns, row, strict=True)) for row in table.rows]
    found = {(row["row"], row["numbers"]): row for row in rows}
    assert len(found) == len(rows)
    return found


def _without(report: RunReport, *subjects: str) -> RunReport:
    kept = tuple(r for r in report.results if r.scores.subject not in subjects)
    return replace(report, results=kept)


def test_numbers_are_those_that_were_published() -> None:
    means = {arm: cells[ALL, "mean"] for arm, cells in published_numbers(1).items()}
    assert means == {
        "Baseline": 0.197284, "BrainLM": 0.194004, "High_EV": 0.171056, "ES": 0.171306,
    }  # fmt: skip
    shares = {row: cells[ALL, "mean"] for row, cells in published_numbers(2).items()}
    assert shares == {
        "0.15": 0.194004, "0.30": 0.194497, "0.45": 0.194310, "0.60": 0.194267,
        "0.75": 0.194357, "0.90": 0.194067,
    }  # fmt: skip
    assert published_numbers(1)["High_EV"]["UTS02", "mean"] == 0.169844
    subjects = {subject for cells in published_numbers(2).values() for subject, _ in cells}
    assert subjects == {ALL, *SUBJECTS}


def test_every_published_number_is_found_again() -> None:
    for line in _lines():
        table = int(line["table"])
        row = line["arm"] if table == 1 else line["mask_rate"]
        cells = published_numbers(table)[row]
        subject = ALL if line["subject"] == "mean" else line["subject"]
        for measure in ("mean", "median"):
            assert cells[subject, measure] == float(line[f"r_{measure}"])


def test_ours_report_and_difference_add_up(components: RunReport) -> None:
    layout = PublishedLayout(1, {"ES": (CONTEXT,), "mine": (RRR,)}, {"ES": (NUISANCE,)})
    rows = _rows(components, layout)
    assert list(rows) == [
        ("ES", "ours"), ("ES", "report"), ("ES", "difference"), ("ES", "ours, with Z"),
        ("mine", "ours"),
    ]  # fmt: skip
    r = {s: components.find(CONTEXT, s, "test", 0).scores.r for s in SUBJECTS}
    for measure, over in (("mean", np.mean), ("median", np.median)):
        ours = {s: float(over(values)) for s, values in r.items()}
        ours[ALL] = float(np.mean(list(ours.values())))
        for subject, value in ours.items():
            known = published_numbers(1)["ES"][subject, measure]
            column = f"{subject} {measure}"
            assert rows["ES", "ours"][column] == f"{value:.4f}"
            assert rows["ES", "report"][column] == f"{known:.4f}"
            assert float(rows["ES", "difference"][column]) == pytest.approx(
                value - known, abs=5.1e-5
            )


def test_several_seeds_are_averaged_and_their_spread_is_shown(components: RunReport) -> None:
    seeds = (CONTEXT, RRR)
    rows = _rows(components, PublishedLayout(1, {"ES": seeds, "BrainLM": (CONTEXT,)}))
    means = [
        [float(components.find(arm, s, "test", 0).scores.r.mean()) for s in SUBJECTS]
        for arm in seeds
    ]
    assert rows["ES", "ours"][f"{ALL} mean"] == f"{np.mean(means):.4f}"
    assert rows["ES", "ours"]["UTS01 mean"] == f"{np.mean([m[0] for m in means]):.4f}"
    spread = np.std(np.mean(means, axis=1), ddof=1)
    assert rows["ES", "ours"]["seeds SD"] == f"{spread:.4f}"
    assert rows["BrainLM", "ours"]["seeds SD"] == "n/a"
    assert rows["ES", "report"]["seeds SD"] == "n/a"


def test_fewer_subjects_have_no_difference_of_means(components: RunReport) -> None:
    report = _without(components, "UTS02")
    rows = _rows(report, PublishedLayout(1, {"ES": (CONTEXT,)}))
    difference = rows["ES", "difference"]
    assert difference[f"{ALL} mean"] == "n/a"
    assert difference["UTS01 mean"] != "n/a"
    assert not [column for column in difference if column.startswith("UTS02")]
    caption = published_table(report, PublishedLayout(1, {"ES": (CONTEXT,)})).caption
    assert "differences stand under shared ones alone" in caption
    assert "no difference is shown" not in caption


def test_other_subjects_have_no_difference(components: RunReport) -> None:
    renamed = tuple(
        replace(
            result,
            scores=replace(result.scores, subject=f"SIM{result.scores.subject[-2:]}"),
            summary=replace(result.summary, subject=f"SIM{result.scores.subject[-2:]}"),
        )
        for result in components.results
    )
    report = replace(components, results=renamed, simulated=True)
    table = published_table(report, PublishedLayout(1, {"ES": (CONTEXT,)}))
    shown = {row[0]: row[2:] for row in table.rows}
    assert "difference" not in shown
    assert shown["report"][0] == "0.1713"
    assert set(shown["report"][2:]) == {"n/a"}
    assert "no difference is shown" in table.caption
    assert table.title.startswith("SIMULATED DATA: ")


def test_components_are_not_called_voxels(components: RunReport) -> None:
    layout = PublishedLayout(1, {"ES": (CONTEXT,)})
    assert "ours are components" in published_table(components, layout).caption
    voxels = published_table(made_report("voxels", 60), layout)
    assert "differences are not of one kind" not in voxels.caption


def test_table_2_reads_mask_rates(components: RunReport) -> None:
    rows = _rows(components, PublishedLayout(2, {"0.15": (CONTEXT,), "0.30": (RRR,)}))
    assert rows["0.15", "report"][f"{ALL} mean"] == "0.1940"
    assert rows["0.30", "report"][f"{ALL} mean"] == "0.1945"
    rows = _rows(components, PublishedLayout(2, {"0.3": (RRR,), "none": (CONTEXT,)}))
    assert rows["0.3", "report"][f"{ALL} mean"] == "0.1945"
    assert ("none", "report") not in rows


def test_repeated_stories_and_cuts_do_not_enter(components: RunReport) -> None:
    layout = PublishedLayout(1, {"ES": (CONTEXT,)})
    kept = tuple(
        r
        for r in components.results
        if r.scores.group.presentations == "single" and r.scores.rows_cut == 0
    )
    alone = published_table(replace(components, results=kept), layout)
    assert alone.rows == published_table(components, layout).rows


@pytest.mark.parametrize(
    ("table", "rows"), [(3, {"ES": (CONTEXT,)}), (1, {})], ids=["table 3", "no rows"]
)
def test_an_impossible_layout_is_refused(table: int, rows: dict[str, tuple[str, ...]]) -> None:
    with pytest.raises(InputError, match="table 1 or 2"):
        PublishedLayout(table, rows)


def test_an_arm_without_whole_stories_is_refused(components: RunReport) -> None:
    cut = replace(
        components, results=tuple(r for r in components.results if r.scores.rows_cut == 10)
    )
    for report, arm in ((components, "nobody"), (cut, CONTEXT)):
        with pytest.raises(InputError, match="no scores"):
            published_table(report, PublishedLayout(1, {"ES": (arm,)}))


def test_strange_names_stay_text_on_the_page(components: RunReport) -> None:
    layout = PublishedLayout(1, {"<script>alert(1)</script>": (CONTEXT,)})
    page = render_page(components, more=[("Published", published_table(components, layout))])
    assert "<script>alert(1)" not in page
