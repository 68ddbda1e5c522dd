"""Tables of results, for people and for machines."""

from __future__ import annotations

import csv
import io
import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from brainaligner.core import InputError, StoryGroup, html_table
from brainaligner.evaluation import QUANTILES, Interval
from brainaligner.report._inputs import Result, RunReport
from brainaligner.report._trace import STUDY_FILE, Traced, mean_anchor, recipe_anchor
from brainaligner.report._words import (
    MISSING,
    alpha_note,
    banners,
    group_note,
    interval_notes,
    mean_over_subjects,
    number,
    percent,
    plain,
    rows_cut,
    story_names,
    target_note,
)

ALL_SUBJECTS = "all subjects"
MOST_SUBJECTS_BESIDE = 3  # each other, in a table that fits on a page
ABOVE_NULL = (
    "share of targets whose r lies above 95 % of its values under circular shifts of the "
    "prediction; chance gives 5 %"
)
Row = tuple[str, ...]


@dataclass(frozen=True)
class Column:
    """A column's name, and the subject, "all subjects" or the arm that it stands under."""

    name: str
    over: str = ""

    def __str__(self) -> str:
        return f"{self.over} {self.name}".strip()


@dataclass(frozen=True)
class Table:
    """A table ready to be drawn.

    Parameters
    ----------
    title : str
        One line.
    columns : tuple of Column
        ``str(column)`` is the full name.
    rows : tuple of tuple of str
    notes : tuple of (name, text)
        What a reader has to know to compare these numbers with others.
    """

    title: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    notes: tuple[tuple[str, str], ...]

    @property
    def spans(self) -> tuple[tuple[str, int], ...]:
        """What runs of columns stand under, and how many columns each run has."""
        runs = itertools.groupby(column.over for column in self.columns)
        return tuple((over, len(list(run))) for over, run in runs if over)

    @property
    def caption(self) -> str:
        """Title and notes in one paragraph."""
        return " ".join([f"{self.title}.", *(f"{name}: {text}." for name, text in self.notes)])

    def _repr_html_(self) -> str:
        notes = self.caption.removeprefix(f"{self.title}.").strip()
        return html_table(
            self.title, [str(column) for column in self.columns], self.rows, note=notes
        )


def results_table(report: RunReport, *, cut: int = 0) -> Table:
    """Make the table of mean r: one row for each arm and group of stories.

    Where subjects are more than three, and more than the arms, a table with columns for
    each of them would be far wider than a page: they get the rows then, and arms the columns.
    Groups are never averaged with each other. A mean over subjects weighs subjects
    equally, and is missing where a subject is.

    Parameters
    ----------
    report : RunReport
    cut : int
        Show the scores with this many rows cut at each end of each story.

    Raises
    ------
    InputError
        If nothing was scored with that cut.
    """
    if cut not in report.cuts:
        raise InputError(
            "results table",
            got=f"cut {cut}",
            wanted=f"one of {', '.join(map(str, report.cuts))}",
            do="Score with that many rows cut first.",
        )
    referenced = any(result.reference is not None for result in report.results)
    rows = _subject_rows if subjects_in_rows(report) else _arm_rows
    title = f"Pearson r of each arm over {report.targets}, {report.label}, {rows_cut(cut)}"
    return Table(
        ": ".join([*banners(report), title]),
        _columns(report, referenced),
        tuple(row for group in report.groups for row in rows(report, group, cut, referenced)),
        _notes(report, cut),
    )


def subjects_in_rows(report: RunReport) -> bool:
    """Whether subjects get the rows of a table, and arms the columns."""
    return len(report.subjects) > max(MOST_SUBJECTS_BESIDE, len(report.arms))


def _columns(report: RunReport, referenced: bool) -> tuple[Column, ...]:
    names = ("mean r", "median", "above null") + (("reference",) if referenced else ())
    if subjects_in_rows(report):
        of_arms = [Column(name, plain(arm)) for arm in report.arms for name in names]
        return (Column("subject"), Column("stories"), *of_arms)
    of_subjects = [Column(name, plain(s)) for s in report.subjects for name in names]
    of_all = [Column(name, ALL_SUBJECTS) for name in names if name != "above null"]
    return (Column("arm"), Column("stories"), *of_subjects, *of_all)


def _arm_rows(report: RunReport, group: StoryGroup, cut: int, referenced: bool) -> Iterator[Row]:
    for arm in report.arms:
        found = [report.find(arm, subject, group.name, cut) for subject in report.subjects]
        if any(found):
            cells = [cell for result in found for cell in _subject_cells(result, referenced)]
            mean, median, _, *reference = _overall_cells(found, referenced, report.arms)
            yield (plain(arm), group_name(group), *cells, mean, median, *reference)


def _subject_rows(
    report: RunReport, group: StoryGroup, cut: int, referenced: bool
) -> Iterator[Row]:
    by_arm = [
        [report.find(arm, subject, group.name, cut) for subject in report.subjects]
        for arm in report.arms
    ]
    if any(map(any, by_arm)):
        overall = [
            cell for found in by_arm for cell in _overall_cells(found, referenced, report.arms)
        ]
        yield (ALL_SUBJECTS, group_name(group), *overall)
    for subject, found in zip(report.subjects, zip(*by_arm, strict=True), strict=True):
        if any(found):
            cells = [cell for result in found for cell in _subject_cells(result, referenced)]
            yield (plain(subject), group_name(group), *cells)


