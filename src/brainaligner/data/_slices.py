"""Some columns of a response array: which ones, their space, their finite float32 values."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from jaxtyping import Float, Float32

from brainaligner.core import InputError, Space, all_finite

SLICE_BYTES = 1 << 25


def checked_columns(where: str, targets: slice, n_columns: int) -> slice:
    """Return `targets` with its ends filled in, cut to the columns that there are.

    Raises
    ------
    InputError
        If it runs backwards or holds no column.
    """
    start, stop, step = targets.indices(n_columns)
    if step < 1 or start >= stop:
        raise InputError(
            where,
            got=f"columns {targets.start}:{targets.stop}:{targets.step}",
            wanted=f"at least one of the columns 0 to {n_columns - 1}, in ascending order",
            do="Give a slice such as slice(0, 100).",
        )
    return slice(start, stop, step)


def cut_space(space: Space, columns: slice) -> Space:
    """Return the space of some columns of `space`."""
    return Space(
        space.kind,
        len(range(space.size)[columns]),
        None if space.labels is None else space.labels[columns],
        None if space.vertices is None else space.vertices[columns],
    )


def finite_float32(values: Float[np.ndarray, "..."]) -> tuple[Float32[np.ndarray, "..."], int]:
    """Return `values` as float32 with NaN and infinite ones set to 0, and how many those were.

    Where `values` is a float32 array in C order it is changed in place: give one of your own.
    """
    with np.errstate(over="ignore"):
        single = np.require(values, dtype=np.float32, requirements=["C", "W"])
    if all_finite(single):
        return single, 0
    faulty = ~np.isfinite(single)
    single[faulty] = 0.0
    return single, int(faulty.sum())


def column_slices(n_rows: int, n_columns: int) -> Iterator[slice]:
    """Cut columns into slices of at most `SLICE_BYTES` of float64 each."""
    width = max(1, SLICE_BYTES // (8 * n_rows))
    for start in range(0, n_columns, width):
        yield slice(start, min(start + width, n_columns))
