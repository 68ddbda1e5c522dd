"""Tuned arms beside the same arms tuned on null brains: what their brain was worth."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from statistics import fmean

from brainaligner.evaluation import Summary
from brainaligner.report import Column, Table
from brainaligner.study._fitted import Fitted
from brainaligner.study._null_tunings import LENDERS, NullArm, null_arms
from brainaligner.study._plan import Plan

_CELLS = ("r", "on the null brain", "difference")
_NOTES = (
    (
        "Null brain",
        "the same text, steps, seeds and folds, but brain vectors moved circularly within their "
        "story (shifted), those of the next subject (other-listener), or independent draws (noise)",
    ),
    (
        "Difference",
        "r less that on the null brain, means over seeds; above 0 in every subject is the least "
        "that a gain from the brain needs, and brainaligner compare gives its interval. Tuning on "
        "a null brain can lower r below that of the frozen model: look at that arm too",
    ),
    (
        "Other listener",
        "people who hear the same story are alike: what its brain gives may be real",
    ),
)


def tuning_null_tables(plan: Plan, fitted: Fitted) -> tuple[tuple[str, Table], ...]:
    """One table where a study has arms tuned on brains and on null brains; else none."""
    pairs = null_arms(plan.prepared.config, LENDERS)
    subjects = tuple(plan.prepared.division.splits)
    by_entry = _means(plan, fitted)
    rows = []
    for group in dict.fromkeys(group for _, _, group in by_entry):
        for pair in pairs:
            cells = [_cells(by_entry, pair, subject, group) for subject in subjects]
            label = f"{pair.arm}, null: {pair.kind} ({pair.null})"
            rows.append((label, group, *(cell for found in cells for cell in found)))
    if not rows:
        return ()
    columns = [Column(name, subject) for subject in subjects for name in _CELLS]
    title = "Tuned on its brain, and on brains that know nothing of the words"
    table = Table(title, (Column("arm"), Column("stories"), *columns), tuple(rows), _NOTES)
    return (("nulls of the tuning", table),)


Means = Mapping[tuple[str, str, str], float]


def _means(plan: Plan, fitted: Fitted) -> Means:
    """Mean r by entry, subject and group, at the smallest cut, averaged over seeds."""
    entries = {run.name: run.entry for run in plan.runs}
    least = min(plan.prepared.config.evaluation.cuts)
    found: dict[tuple[str, str, str], list[float]] = {}
    for (run, subject), fit in fitted.cells.items():
        for summary in _summaries(fit.scores.results, least):
            place = (entries[run], subject, summary.group)
            found.setdefault(place, []).append(summary.mean)
    return {place: fmean(values) for place, values in found.items()}


def _summaries(results: tuple[tuple[object, Summary], ...], cut: int) -> Iterator[Summary]:
    return (summary for _, summary in results if summary.rows_cut == cut)


def _cells(means: Means, pair: NullArm, subject: str, group: str) -> tuple[str, str, str]:
    own, null = (means.get((arm, subject, group)) for arm in (pair.arm, pair.null))
    if own is None or null is None:
        return ("n/a",) * 3
    return f"{own:.4f}", f"{null:.4f}", f"{own - null:+.4f}"
