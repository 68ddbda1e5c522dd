"""Pearson r of every alpha on validation stories."""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Float64

from brainaligner.encoding._basis import Basis, Projected
from brainaligner.encoding._in_turn import made_ahead
from brainaligner.encoding._product_sum import Matrix64, ProductSum
from brainaligner.encoding._shifted import first_row, shifted_responses
from brainaligner.encoding._stories import Stories

_FEW_ROWS, _STEPS = 64, 8
Scorer = Callable[[Projected], Float64[torch.Tensor, "alpha target"]]


def correlation(
    covariance: Float64[torch.Tensor, "*alpha target"],
    predicted: Float64[torch.Tensor, "*alpha target"],
    measured: Float64[torch.Tensor, "*#alpha target"],
) -> Float64[torch.Tensor, "*alpha target"]:
    """Pearson r from centred sums of products and squares; 0 where one of them is 0."""
    spread = (predicted * measured).sqrt()
    r = torch.where(spread > 0, covariance / spread, torch.zeros_like(spread))
    return r.clamp(-1.0, 1.0)


def centred_squares(
    squares: Float64[torch.Tensor, "*alpha target"],
    total: Float64[torch.Tensor, "*alpha target"],
    n: int,
) -> Float64[torch.Tensor, "*alpha target"]:
    """``sum (x - mean)^2`` from ``sum x^2`` and ``sum x``; rounding noise becomes 0."""
    centred = squares - total.square() / n
    return torch.where(centred > 1e-12 * squares, centred, torch.zeros_like(centred))


def validation_scorer(basis: Basis, validation: Stories, alphas: tuple[float, ...]) -> Scorer:
    """Return a function from projected training responses to r on validation stories.

    Rows of all validation stories are correlated together, as float64 sums. The designs
    are read once, here; they stay as coordinates, (validation TR, direction).
    """
    pieces = basis.coordinates(validation)
    n_rows = [rows.shape[0] for rows in pieces]
    centred = _centred(torch.cat(pieces))
    factor = _triangle(centred).to(basis.products)
    rows = torch.split(centred.to(basis.products), n_rows)
    shrinkage = basis.shrinkage(alphas)

    def score(block: Projected) -> Float64[torch.Tensor, "alpha target"]:
        shift = first_row(validation, block.targets, n_rows[0], basis.device)
        cross = ProductSum()
        total, squares = torch.zeros_like(shift), torch.zeros_like(shift)
        responses = shifted_responses(validation, block.targets, n_rows, shift, basis.products)
        for i, values in made_ahead(responses, validation):
            cross.add(rows[i], values)
            total += values.sum(0, dtype=torch.float64)
            squares += _exact_squares(values)
        predicted = _prediction_squares(factor, shrinkage, block.values)
        covariance = shrinkage @ cross.total().mul_(block.values)
        measured = centred_squares(squares, total, sum(n_rows))
        return correlation(covariance, predicted, measured[None])

    return score


def unscored(alphas: tuple[float, ...]) -> Scorer:
    """Return a function that gives NaN: nothing has to be chosen."""

    def score(block: Projected) -> Float64[torch.Tensor, "alpha target"]:
        return block.mean.new_full((len(alphas), block.mean.numel()), float("nan"))

    return score


def _centred(rows: Matrix64) -> Matrix64:
    centred = rows - rows.mean(0)
    noise = torch.linalg.vector_norm(centred, dim=0) <= 1e-10 * torch.linalg.vector_norm(
        rows, dim=0
    )
    return centred.masked_fill_(noise, 0.0)


def _triangle(rows: Matrix64) -> Matrix64:
    """What gives ``||rows @ x||`` with zeros below its diagonal: the R of QR."""
    triangle: Matrix64 = torch.linalg.qr(rows, mode="r").R
    return triangle


def _times(triangle: torch.Tensor, columns: torch.Tensor, out: torch.Tensor) -> torch.Tensor:
    """``triangle @ columns``, of which what lies below the diagonal is left out."""
    step = max(_FEW_ROWS, -(-len(triangle) // _STEPS))
    for start in range(0, len(triangle), step):
        rows = slice(start, start + step)
        torch.mm(triangle[rows, start:], columns[start:], out=out[rows])
    return out


def _prediction_squares(
    factor: torch.Tensor, shrinkage: Matrix64, projected: Matrix64
) -> Float64[torch.Tensor, "alpha target"]:
    """``||factor diag(shrink) projected||^2`` of each alpha and target."""
    size = torch.linalg.vector_norm(projected, dim=0)
    size = torch.where(size > 0, size, torch.ones_like(size))
    directions = (projected / size).to(factor.dtype)
    top = shrinkage.amax(1)
    part = torch.empty_like(directions)
    predicted = part.new_empty((len(factor), part.shape[1]))
    found = []
    for scaled in (shrinkage / torch.where(top > 0, top, torch.ones_like(top))[:, None]).to(part):
        torch.mul(directions, scaled[:, None], out=part)
        found.append(column_sums(_times(factor, part, predicted).square_()))
    return torch.stack(found) * (top[:, None] * size).square()


def _exact_squares(rows: torch.Tensor) -> Float64[torch.Tensor, "target"]:
    """Sum of squares of each column in float64, a few rows at a time.

    Squares of 1e19 overflow in float32, those of 1e-23 vanish.
    """
    total = rows.new_zeros(rows.shape[1], dtype=torch.float64)
    for part in rows.split(_FEW_ROWS):
        total += part.double().square().sum(0)
    return total


def column_sums(rows: torch.Tensor) -> Float64[torch.Tensor, "target"]:
    """Sum of each column: a few rows in their own precision, their sums in float64."""
    parts = [part.sum(0) for part in rows.split(_FEW_ROWS)]
    return torch.stack(parts).sum(0, dtype=torch.float64)
