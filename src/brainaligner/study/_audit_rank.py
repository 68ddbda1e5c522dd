"""A reduced-rank regression fitted again, in linear algebra of its own.

``W = (X'X + alpha I)^-1 X'Y``; V = the leading eigenvectors of ``W'X'X W``, which is small where
targets are few; ``B = W V``. Projections of folds are brought together by Gram matrices alone:
``W_f = B_f (B_f'S B_f)^(-1/2) B_f'S [B_1 .. B_K] T`` with ``S = X'X`` over all common rows and T
the inverse root of the joint matrix ``[B_1 .. B_K]'S [B_1 .. B_K]``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import scipy.linalg
from jaxtyping import Float64

from brainaligner.core import Piece
from brainaligner.encoding import RidgeSettings
from brainaligner.study._audit_refit import Basis, Rows

_ROUNDING = 1e-10


@dataclass(frozen=True, eq=False)
class Sums:
    """Sums over training rows: what a reduced-rank regression follows from.

    Parameters
    ----------
    n : int
        Rows.
    x, y : float64 arrays, shapes (feature,) and (target,)
    xx, xy : float64 arrays, shapes (feature, feature) and (feature, target)
    """

    n: int
    x: Float64[np.ndarray, "feature"]
    y: Float64[np.ndarray, "target"]
    xx: Float64[np.ndarray, "feature feature"]
    xy: Float64[np.ndarray, "feature target"]

    def less(self, other: Sums) -> Sums:
        """Without the rows of `other`."""
        return Sums(
            self.n - other.n,
            self.x - other.x,
            self.y - other.y,
            self.xx - other.xx,
            self.xy - other.xy,
        )

    @property
    def centred(self) -> Float64[np.ndarray, "feature feature"]:
        """``X'X`` around the means."""
        return self.xx - np.outer(self.x, self.x) / self.n


def piece_sums(pieces: Sequence[Piece], design: Rows, responses: Rows) -> Sums:
    """Add up the rows of some pieces."""
    width, n_targets = (rows(pieces[0]).shape[1] for rows in (design, responses))
    xx, xy = np.zeros((width, width)), np.zeros((width, n_targets))
    x, y, n = np.zeros(width), np.zeros(n_targets), 0
    for piece in pieces:
        rows, measured = (of(piece).astype(np.float64) for of in (design, responses))
        xx += rows.T @ rows
        xy += rows.T @ measured
        x, y, n = x + rows.sum(axis=0), y + measured.sum(axis=0), n + len(rows)
    return Sums(n, x, y, xx, xy)


@dataclass(frozen=True, eq=False)
class Leading:
    """Directions of one fit at one alpha, the strongest first.

    Parameters
    ----------
    weights : float64 array, shape (feature, direction)
        B, for features as they came in.
    loadings : float64 array, shape (direction, target)
        V'.
    deviations : float64 array, shape (direction,)
        Training standard deviation of each column of ``X B``.
    """

    weights: Float64[np.ndarray, "feature direction"]
    loadings: Float64[np.ndarray, "direction target"]
    deviations: Float64[np.ndarray, "direction"]

    def scale(self, rank: int) -> float:
        """Mean deviation of the first `rank` columns; 1 where it is 0."""
        mean = float(self.deviations[:rank].mean())
        return mean if mean > 0 else 1.0


@dataclass(frozen=True, eq=False)
class ByGram:
    """Fits from sums: a fold's, which nothing in the store decomposes."""

    sums: Sums
    ridge: RidgeSettings

    def leading(self, alpha: float, rank: int) -> Leading:
        """The first directions at one alpha."""
        own, gram = self.sums, self.sums.centred if self.ridge.intercept else self.sums.xx
        cross = own.xy - np.outer(own.x, own.y) / own.n if self.ridge.intercept else own.xy
        sizes = np.ones(len(gram))
        if self.ridge.scaling == "training":
            deviation = np.sqrt(np.maximum(np.diag(own.centred), 0) / own.n)
            sizes = np.where(deviation > 1e-9, deviation, 1.0)
        gram, cross = gram / np.outer(sizes, sizes), cross / sizes[:, None]
        factor = scipy.linalg.cho_factor(gram + alpha * np.eye(len(gram)))
        weights = scipy.linalg.cho_solve(factor, cross)
        _, vectors = np.linalg.eigh(weights.T @ gram @ weights)
        turn = vectors[:, ::-1][:, :rank]
        made = (weights @ turn) / sizes[:, None]
        squares = np.einsum("fk,fk->k", made, own.centred @ made) / own.n
        return Leading(made, turn.T, np.sqrt(np.maximum(squares, 0)))


