"""Eigenvectors of a symmetric matrix, where its device finds them fastest."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float64


def symmetric_eigen(
    matrix: Float64[torch.Tensor, "item item"],
) -> tuple[Float64[torch.Tensor, "item"], Float64[torch.Tensor, "item item"]]:
    """Eigenvalues, increasing, and orthonormal eigenvectors in columns.

    On a CPU they are numpy's: its LAPACK takes two thirds of the time of torch's at 4,096 rows
    (``benchmarks/ridge.py``).
    """
    if matrix.device.type != "cpu":
        values, vectors = torch.linalg.eigh(matrix)
        return values, vectors
    found = np.linalg.eigh(matrix.numpy())
    return torch.from_numpy(found.eigenvalues), torch.from_numpy(found.eigenvectors)
