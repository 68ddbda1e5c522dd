"""What predictions score that have lost their tie to the responses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float, Float32, Float64

from brainaligner.core import InputError
from brainaligner.evaluation._null_series import (
    MIN_SHIFT,
    NULL_KINDS,
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
    kinds: Sequence[str] = NULL_KINDS,
) -> dict[str, Float64[np.ndarray, "draw"]]:
    """Mean r over targets of null predictions, for every kind and draw.

    A readout is a fixed filter of its features, so what it makes of shifted features, or of
    features with random phases, is its own prediction shifted, or with those phases: this is
    what null features score through a readout that is already fitted. Shifted predictions are
    scored by :func:`shift_null`, which puts right that shifts near 0 are left out. Each series
    is brought to mean 0 within its story first: a story's level outlives every null.

    Parameters
    ----------
    predictions, responses : mappings of story to float array, shape (time, target)
        The same stories; all rows that are scored.
    n_draws : int
    seed : int
    names : mapping of story to str, optional
        As in :func:`null_series`.
    kinds : sequence of str
        Those of them that the number of stories allows are drawn.

    Raises
    ------
    InputError
        If the two sides do not name the same stories or do not fit each other, or a value is
        not finite.
    """
    if predictions.keys() != responses.keys():
        raise InputError(
            "predictions and responses",
            got=f"{sorted(predictions)} and {sorted(responses)}",
            wanted="the same stories on both sides",
            do="Give predictions of all stories that were measured, and of no others.",
        )
    measured = [responses[story] for story in predictions]
    paired_rows(list(predictions.values()), measured)
    series = {story: centred_story(values) for story, values in predictions.items()}
    p, y = list(series.values()), [centred_story(values) for values in measured]
    target = _standardised(np.concatenate(y))
    found: dict[str, np.ndarray] = {}
    for kind in (kind for kind in possible_nulls(len(predictions)) if kind in kinds):
        if kind == "shifted":
            found[kind] = shift_null(p, y, n_draws=n_draws, min_shift=MIN_SHIFT, seed=seed).mean_r
            continue
        draws = (
            null_series(series, kind, draw=draw, seed=seed, names=names) for draw in range(n_draws)
        )
        found[kind] = np.array([_mean_r(list(drawn.values()), target) for drawn in draws])
    return found


def centred_story(values: Float[np.ndarray, "time column"]) -> Float[np.ndarray, "time column"]:
    """Rows of one story less their mean, in the precision that they have."""
    return np.asarray(values - values.mean(axis=0, dtype=np.float64), dtype=values.dtype)


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
