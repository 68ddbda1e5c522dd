"""The other-listener reference, beside each table of results."""

from __future__ import annotations

from brainaligner.report._inputs import RunReport
from brainaligner.report._table import Column, Table, group_name, mean_cell
from brainaligner.report._words import banners, number, percent, plain, rows_cut

_NOTES = (
    (
        "What it is",
        "ridge from the other listeners' responses to the same story, alpha by validation, "
        "scored on the same stories and rows as the arms; NOT an upper bound: a good model of "
        "the text may do better",
    ),
)


def listener_table(report: RunReport, *, cut: int = 0) -> Table | None:
    """Make the table of the other-listener reference: one row per subject and group of stories.

    Parameters
    ----------
    report : RunReport
    cut : int
        Rows cut at each end of each story.

    Returns
    -------
    Table or None
        None where there is no reference with that cut.
    """
    rows = tuple(
        (
            plain(result.scores.subject),
            group_name(group),
            mean_cell(result.summary.mean, result.summary.interval),
            number(result.summary.median),
            percent(result.summary.share_above_null),
            plain(result.alpha),
        )
        for group in report.groups
        for result in report.listeners
        if (result.scores.group.name, result.scores.rows_cut) == (group.name, cut)
    )
    if not rows:
        return None
    names = ("subject", "stories", "mean r", "median", "above null", "alpha")
    title = f"Other-listener reference (not an upper bound) over {report.targets}, {rows_cut(cut)}"
    heading = ": ".join([*banners(report), title])
    return Table(
        heading,
        (
            *(Column(name) for name in names[:2]),
            *(Column(name, "other listeners") for name in names[2:]),
        ),
        rows,
        _NOTES,
    )
