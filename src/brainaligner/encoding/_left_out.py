"""Pearson r of every alpha on training stories that are each predicted from the others.

With ``A`` and ``P`` the coordinates of the training rows (`Basis`), ``D = 1 / (eigenvalues +
alpha)``, ``w = sum_s P_s' Y_s`` and ``H_ss = A_s D P_s'``, a fit to all stories but s predicts it
exactly as::

    Y_s - (I - H_ss)^-1 (Y_s - A_s D w)      the block form of the leave-one-out identity
    (I - H_ss)^-1 A_s D (w - P_s' Y_s)       the same, by the push-through identity

An unpenalised intercept is one more direction: 1 in A and P, ``1 / n`` in D. Scaling statistics,
where asked for, are those of all training stories. Rows of all stories are correlated together,
through sums.

The first form is float64 throughout: of a fit that is near perfect the second factor has few
digits left. The second form is a matrix of the story's own times responses of the others alone.
It serves where there are more targets than directions and float32 is good enough.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Float, Float64

from brainaligner.encoding._basis import Basis, Matrix, Matrix64, Projected, shifted_responses
from brainaligner.encoding._kept import Shelf
from brainaligner.encoding._select import Scorer, centred_squares, column_sums, correlation

_ROUNDING, _LARGEST_ERROR = 1e-7, 1e-5
_Predict = Callable[[int, Matrix, Matrix], Iterator[Matrix]]
"""Of a story's number, projected and measured responses: predictions of each alpha."""


def leave_story_out_scorer(basis: Basis, alphas: tuple[float, ...], shelf: Shelf) -> Scorer:
    """Return a function from projected training responses to r on left-out stories.

    Parameters
    ----------
    basis : Basis
        With products in the precision of `left_out_products`.
    alphas : tuple of float
    shelf : Shelf
        For what stories need again with each block of targets.
    """
    predict = _predictor(basis, _shrinkage(basis, alphas), shelf)
    n_rows = basis.decomposition.n_rows.tolist()

    def score(block: Projected) -> Float64[torch.Tensor, "alpha target"]:
        projected = _with_constant(basis, block.values.to(basis.exact), 0.0)
        tally = _Tally(len(alphas), block.mean)
        measured = shifted_responses(basis.train, block.targets, n_rows, block.mean, basis.exact)
        for i, responses in measured:
            tally.measure(responses)
            for a, predicted in enumerate(predict(i, projected, responses)):
                tally.compare(a, predicted, responses)
        return tally.correlations()

    return score


def left_out_products(basis: Basis, alphas: tuple[float, ...]) -> torch.dtype:
    """Precision in which leaving stories out is right to 1e-5 in r: float32 where it also pays.

    float32 is off by some ``1e-7 sqrt(largest eigenvalue / (smallest + alpha))``, and leaving
    story s out multiplies that by up to ``1 / (1 - h)``, with h the largest eigenvalue of
    ``H_ss``; both are worst for the smallest alpha. With fewer targets than directions, the
    matrices of the stories cost more than they save.
    """
    if basis.exact == torch.float64 or basis.train.n_targets < basis.eigenvalues.numel():
        return torch.float64
    spread = basis.eigenvalues[-1] / (basis.eigenvalues[0] + alphas[0])
    least_left = _ROUNDING * float(spread.sqrt()) / _LARGEST_ERROR
    shrink = _shrinkage(basis, alphas[:1])[0]
    too_little = least_left >= 1.0 or any(
        float(torch.linalg.eigvalsh(_story(basis, i).without_itself(shrink))[0]) < least_left
        for i in range(len(basis.train))
    )
    return torch.float64 if too_little else torch.float32


@dataclass(frozen=True, eq=False)
class _Story:
    """Coordinates of a training story, that of the constant among them: its A and its P."""

    rows: Matrix64
    partners: Matrix64

    def without_itself(self, shrink: Float64[torch.Tensor, "direction"]) -> Matrix64:
        """``I - H``: what is left of its responses in the residuals of a fit with it."""
        hat = (self.rows * shrink) @ self.partners.T
        return torch.eye(len(hat)).to(hat) - hat


