"""Pearson r of every alpha on training stories that are each predicted from the others.

With ``A`` and ``P`` the coordinates of the training rows (`Basis`), ``D = 1 / (eigenvalues +
alpha)``, ``w = sum_s P_s' Y_s`` and ``H_ss = A_s D P_s'``, a fit to all stories but s predicts it
exactly as::

    (I - H_ss)^-1 A_s D (w - P_s' Y_s)

which is the block form ``Y_s - (I - H_ss)^-1 (Y_s - A_s D w)`` of the leave-one-out identity by
the push-through identity, without the digits that the latter loses where alpha is very large or
a fit near perfect. An unpenalised intercept is one more direction: 1 in A and P, ``1 / n`` in D.
Scaling statistics, where asked for, are those of all training stories. Rows of all stories are
correlated together, through sums.

In float64 the system is solved for the targets. In float32, which is for more targets than
directions, ``(I - H_ss)^-1 A_s D`` is made once for each story and alpha, and rounded; where that
is not good enough, which `Tally` measures for each target, targets are computed in float64.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Float64

from brainaligner.encoding._basis import Basis, Projected
from brainaligner.encoding._in_turn import made_ahead
from brainaligner.encoding._kept import Shelf
from brainaligner.encoding._product_sum import Matrix, Matrix64
from brainaligner.encoding._select import Scorer
from brainaligner.encoding._shifted import shifted_responses
from brainaligner.encoding._tally import ROUNDING, SUMMING, Tally

_LARGEST_ERROR = 1e-5
STORY = "story"
"""First part of the keys under which matrices of stories are kept."""


def leave_story_out_scorer(basis: Basis, alphas: tuple[float, ...], shelf: Shelf) -> Scorer:
    """Return a function from projected training responses to r on left-out stories.

    Parameters
    ----------
    basis : Basis
        With products in the precision of `left_out_products`.
    alphas : tuple of float
    shelf : Shelf
        For the matrices of stories, which each block of targets needs.
    """
    shrinkage = _shrinkage(basis, alphas)
    if basis.exact == torch.float64:
        return lambda block: _exactly(basis, shrinkage, block, slice(None))
    exact = replace(basis, products=torch.float64)

    def score(block: Projected) -> Float64[torch.Tensor, "alpha target"]:
        r, unsure = _quickly(basis, shrinkage, block, shelf)
        if unsure.any():
            again = exact.project(block.targets)
            r[:, unsure] = _exactly(exact, shrinkage, again, unsure)
        return r

    return score


def left_out_products(basis: Basis, alphas: tuple[float, ...]) -> torch.dtype:
    """Precision with which to begin: float32 where it is likely to be right to 1e-5 in r.

    float32 is off by some ``1e-7 sqrt(largest eigenvalue / (smallest + alpha))``, and leaving
    story s out multiplies that by up to ``1 / (1 - h)``, with h the largest eigenvalue of
    ``H_ss``; both are worst for the smallest alpha. With fewer targets than directions, the
    matrices of the stories cost more than they save.
    """
    if basis.exact == torch.float64 or basis.train.n_targets < basis.eigenvalues.numel():
        return torch.float64
    spread = basis.eigenvalues[-1] / (basis.eigenvalues[0] + alphas[0])
    least_left = ROUNDING * float(spread.sqrt()) / _LARGEST_ERROR
    shrink = _shrinkage(basis, alphas[:1])[0]
    too_little = least_left >= 1.0 or any(
        _story(basis, i).left(shrink) < least_left for i in range(len(basis.train))
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

    def left(self, shrink: Float64[torch.Tensor, "direction"]) -> float:
        """Smallest eigenvalue of ``I - H`` in the primal form, where A and P are one."""
        half = self.rows * shrink.sqrt()
        square = half @ half.T if len(half) < half.shape[1] else half.T @ half
        return 1.0 - float(torch.linalg.eigvalsh(square)[-1])

    def matrix(self, shrink: Float64[torch.Tensor, "direction"]) -> Matrix64:
        """``(I - H)^-1 A D = A (D^-1 - P' A)^-1``, by the smaller of the two systems."""
        if len(self.rows) <= self.rows.shape[1]:
            matrix: Matrix64 = torch.linalg.solve(self.without_itself(shrink), self.rows * shrink)
            return matrix
        used = shrink > 0
        rows = self.rows[:, used]
        system = torch.diag(1.0 / shrink[used]) - self.partners[:, used].T @ rows
        matrix = torch.zeros_like(self.rows)
        matrix[:, used] = torch.linalg.solve(system.T, rows.T).T
        return matrix


def _story(basis: Basis, i: int) -> _Story:
    rows, partners = basis.training_pair(i)
    return _Story(_with_constant(basis, rows.T, 1.0).T, _with_constant(basis, partners.T, 1.0).T)


def _shrinkage(basis: Basis, alphas: tuple[float, ...]) -> Float64[torch.Tensor, "alpha direction"]:
    n = int(basis.decomposition.n_rows.sum())
    return _with_constant(basis, basis.shrinkage(alphas).T, 1.0 / n).T


def _with_constant(basis: Basis, values: Matrix, constant: float | torch.Tensor) -> Matrix:
    """Values by direction, and those of the constant where an intercept is fitted."""
    if not basis.decomposition.intercept:
        return values
    row = torch.as_tensor(constant).to(values).expand(1, values.shape[1])
    return torch.cat([values, row])


def _responses(basis: Basis, block: Projected) -> tuple[Matrix, Iterator[tuple[int, Matrix]]]:
    """Projected responses, and those of each story, around a mean that is rounded once."""
    n_rows = basis.decomposition.n_rows.tolist()
    shift = block.mean.to(basis.exact).double()
    rest = (block.mean - shift) * sum(n_rows)
    projected = _with_constant(basis, block.values, rest).to(basis.exact)
    stories = shifted_responses(basis.train, block.targets, n_rows, shift, basis.exact)
    return projected, made_ahead(stories, basis.train)


def _exactly(
    basis: Basis, shrinkage: Matrix64, block: Projected, which: slice | torch.Tensor
) -> Float64[torch.Tensor, "alpha target"]:
    """r of some targets of a block, in float64."""
    whole, stories = _responses(basis, block)
    projected = whole[:, which]
    tally = Tally(len(shrinkage), projected)
    for i, responses in stories:
        story, measured = _story(basis, i), responses[:, which]
        tally.measure(measured)
        others = torch.addmm(projected, story.partners.T, measured, alpha=-1)
        for a, shrink in enumerate(shrinkage):
            # one system at a time: torch's batched solver fails in some builds of MKL
            seen = (story.rows * shrink) @ others
            tally.compare(a, torch.linalg.solve(story.without_itself(shrink), seen), measured)
    return tally.correlations()


def _quickly(
    basis: Basis, shrinkage: Matrix64, block: Projected, shelf: Shelf
) -> tuple[Float64[torch.Tensor, "alpha target"], torch.Tensor]:
    """r of a block in float32, and for which targets that is not enough."""
    projected, stories = _responses(basis, block)
    tally = Tally(len(shrinkage), projected)
    for i, measured in stories:
        matrices = shelf.look((STORY, i))
        if matrices is None:
            matrices = _matrices(_story(basis, i), shrinkage, basis.exact)
            if measured.shape[1] < basis.train.n_targets:  # another block will ask for them
                shelf.put((STORY, i), matrices)
        tally.measure(measured)
        own = matrices[-1].T @ measured
        others = projected - own
        squares = others.square() + own.mul_(SUMMING).square_()
        for a, matrix in enumerate(matrices[:-1]):
            tally.compare(a, matrix @ others, measured)
            tally.may_be_off(a, matrix, squares)
    return tally.correlations(), tally.unsure()


def _matrices(
    story: _Story, shrinkage: Matrix64, dtype: torch.dtype
) -> Float[torch.Tensor, "alpha_and_1 time direction"]:
    """``(I - H)^-1 A D`` for each alpha, and P, rounded."""
    found = torch.empty((len(shrinkage) + 1, *story.rows.shape), dtype=dtype)
    found = found.to(story.rows.device)
    for a, shrink in enumerate(shrinkage):
        found[a] = story.matrix(shrink)
    found[-1] = story.partners
    return found
