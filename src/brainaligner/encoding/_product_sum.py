"""Sums of products over stories."""

from __future__ import annotations

import torch
from jaxtyping import Float, Float64

Matrix = Float[torch.Tensor, "_ _"]
Matrix64 = Float64[torch.Tensor, "_ _"]

_AT_ONCE, _RUN = 1024, 4096


class ProductSum:
    """``sum_i A_i' B_i`` over stories.

    Stories are multiplied a thousand to two thousand rows at a time: products of few rows spend
    their time on reading and writing the sum. Runs of some thousand more are summed in the
    precision of the products, whose own order of summation is no better, and the runs in float64.
    """

    def __init__(self) -> None:
        self._rows: tuple[Matrix, Matrix] | None = None
        self._waiting = 0
        self._run: Matrix | None = None
        self._summed = 0
        self._done: Matrix64 | None = None

    def add(self, left: Matrix, right: Matrix) -> None:
        """Add ``left' right``."""
        end = self._waiting + len(left)
        if end > 2 * _AT_ONCE:
            self._multiply()
            end = len(left)
        if end > 2 * _AT_ONCE:  # more than there is room for at all
            self._sum(left, right)
            return
        if self._rows is None:
            self._rows = _room(left), _room(right)
        for rows, more in zip(self._rows, (left, right), strict=True):
            rows[self._waiting : end] = more
        self._waiting = end

    def total(self) -> Matrix64:
        """The sum so far; at least one product was added."""
        self._multiply()
        if self._run is None:
            assert self._done is not None
            return self._done
        return self._run.double() if self._done is None else self._done + self._run

    def _multiply(self) -> None:
        if self._rows is not None and self._waiting:
            left, right = (rows[: self._waiting] for rows in self._rows)
            self._waiting = 0
            self._sum(left, right)

    def _sum(self, left: Matrix, right: Matrix) -> None:
        self._run = left.T @ right if self._run is None else self._run.addmm_(left.T, right)
        self._summed += len(left)
        if self._summed >= _RUN:
            self._done, self._run, self._summed = self.total(), None, 0


def _room(like: Matrix) -> Matrix:
    return like.new_empty((2 * _AT_ONCE, like.shape[1]))