def _story(basis: Basis, i: int) -> _Story:
    rows, partners = basis.training_pair(i)
    return _Story(_with_constant(basis, rows.T, 1.0).T, _with_constant(basis, partners.T, 1.0).T)


def _shrinkage(basis: Basis, alphas: tuple[float, ...]) -> Float64[torch.Tensor, "alpha direction"]:
    n = int(basis.decomposition.n_rows.sum())
    return _with_constant(basis, basis.shrinkage(alphas).T, 1.0 / n).T


def _with_constant(basis: Basis, values: Matrix, constant: float) -> Matrix:
    """Values by direction, and those of the constant where an intercept is fitted."""
    if not basis.decomposition.intercept:
        return values
    return torch.cat([values, values.new_full((1, values.shape[1]), constant)])


def _predictor(basis: Basis, shrinkage: Matrix64, shelf: Shelf) -> _Predict:
    if basis.exact == torch.float64:
        return lambda i, projected, measured: _from_residuals(
            _story(basis, i), shrinkage, projected, measured
        )

    def predict(i: int, projected: Matrix, measured: Matrix) -> Iterator[Matrix]:
        matrices = shelf.look(("story", i))
        if matrices is None:
            matrices = _matrices(_story(basis, i), shrinkage).to(measured)
            if measured.shape[1] < basis.train.n_targets:  # another block will ask for them
                shelf.put(("story", i), matrices)
        return _from_others(matrices, projected, measured)

    return predict


def _from_residuals(
    story: _Story, shrinkage: Matrix64, projected: Matrix, measured: Matrix
) -> Iterator[Matrix]:
    """``Y - (I - H)^-1 (Y - A D w)`` for each alpha."""
    for shrink in shrinkage:
        residual = torch.addmm(measured, story.rows * shrink, projected, alpha=-1)
        # one system at a time: torch's batched solver fails in some builds of MKL
        left = torch.linalg.solve(story.without_itself(shrink), residual)
        yield torch.sub(measured, left, out=left)


def _matrices(
    story: _Story, shrinkage: Matrix64
) -> Float64[torch.Tensor, "alpha_and_1 time direction"]:
    """``(I - H)^-1 A D`` for each alpha, and P."""
    through = [
        torch.linalg.inv(story.without_itself(shrink)) @ (story.rows * shrink)
        for shrink in shrinkage
    ]
    return torch.stack([*through, story.partners])


def _from_others(
    matrices: Float[torch.Tensor, "alpha_and_1 time direction"],
    projected: Matrix,
    measured: Matrix,
) -> Iterator[Matrix]:
    """``(I - H)^-1 A D (w - P' Y)`` for each alpha."""
    others = torch.addmm(projected, matrices[-1].T, measured, alpha=-1)
    for through in matrices[:-1]:
        yield through @ others


class _Tally:
    """Sums, squares and products of predicted and measured responses over all rows."""

    def __init__(self, n_alphas: int, like: Float64[torch.Tensor, "target"]) -> None:
        self._measured = like.new_zeros((2, like.numel()))
        self._predicted = like.new_zeros((3, n_alphas, like.numel()))
        self._n_rows = 0

    def measure(self, responses: Matrix) -> None:
        """Count rows of responses."""
        self._measured += torch.stack([column_sums(responses), column_sums(responses.square())])
        self._n_rows += len(responses)

    def compare(self, alpha: int, predicted: Matrix, measured: Matrix) -> None:
        """Count predictions of these rows; they are overwritten."""
        total, products = column_sums(predicted), column_sums(predicted * measured)
        self._predicted[:, alpha] += torch.stack(
            [total, column_sums(predicted.square_()), products]
        )

    def correlations(self) -> Float64[torch.Tensor, "alpha target"]:
        """Pearson r of each alpha."""
        (y, yy), (p, pp, py) = self._measured, self._predicted
        spread = centred_squares(pp, p, self._n_rows), centred_squares(yy, y, self._n_rows)
        return correlation(py - p * y / self._n_rows, *spread)
