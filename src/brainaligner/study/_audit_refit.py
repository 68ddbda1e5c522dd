"""A ridge fitted again on a few targets, in plain linear algebra of its own.

Let ``X`` be the training designs, standardised as the settings ask, and ``X'X = Q diag(e) Q'`` (or
``X X' = Q diag(e) Q'`` in the dual form). A stored decomposition is believed where
``X'(X R) = Q diag(e) Q'R`` and ``Q Q'R = R`` for random ``R``: a wrong one passes with probability
0, and both sides cost a product with a few columns (Freivalds 1979). Then
``W = Q diag(1 / (e + alpha)) Q'X'Y`` for every alpha of ``argmin_W ||Y - X W||^2 + alpha ||W||^2``
(Huth lab: its alpha is the square root of ours).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float64

from brainaligner.core import Piece
from brainaligner.encoding import Decomposition, RidgeSettings

_PROBES = 4
_OFF = 1e-4  # of the largest entry: designs made in another order of sums differ by 1e-6
_TINY = 1e-12

Rows = Callable[[Piece], Float[np.ndarray, "time column"]]
"""Design rows, or responses, of a piece."""


@dataclass(frozen=True, eq=False)
class Basis:
    """Training designs of some pieces on the axes of a decomposition.

    Parameters
    ----------
    decomposition : Decomposition
    pieces : sequence of Piece
        Training pieces, in the order of the decomposition.
    rows : callable
        Designs.
    """

    decomposition: Decomposition
    pieces: Sequence[Piece]
    rows: Rows

    def standardised(self, piece: Piece) -> Float64[np.ndarray, "time feature"]:
        """Design rows of any piece, in float64."""
        own, values = self.decomposition, self.rows(piece).astype(np.float64)
        if own.centre.any():
            values -= own.centre
        if (own.scale != 1.0).any():
            values /= own.scale
        return values

    def flaw(self, settings: RidgeSettings) -> str:
        """What is wrong with the decomposition; empty where it is that of these designs."""
        own = self.decomposition
        wide = [self.rows(piece).shape[1] for piece in self.pieces]
        if set(wide) != {own.n_features}:
            return f"{own.n_features} features"
        found = [len(self.rows(piece)) for piece in self.pieces]
        if own.n_rows.tolist() != found:
            return f"{int(own.n_rows.sum())} rows in {len(own.n_rows)} pieces"
        dual, n = bool(own.dual), sum(found)
        if (settings.form != "auto" and dual != (settings.form == "dual")) or len(own.basis) != (
            n if dual else own.n_features
        ):
            return "another form"
        return self._standard_flaw(settings, n) or self._values_flaw()

    def _standard_flaw(self, settings: RidgeSettings, n: int) -> str:
        """Whether means and deviations are those of the training rows."""
        own = self.decomposition
        if not settings.intercept:
            plain = not own.centre.any() and (own.scale == 1.0).all()
            return "" if plain else "means or deviations where none are asked for"
        total = sum(self.rows(piece).sum(axis=0, dtype=np.float64) for piece in self.pieces)
        mean = total / n
        squares = np.zeros_like(mean)
        for piece in self.pieces:
            squares += np.square(self.rows(piece).astype(np.float64) - mean).sum(axis=0)
        deviation = np.sqrt(squares / n)
        room = 1e-4 * (deviation + np.abs(mean) + _TINY)
        if (np.abs(own.centre - mean) > room).any():
            return "means that are not those of the training rows"
        varies = deviation > 1e-6 * (np.abs(mean) + _TINY)
        wanted = np.where(varies, deviation, 1.0) if settings.scaling == "training" else 1.0
        off = np.abs(own.scale - wanted) > 1e-3 * np.abs(own.scale)
        return "deviations that are not those of the training rows" if off[varies].any() else ""

    def _values_flaw(self) -> str:
        own = self.decomposition
        seed = int.from_bytes(hashlib.sha256(own.eigenvalues.tobytes()).digest()[:8], "big")
        probes = np.random.default_rng(seed).standard_normal((len(own.basis), _PROBES))
        known = own.basis @ (own.eigenvalues[:, None] * (own.basis.T @ probes))
        made = self._outer(probes) if own.dual else self._inner(probes)
        turned = own.basis @ (own.basis.T @ probes)
        off = max(_off(known, made), _off(turned, probes))
        return f"values that are off by {off:.2g}" if not off <= _OFF else ""

    def _inner(self, probes: np.ndarray) -> np.ndarray:
        """``X'(X R)``."""
        found = np.zeros((self.decomposition.n_features, probes.shape[1]))
        for piece in self.pieces:
            values = self.standardised(piece)
            found += values.T @ (values @ probes)
        return found

    def _outer(self, probes: np.ndarray) -> np.ndarray:
        """``X(X'R)``."""
        through = self._through(probes)
        return np.concatenate([self.standardised(piece) @ through for piece in self.pieces])

    def _through(self, coefficients: np.ndarray) -> np.ndarray:
        """``X'C``, for rows of C that stand beside those of X."""
        found, first = np.zeros((self.decomposition.n_features, coefficients.shape[1])), 0
        for piece in self.pieces:
            values = self.standardised(piece)
            found += values.T @ coefficients[first : first + len(values)]
            first += len(values)
        return found

    def project(
        self, responses: Rows
    ) -> tuple[Float64[np.ndarray, "direction target"], Float64[np.ndarray, "target"]]:
        """``Q'X'Y`` (dual: ``Q'Y``), and means where an intercept is fitted, else zeros."""
        own = self.decomposition
        measured = [responses(piece).astype(np.float64) for piece in self.pieces]
        mean = np.zeros(measured[0].shape[1])
        if own.intercept:
            mean = np.concatenate(measured).mean(axis=0)
        centred = [values - mean for values in measured]
        stacked = np.concatenate(centred)
        return own.basis.T @ (stacked if own.dual else self._through(stacked)), mean

    def shrinkage(
        self, alphas: Sequence[float] | Float64[np.ndarray, "alpha"]
    ) -> Float64[np.ndarray, "alpha direction"]:
        """``1 / (e + alpha)``, and 0 where e is 0."""
        e = self.decomposition.eigenvalues
        return (e > 0) / (e + np.asarray(alphas, dtype=np.float64)[:, None])

    def weights(
        self, coefficients: Float64[np.ndarray, "direction some"]
    ) -> Float64[np.ndarray, "feature some"]:
        """Weights of the standardised features."""
        turned = self.decomposition.basis @ coefficients
        return self._through(turned) if self.decomposition.dual else turned


