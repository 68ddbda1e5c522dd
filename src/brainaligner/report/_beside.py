"""Tables that stand beside the results: noise ceilings, and regions of interest."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from brainaligner.core import StoryGroup
from brainaligner.evaluation import RegionScore
from brainaligner.report._inputs import Result, RunReport
from brainaligner.report._table import (
    Column,
    Row,
    Table,
    exact_cells,
    group_name,
    mean_cell,
    subjects_in_rows,
    traced,
    tsv_text,
)
from brainaligner.report._words import (
    MISSING,
    banners,
    interval_notes,
    number,
    percent,
    plain,
    rows_cut,
)

_CEILING_COLUMNS = ("mean r", "CCmax", "with ceiling", "CCnorm")
_REGION_COLUMNS = ("mean r", "median", "targets")
_CEILING_NOTES = (
    ("CCmax", "the highest r that any model could reach; mean over the targets that have one"),
    (
        "With ceiling",
        "share of targets whose signal power lies more than two standard errors above 0; the "
        "others have no ceiling",
    ),
    (
        "CCnorm",
        "sum of r over sum of CCmax, both over the targets with a ceiling; mean r is over all",
    ),
    ("n/a", "no ceiling can be measured there; the notes on this page say why"),
)
Cells = Callable[[Result | None], list[str]]


def ceiling_table(report: RunReport, *, cut: int = 0) -> Table | None:
    """Make the table of noise ceilings: repeated stories alone, one row for each arm and story.

    Parameters
    ----------
    report : RunReport
    cut : int
        Rows cut at each end of each story.

    Returns
    -------
    Table or None
        None where no result with that cut has a ceiling.
    """
    found = [r for r in report.results if r.scores.rows_cut == cut and r.ceiling is not None]
    if not found:
        return None
    title = f"Noise ceiling of each arm over {report.targets}, {report.label}, {rows_cut(cut)}"
    return Table(
        ": ".join([*banners(report), title]),
        _columns(report, _CEILING_COLUMNS),
        tuple(
            row
            for group in report.groups
            if group.presentations == "repeated"
            for row in _rows(report, group, cut, group_name(group), _ceiling_cells)
        ),
        (*_CEILING_NOTES, ("Repeats", _repeats_note(found))),
    )


def region_table(report: RunReport, *, cut: int = 0) -> Table | None:
    """Make the table of regions: one row for each region, arm and group of stories.

    A region that a subject lacks is ``n/a`` there.

    Parameters
    ----------
    report : RunReport
    cut : int
        Rows cut at each end of each story.

    Returns
    -------
    Table or None
        None where no result with that cut has regions.
    """
    found = [r for r in report.results if r.scores.rows_cut == cut and r.regions]
    if not found:
        return None
    title = f"Regions: Pearson r over {report.targets}, {report.label}, {rows_cut(cut)}"
    return Table(
        ": ".join([*banners(report), title]),
        _columns(report, _REGION_COLUMNS),
        tuple(
            row
            for group in report.groups
            for name in report.regions
            for row in _rows(
                report, group, cut, f"{plain(name)}, {group_name(group)}", _region_cells(name)
            )
        ),
        (
            ("Targets", "those of the region in that subject; regions may overlap"),
            ("Brackets", "; ".join(interval_notes(found))),
            ("n/a", "the subject lacks the region, or none of its targets could be scored"),
        ),
    )


def _columns(report: RunReport, names: tuple[str, ...]) -> tuple[Column, ...]:
    turned = subjects_in_rows(report)
    beside = report.arms if turned else report.subjects
    of_each = [Column(name, plain(over)) for over in beside for name in names]
    return (Column("subject" if turned else "arm"), Column("stories"), *of_each)


def _rows(
    report: RunReport, group: StoryGroup, cut: int, label: str, cells: Cells
) -> Iterator[Row]:
    """Rows of one group of stories, with arms down and subjects across, or turned."""
    turned = subjects_in_rows(report)
    down, across = (report.subjects, report.arms) if turned else (report.arms, report.subjects)
    for head in down:
        places = ((over, head) if turned else (head, over) for over in across)
        found = [report.find(arm, subject, group.name, cut) for arm, subject in places]
        if any(found):
            yield (plain(head), label, *(cell for one in found for cell in cells(one)))


def _ceiling_cells(result: Result | None) -> list[str]:
    if result is None:
        return [MISSING] * len(_CEILING_COLUMNS)
    ceiling, mean = result.ceiling, number(result.summary.mean)
    (shown,) = traced(result, "scores", [mean])
    if ceiling is None:
        return [shown, MISSING, MISSING, MISSING]
    measured = [number(ceiling.cc_max), percent(ceiling.share), number(ceiling.cc_norm)]
    return [shown, *traced(result, "ceilings", measured)]


def _region_cells(name: str) -> Cells:
    def cells(result: Result | None) -> list[str]:
        regions = result.regions if result else ()
        found = next((one for one in regions if one.region == name), None)
        if result is None or found is None or not found.n_targets:
            return [MISSING] * len(_REGION_COLUMNS)
        shown = [
            mean_cell(found.mean, found.interval),
            number(found.median),
            f"{found.n_targets:,}",
        ]
        return traced(result, "regions", shown)

    return cells


def _repeats_note(found: list[Result]) -> str:
    """Presentations, rows and explainable variance, once for each subject and story."""
    said = {}
    for result in found:
        ceiling, scores = result.ceiling, result.scores
        if ceiling is not None:
            said[scores.subject, scores.group.name] = (
                f"{plain(scores.subject)}, {plain(scores.group.name)}: {ceiling.n_repeats} "
                f"presentations of {ceiling.n_rows} rows, mean explainable variance "
                f"{number(ceiling.explainable_variance)}"
            )
    return "; ".join(said.values())


def regions_tsv(report: RunReport) -> str:
    """Write each region of every result on one line, in full precision.

    Tab-separated, as `table_tsv`. A region that a subject lacks has 0 targets and no numbers.

    Returns
    -------
    str
        Empty where no result has regions.
    """
    lines = [_tsv_cells(report, result, one) for result in report.results for one in result.regions]
    return tsv_text([exact_cells(line) for line in lines])


def _tsv_cells(report: RunReport, result: Result, one: RegionScore) -> Mapping[str, object]:
    scores, interval, there = result.scores, one.interval, one.n_targets > 0
    return {
        "study": report.study,
        "simulated": report.simulated,
        "audit": report.audit,
        "label": scores.label,
        "arm": scores.arm,
        "subject": scores.subject,
        "group": scores.group.name,
        "presentations": scores.group.presentations,
        "rows_cut": scores.rows_cut,
        "region": one.region,
        "targets": scores.space.kind,
        "n_targets": one.n_targets,
        "n_scored": one.n_scored,
        "r_mean": one.mean if there else None,
        "r_median": one.median if there else None,
        "interval_low": interval.low if there else None,
        "interval_high": interval.high if there else None,
        "interval_level": interval.level,
        "interval_method": interval.method,
        "interval_units": interval.n_units,
        "interval_conditional": interval.conditional,
    }
