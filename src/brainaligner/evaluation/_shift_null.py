"""What r would be if predictions and responses had nothing to do with each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy.fft
from jaxtyping import Float64, Int64

from brainaligner.core import InputError, frozen_array
from brainaligner.evaluation._rows import Rows, centred_rows, paired_rows, target_blocks

THRESHOLD_QUANTILE = 0.95
_SPARE_ROWS = 10  # a story needs this many allowed shifts before min_shift is kept


@dataclass(frozen=True, eq=False)
class ShiftNull:
    """Correlations under random circular shifts of the predictions.

    Parameters
    ----------
    threshold : float64 array, shape (target,)
        What r of unrelated series stays under 95 % of the time; NaN where a series has no
        variance.
    mean_r : float64 array, shape (draw,)
        Mean r over the targets that vary, in each draw.
    """

    threshold: Float64[np.ndarray, "target"]
    mean_r: Float64[np.ndarray, "draw"]

    def __post_init__(self) -> None:
        object.__setattr__(self, "threshold", frozen_array(self.threshold))
        object.__setattr__(self, "mean_r", frozen_array(self.mean_r))


def smallest_shift(n_rows: int, min_shift: int) -> int:
    """Rows that a story of `n_rows` is shifted by at least, in either direction.

    `min_shift`, or a third of the story where it has fewer than ``2 min_shift + 10`` rows.
    """
    return min_shift if n_rows >= 2 * min_shift + _SPARE_ROWS else max(1, n_rows // 3)


def draw_shifts(
    lengths: Sequence[int], *, n_draws: int, min_shift: int, seed: int
) -> Int64[np.ndarray, "draw story"]:
    """Random shifts in rows, independent for each story, equally likely where allowed.

    Raises
    ------
    InputError
        If a story has fewer than three rows, or a number is out of range.
    """
    if n_draws < 1 or min_shift < 1 or min(lengths) < 3:
        raise InputError(
            "circular shifts",
            got=f"{n_draws} draws, min_shift {min_shift}, shortest story {min(lengths)} rows",
            wanted="at least one draw, a shift of one row or more, stories of three rows",
            do="Give more draws, or leave the short story out.",
        )
    rng = np.random.default_rng(seed)
    smallest = [smallest_shift(rows, min_shift) for rows in lengths]
    columns = [
        rng.integers(least, rows - least, size=n_draws, endpoint=True)
        for rows, least in zip(lengths, smallest, strict=True)
    ]
    return np.stack(columns, axis=1)


def shift_null(
    predictions: Sequence[Rows],
    responses: Sequence[Rows],
    *,
    n_draws: int = 1000,
    min_shift: int = 30,
    seed: int,
) -> ShiftNull:
    """Pearson r on concatenated rows after shifting each story's predictions circularly.

    The shift of a story is the same for all targets, so that targets stay as correlated as
    they are. A shift changes nothing but the sum of products; its value at all shifts of a
    story is one circular cross-correlation,

    ``c[k] = sum_t p[t - k] y[t] = irfft(conj(rfft(p)) rfft(y))[k]``,

    so a draw costs one look-up for each story and target. As shifts near 0 are left out, c
    over the shifts that are left has too small a spread, and a mean that moves against
    c[0]; c is therefore put, for each story and target, on the mean and the variance that
    it has over all shifts, ``c' = (c - m_kept) s_all / s_kept + m_all``. (The variance over
    all shifts follows from the two power spectra alone, so a true relation of p and y
    leaves it as it is.) Without this, the 95 % threshold lets 10 % of unrelated AR(1) series
    (.5 and .75) pass in 14 stories of 100 rows; with it, 5 % (5.6 % where both are .9).
    Strict periods break it: of 20-row sines with phases of their own, in one story of 291
    rows, 25 % pass.

    The threshold takes the null as symmetric about its mean: both tails together give the
    quantile, because the few shifts of a single short story leave one tail too noisy (one
    story of 85 rows, AR .5: 6.3 % pass with one tail, 5.2 % with both).

    Parameters
    ----------
    predictions, responses : sequences of float arrays, shape (time, target)
        One of each per story, in the same order, already cut.
    n_draws : int
    min_shift : int
        Shifts from ``-min_shift + 1`` to ``min_shift - 1`` rows are not drawn. A story with
        fewer than ``2 min_shift + 10`` rows is shifted by at least a third of its length.
    seed : int
        The same seed and lengths give the same shifts, whatever the arm.

    Raises
    ------
    InputError
        If the two sides do not fit each other, a value is not finite, a story has fewer
        than three rows, or a number is out of range.
    """
    p, y = paired_rows(predictions, responses)
    lengths = [len(rows) for rows in p]
    shifts = draw_shifts(lengths, n_draws=n_draws, min_shift=min_shift, seed=seed)
    threshold = np.full(p[0].shape[1], np.nan)
    total, count = np.zeros(n_draws), 0
    for targets in target_blocks(len(threshold), max(n_draws, sum(lengths))):
        centred = centred_rows(p, targets), centred_rows(y, targets)
        r = _shifted_correlations(*centred, shifts, lengths, min_shift)
        varies = np.isfinite(r[0])
        threshold[targets][varies] = _threshold(r[:, varies])
        total += r[:, varies].sum(axis=1)
        count += int(varies.sum())
    return ShiftNull(threshold, total / count if count else np.full(n_draws, np.nan))


def _threshold(r: Float64[np.ndarray, "draw target"]) -> Float64[np.ndarray, "target"]:
    """The quantile of a null that is symmetric about its mean, from both of its tails."""
    mean = r.mean(axis=0)
    both_tails = 2 * THRESHOLD_QUANTILE - 1
    return mean + np.quantile(np.abs(r - mean), both_tails, axis=0)


def _shifted_correlations(
    p: Float64[np.ndarray, "time target"],
    y: Float64[np.ndarray, "time target"],
    shifts: Int64[np.ndarray, "draw story"],
    lengths: Sequence[int],
    min_shift: int,
) -> Float64[np.ndarray, "draw target"]:
    """Correlations in each draw, from rows that are centred over all stories."""
    products = np.zeros((len(shifts), p.shape[1]))
    starts = np.cumsum(lengths) - lengths
    for k, start, rows in zip(shifts.T, starts, lengths, strict=True):
        least = smallest_shift(rows, min_shift)
        story = slice(start, start + rows)
        products += _standardised_products(p[story], y[story], least)[k - least]
    squares = np.einsum("tv,tv->v", p, p) * np.einsum("tv,tv->v", y, y)
    return products / np.sqrt(np.where(squares > 0, squares, np.nan))


def _standardised_products(
    p: Float64[np.ndarray, "time target"], y: Float64[np.ndarray, "time target"], least: int
) -> Float64[np.ndarray, "shift target"]:
    """Sums of products at shifts of `least` rows and more, spread as over all shifts."""
    spectrum = np.conj(scipy.fft.rfft(p, axis=0)) * scipy.fft.rfft(y, axis=0)
    products = scipy.fft.irfft(spectrum, len(p), axis=0)
    kept = products[least : len(p) - least + 1]
    spread = kept.std(axis=0)
    scale = products.std(axis=0) / np.where(spread > 0, spread, 1.0)
    return (kept - kept.mean(axis=0)) * scale + products.mean(axis=0)


def share_above(
    r: Float64[np.ndarray, "_target"], threshold: Float64[np.ndarray, "_target"]
) -> float:
    """Share of the targets with a finite r that lie above their own threshold.

    NaN where no target has a finite r.

    Raises
    ------
    InputError
        If the two do not have one value for each target.
    """
    if r.shape != threshold.shape:
        raise InputError(
            "threshold",
            got=f"shape {threshold.shape}",
            wanted=f"{r.shape}, one for each r",
            do="Use the null of the same targets.",
        )
    scored = np.isfinite(r) & np.isfinite(threshold)
    return float((r > threshold)[scored].mean()) if scored.any() else float("nan")
