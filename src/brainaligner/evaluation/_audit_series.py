"""Whether two stories' series are alike at some lag."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import scipy.fft
from jaxtyping import Complex, Float64

from brainaligner.core import zscore
from brainaligner.evaluation._audit_rows import Series

_FEWEST_OVERLAP = 30
_ALIKE = 0.6
_OUTLYING = 8.0  # standard deviations, estimated by the median
_FAR = 0.1  # by which a pair is nearer than stories that run backwards
_CERTAIN = 0.95


@dataclass(frozen=True, eq=False)
class _Spectrum:
    """A story's bounded series, transformed, and its energy up to each row."""

    values: Complex[np.ndarray, "_frequency _target"]
    energy: Float64[np.ndarray, "_row"]

    @property
    def rows(self) -> int:
        """Rows of the story."""
        return len(self.energy) - 1


def series_peak(left: Series, right: Series) -> tuple[float, int]:
    """Highest correlation of two stories' series over all lags, all columns together; that lag.

    Each column is standardised, and what lies beyond 3 standard deviations counts as 3. Of the
    rows that overlap, at least half of the shorter story and 30, r is the sum of products over
    the root of the product of both sums of squares. Lag k sets row t of `left` against row
    t + k of `right`.
    """
    n = scipy.fft.next_fast_len(len(left) + len(right), real=True)
    return _peak(_spectrum(left, n), _spectrum(right, n), n)


def _peak(left: _Spectrum, right: _Spectrum, n: int) -> tuple[float, int]:
    sums = scipy.fft.irfft(np.einsum("fv,fv->f", left.values.conj(), right.values), n)
    lags = np.arange(-(left.rows - 1), right.rows)
    first = np.maximum(0, -lags)
    last = np.minimum(left.rows, right.rows - lags)
    ours = left.energy[last] - left.energy[first]
    theirs = right.energy[last + lags] - right.energy[first + lags]
    shorter = min(left.rows, right.rows)
    enough = last - first >= min(max(_FEWEST_OVERLAP, shorter // 2), shorter)
    r = sums[lags % n] / np.maximum(np.sqrt(np.maximum(ours * theirs, 0.0)), 1e-9)
    best = int(np.argmax(np.where(enough, r, -np.inf)))
    return float(np.clip(r[best], -1.0, 1.0)), int(lags[best])


def _spectrum(series: Series, n: int) -> _Spectrum:
    bounded = zscore(np.clip(zscore(series.astype(np.float64)), -3.0, 3.0))
    energy = np.concatenate([[0.0], np.cumsum((bounded**2).sum(axis=1))])
    return _Spectrum(scipy.fft.rfft(bounded, n, axis=0), energy)


@dataclass(frozen=True)
class SeriesMatch:
    """Two stories whose series are alike at some lag."""

    story: str
    other: str
    r: float
    lag: int


def series_matches(
    stories: Mapping[str, Series], others: Mapping[str, Series]
) -> tuple[SeriesMatch, ...]:
    """Pairs of stories of different names whose series stand out as alike.

    A pair stands out with a correlation of at least .6 that is 8 standard deviations
    (estimated by the median deviation) above the median of all pairs, and .1 above (or .95
    where that is less) what any pair reaches when one of its stories runs backwards: so much
    do slow series of few columns reach by chance.
    """
    if not stories or not others:
        return ()
    longest = max(len(v) for v in (*stories.values(), *others.values()))
    n = scipy.fft.next_fast_len(2 * longest, real=True)
    ours = {name: _spectrum(values, n) for name, values in stories.items()}
    theirs = {name: _spectrum(values, n) for name, values in others.items()}
    pairs = [
        SeriesMatch(a, b, *_peak(one, other, n))
        for a, one in ours.items()
        for b, other in theirs.items()
        if a != b
    ]
    bound = _usual(np.array([pair.r for pair in pairs]))
    found = [pair for pair in pairs if pair.r > bound]
    if not found:
        return ()
    backwards = [_spectrum(values[::-1], n) for values in others.values()]
    chance = max(_peak(one, other, n)[0] for one in ours.values() for other in backwards)
    return tuple(pair for pair in found if pair.r > min(chance + _FAR, max(chance, _CERTAIN)))


def _usual(peaks: Float64[np.ndarray, "_pair"]) -> float:
    """Correlation that pairs of different stories do not reach."""
    if len(peaks) < 5:
        return _ALIKE
    median = float(np.median(peaks))
    spread = 1.4826 * float(np.median(np.abs(peaks - median)))
    return max(_ALIKE, min(median + _OUTLYING * spread, _CERTAIN))
