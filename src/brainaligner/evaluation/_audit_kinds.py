"""What happened to rows that are not what they should be."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from jaxtyping import Bool, Float

from brainaligner.core import zscore
from brainaligner.evaluation._audit_rows import Series, row_sources

_CHUNK = 4.0  # rows in a run, on average, from which on rows were moved in pieces
_EXPLAINED = 0.9999
_FURTHEST = 12  # rows by which something may be moved in time and still be told

Pair = tuple[Series, Series]
"""Rows as they entered, and as they should have been; the same columns."""


def same_rows(entered: Series, expected: Series, *, tolerance: float = 1e-5) -> bool:
    """Whether rows are what they should be, to `tolerance` of each column's spread."""
    if entered.shape != expected.shape:
        return False
    room = tolerance * (expected.std(axis=0) + np.abs(expected).max(axis=0) + 1e-12)
    return bool((np.abs(entered - expected) <= room).all())


def shown_columns(entered: Series) -> Bool[np.ndarray, "column"]:
    """Columns that were seen in all rows."""
    return np.asarray(np.isfinite(entered).all(axis=0))


def order_kind(entered: Series, own: str, among: Mapping[str, Series]) -> str:
    """How rows of the dataset were put together anew: a fault's name, or ``""``.

    Half of the rows at least must be found, number for number. In one run and of one story they
    are ``"other-story"``; of the story itself ``"moved"``.
    """
    stories, rows = row_sources(entered, among)
    known = [(s, int(r)) for s, r in zip(stories, rows, strict=True) if s]
    if len(known) < max(3, len(entered) // 2):
        return ""
    breaks = sum(a[0] != b[0] or b[1] - a[1] != 1 for a, b in pairwise(known))
    sources = {story for story, _ in known}
    if breaks <= 1 and len(sources) == 1:
        return "moved" if sources == {own} else "other-story"
    return "random-chunks" if len(known) / (breaks + 1) >= _CHUNK else "shuffled-rows"


def is_affine(entered: Series, expected: Series) -> bool:
    """Whether each column is the expected one times a number plus a number."""
    if entered.shape != expected.shape or len(entered) < 3:
        return False
    varies = expected.std(axis=0) > 1e-9
    left, right = zscore(entered[:, varies].astype(np.float64)), expected[:, varies]
    r = (left * zscore(right.astype(np.float64))).mean(axis=0)
    return bool(varies.any()) and bool((np.abs(r) ** 2 > _EXPLAINED).all())


def is_pooled(fitted: Sequence[Pair], rest: Sequence[Pair], *, edge: int = 0) -> bool:
    """Whether columns were scaled by statistics of both sides together.

    One number times the rows plus one number, the same for all stories, gives each column;
    and the rows of both sides together are nearer to mean 0 and deviation 1 than the fitted
    ones, which training statistics would leave exactly so.

    Parameters
    ----------
    fitted, rest : sequences of (rows as they entered, rows before any scaling)
    edge : int
        Rows at both ends of each story that are not looked at: delays fill them with zeros.
    """
    inner = slice(edge, -edge or None)
    sides = [
        [(a[inner], b[inner]) for a, b in side if len(a) > 3 * edge + 3] for side in (fitted, rest)
    ]
    if not all(sides) or any(a.shape != b.shape for side in sides for a, b in side):
        return False
    pairs = [*sides[0], *sides[1]]
    entered, raw = (np.concatenate([pair[k] for pair in pairs]) for k in (0, 1))
    if not is_affine(entered, raw):
        return False
    together = _offset(entered)
    return together < 0.2 and together < _offset(np.concatenate([a for a, _ in sides[0]]))


def _offset(series: Series) -> float:
    """How far columns are from mean 0 and deviation 1: the median over columns."""
    rows = series.astype(np.float64)
    rows = rows[:, rows.std(axis=0) > 1e-9]
    if not rows.size:
        return float("inf")
    return float(np.median(np.maximum(np.abs(rows.mean(axis=0)), np.abs(rows.std(axis=0) - 1))))


@dataclass(frozen=True)
class Moved:
    """By how many rows something was moved, and how well that explains it."""

    rows: int
    r: float


def moved_by(entered: Series, expected: Series) -> Moved:
    """The shift within 12 rows at which rows agree best with what they should be."""
    best = Moved(0, -1.0)
    n = min(len(entered), len(expected))
    for shift in range(-_FURTHEST, _FURTHEST + 1):
        low, high = max(0, shift), min(n, n + shift)
        if high - low >= max(3, n // 2):
            r = column_r(entered[low:high], expected[low - shift : high - shift])
            if r > best.r + 1e-9:
                best = Moved(shift, r)
    return best


def column_r(left: Series, right: Series) -> float:
    """Median over columns of the correlation between two arrays; 0 where nothing varies."""
    varies = (left.std(axis=0) > 1e-9) & (right.std(axis=0) > 1e-9)
    if not varies.any():
        return 0.0
    a, b = zscore(left[:, varies].astype(np.float64)), zscore(right[:, varies].astype(np.float64))
    return float(np.median((a * b).mean(axis=0)))


def mixed_with(entered: Series, expected: Series, others: Mapping[str, Series]) -> str:
    """The story whose rows were averaged into others; ``""`` where none was.

    What is left of the entered rows without their own story must be another story's rows.
    """
    for name, other in others.items():
        n = min(len(entered), len(expected), len(other))
        if n < 10:
            continue
        rows = [values[:n].astype(np.float64).ravel() for values in (entered, expected, other)]
        basis = np.stack([rows[1], rows[2], np.ones(len(rows[0]))], axis=1)
        weights, *_ = np.linalg.lstsq(basis, rows[0], rcond=None)
        left = rows[0] - basis @ weights
        if abs(weights[1]) > 0.05 and left.var() < (1 - 0.999) * rows[0].var():
            return name
    return ""


def follows(residual: Series, responses: Series) -> float:
    """Highest share of a residual column that the responses of the same rows explain.

    Each column is predicted on its second half by a fit on its first (and the other way
    round), so that chance gives about 0.
    """
    n = min(len(residual), len(responses))
    if n < 8:
        return 0.0
    ours, theirs = residual[:n].astype(np.float64), zscore(responses[:n].astype(np.float64))
    halves = (slice(0, n // 2), slice(n // 2, n))
    shares = [_share(ours, theirs, a, b) for a, b in (halves, halves[::-1])]
    return float(np.min(shares))


def _share(ours: Series, theirs: Series, fit: slice, test: slice) -> float:
    lead = theirs[fit]
    alpha = 1e-3 * len(lead)
    gram = lead.T @ lead + alpha * np.eye(lead.shape[1])
    weights = np.linalg.solve(gram, lead.T @ (ours[fit] - ours[fit].mean(axis=0)))
    wanted = ours[test] - ours[test].mean(axis=0)
    total = (wanted**2).sum(axis=0)
    left = ((wanted - theirs[test] @ weights) ** 2).sum(axis=0)
    shares: Float[np.ndarray, "column"] = 1 - left / np.maximum(total, 1e-12)
    return float(np.max(np.where(total > 1e-9, shares, 0.0)))
