"""Responses around a number of each target, so that no digits are lost to a large mean."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from jaxtyping import Float64

from brainaligner.encoding._product_sum import Matrix
from brainaligner.encoding._stories import Stories, read_responses


def first_row(
    stories: Stories, targets: slice, n_rows: int, device: torch.device
) -> Float64[torch.Tensor, "target"]:
    """First row of the first story.

    Taking off a row of the data changes no correlation and no fit with an intercept,
    keeps digits where a mean is large, and makes a constant target exactly zero.
    """
    row = read_responses(stories, 0, targets, (n_rows, targets.stop - targets.start))[0]
    return torch.tensor(row, dtype=torch.float64, device=device)


def shifted_responses(
    stories: Stories,
    targets: slice,
    n_rows: Sequence[int],
    shift: Float64[torch.Tensor, "target"],
    dtype: torch.dtype,
) -> Iterator[tuple[int, Matrix]]:
    """Yield each story's number and its responses minus `shift`, rounded to `dtype`.

    What is read in float32 is subtracted in float32 if that is what is wanted: `shift` is then a
    row of the same data.
    """
    moved = bool(shift.any())
    for i, rows in enumerate(n_rows):
        read = read_responses(stories, i, targets, (rows, targets.stop - targets.start))
        values = torch.tensor(read, device=shift.device)
        if moved:
            values = values.to(torch.promote_types(values.dtype, dtype))
            values.sub_(shift.to(values.dtype))
        yield i, values.to(dtype)
