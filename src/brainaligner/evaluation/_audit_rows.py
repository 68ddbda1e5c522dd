"""Whether rows of one side stand among those of another: exactly, rescaled, or moved in time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import scipy.fft
from jaxtyping import Bool, Float, Float64, Int64

from brainaligner.core import zscore

_FEWEST_DISTINCT = 3  # numbers in a row that can tell it from others
_CHANCE = 1e-6  # of one false match in all pairs of rows
_NEAR = 0.98
_TOO_NEAR = 0.9999  # rounding of float32 is not far from here
_BLOCK = 2048
_FEWEST_OVERLAP = 30
_ALIKE = 0.6
_OUTLYING = 8.0  # standard deviations, estimated by the median

Series = Float[np.ndarray, "time target"]


@dataclass(frozen=True, eq=False)
class Entered:
    """Rows of one story as they entered a computation, at a sample of columns.

    Parameters
    ----------
    role : str
        What for and what of: ``"fit/responses"``.
    story : str
        The name under which they entered.
    start : int
        Row of the story at which they begin.
    values : array, shape (time, column), or (text,) for hashes of texts
    """

    role: str
    story: str
    start: int
    values: np.ndarray


def row_sources(
    rows: Series, among: Mapping[str, Series]
) -> tuple[list[str], Int64[np.ndarray, "time"]]:
    """Where each row stands, number for number: story and row, or ``""`` and -1.

    Rows with fewer than three different numbers are nowhere: they would be everywhere.
    """
    places: dict[bytes, tuple[str, int]] = {}
    for story, values in among.items():
        for i, row in enumerate(_comparable(values)):
            places.setdefault(row.tobytes(), (story, i))
    telling = _telling(rows)
    found = [
        places.get(row.tobytes(), ("", -1)) if tells else ("", -1)
        for row, tells in zip(_comparable(rows), telling, strict=True)
    ]
    return [story for story, _ in found], np.array([row for _, row in found], dtype=np.int64)


def _comparable(values: Series) -> Series:
    return np.ascontiguousarray(values, dtype=np.float32) + np.float32(0.0)  # no minus zero


def _telling(values: Series) -> Bool[np.ndarray, "time"]:
    ordered = np.sort(values, axis=1)
    return (np.diff(ordered, axis=1) > 0).sum(axis=1) + 1 >= _FEWEST_DISTINCT


@dataclass(frozen=True)
class NearRows:
    """How near rows come to others when each story is standardised and columns are whitened.

    Parameters
    ----------
    found : int
        Rows that are nearer to one of the others than chance allows.
    bound : float
        The correlation over columns above which that is so; NaN where the columns are too few
        to tell any rows apart.
    """

    found: int
    bound: float


def near_rows(rows: Sequence[Series], others: Sequence[Series]) -> NearRows:
    """Count rows that are nearly equal to one of `others`, whatever was scaled or centred.

    Columns are standardised within each piece and rotated to independent ones. Among m of
    these, two unrelated rows correlate by more than r with probability under
    ``(1 - r^2)^((m - 2) / 2)``; the bound makes one such pair in all 1e-6 likely.
    """
    left, right = _whitened([zscore(v) for v in rows], [zscore(v) for v in others])
    bound = near_bound(left.shape[1], len(left) * len(right))
    if not np.isfinite(bound):
        return NearRows(0, bound)
    found = sum(
        int(((left[i : i + _BLOCK] @ right.T).max(axis=1) > bound).sum())
        for i in range(0, len(left), _BLOCK)
    )
    return NearRows(found, bound)


def near_bound(n_columns: int, n_pairs: int) -> float:
    """Correlation over columns that no pair of unrelated rows reaches; NaN where there is none."""
    if n_columns < 3 or n_pairs < 1:
        return float("nan")
    r = float(np.sqrt(1.0 - (_CHANCE / n_pairs) ** (2.0 / (n_columns - 2))))
    return max(r, _NEAR) if r < _TOO_NEAR else float("nan")


def _whitened(
    rows: Sequence[Series], others: Sequence[Series]
) -> tuple[Float[np.ndarray, "row column"], Float[np.ndarray, "other column"]]:
    stacked = np.concatenate([*rows, *others]).astype(np.float64)
    n_rows = sum(map(len, rows))
    values, vectors = np.linalg.eigh(stacked.T @ stacked / len(stacked))
    kept = values > 0.05 * values.mean()
    turned = stacked @ (vectors[:, kept] / np.sqrt(values[kept]))
    turned /= np.maximum(np.linalg.norm(turned, axis=1, keepdims=True), 1e-12)
    return turned[:n_rows].astype(np.float32), turned[n_rows:].astype(np.float32)


def series_peak(left: Series, right: Series) -> tuple[float, int]:
    """Highest mean correlation of two stories' series over all lags, and that lag.

    Each column is standardised, what lies beyond 3 standard deviations counts as 3, and the mean
    runs over columns and over the rows that overlap, at least half of the shorter story and 30.
    Lag k sets row t of `left` against row t + k of `right`.
    """
    n = scipy.fft.next_fast_len(len(left) + len(right), real=True)
    return _peak((_spectrum(left, n), len(left)), (_spectrum(right, n), len(right)), n)


def _peak(left: tuple[np.ndarray, int], right: tuple[np.ndarray, int], n: int) -> tuple[float, int]:
    (ours, rows), (theirs, other_rows) = left, right
    sums = scipy.fft.irfft(np.einsum("fv,fv->f", ours.conj(), theirs), n)
    lags = np.arange(-(rows - 1), other_rows)
    overlap = np.minimum(rows, other_rows - lags) - np.maximum(0, -lags)
    shorter = min(rows, other_rows)
    enough = overlap >= min(max(_FEWEST_OVERLAP, shorter // 2), shorter)
    means = sums[lags % n] / (overlap * ours.shape[1])
    best = int(np.argmax(np.where(enough, means, -np.inf)))
    return float(means[best]), int(lags[best])


def _spectrum(series: Series, n: int) -> np.ndarray:
    bounded = np.clip(zscore(series.astype(np.float64)), -3.0, 3.0)
    return scipy.fft.rfft(zscore(bounded), n, axis=0)


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

    A pair stands out with a mean correlation of at least .6 that is 8 standard deviations
    (estimated by the median deviation) above the median of all pairs.
    """
    longest = max((len(v) for v in (*stories.values(), *others.values())), default=1)
    n = scipy.fft.next_fast_len(2 * longest, real=True)
    ours, theirs = (
        {name: (_spectrum(values, n), len(values)) for name, values in side.items()}
        for side in (stories, others)
    )
    pairs = [
        SeriesMatch(a, b, *_peak(one, other, n))
        for a, one in ours.items()
        for b, other in theirs.items()
        if a != b
    ]
    if not pairs:
        return ()
    peaks = np.array([pair.r for pair in pairs])
    median = float(np.median(peaks))
    spread = 1.4826 * float(np.median(np.abs(peaks - median)))
    usual = median + _OUTLYING * spread if len(pairs) >= 5 else 0.0
    return tuple(pair for pair in pairs if pair.r > max(_ALIKE, min(usual, 0.95)))


def lag_one(series: Sequence[Series]) -> Float64[np.ndarray, "target"]:
    """Correlation of each column with itself one row later, all stories together."""
    pairs = [(zscore(v[:-1].astype(np.float64)), zscore(v[1:].astype(np.float64))) for v in series]
    rows = sum(len(a) for a, _ in pairs)
    return np.sum([np.einsum("tv,tv->v", a, b) for a, b in pairs], axis=0) / max(rows, 1)
