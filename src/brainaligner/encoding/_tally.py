"""Correlation through sums, and how far rounding may have moved it."""

from __future__ import annotations

from typing import final

import torch
from jaxtyping import Bool, Float64

from brainaligner.encoding._product_sum import Matrix
from brainaligner.encoding._select import centred_squares, column_sums, correlation

ROUNDING = 1e-7
SUMMING = 4.0
"""Sums over the rows of a story lose that many times more than one rounding."""
_ALLOWED = 5e-6
_SMALLEST = 1e-30  # variance of predictions whose squares float32 holds


@final
class Tally:
    """Sums, squares and products of predicted and measured responses over all rows.

    Parameters
    ----------
    n_alphas : int
    projected : float tensor, shape (direction, target)
        Projected responses of all stories, for their size and device.
    """

    def __init__(self, n_alphas: int, projected: Matrix) -> None:
        n_directions, n_targets = projected.shape
        none = projected.new_zeros(n_targets, dtype=torch.float64)
        self._measured = none.repeat(2, 1)
        self._predicted = none.repeat(3, n_alphas, 1)
        self._off = none.repeat(n_alphas, 1)
        self._varies = none > 0
        self._whole = projected.square().sum(0) / n_directions
        self._first: Matrix | None = None
        self._n_rows = 0

    def measure(self, responses: Matrix) -> None:
        """Count rows of responses."""
        if self._first is None:
            self._first = responses[0].clone()
        self._varies |= (responses != self._first).any(0)
        self._measured += torch.stack([column_sums(responses), column_sums(responses.square())])
        self._n_rows += len(responses)

    def compare(self, alpha: int, predicted: Matrix, measured: Matrix) -> None:
        """Count predictions of these rows; they are overwritten."""
        total, products = column_sums(predicted), column_sums(predicted * measured)
        squares = column_sums(predicted.square_())
        self._predicted[:, alpha] += torch.stack([total, squares, products])

    def may_be_off(self, alpha: int, matrix: Matrix, squares: Matrix) -> None:
        """Count what rounding adds to the squares of ``matrix @ others``.

        Each number of `others` is the difference of two rounded ones: `squares` has the sum of
        squares of the difference and of `SUMMING` times the story's own part. The other part was
        rounded before it was rotated into these coordinates, to a share of its root mean square.
        """
        weights = matrix.square().sum(0)
        self._off[alpha] += weights @ squares + weights.sum() * self._whole

    def correlations(self) -> Float64[torch.Tensor, "alpha target"]:
        """Pearson r of each alpha; 0 for responses that do not vary."""
        (y, yy), (p, pp, py) = self._measured, self._predicted
        n = self._n_rows
        r = correlation(py - p * y / n, centred_squares(pp, p, n), centred_squares(yy, y, n))
        return torch.where(self._varies, r, torch.zeros_like(r))

    def unsure(self) -> Bool[torch.Tensor, "target"]:
        """Targets whose r may be off by more than 5e-6 for rounding to float32.

        Noise of variance q, in units of the predictions', moves r by ``sqrt(q) + q / 2`` at the
        most (that of one direction may look like the responses); sums of squares around 0 in
        place of a mean m lose ``m^2 / variance`` of their digits. What is not a number is unsure.
        """
        (y, yy), (p, pp, _) = self._measured, self._predicted
        n = self._n_rows
        spread, measured = pp - p.square() / n, yy - y.square() / n
        noise = ROUNDING**2 * self._off / spread
        off = noise / 2 + noise.sqrt() + ROUNDING * (pp / spread + yy / measured)
        sure = (off <= _ALLOWED) & torch.isfinite(off) & (spread > n * _SMALLEST) & (measured > 0)
        return self._varies & ~sure.all(0)
