"""Our numbers in the layout of the published report's two tables, its numbers beside them.

The report: jh250088 of the Kobayashi laboratory (2025/26), fine-tuning BERT-large beside brain
activity. Its numbers are facts, and stand in ``published.csv``.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib import resources

import numpy as np

from brainaligner.core import InputError, StoryGroup
from brainaligner.report._inputs import RunReport
from brainaligner.report._table import ALL_SUBJECTS, Column, Row, Table
from brainaligner.report._words import MISSING, number, plain, rows_cut

TITLES = {
    1: "Table 1 of the report: brain encoders, masks over 15 % of tokens",
    2: "Table 2 of the report: share of masked tokens, encoder BrainLM",
}
_MEASURES = ("mean", "median")
_DIGITS = 4
_SHARES = "0.15"  # the mask rate that table 2 shares with table 1

Cells = Mapping[tuple[str, str], float]
"""Subject (or `ALL_SUBJECTS`) and measure -> r."""


@dataclass(frozen=True)
class PublishedLayout:
    """Which of our arms stand on which row of a published table.

    Parameters
    ----------
    table : {1, 2}
    rows : mapping of row to tuple of str
        Arms of the report (several are seeds, whose mean is shown).
    with_nuisance : mapping of row to tuple of str
        The same with the nuisance block Z.

    Raises
    ------
    InputError
        For another table, or no row.
    """

    table: int
    rows: Mapping[str, tuple[str, ...]]
    with_nuisance: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.table not in TITLES or not self.rows:
            raise InputError(
                "published table",
                got=f"table {self.table} with {len(self.rows)} rows",
                wanted="table 1 or 2 with at least one row",
                do="Name the arms that stand for the report's rows.",
            )


@cache
def published_numbers(table: int) -> Mapping[str, Cells]:
    """Numbers of a published table: row -> (subject, measure) -> r.

    Rows are arms in table 1 and mask rates (``"0.15"``, ``"0.30"``, ...) in table 2.
    """
    path = resources.files(__package__) / "published.csv"
    rows: dict[str, dict[tuple[str, str], float]] = {}
    for line in csv.DictReader(path.read_text(encoding="utf-8").splitlines()):
        name = _row_name(line, table)
        if name is not None:
            subject = ALL_SUBJECTS if line["subject"] == "mean" else line["subject"]
            cells = rows.setdefault(name, {})
            cells |= {(subject, measure): float(line[f"r_{measure}"]) for measure in _MEASURES}
    return rows


def _row_name(line: Mapping[str, str], table: int) -> str | None:
    if table == 1:
        return line["arm"] if line["table"] == "1" else None
    of_brainlm = line["arm"] == "BrainLM" and (line["table"] == "2" or line["mask_rate"] == _SHARES)
    return line["mask_rate"] if of_brainlm else None


def _mask_rate(row: str) -> str:
    """A row of table 2 as the report writes it: 0.3 is 0.30."""
    try:
        return f"{float(row):.2f}"
    except ValueError:
        return row


def published_table(report: RunReport, layout: PublishedLayout) -> Table:
    """Lay out our numbers as the report does: whole stories heard once, r over targets.

    Each row is followed by the report's own, by the difference where the same subjects were
    scored, and by our numbers with the nuisance block Z. Numbers of several seeds are averaged;
    the standard deviation over seeds stands in a column of its own.

    Parameters
    ----------
    report : RunReport
    layout : PublishedLayout

    Raises
    ------
    InputError
        If an arm has no results.
    """
    known = published_numbers(layout.table)
    rows: list[Row] = []
    for name, arms in layout.rows.items():
        ours = _cells(report, arms)
        rows.append(_row(report, name, "ours", ours, _spread(report, arms)))
        theirs = known.get(name if layout.table == 1 else _mask_rate(name))
        if theirs is not None:
            rows.append(_row(report, name, "report", theirs))
            difference = _difference(report, ours, theirs)
            if difference:
                rows.append(_row(report, name, "difference", difference))
        if name in layout.with_nuisance:
            arms = layout.with_nuisance[name]
            rows.append(
                _row(report, name, "ours, with Z", _cells(report, arms), _spread(report, arms))
            )
    title = f"{TITLES[layout.table]}: Pearson r over {report.targets}, {rows_cut(0)}"
    simulated = "SIMULATED DATA: " if report.simulated else ""
    return Table(simulated + title, _columns(report), tuple(rows), _notes(report, layout))


def _columns(report: RunReport) -> tuple[Column, ...]:
    over = [ALL_SUBJECTS, *(plain(subject) for subject in report.subjects)]
    numbers = [Column(measure, subject) for subject in over for measure in _MEASURES]
    return (Column("numbers"), Column("row"), *numbers, Column("SD", "seeds"))


def _row(report: RunReport, name: str, what: str, cells: Cells, spread: float | None = None) -> Row:
    places = [(s, m) for s in (ALL_SUBJECTS, *report.subjects) for m in _MEASURES]
    shown = [number(cells.get(place), _DIGITS) for place in places]
    return (what, plain(name), *shown, number(spread, _DIGITS))


def _cells(report: RunReport, arms: Sequence[str]) -> dict[tuple[str, str], float]:
    by_seed = [_of_arm(report, arm) for arm in arms]
    places = set.intersection(*(set(cells) for cells in by_seed))
    return {place: float(np.mean([cells[place] for cells in by_seed])) for place in places}


def _of_arm(report: RunReport, arm: str) -> dict[tuple[str, str], float]:
    group = _group(report)
    found = {s: report.find(arm, s, group.name, 0) for s in report.subjects}
    scored = {s: result.summary for s, result in found.items() if result is not None}
    if not scored:
        raise InputError(
            f"published table, arm {arm!r}",
            got="no scores of whole stories heard once",
            wanted="scores with no rows cut",
            do="Keep 0 among evaluation.cuts, and name an arm of the study.",
        )
    cells = {(s, m): getattr(summary, m) for s, summary in scored.items() for m in _MEASURES}
    if len(scored) == len(report.subjects):
        for measure in _MEASURES:
            values = [cells[subject, measure] for subject in report.subjects]
            cells[ALL_SUBJECTS, measure] = float(np.mean(values))
    return cells


def _group(report: RunReport) -> StoryGroup:
    """The stories heard once; where there are none, the first others."""
    return next((g for g in report.groups if g.presentations == "single"), report.groups[0])


def _spread(report: RunReport, arms: Sequence[str]) -> float | None:
    """Standard deviation over seeds of the mean over subjects and targets."""
    means = [_of_arm(report, arm).get((ALL_SUBJECTS, "mean")) for arm in arms]
    values = [mean for mean in means if mean is not None]
    return float(np.std(values, ddof=1)) if len(values) > 1 else None


def _difference(report: RunReport, ours: Cells, theirs: Cells) -> dict[tuple[str, str], float]:
    """Ours less theirs; the mean over subjects only where the subjects are the same."""
    named = {subject for subject, _ in theirs} - {ALL_SUBJECTS}
    places = set(ours) & set(theirs)
    if named != set(report.subjects):
        places -= {(ALL_SUBJECTS, measure) for measure in _MEASURES}
    return {place: ours[place] - theirs[place] for place in places}


def _notes(report: RunReport, layout: PublishedLayout) -> tuple[tuple[str, str], ...]:
    theirs = {s for cells in published_numbers(layout.table).values() for s, _ in cells}
    theirs -= {ALL_SUBJECTS}
    heard = "averaged over repeats" if _group(report).presentations == "repeated" else "heard once"
    return (
        ("Ours", f"{report.label}, {heard}; {plain(report.fact('delays'))} delays"),
        ("Report", f"voxels of UTS01 to UTS03 in ds003020, as published{_match(report, theirs)}"),
        ("With Z", f"the same with the nuisance block; {MISSING} where it was not run"),
    )


def _match(report: RunReport, theirs: set[str]) -> str:
    """What differs between the report's subjects and targets and ours."""
    said = ""
    if not theirs & set(report.subjects):
        said = "; other subjects than ours, so no difference is shown"
    elif theirs != set(report.subjects):
        said = "; not the same subjects as ours, so differences stand under shared ones alone"
    kinds = {result.scores.space.kind for result in report.results}
    if not said.endswith("shown") and kinds != {"voxels"}:
        said += f"; ours are {', '.join(sorted(kinds))}, so differences are not of one kind"
    return said
