"""Bringing the features of two models to common coordinates."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float64, Shaped

from brainaligner.core import InputError
from brainaligner.encoding._stories import Designs, as_designs, no_stories, read_design


def procrustes_rotation(
    features: Designs | Sequence[Shaped[np.ndarray, "..."]],
    common: Designs | Sequence[Shaped[np.ndarray, "..."]],
) -> Float64[np.ndarray, "feature feature"]:
    """Find the orthogonal map that brings features closest to common coordinates.

    With ``A`` the stacked features and ``B`` the same rows in common coordinates:
    ``argmin_R ||A R - B||_F^2`` subject to ``R'R = I``, which is ``R = U V'`` for
    ``A'B = U S V'`` (Schönemann 1966, doi:10.1007/BF02289451). Reflections are allowed; nothing
    is centred or rescaled, so that rows of zeros stay zeros and a ridge on ``A R`` predicts
    what a ridge on ``A`` does. Directions in which ``A'B`` has no extent are not determined;
    of all minimisers the one nearest to the identity is given.

    Parameters
    ----------
    features : Designs, or sequence of float arrays (time, feature)
        Story after story; read one at a time, summed in float64.
    common : Designs, or sequence of float arrays (time, feature)
        The same stories, rows and number of features.

    Returns
    -------
    float64 array, shape (feature, feature)
        ``rows @ R`` are in common coordinates.

    Raises
    ------
    InputError
        If stories, rows or features disagree, or a value is not finite.
    """
    moved, fixed = as_designs(features), as_designs(common)
    if len(moved) == 0:
        raise no_stories("stories to align on")
    if len(moved) != len(fixed):
        raise _mismatch(f"{len(moved)} and {len(fixed)} stories")
    width = read_design(moved, 0).shape[1]
    cross = np.zeros((width, width))
    for i in range(len(moved)):
        rows, wanted = read_design(moved, i, width), read_design(fixed, i)
        if rows.shape != wanted.shape:
            raise _mismatch(f"shapes {rows.shape} and {wanted.shape} in story {i} (from 0)")
        cross += rows.astype(np.float64).T @ wanted.astype(np.float64)
    return _polar(cross)


def _polar(
    cross: Float64[np.ndarray, "feature feature"],
) -> Float64[np.ndarray, "feature feature"]:
    """``U V'``; where singular values are 0, completed to be nearest to the identity."""
    left, values, right = np.linalg.svd(cross)
    empty = values <= len(values) * np.finfo(np.float64).eps * values[0]
    if empty.any():
        first, second = left[:, empty], right[empty].T
        turn, _, back = np.linalg.svd(first.T @ second)
        left[:, empty] = first @ turn @ back
    return left @ right


def _mismatch(got: str) -> InputError:
    return InputError(
        "alignment of features",
        got=got,
        wanted="the same rows of the same stories, as many features",
        do="Give both models' features of the same training stories.",
    )
