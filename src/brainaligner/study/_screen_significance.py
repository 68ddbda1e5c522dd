"""Significant targets of a finished run on a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from rich.table import Table
from rich.text import Text

from brainaligner.study._significance_tables import EVERY

_ABREAST = 3
_CROWD = 6  # more subjects than this are summed up; the page has each of them
Row = dict[str, Any]


def significance_screen(run: Row) -> Iterator[Table]:
    """Counts of significant targets on the stories heard once, at the largest cut.

    Parameters
    ----------
    run : dict
        As run.json holds it; runs of earlier versions, or without the tests, have no table.
    """
    single = [row for row in run.get("significance", ()) if row["presentations"] == "single"]
    cut = max((row["rows_cut"] for row in single), default=0)
    shown = [row for row in single if row["rows_cut"] == cut and row["over"] == EVERY]
    subjects = list(dict.fromkeys(row["subject"] for row in shown))
    if len(subjects) > _CROWD:
        yield _crowd(shown, len(subjects))
        return
    for start in range(0, len(subjects), _ABREAST):
        yield _beside(shown, subjects[start : start + _ABREAST])


def _titled(rows: Sequence[Row], words: str) -> Table:
    first = rows[0]
    title = (
        f"significant targets, group {first['group']}, {first['rows_cut']} rows cut at each end; "
        f"block permutation, false discoveries {first['q']:g} (BH; in brackets BY); {words}"
    )
    return Table(title=Text(title), title_justify="left", title_style="", show_lines=True)


def _beside(rows: Sequence[Row], subjects: Sequence[str]) -> Table:
    table = _titled(rows, "below: better than Z alone, paired")
    table.add_column("arm", overflow="fold")
    for subject in subjects:
        tested = {row["n_tested"] for row in rows if row["subject"] == subject}
        heading = f"{subject}\nof {' or '.join(map(str, sorted(tested)))}"
        table.add_column(Text(heading), justify="right", no_wrap=True)
    by_place = {(row["arm"], row["subject"]): row for row in rows}
    for arm in dict.fromkeys(row["arm"] for row in rows):
        cells = (_cell(by_place.get((arm, subject))) for subject in subjects)
        table.add_row(Text(arm), *(Text(cell) for cell in cells))
    return table


def _cell(row: Row | None) -> str:
    if row is None or not row["n_tested"]:
        return "n/a"
    counts = f"{row['significant_bh']} ({row['significant_by']})"
    if row["better_bh"] is None:
        return counts
    return f"{counts}\n{row['better_bh']} ({row['better_by']})"


def _crowd(rows: Sequence[Row], n_subjects: int) -> Table:
    table = _titled(rows, f"share of targets in {n_subjects} subjects")
    table.add_column("arm", overflow="fold")
    for column in ("mean", "better than Z alone"):
        table.add_column(column, justify="right")
    for arm in dict.fromkeys(row["arm"] for row in rows):
        own = [row for row in rows if row["arm"] == arm and row["n_tested"]]
        paired = [row for row in own if row["better_bh"] is not None]
        table.add_row(Text(arm), _share(own, "significant_bh"), _share(paired, "better_bh"))
    return table


def _share(rows: Sequence[Row], name: str) -> str:
    shares = [row[name] / row["n_tested"] for row in rows]
    return f"{sum(shares) / len(shares):.0%}" if shares else "n/a"
