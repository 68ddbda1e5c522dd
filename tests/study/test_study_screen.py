"""What a terminal shows of a finished run."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from brainaligner.study._screen import print_run


def row(subject: str, mean: float | None, low: float | None) -> dict[str, Any]:
    """One result, as run.json holds it."""
    return {
        "arm": "frozen",
        "subject": subject,
        "group": "test",
        "rows_cut": 0,
        "presentations": "single",
        "n_stories": 14,
        "space_kind": "components",
        "mean": mean,
        "share_above_null": 0.25,
        "reference": None,
        "interval": {"low": low, "high": None if low is None else low + 0.1, "level": 0.95},
    }


def shown(rows: list[dict[str, Any]], **changes: Any) -> str:
    """The text of a run on a terminal of 80 columns."""
    run = {"findings": [], "simulated": False, "label": "held-out stories", "title": "A title"}
    screen = io.StringIO()
    console = Console(file=screen, width=80)
    print_run(run | {"results": rows} | changes, Path("runs/some"), console)
    return screen.getvalue()


def test_many_subjects_are_summed_up() -> None:
    rows = [row(f"s{i:02d}", i / 100, i / 100 - 0.1) for i in range(21)]
    text = shown(rows)
    assert "mean r of 21 subjects" in text.replace("\n", " ")
    assert "0.100" in text
    assert "0.000" in text
    assert "0.200" in text
    assert "10 of 21" in text
    assert "s05" not in text


def test_the_level_of_intervals_is_that_of_the_run() -> None:
    one = row("s01", 0.123, 0.1)
    assert "[95 % interval]" in shown([one])
    one["interval"]["level"] = 0.995
    assert "[99.5 % interval]" in shown([one])


def test_few_subjects_are_shown_one_by_one_in_80_columns() -> None:
    text = shown([row("s01", 0.123, 0.1), row("s02", None, None), row("s03", 0.2, None)])
    assert "0.123  25%" in text
    assert "[0.100, 0.200]" in text
    assert "n/a" in text
    assert "no interval" in text
    assert "voxel" not in text
    assert max(len(line) for line in text.splitlines()) <= 80


@pytest.mark.parametrize(
    ("changes", "banner"),
    [({"simulated": True}, "SIMULATED DATA"), ({"label": "within one story"}, "WITHIN ONE STORY")],
)
def test_banners_say_what_the_numbers_are_not(changes: dict[str, Any], banner: str) -> None:
    rows = [row("s01", 0.1, 0.0)]
    assert banner in shown(rows, **changes)
    assert banner not in shown(rows)


def test_the_verdict_comes_last_and_says_where_data_are_simulated() -> None:
    verdict = {"lines": ["a: better than b in all 3 subjects."], "basis": "c"}
    rows = [row("s01", 0.1, 0.0)]
    last, page = shown(rows, verdict=verdict).splitlines()[-2:]
    assert last == "verdict: a: better than b in all 3 subjects."
    assert page.startswith("page: ")
    simulated = shown(rows, verdict=verdict, simulated=True)
    assert "verdict on SIMULATED DATA: a: better" in simulated


def test_the_same_remark_is_said_once() -> None:
    findings = [{"severity": "warn", "where": f"place {i}", "text": "odd"} for i in range(9)]
    text = shown([row("s01", 0.1, 0.0)], findings=findings)
    assert text.count("odd") == 1
    assert "place 5 and 3 more: odd" in text
