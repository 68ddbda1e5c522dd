"""What predictions score that have lost their tie to the responses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float, Float32, Float64

from brainaligner.evaluation._null_series import (
    MIN_SHIFT,
    NullKind,
    Series,
    null_series,
    possible_nulls,
)
from brainaligner.evaluation._rows import paired_rows
from brainaligner.evaluation._shift_null import shift_null


def null_scores(
    predictions: Series,
    responses: Series,
    *,
    n_draws: int = 20,
    seed: int = 0,
    names: Mapping[str, str] | None = None,
) -> dict[NullKind, Float64[np.ndarray, "draw"]]:
    """Mean r over targets of null predictions, for every kind and draw.

    A readout is a fixed filter of its features, so what it makes of shifted features, or of
    features with random phases, is its own prediction shifted, or with those phases: this is
    what null features score through a readout that is already fitted. Shifted predictions are
    scored by :func:`shift_null`, which puts right that shifts near 0 are left out.

    Parameters
    ----------
    predictions, responses : mappings of story to float array, shape (time, target)
        The same stories in the same order; all rows that are scored.
    n_draws : int
    seed : int
    names : mapping of story to str, optional
        As in :func:`null_series`.

    Raises
    ------
    InputError
        If the two sides do not fit each other, or a value is not finite.
    """
    p, y = paired_rows(list(predictions.values()), list(responses.values()))
    target = _standardised(np.concatenate(y))
    found: dict[NullKind, np.ndarray] = {}
    for kind in possible_nulls(len(predictions)):
        if kind == "shifted":
            found[kind] = shift_null(p, y, n_draws=n_draws, min_shift=MIN_SHIFT, seed=seed).mean_r
            continue
        draws = (
            null_series(predictions, kind, draw=draw, seed=seed, names=names)
            for draw in range(n_draws)
        )
        found[kind] = np.array([_mean_r(list(drawn.values()), target) for drawn in draws])
    return found


def mean_correlation(predictions: Sequence[np.ndarray], responses: Sequence[np.ndarray]) -> float:
    """Mean r over targets on the rows of all stories put end to end; NaN where nothing varies.

    In float32: good to about 1e-5, for what is drawn many times over.

    Parameters
    ----------
    predictions, responses : sequences of float arrays, shape (time, target)
    """
    return _mean_r(predictions, _standardised(np.concatenate(list(responses))))


def _mean_r(predictions: Sequence[np.ndarray], target: Float32[np.ndarray, "time target"]) -> float:
    p = np.concatenate(list(predictions)).astype(np.float32, copy=False)
    p = p - p.mean(axis=0, dtype=np.float64).astype(np.float32)
    size = np.sqrt(np.einsum("tv,tv->v", p, p, dtype=np.float64))
    varies = (size > 0) & target.any(axis=0)
    if not varies.any():
        return float("nan")
    products = np.einsum("tv,tv->v", p, target)
    return float((products[varies] / size[varies]).mean())


def _standardised(values: Float[np.ndarray, "time target"]) -> Float32[np.ndarray, "time target"]:
    """Columns of mean 0 and sum of squares 1; zeros where one does not vary."""
    centred = values - values.mean(axis=0, dtype=np.float64)
    size = np.sqrt(np.einsum("tv,tv->v", centred, centred))
    return (centred / np.where(size > 0, size, np.inf)).astype(np.float32)


def lag_one_autocorrelation(stories: Sequence[np.ndarray]) -> Float64[np.ndarray, "target"]:
    """Correlation of each target with itself one row later, over all stories; within stories.

    Parameters
    ----------
    stories : sequence of float arrays, shape (time, target)

    Returns
    -------
    float64 array, shape (target,)
        NaN where a target has no variance.
    """
    product, square = np.zeros(stories[0].shape[1]), np.zeros(stories[0].shape[1])
    for values in stories:
        centred = values - values.mean(axis=0, dtype=np.float64)
        product += np.einsum("tv,tv->v", centred[1:], centred[:-1])
        square += np.einsum("tv,tv->v", centred, centred) * (len(values) - 1) / len(values)
    return product / np.where(square > 0, square, np.nan)


def row_twins(
    tested: Sequence[np.ndarray], trained: Sequence[np.ndarray]
) -> tuple[Float32[np.ndarray, "row"], Float32[np.ndarray, "row"]]:
    """For each test row, how like the most similar training row is, and its own next row.

    Rows are compared by their correlation over targets, after each target was brought to mean
    0 and variance 1 over all rows.

    Parameters
    ----------
    tested, trained : sequences of float arrays, shape (time, target)
        Responses of test and training stories.

    Returns
    -------
    best, beside : float32 arrays, shape (row,) and (row less one for each story,)
    """
    everything = np.concatenate([*tested, *trained]).astype(np.float32)
    mean, deviation = everything.mean(axis=0), everything.std(axis=0)
    scale = np.where(deviation > 0, deviation, np.inf).astype(np.float32)
    one = [_unit_rows((values - mean) / scale) for values in tested]
    pool = _unit_rows((np.concatenate(list(trained)) - mean) / scale)
    best = np.concatenate([_largest(rows, pool) for rows in one])
    beside = np.concatenate([np.einsum("tv,tv->t", rows[1:], rows[:-1]) for rows in one])
    return best, beside


def _largest(rows: np.ndarray, pool: np.ndarray) -> np.ndarray:
    """Largest product with any row of the pool, a block of rows at a time."""
    blocks = range(0, len(rows), 256)
    return np.concatenate([(rows[i : i + 256] @ pool.T).max(axis=1) for i in blocks])


def _unit_rows(values: np.ndarray) -> np.ndarray:
    centred = np.asarray(values, dtype=np.float32)
    centred = centred - centred.mean(axis=1, keepdims=True)
    size = np.linalg.norm(centred, axis=1, keepdims=True)
    return np.asarray(centred / np.where(size > 0, size, np.inf), dtype=np.float32)


def kernel_alignment(
    first: Float[np.ndarray, "time _target"], second: Float[np.ndarray, "time _target"]
) -> float:
    """Linear centred kernel alignment of two response matrices to the same rows, 0 to 1.

    ``<K, L> / (|K| |L|)`` with ``K = X X'`` of columns brought to mean 0: order, sign and
    rotation of the columns do not change it (Kornblith et al. 2019, arXiv:1905.00414).
    NaN where one has no variance.
    """
    k, n = _kernel(first), _kernel(second)
    size = float(np.linalg.norm(k) * np.linalg.norm(n))
    return float((k * n).sum()) / size if size > 0 else float("nan")


def _kernel(values: np.ndarray) -> np.ndarray:
    centred = values - values.mean(axis=0, dtype=np.float64)
    return np.asarray(centred @ centred.T, dtype=np.float64)
