"""How many rows hang together: the block length of bootstraps and permutations."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import scipy.fft
from jaxtyping import Float64

from brainaligner.evaluation._rows import Rows, paired_rows, target_blocks

SHORTEST_BLOCK = 10
NEGLIGIBLE = 0.05


def block_length(predictions: Sequence[Rows], responses: Sequence[Rows], *, cut: int = 0) -> int:
    """First lag, at least 10 rows, where rows of ``p * y`` are nearly independent.

    That is where the product of the prediction's and the response's autocorrelation, its
    mean taken over targets, falls under .05. Autocovariances are about each story's own
    mean, summed over stories. Half the longest story is the most that is ever returned
    (10 rows where that is less).

    Parameters
    ----------
    predictions, responses : sequences of float arrays, shape (time, target)
        One of each per story, in the same order.
    cut : int
        Rows dropped at each end of each story first.

    Returns
    -------
    int
        A number of rows.

    Raises
    ------
    InputError
        If the two sides do not fit each other, or a value is not finite.
    """
    p, y = paired_rows(predictions, responses, cut=cut)
    n_lags = max(len(rows) for rows in p) // 2 + 1
    total, count = np.zeros(n_lags), 0
    for targets in target_blocks(p[0].shape[1], 2 * sum(len(rows) for rows in p)):
        acf_p, acf_y = autocorrelation(p, targets, n_lags), autocorrelation(y, targets, n_lags)
        varies = np.isfinite(acf_p[0]) & np.isfinite(acf_y[0])
        total += (acf_p * acf_y)[:, varies].sum(axis=1)
        count += int(varies.sum())
    under = np.flatnonzero(total < NEGLIGIBLE * count)
    return max(SHORTEST_BLOCK, int(under[0]) if under.size else n_lags - 1 if count else 0)


def autocorrelation(
    stories: Sequence[Rows], targets: slice, n_lags: int
) -> Float64[np.ndarray, "lag target"]:
    """Autocorrelation at lags 0 to n_lags - 1; NaN for a target that never varies."""
    summed = np.zeros((n_lags, targets.stop - targets.start))
    for story in stories:
        values = story[:, targets].astype(np.float64)
        values -= values[0]  # a constant leaves exact zeros, not rounding
        values -= values.mean(axis=0)
        size = scipy.fft.next_fast_len(2 * len(values), real=True)
        power = np.abs(scipy.fft.rfft(values, size, axis=0)) ** 2
        lags = min(n_lags, len(values))
        summed[:lags] += scipy.fft.irfft(power, size, axis=0)[:lags]
    return summed / np.where(summed[0] > 0, summed[0], np.nan)
