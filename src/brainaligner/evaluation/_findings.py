"""What a careful reader would object to, said beside the scores."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from brainaligner.evaluation._intervals import FEWEST_STORIES
from brainaligner.evaluation._summary import Summary


@dataclass(frozen=True)
class Finding:
    """One remark: how bad it is, where it lies, and what it says."""

    severity: Literal["fail", "warn", "note"]
    where: str
    text: str


def find_warnings(
    summaries: Sequence[Summary],
    *,
    edges: Mapping[str, str] | None = None,
    replaced: Mapping[str, int] | None = None,
) -> tuple[Finding, ...]:
    """Look through scores for signs of accidents.

    Parameters
    ----------
    summaries : sequence of Summary
        Of any arms, subjects, groups and cuts.
    edges : mapping of place to str, optional
        What was chosen at the edge of its grid: ``{"frozen, UTS01": "alpha 1000 of 0.01 to
        1000"}``.
    replaced : mapping of place to int, optional
        How many NaN or infinite values a reader set to 0.

    Returns
    -------
    tuple of Finding
        The worst first; equally bad ones in the order of the summaries.
    """
    found = [
        *(finding for summary in summaries for finding in _of_one(summary)),
        *(
            Finding("warn", where, f"chosen at the edge of its grid: {text}")
            for where, text in (edges or {}).items()
        ),
        *(
            Finding("note", where, f"{count} NaN or infinite values were set to 0")
            for where, count in (replaced or {}).items()
            if count
        ),
    ]
    order = {"fail": 0, "warn": 1, "note": 2}
    return tuple(sorted(found, key=lambda finding: order[finding.severity]))


def _of_one(summary: Summary) -> Iterator[Finding]:
    where = f"{summary.arm}, {summary.subject}, {summary.group}, {summary.rows_cut} rows cut"
    constant = summary.n_targets - summary.n_scored
    if summary.n_scored == 0:
        yield Finding("fail", where, "no target could be scored: nothing varies")
    elif constant:
        yield Finding(
            "warn",
            where,
            f"{constant} of {summary.n_targets} {summary.space_kind} have no variance, measured "
            "or predicted; they are left out",
        )
    if summary.n_stories < FEWEST_STORIES:
        yield Finding(
            "note",
            where,
            f"fewer than {FEWEST_STORIES} stories ({summary.n_stories}): the interval is "
            "conditional on them",
        )
