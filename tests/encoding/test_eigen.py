"""Eigenvectors of symmetric matrices against torch's own, and against what defines them."""

from __future__ import annotations

import pytest
import torch

from brainaligner.encoding._eigen import symmetric_eigen


@pytest.mark.parametrize("shape", [(1, 1), (40, 7), (7, 40), (120, 60)])
def test_eigenvectors_give_the_matrix_again(shape: tuple[int, int]) -> None:
    rows = torch.randn(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    matrix = rows.T @ rows
    before = matrix.clone()
    values, vectors = symmetric_eigen(matrix)
    assert torch.equal(matrix, before)
    assert (values.diff() >= 0).all()
    tolerance = 1e-13 * float(values[-1])
    assert torch.allclose(values, torch.linalg.eigvalsh(matrix), rtol=0, atol=tolerance)
    assert torch.allclose((vectors * values) @ vectors.T, matrix, rtol=0, atol=tolerance)
    assert torch.allclose(vectors.T @ vectors, torch.eye(len(matrix)).double(), rtol=0, atol=1e-13)