def group_name(group: StoryGroup) -> str:
    """Name of a group, and whether it was heard repeatedly."""
    return plain(group.name) + (" (repeated)" if group.presentations == "repeated" else "")


def _overall_cells(
    found: Sequence[Result | None], referenced: bool, arms: Sequence[str]
) -> list[str]:
    """Means over subjects, under the columns of one subject; a share has none."""
    summaries = [result.summary if result else None for result in found]
    mean = mean_over_subjects([s.mean if s else None for s in summaries])
    median = mean_over_subjects([s.median if s else None for s in summaries])
    reference = mean_over_subjects([result.reference if result else None for result in found])
    anchor = next((mean_anchor(r.scores.arm, arms) for r in found if r and r.keys), "")
    means = [Traced(number(mean), anchor), Traced(number(median), anchor), MISSING]
    return means + ([Traced(number(reference), STUDY_FILE)] if referenced else [])


def _subject_cells(result: Result | None, referenced: bool) -> list[str]:
    if result is None:
        return [MISSING] * (3 + referenced)
    summary = result.summary
    cells = [
        mean_cell(summary.mean, summary.interval),
        number(summary.median),
        percent(summary.share_above_null),
    ]
    reference = [Traced(number(result.reference), STUDY_FILE)] if referenced else []
    return [*traced(result, "scores", cells), *reference]


def traced(result: Result, kind: str, cells: Sequence[str]) -> list[str]:
    """Cells that lead to the recipe of a result's scores, regions or ceilings."""
    return [Traced(cell, recipe_anchor(result.keys.get(kind, ""))) for cell in cells]


def mean_cell(mean: float, interval: Interval) -> str:
    """A mean with its interval, where there is one, in brackets."""
    if MISSING in (number(mean), number(interval.low), number(interval.high)):
        return number(mean)
    return f"{number(mean)} [{number(interval.low)}, {number(interval.high)}]"


def _notes(report: RunReport, cut: int) -> tuple[tuple[str, str], ...]:
    here = [result for result in report.results if result.scores.rows_cut == cut]
    groups = [g for g in report.groups if any(r.scores.group.name == g.name for r in here)]
    notes = [
        ("Targets", target_note(report)),
        *((f"Group {group_note(report, g, cut)}", story_names(g)) for g in groups),
        ("Trimming", rows_cut(cut)),
        ("Delays", plain(report.fact("delays"))),
        ("Clock", plain(report.fact("clock"))),
        ("Ridge", alpha_note(report, cut)),
        (
            "Subjects",
            f"n = {len(report.subjects)} ({', '.join(plain(s) for s in report.subjects)})",
        ),
    ]
    brackets = "; ".join(interval_notes(here))
    return (*notes, ("Brackets", brackets), ("Above null", ABOVE_NULL))


def table_tsv(report: RunReport) -> str:
    """Write every result on one line, in full precision, as tab-separated values.

    Floats are written so that reading them gives the same number; NaN is ``nan`` and a
    number that does not exist is empty. Cells with tabs or line ends are quoted.
    """
    return tsv_text([exact_cells(_tsv_cells(report, result)) for result in report.results])


def tsv_text(lines: Sequence[Mapping[str, str]]) -> str:
    """Write lines of the same cells as tab-separated values; nothing where there is no line."""
    if not lines:
        return ""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(lines[0]), delimiter="\t", lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    return text.getvalue()


def _tsv_cells(report: RunReport, result: Result) -> dict[str, object]:
    scores, summary, ceiling = result.scores, result.summary, result.ceiling
    interval = summary.interval
    return {
        "study": report.study,
        "simulated": report.simulated,
        "audit": report.audit,
        "label": scores.label,
        "arm": scores.arm,
        "subject": scores.subject,
        "group": scores.group.name,
        "presentations": scores.group.presentations,
        "n_stories": summary.n_stories,
        "rows_cut": scores.rows_cut,
        "n_rows": summary.n_rows,
        "targets": scores.space.kind,
        "n_targets": summary.n_targets,
        "n_scored": summary.n_scored,
        "r_mean": summary.mean,
        "r_median": summary.median,
        "r_skew": summary.skew,
        **{f"r_q{100 * q:02.0f}": r for q, r in zip(QUANTILES, summary.quantiles, strict=True)},
        "interval_low": interval.low,
        "interval_high": interval.high,
        "interval_level": interval.level,
        "interval_method": interval.method,
        "interval_units": interval.n_units,
        "interval_conditional": interval.conditional,
        "share_above_null": summary.share_above_null,
        "null_mean": summary.null_mean,
        "null_sd": summary.null_sd,
        "alpha": result.alpha,
        "reference": result.reference,
        "ceiling_repeats": ceiling.n_repeats if ceiling else None,
        "ceiling_share": ceiling.share if ceiling else None,
        "explainable_variance": ceiling.explainable_variance if ceiling else None,
        "cc_max": ceiling.cc_max if ceiling else None,
        "cc_norm": ceiling.cc_norm if ceiling else None,
    }


def exact_cells(cells: Mapping[str, object]) -> dict[str, str]:
    """Write each value so that reading it gives the same one; None is empty."""
    return {name: _exact(value) for name, value in cells.items()}


def _exact(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    return repr(float(value)) if isinstance(value, float) else str(value)
