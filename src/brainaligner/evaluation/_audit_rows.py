"""Whether rows of one side stand among those of another: exactly or rescaled."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float, Float64, Int64

from brainaligner.core import zscore

FEWEST_EQUAL = 3
"""Equal rows that cannot be chance, or a filler of gaps."""

_FEWEST_DISTINCT = 3  # numbers in a row that can tell it from others
_CHANCE = 1e-6  # of one false match in all pairs of rows
_NEAR = 0.98
_TOO_NEAR = 0.9999  # rounding of float32 is not far from here
_BLOCK = 2048
_OUTLYING_ROW = 2.0  # times the median row

Series = Float[np.ndarray, "_time _target"]
"""Rows of one story; stories beside it have other lengths."""

RowNumbers = Int64[np.ndarray, "_time"]


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


def row_sources(rows: Series, among: Mapping[str, Series]) -> tuple[list[str], RowNumbers]:
    """Where each row stands, number for number: story and row, or ``""`` and -1.

    Rows with fewer than three different numbers are nowhere: they would be everywhere. So are
    rows that stand several times in `rows` themselves, as what fills gaps does.
    """
    return RowPlaces(among).find(rows)


@dataclass(frozen=True, eq=False)
class RowPlaces:
    """Where every row of some stories stands, to be asked many times.

    Parameters
    ----------
    among : mapping of story to array, shape (time, target)
    """

    among: Mapping[str, Series]

    @cached_property
    def _places(self) -> dict[bytes, tuple[str, int]]:
        places: dict[bytes, tuple[str, int]] = {}
        for story, values in self.among.items():
            for i, row in enumerate(_comparable(values)):
                places.setdefault(row.tobytes(), (story, i))
        return places

    def find(self, rows: Series) -> tuple[list[str], RowNumbers]:
        """Story and row of each of some rows, as `row_sources` gives them."""
        keys = [row.tobytes() for row in _comparable(rows)]
        counts = Counter(keys)
        found = [
            self._places.get(key, ("", -1)) if tells and counts[key] == 1 else ("", -1)
            for key, tells in zip(keys, _telling(rows), strict=True)
        ]
        return [story for story, _ in found], np.array([row for _, row in found], dtype=np.int64)

    def count(self, rows: Series) -> int:
        """How many of some rows stand somewhere."""
        return sum(map(bool, self.find(rows)[0]))


def _comparable(values: Series) -> Series:
    return np.ascontiguousarray(values, dtype=np.float32) + np.float32(0.0)  # no minus zero


def _telling(values: Series) -> Bool[np.ndarray, "_time"]:
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
    ``(1 - r^2)^((m - 2) / 2)``; the bound makes one such pair in all 1e-6 likely. Rows more than
    twice as large as the median row are left out: what moves all columns at once, as a head
    does, is alike wherever it happens.
    """
    left, right = _whitened([zscore(v) for v in rows], [zscore(v) for v in others])
    if not len(left) or not len(right):
        return NearRows(0, float("nan"))
    bound = near_bound(left.shape[1], len(left) * len(right))
    if not np.isfinite(bound):
        return NearRows(0, bound)
    found = sum(
        int(((left[i : i + _BLOCK] @ right.T).max(axis=1) > bound).sum())
        for i in range(0, len(left), _BLOCK)
    )
    return NearRows(found, bound)


def fewest_near(n_rows: int) -> int:
    """Nearly equal rows, among so many, that cannot be chance."""
    return max(5, n_rows // 100)


def near_bound(n_columns: int, n_pairs: int) -> float:
    """Correlation over columns that no pair of unrelated rows reaches; NaN where there is none."""
    if n_columns < 3 or n_pairs < 1:
        return float("nan")
    r = float(np.sqrt(1.0 - (_CHANCE / n_pairs) ** (2.0 / (n_columns - 2))))
    return max(r, _NEAR) if r < _TOO_NEAR else float("nan")


def _whitened(
    rows: Sequence[Series], others: Sequence[Series]
) -> tuple[Float[np.ndarray, "row column"], Float[np.ndarray, "other column"]]:
    """Both sides on independent columns, each row of length 1, without outlying rows."""
    stacked = np.concatenate([*rows, *others]).astype(np.float64)
    n_rows = sum(map(len, rows))
    values, vectors = np.linalg.eigh(stacked.T @ stacked / len(stacked))
    kept = values > 0.05 * values.mean()
    turned = stacked @ (vectors[:, kept] / np.sqrt(values[kept]))
    sizes = np.linalg.norm(turned, axis=1)
    usual = (sizes > 1e-9) & (sizes <= _OUTLYING_ROW * np.median(sizes))
    turned /= np.maximum(sizes[:, None], 1e-12)
    first = np.arange(len(turned)) < n_rows
    return turned[usual & first].astype(np.float32), turned[usual & ~first].astype(np.float32)


def lag_one(series: Sequence[Series]) -> Float64[np.ndarray, "target"]:
    """Correlation of each column with itself one row later, all stories together."""
    pairs = [(zscore(v[:-1].astype(np.float64)), zscore(v[1:].astype(np.float64))) for v in series]
    rows = sum(len(a) for a, _ in pairs)
    return np.sum([np.einsum("tv,tv->v", a, b) for a, b in pairs], axis=0) / max(rows, 1)
