"""Rows of predictions and responses that belong together, checked once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from jaxtyping import Float, Float64, Int64

from brainaligner.core import InputError

Rows = Float[np.ndarray, "_time _target"]

_BLOCK_CELLS = 2**21  # float64 cells of one working array: 16 MiB
_FLAT = 1e-7  # relative standard deviation under which float32 values are one constant


def paired_rows(
    predictions: Sequence[Rows], responses: Sequence[Rows], *, cut: int = 0
) -> tuple[tuple[Rows, ...], tuple[Rows, ...]]:
    """Check that two lists of stories fit each other, and cut `cut` rows off both ends.

    Raises
    ------
    InputError
        If a story or a target is missing on one side, a value is not finite, or fewer than
        two rows would be left.
    """
    if len(predictions) != len(responses) or not predictions:
        raise InputError(
            "predictions and responses",
            got=f"{len(predictions)} and {len(responses)} stories",
            wanted="the same stories on both sides, at least one",
            do="Give one matrix for each story on each side.",
        )
    if cut < 0:
        raise InputError(
            "rows cut", got=str(cut), wanted="0 or more", do="Give the rows to drop at each end."
        )
    for side in (*predictions, *responses):
        if not isinstance(side, np.ndarray):
            raise InputError(
                "predictions and responses",
                got=f"a {type(side).__name__} among the stories",
                wanted="a list of arrays, each of shape (time, target)",
                do="Make them with np.asarray.",
            )
    n_targets = responses[0].shape[-1] if responses[0].ndim else 0
    for i, (p, y) in enumerate(zip(predictions, responses, strict=True)):
        _check_story(i, p, y, n_targets=n_targets, cut=cut)
    return tuple(_cut(p, cut) for p in predictions), tuple(_cut(y, cut) for y in responses)


def _check_story(i: int, p: Rows, y: Rows, *, n_targets: int, cut: int) -> None:
    where = f"story {i + 1} of the predictions and responses"
    if p.ndim != 2 or p.shape != y.shape or p.shape[1] != n_targets or n_targets < 1:
        raise InputError(
            where,
            got=f"shapes {p.shape} and {y.shape}",
            wanted=f"the same (time, {n_targets}) on both sides",
            do="Predict every row and every target that was measured.",
        )
    if p.shape[0] < 2 * cut + 2:
        raise InputError(
            where,
            got=f"{p.shape[0]} rows",
            wanted=f"at least {2 * cut + 2}, for {cut} are cut off at each end",
            do="Cut fewer rows or leave the story out.",
        )
    for side, values in (("predictions", p), ("responses", y)):
        if not np.issubdtype(values.dtype, np.floating) or not np.isfinite(values).all():
            raise InputError(
                f"{side} of story {i + 1}",
                got=f"{values.dtype} values, some of them not finite numbers",
                wanted="finite floating-point values",
                do="Look for the NaN or overflow where these were computed.",
            )


def _cut(values: Rows, cut: int) -> Rows:
    return values[cut : values.shape[0] - cut]


def target_blocks(n_targets: int, depth: int) -> Iterator[slice]:
    """Slices over targets, so narrow that an array of `depth` rows stays near 16 MiB."""
    width = max(1, _BLOCK_CELLS // max(depth, 1))
    for start in range(0, n_targets, width):
        yield slice(start, min(start + width, n_targets))


def centred_rows(
    stories: Sequence[Rows], targets: slice | Int64[np.ndarray, "_"]
) -> Float64[np.ndarray, "time target"]:
    """Concatenate some columns of all stories in float64, less the mean over all rows.

    A column that is constant to float32 precision becomes exact zeros.
    """
    values = np.concatenate([story[:, targets] for story in stories]).astype(np.float64)
    first = values[0].copy()  # taken off first, so that constants leave no rounding behind
    values -= first
    mean = values.mean(axis=0)
    values -= mean
    spread = np.sqrt(np.einsum("tv,tv->v", values, values) / len(values))
    values[:, spread <= _FLAT * np.abs(first + mean)] = 0.0
    return values