@dataclass(frozen=True, eq=False)
class Refit:
    """A few targets, projected: all that their fits follow from.

    Parameters
    ----------
    basis : Basis
    projected : float64 array, shape (direction, target)
    mean : float64 array, shape (target,)
    """

    basis: Basis
    projected: Float64[np.ndarray, "direction target"]
    mean: Float64[np.ndarray, "target"]

    def validation_r(
        self, alphas: Sequence[float], pieces: Sequence[Piece], responses: Rows
    ) -> Float64[np.ndarray, "alpha target"]:
        """Pearson r of each alpha over the rows of all pieces together; 0 without variance."""
        shrinkage = self.basis.shrinkage(alphas)
        grid = (shrinkage[:, :, None] * self.projected).transpose(1, 0, 2)
        weights = self.basis.weights(grid.reshape(len(grid), -1))
        predicted = np.concatenate([self.basis.standardised(p) @ weights for p in pieces])
        measured = np.concatenate([responses(p) for p in pieces]).astype(np.float64)
        by_alpha = predicted.reshape(len(predicted), len(shrinkage), -1)
        return np.stack([correlation(by_alpha[:, a], measured) for a in range(len(shrinkage))])

    def left_out_r(
        self, alphas: Sequence[float], responses: Rows
    ) -> Float64[np.ndarray, "alpha target"]:
        """The same on each training piece, predicted from all others.

        Residuals are ``(I - H_ss)^-1 (Y_s - Yhat_s)``, with H the hat matrix of all pieces.
        """
        shrinkage, basis = self.basis.shrinkage(alphas), self.basis
        constant = 1.0 / int(basis.decomposition.n_rows.sum())
        constant *= float(basis.decomposition.intercept)
        found: list[list[np.ndarray]] = [[] for _ in shrinkage]
        measured, first = [], 0
        for piece in basis.pieces:
            centred = responses(piece).astype(np.float64) - self.mean
            rows, partners = self._pair(piece, first)
            for a, shrink in enumerate(shrinkage):
                left = np.eye(len(rows)) - constant - (rows * shrink) @ partners.T
                residual = centred - rows @ (shrink[:, None] * self.projected)
                found[a].append(centred - np.linalg.solve(left, residual))
            measured.append(centred)
            first += len(rows)
        whole = np.concatenate(measured)
        return np.stack([correlation(np.concatenate(rows), whole) for rows in found])

    def _pair(self, piece: Piece, first: int) -> tuple[np.ndarray, np.ndarray]:
        """Coordinates of a training piece, and what projects its responses."""
        own = self.basis.decomposition
        if not own.dual:
            rows = self.basis.standardised(piece) @ own.basis
            return rows, rows
        vectors = own.basis[first : first + len(self.basis.rows(piece))]
        return vectors * own.eigenvalues, vectors

    def predict(
        self, alpha: Float64[np.ndarray, "target"], pieces: Sequence[Piece]
    ) -> tuple[Float64[np.ndarray, "_time target"], ...]:
        """Predictions at one alpha for each target."""
        weights = self.basis.weights(self.basis.shrinkage(alpha).T * self.projected)
        return tuple(self.basis.standardised(p) @ weights + self.mean for p in pieces)


def _off(values: np.ndarray, expected: np.ndarray) -> float:
    return float(np.abs(values - expected).max() / max(np.abs(expected).max(), _TINY))


def correlation(
    predicted: Float64[np.ndarray, "time target"], measured: Float64[np.ndarray, "time target"]
) -> Float64[np.ndarray, "target"]:
    """Pearson r of each column; 0 where one side has no variance."""
    p, y = predicted - predicted.mean(axis=0), measured - measured.mean(axis=0)
    squares = [(values**2).sum(axis=0) for values in (p, y)]
    raw = [(values**2).sum(axis=0) for values in (predicted, measured)]
    varies = np.all([c > 1e-12 * r for c, r in zip(squares, raw, strict=True)], axis=0)
    size = np.sqrt(squares[0] * squares[1])
    return np.where(varies, (p * y).sum(axis=0) / np.where(varies, size, 1.0), 0.0)


def by_piece(values: Mapping[str, np.ndarray], columns: Sequence[int]) -> Rows:
    """Responses of whole stories, some columns of them, by piece."""
    chosen = {story: rows[:, list(columns)] for story, rows in values.items()}
    return lambda piece: chosen[piece.story][piece.rows]
