"""Sums from which every correlation, interval and paired comparison is made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float, Float64, Int64

from brainaligner.core import InputError, frozen_array
from brainaligner.evaluation._rows import Rows, centred_rows, paired_rows, target_blocks

# Share of a sum of squares under which a centred one is rounding: the series is constant.
_ROUNDING = 1e-12


@dataclass(frozen=True, eq=False)
class Moments:
    """Sums over the rows of each unit (a story, or a block of rows inside one).

    All values are counted from each target's mean over all rows of all units. Pearson r
    does not see that shift, and float64 sums keep their digits.

    Parameters
    ----------
    kind : {"story", "block"}
        What a unit is.
    story : int64 array, shape (unit,)
        Position of the story that each unit lies in.
    n : float64 array, shape (unit,)
        Rows in each unit.
    p, y : float64 arrays, shape (unit, target)
        Sums of predictions and of responses.
    pp, yy, py : float64 arrays, shape (unit, target)
        Sums of squares and of products.
    """

    kind: Literal["story", "block"]
    story: Int64[np.ndarray, "unit"]
    n: Float64[np.ndarray, "unit"]
    p: Float64[np.ndarray, "unit target"]
    y: Float64[np.ndarray, "unit target"]
    pp: Float64[np.ndarray, "unit target"]
    yy: Float64[np.ndarray, "unit target"]
    py: Float64[np.ndarray, "unit target"]

    def __post_init__(self) -> None:
        for name in ("story", "n", "p", "y", "pp", "yy", "py"):
            array = getattr(self, name)
            wanted = (len(self.n),) if name in ("story", "n") else (len(self.n), self.n_targets)
            if array.shape != wanted:
                raise InputError(
                    f"moments, {name!r}",
                    got=f"shape {array.shape}",
                    wanted=str(wanted),
                    do="Build moments with story_moments or block_moments.",
                )
            object.__setattr__(self, name, frozen_array(array))

    @property
    def n_units(self) -> int:
        """Number of units."""
        return len(self.n)

    @property
    def n_targets(self) -> int:
        """Number of targets."""
        return int(self.p.shape[-1])


def story_moments(
    predictions: Sequence[Rows], responses: Sequence[Rows], *, cut: int = 0
) -> Moments:
    """Moments with one unit per story.

    Parameters
    ----------
    predictions, responses : sequences of float arrays, shape (time, target)
        One of each per story, in the same order.
    cut : int
        Rows dropped at each end of each story first.

    Raises
    ------
    InputError
        If the two sides do not fit each other, or a value is not finite.
    """
    p, y = paired_rows(predictions, responses, cut=cut)
    return _moments(p, y, "story", [1] * len(p))


def block_moments(
    predictions: Sequence[Rows], responses: Sequence[Rows], *, block_rows: int, cut: int = 0
) -> Moments:
    """Moments with one unit per block of consecutive rows; no block crosses stories.

    A story of T rows gives ``max(1, T // block_rows)`` blocks of nearly equal length,
    none shorter than `block_rows` unless the story is.

    Parameters
    ----------
    predictions, responses, cut
        As in :func:`story_moments`.
    block_rows : int
        Shortest block, in rows.

    Raises
    ------
    InputError
        As :func:`story_moments`, and if `block_rows` is under 1.
    """
    if block_rows < 1:
        raise InputError(
            "block_rows", got=str(block_rows), wanted="1 or more", do="Give a number of rows."
        )
    p, y = paired_rows(predictions, responses, cut=cut)
    return _moments(p, y, "block", [max(1, len(rows) // block_rows) for rows in p])


def _moments(
    predictions: Sequence[Rows],
    responses: Sequence[Rows],
    kind: Literal["story", "block"],
    units_per_story: Sequence[int],
) -> Moments:
    lengths = np.concatenate(
        [
            np.diff(np.linspace(0, len(rows), k + 1).astype(np.int64))
            for rows, k in zip(predictions, units_per_story, strict=True)
        ]
    )
    starts = np.cumsum(lengths) - lengths
    shape = (5, len(lengths), predictions[0].shape[1])
    sums = np.empty(shape)
    for targets in target_blocks(shape[2], int(lengths.sum())):
        p, y = centred_rows(predictions, targets), centred_rows(responses, targets)
        for out, rows in zip(sums, (p, y, p * p, y * y, p * y), strict=True):
            np.add.reduceat(rows, starts, axis=0, out=out[:, targets])
    story = np.repeat(np.arange(len(units_per_story), dtype=np.int64), units_per_story)
    return Moments(kind, story, lengths.astype(np.float64), *sums)


@dataclass(frozen=True, eq=False)
class Totals:
    """Means and centred sums of weighted units, one row per draw of weights.

    ``cpp = sum (p - mean p)^2`` and so on; `varies` is False where either has none.
    """

    mean_p: Float64[np.ndarray, "draw target"]
    mean_y: Float64[np.ndarray, "draw target"]
    cpp: Float64[np.ndarray, "draw target"]
    cyy: Float64[np.ndarray, "draw target"]
    cpy: Float64[np.ndarray, "draw target"]
    varies: np.ndarray


def weighted_totals(
    moments: Moments, weights: Float64[np.ndarray, "draw unit"], targets: slice
) -> Totals:
    """Add up the units of some targets, each as often as its weight says."""
    n = (weights @ moments.n)[:, None]
    p, y, pp, yy, py = (
        weights @ getattr(moments, name)[:, targets] for name in ("p", "y", "pp", "yy", "py")
    )
    cpp, cyy, cpy = pp - p * p / n, yy - y * y / n, py - p * y / n
    varies = (cpp > _ROUNDING * pp) & (cyy > _ROUNDING * yy)
    return Totals(p / n, y / n, cpp, cyy, cpy, varies)


def checked_weights(
    moments: Moments, weights: Float[np.ndarray, "..."]
) -> Float64[np.ndarray, "draw unit"]:
    """Weights as a float64 matrix (draw, unit); a single draw may come as a vector."""
    matrix = np.atleast_2d(np.asarray(weights, dtype=np.float64))
    fits = matrix.ndim == 2 and matrix.shape[1] == moments.n_units
    if not fits or not (np.isfinite(matrix) & (matrix >= 0)).all() or (matrix.sum(1) == 0).any():
        raise InputError(
            "weights of units",
            got=f"shape {np.shape(weights)}",
            wanted=f"(draw, {moments.n_units}), none negative, no draw of zeros only",
            do="Give how often each unit was drawn.",
        )
    return matrix


def correlation_from_moments(
    moments: Moments, weights: Float[np.ndarray, "..."] | None = None
) -> Float64[np.ndarray, "..."]:
    r"""Pearson r of each target on the rows of all units put end to end.

    .. math:: r = \frac{\sum (p - \bar p)(y - \bar y)}
              {\sqrt{\sum (p - \bar p)^2 \sum (y - \bar y)^2}}

    Parameters
    ----------
    moments : Moments
    weights : float array, shape (unit,) or (draw, unit), optional
        How often each unit enters; once where this is left out.

    Returns
    -------
    float64 array, shape (target,), or (draw, target) for a matrix of weights
        NaN where the prediction or the response has no variance.

    Raises
    ------
    InputError
        If the weights do not fit the units.
    """
    drawn = checked_weights(moments, np.ones(moments.n_units) if weights is None else weights)
    r = np.full((len(drawn), moments.n_targets), np.nan)
    for targets in target_blocks(moments.n_targets, len(drawn)):
        r[:, targets] = correlation(weighted_totals(moments, drawn, targets))
    return r if weights is not None and np.ndim(weights) == 2 else r[0]


def correlation(totals: Totals) -> Float64[np.ndarray, "draw target"]:
    """Pearson r, within [-1, 1] also after rounding; NaN where nothing varies."""
    size = np.sqrt(np.where(totals.varies, totals.cpp * totals.cyy, np.nan))
    return np.clip(totals.cpy / size, -1.0, 1.0)


def pearson_r(
    predictions: Float[np.ndarray, "_time _target"], responses: Float[np.ndarray, "_time _target"]
) -> Float64[np.ndarray, "target"]:
    """Pearson r of each column of two matrices; NaN where a column has no variance.

    Raises
    ------
    InputError
        If shapes differ, a value is not finite, or there are fewer than two rows.
    """
    return correlation_from_moments(story_moments([predictions], [responses]))
