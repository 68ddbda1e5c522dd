"""What is left of predictions and responses once known columns have explained their share."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Float64

from brainaligner.core import InputError
from brainaligner.evaluation._rows import Rows

_RANK = 1e-7  # less than this share of the largest is rounding: columns may come from float32


def partial_out(
    stories: Sequence[Rows], columns: Sequence[Float[np.ndarray, "_time _column"]]
) -> list[Float64[np.ndarray, "time target"]]:
    r"""Regress columns and a constant out of every target, story by story.

    .. math:: \tilde Y = Y - Q Q^T Y, \qquad Q \text{ an orthonormal basis of } [1, Z]

    Pearson r of two sides that both lost the nuisance columns Z in this way is their partial
    correlation given Z, with coefficients of each story's own. A readout that has Z among its
    inputs predicts the onset of any story, its own or another, so r of mismatched stories is
    above 0 and a permutation test of plain r answers for Z too; on what `partial_out` leaves, it
    answers for the words alone.

    Parameters
    ----------
    stories : sequence of float arrays, shape (time, target)
        Predictions or responses, one for each story, already cut.
    columns : sequence of float arrays, shape (time, column)
        Z of the same stories and rows; columns may be dependent or constant.

    Returns
    -------
    list of float64 arrays, shape (time, target)

    Raises
    ------
    InputError
        If stories, rows or values do not fit, or a story has no more rows than columns to lose.
    """
    if len(stories) != len(columns) or not stories:
        raise InputError(
            "stories and columns to partial out",
            got=f"{len(stories)} and {len(columns)} stories",
            wanted="the same stories on both sides, at least one",
            do="Give the nuisance columns of every story.",
        )
    return [
        _residuals(i, rows, known)
        for i, (rows, known) in enumerate(zip(stories, columns, strict=True), start=1)
    ]


def _residuals(number: int, rows: Rows, known: np.ndarray) -> Float64[np.ndarray, "time target"]:
    _check(number, rows, known)
    basis = _basis(known.astype(np.float64))
    values = rows.astype(np.float64)
    values -= basis @ (basis.T @ values)
    return values


def _basis(known: np.ndarray) -> np.ndarray:
    """Orthonormal columns that span a constant and `known`, whatever its scale or rank."""
    centred = known - known.mean(axis=0)
    scale = np.sqrt(np.einsum("tc,tc->c", centred, centred))
    varies = scale > _RANK * np.sqrt(np.einsum("tc,tc->c", known, known))
    scaled = centred * np.where(varies, 1 / np.where(varies, scale, 1.0), 0.0)
    left, singular, _ = np.linalg.svd(scaled, full_matrices=False)
    kept = left[:, singular > _RANK * max(1.0, singular.max(initial=0.0))]
    return np.column_stack([np.full(len(known), len(known) ** -0.5), kept])


def _check(number: int, rows: Rows, known: np.ndarray) -> None:
    where = f"columns to partial out of story {number}"
    if len(rows) != len(known):
        raise InputError(
            where,
            got=f"shapes {rows.shape} and {known.shape}",
            wanted="(time, target) and (time, column) of the same rows",
            do="Cut both sides alike.",
        )
    if len(rows) <= known.shape[1] + 1:
        raise InputError(
            where,
            got=f"{len(rows)} rows and {known.shape[1]} columns",
            wanted="more rows than columns and a constant",
            do="Leave the story out or partial fewer columns out of it.",
        )
    if not (np.isfinite(rows).all() and np.isfinite(known).all()):
        raise InputError(
            where,
            got="values that are not finite",
            wanted="finite numbers",
            do="Look for the NaN or overflow where these were computed.",
        )