@dataclass(frozen=True, eq=False)
class BySpectrum:
    """Fits from a decomposition that was proven, for all common pieces.

    Parameters
    ----------
    basis : Basis
    responses : callable
        Of all targets of all subjects.
    """

    basis: Basis
    responses: Rows

    @cached_property
    def _projected(self) -> tuple[np.ndarray, np.ndarray]:
        return self.basis.project(self.responses)

    @property
    def means(self) -> Float64[np.ndarray, "target"]:
        """Training means where an intercept is fitted, else zeros."""
        return self._projected[1]

    def leading(self, alpha: float, rank: int) -> Leading:
        """The first directions at one alpha."""
        own, (projected, _) = self.basis.decomposition, self._projected
        shrunk = self.basis.shrinkage([alpha])[0][:, None] * projected
        length = own.eigenvalues if own.dual else np.sqrt(own.eigenvalues)
        fitted = length[:, None] * shrunk  # the dual form: X W = Q diag(e) shrunk
        _, vectors = np.linalg.eigh(fitted.T @ fitted)
        turn = vectors[:, ::-1][:, :rank]
        made = self.basis.weights(shrunk @ turn)
        n = int(own.n_rows.sum())
        total = sum(self.basis.standardised(p).sum(axis=0) for p in self.basis.pieces)
        squares = ((fitted @ turn) ** 2).sum(axis=0) / n - (total @ made / n) ** 2
        weights = made / own.scale[:, None]
        return Leading(weights, turn.T, np.sqrt(np.maximum(squares, 0)))


def fold_weights(
    fits: Sequence[Leading], rank: int, square: Float64[np.ndarray, "feature feature"]
) -> list[Float64[np.ndarray, "feature column"]]:
    """Projections of folds in common coordinates, divided by their mean deviation.

    Parameters
    ----------
    fits : sequence of Leading
    rank : int
    square : float64 array, shape (feature, feature)
        ``X'X`` over all common rows, centred where an intercept is fitted.
    """
    own = [fit.weights[:, :rank] for fit in fits]
    joint = np.concatenate(own, axis=1)
    products = joint.T @ square @ joint
    places = [slice(i * rank, (i + 1) * rank) for i in range(len(own))]
    values, vectors = np.linalg.eigh(products)
    kept = values > _ROUNDING * values[-1]
    together = vectors[:, kept] / np.sqrt(values[kept])
    scale = float(np.mean([fit.scale(rank) for fit in fits]))
    return [
        weights @ _inverse_root(products[at, at]) @ products[at] @ together / scale
        for weights, at in zip(own, places, strict=True)
    ]


def _inverse_root(gram: Float64[np.ndarray, "_ _"]) -> Float64[np.ndarray, "_ _"]:
    values, vectors = np.linalg.eigh(gram)
    kept = values > _ROUNDING * max(values[-1], np.finfo(float).tiny)
    return (vectors[:, kept] / np.sqrt(values[kept])) @ vectors[:, kept].T


def apart(
    stored: Sequence[Float64[np.ndarray, "row _"]], again: Sequence[Float64[np.ndarray, "row _"]]
) -> float:
    """How far the same rows are apart in two sets of projections, whatever their common rotation.

    ``G_i G_j' R`` is compared for all i and j, with R random: no ridge sees more of them.

    Parameters
    ----------
    stored, again : sequences of float64 arrays, each (row, column)
        One for each fold.

    Returns
    -------
    float
        Largest difference over the largest value; infinite where numbers of folds disagree.
    """
    if len(stored) != len(again):
        return float("inf")
    probes = np.random.default_rng(len(again[0])).standard_normal((len(again[0]), 6))
    worst = 0.0
    for i, j in np.ndindex(len(again), len(again)):
        found, known = (g[i] @ (g[j].T @ probes) for g in (stored, again))
        size = max(float(np.abs(known).max()), np.finfo(float).tiny)
        worst = max(worst, float(np.abs(found - known).max()) / size)
    return worst
