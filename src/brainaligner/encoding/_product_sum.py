"""Sums of products over stories."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float, Float64

Matrix = Float[torch.Tensor, "_ _"]
Matrix64 = Float64[torch.Tensor, "_ _"]

_AT_ONCE, _RUN = 1024, 4096


class ProductSum:
    """``sum_i A_i' B_i`` over stories.

    Stories are multiplied some thousand rows at a time: products of few rows spend their time on
    reading and writing the sum. Runs of some thousand more are summed in the precision of the
    products, whose own order of summation is no better, and the runs in float64.
    """

    def __init__(self) -> None:
        self._waiting: list[tuple[Matrix, Matrix]] = []
        self._run: Matrix | None = None
        self._rows = 0
        self._done: Matrix64 | None = None

    def add(self, left: Matrix, right: Matrix) -> None:
        """Add ``left' right``; neither may be changed afterwards."""
        self._waiting.append((left, right))
        if sum(len(waiting) for waiting, _ in self._waiting) >= _AT_ONCE:
            self._multiply()
        if self._rows >= _RUN:
            self._done, self._run, self._rows = self.total(), None, 0

    def total(self) -> Matrix64:
        """The sum so far; at least one product was added."""
        if self._waiting:
            self._multiply()
        if self._run is None:
            assert self._done is not None
            return self._done
        return self._run.double() if self._done is None else self._done + self._run

    def _multiply(self) -> None:
        lefts, rights = zip(*self._waiting, strict=True)
        self._waiting.clear()
        left, right = _joined(lefts), _joined(rights)
        self._run = left.T @ right if self._run is None else self._run.addmm_(left.T, right)
        self._rows += len(left)


def _joined(pieces: Sequence[Matrix]) -> Matrix:
    return pieces[0] if len(pieces) == 1 else torch.cat(tuple(pieces))
