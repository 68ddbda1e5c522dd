"""Sums of products over stories of any length against one product of all rows."""

from __future__ import annotations

import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st

from brainaligner.encoding._product_sum import ProductSum

LENGTHS = st.lists(st.sampled_from([1, 300, 1023, 1024, 1025, 2047, 2048, 2049, 5000]), min_size=1)


@example([1024, 1024, 1024])
@example([2048, 2049, 1])
@given(LENGTHS.filter(lambda lengths: sum(lengths) < 20_000))
def test_no_row_is_lost_or_counted_twice(lengths: list[int]) -> None:
    draw = torch.Generator().manual_seed(0)
    left, right = (torch.randn(sum(lengths), n, generator=draw).double() for n in (3, 2))
    found = ProductSum()
    for a, b in zip(left.split(lengths), right.split(lengths), strict=True):
        found.add(a.clone(), b.clone())
    torch.testing.assert_close(found.total(), left.T @ right, rtol=0, atol=1e-9)


def test_float32_rows_are_summed_to_float64() -> None:
    rows = torch.full((3000, 1), 0.1)
    found = ProductSum()
    for _ in range(4):
        found.add(rows, rows)
    assert found.total().dtype == torch.float64
    assert float(found.total()) == pytest.approx(
        12_000 * 0.01, rel=1e-3
    )  # equal summands round one way
