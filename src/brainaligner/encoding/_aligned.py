"""Projections of several folds in common coordinates."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float64

from brainaligner.core import InputError

_ROUNDING = 1e-10  # of the largest eigenvalue: a direction that only rounding opened


def fold_rotations(
    projected: Sequence[Float64[np.ndarray, "time direction"]],
) -> tuple[Float64[np.ndarray, "direction column"], ...]:
    """Rotations that bring the projections of several folds into common coordinates.

    Each ``G_f`` is the same text (all training rows) through the projection of fold f. Its
    orthogonal Procrustes rotation to the whitened frozen features ``X_w`` of these rows,
    ``argmin_R ||G_f R - X_w||`` over R with orthonormal rows, is
    ``R_f = (G_f'G_f)^(-1/2) G_f'X_w`` (Schoenemann 1966, doi:10.1007/BF02289451). ``X_w`` knows no
    responses, so that the coordinates of a fold carry nothing of what the fold left out, which a
    rotation to a projection of all stories would. All ``G_f R_f`` lie in the span of the
    projections; they are given in an orthonormal basis of it, which changes no ridge on them.

    Parameters
    ----------
    projected : sequence of float64 arrays, each (time, direction)
        ``G_f`` on the same rows, centred alike.

    Returns
    -------
    tuple of float64 arrays, each (direction, column)
        To be applied as ``G_f @ rotation``. The rows of each are orthonormal, but for directions
        without variance; there are at most as many columns as directions in all folds.

    Raises
    ------
    InputError
        If there is no fold, or rows or directions differ.
    """
    shapes = {values.shape for values in projected}
    if len(shapes) != 1:
        raise InputError(
            "projections of folds",
            got=f"shapes {sorted(shapes)}",
            wanted="one or more, all of the same rows and directions",
            do="Project the same text with each of them.",
        )
    stacked = np.concatenate(projected, axis=1)
    joint = stacked.T @ stacked
    basis = _inverse_root(joint, half=True)
    rank = projected[0].shape[1]
    blocks = [slice(i * rank, (i + 1) * rank) for i in range(len(projected))]
    return tuple(_inverse_root(joint[own, own]) @ joint[own] @ basis for own in blocks)


def _inverse_root(
    gram: Float64[np.ndarray, "_ _"], *, half: bool = False
) -> Float64[np.ndarray, "_ _"]:
    """``M^(-1/2)``; with `half`, the factor ``T diag(l)^(-1/2)`` of it, without null directions."""
    values, vectors = np.linalg.eigh(gram)
    kept = values > _ROUNDING * max(values[-1], np.finfo(float).tiny)
    scaled = vectors[:, kept] / np.sqrt(values[kept])
    return scaled if half else scaled @ vectors[:, kept].T
