"""Whether stories and subjects are what their names say: by words, files and numbers."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

import numpy as np

from brainaligner.core import WithinStorySplit, zscore
from brainaligner.evaluation import (
    FEWEST_EQUAL,
    MOST_SHARED,
    REMARKABLE,
    Fault,
    RowPlaces,
    Unproven,
    fewest_near,
    lag_one,
    near_rows,
    series_matches,
    shared_words,
)
from brainaligner.study._audit_truth import Truth
from brainaligner.study._audit_witness import Found
from brainaligner.study._division import AnySplit

_SAME_SUBJECT = 0.98
_FURTHEST = 5  # rows by which a second subject may be moved against the first
_FEWEST_MOVED = 30  # rows that tell moved columns from slow ones
_NO_MEMORY = 0.02


def subject_faults(truth: Truth) -> Iterator[Found]:
    """Look at the division of each subject, and at subjects beside each other."""
    for subject, split in truth.plan.prepared.division.splits.items():
        if isinstance(split, WithinStorySplit):
            yield Unproven("same-story-two-names", subject, "the study divides one story")
            continue
        yield from _word_faults(truth, subject, split)
        yield from _series_faults(truth, subject, split)
        yield from _memory_faults(truth, subject)
    yield from _twice_faults(truth)


def _sides(split: AnySplit) -> tuple[set[str], set[str]]:
    """Scored stories, and those that fit or choose."""
    scored = {piece.story for fold in split.folds for piece in fold.test}
    rest = {p.story for fold in split.folds for p in (*fold.train, *fold.validation)}
    return scored, rest - scored


def _word_faults(truth: Truth, subject: str, split: AnySplit) -> Iterator[Found]:
    """Compare words with those of all subjects' stories: tunings of all subjects read these too."""
    scored, rest = _sides(split)
    divided = [_sides(one) for one in truth.plan.prepared.division.splits.values()]
    fits = {story for _, fitted in divided for story in fitted}
    everyone = fits.union(*(tested for tested, _ in divided))
    ours, theirs = ({s: truth.words[s] for s in sorted(some)} for some in (scored | rest, everyone))
    shared = truth.remember(f"words/{list(ours)}", lambda: shared_words(ours, theirs))
    for story, (other, share) in shared.items():
        if share > REMARKABLE:
            two_names = share > MOST_SHARED and (
                _leaks(story, other, scored, fits) or _counts_twice(story, other, truth, scored)
            )
            yield Fault(
                "same-story-two-names" if two_names else "alike-stories",
                f"{subject}, {story}",
                f"{share:.0%} of its runs of 8 words",
                f"has the words of {other}",
            )


def _leaks(story: str, other: str, scored: set[str], fits: set[str]) -> bool:
    """Whether one of two stories is scored, and the other fits or chooses."""
    return (story in scored and other in fits) or (other in scored and story in fits)


def _counts_twice(story: str, other: str, truth: Truth, scored: set[str]) -> bool:
    """Whether two stories are scored in one group: repeated ones have groups of their own."""
    return {story, other} <= scored - truth.repeated


def _series_faults(truth: Truth, subject: str, split: AnySplit) -> Iterator[Found]:
    scored, rest = _sides(split)
    series = truth.responses(subject)
    ours, theirs = ({s: series[s] for s in sorted(side)} for side in (scored, rest))
    singles = {story: rows for story, rows in ours.items() if story not in truth.repeated}
    matches = series_matches(ours, theirs)
    for match in (*matches, *series_matches(singles, singles)):
        yield Fault(
            "same-story-two-names",
            f"{subject}, {match.story}",
            f"mean r {match.r:.2f} at lag {match.lag}",
            f"has the responses to {match.other}",
        )
    places = RowPlaces(theirs)
    for story in sorted(scored - {match.story for match in matches}):
        yield from _row_faults(series[story], places, f"{subject}, {story}")


def _row_faults(rows: np.ndarray, others: RowPlaces, where: str) -> Iterator[Found]:
    """Parts of a scored story in others: equal rows, or nearly equal ones."""
    equal = others.count(rows)
    near = near_rows([rows], list(others.among.values())).found
    if equal >= FEWEST_EQUAL or near >= fewest_near(len(rows)):
        yield Fault(
            "same-story-two-names",
            where,
            f"{max(equal, near)} of {len(rows)} rows",
            "rows of it stand in stories that fit or choose",
        )


def _memory_faults(truth: Truth, subject: str) -> Iterator[Found]:
    r = float(np.median(lag_one(list(truth.responses(subject).values()))))
    if r < _NO_MEMORY:
        yield Fault(
            "no-memory",
            subject,
            f"lag-1 autocorrelation {r:.3f}",
            "no fMRI looks so: rows may have been shuffled",
        )


def _twice_faults(truth: Truth) -> Iterator[Found]:
    prepared = truth.plan.prepared
    for one, other in combinations(truth.subjects, 2):
        ours, theirs = prepared.digests[one], prepared.digests[other]
        shared = sorted(set(ours) & set(theirs))
        same = [story for story in shared if ours[story] == theirs[story]]
        if same:
            yield Fault(
                "subject-twice",
                f"{one} and {other}",
                f"{len(same)} of {len(shared)}",
                "recordings have the same content",
            )
            continue
        alike = [s for s in shared if _alike(truth.responses(one)[s], truth.responses(other)[s])]
        if len(alike) > len(shared) // 10:
            yield Fault(
                "subject-twice",
                f"{one} and {other}",
                f"{len(alike)} of {len(shared)}",
                "responses to the same stories are nearly equal",
            )


def _alike(left: np.ndarray, right: np.ndarray) -> bool:
    """Whether a fifth of one's columns stand, nearly, among the other's, moved in time or not."""
    moves = sorted(range(-_FURTHEST, _FURTHEST + 1), key=abs)
    pairs = ((left[max(k, 0) :], right[max(-k, 0) :]) for k in moves)
    return any(
        _share_columns(a, b)
        for k, (a, b) in zip(moves, pairs, strict=True)
        if k == 0 or min(len(a), len(b)) >= _FEWEST_MOVED
    )


def _share_columns(left: np.ndarray, right: np.ndarray) -> bool:
    n = min(len(left), len(right))
    a, b = zscore(left[:n].astype(np.float64)), zscore(right[:n].astype(np.float64))
    best = np.abs(a.T @ b / n).max(axis=1)
    return bool((best > _SAME_SUBJECT).mean() > 0.2)
