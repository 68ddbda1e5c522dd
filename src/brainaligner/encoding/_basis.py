"""Ridge in the coordinates of the decomposition, in its primal and its dual form.

In both forms a prediction is ``A diag(1 / (eigenvalues + alpha)) B``: `A` are the
coordinates of the rows to predict, ``B = sum over stories of P' Y`` the projected training
responses, and the hat matrix between training stories s and u is
``A_s diag(1 / (eigenvalues + alpha)) P_u'``. Primal: ``A = P = X V``. Dual:
``A = X X_train' U`` and ``P = U``.

Decompositions, `A` and the dual form are float64. In the primal form, products with as many columns
as there are targets have the precision that the settings ask for. In float32 the error of r grows
as ``1e-7 sqrt(largest eigenvalue / (smallest + alpha))``; float64 for the change of coordinates
alone would but halve it, because it is there in ``X' Y`` already.
"""

from __future__ import annotations

import abc
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import final

import torch
from jaxtyping import Float, Float64

from brainaligner.encoding._decompose import Decomposition, standardised
from brainaligner.encoding._in_turn import made_ahead
from brainaligner.encoding._product_sum import Matrix, Matrix64, ProductSum
from brainaligner.encoding._shifted import first_row, shifted_responses
from brainaligner.encoding._stories import Designs, Stories, read_design


@dataclass(frozen=True, eq=False)
class Projected:
    """Training responses of one block of targets, in the coordinates of a basis.

    `values` has shape (direction, target); `mean` holds the training mean of each target
    where an intercept is fitted, else zeros.
    """

    targets: slice
    values: Float64[torch.Tensor, "direction target"]
    mean: Float64[torch.Tensor, "target"]


@dataclass(frozen=True, eq=False)
class Basis(abc.ABC):
    """A decomposition on its device, with the training stories that it was made of."""

    decomposition: Decomposition
    train: Stories
    products: torch.dtype
    vectors: Float64[torch.Tensor, "item direction"]
    eigenvalues: Float64[torch.Tensor, "direction"]

    @property
    def device(self) -> torch.device:
        """Where it lives."""
        return self.vectors.device

    @property
    @abc.abstractmethod
    def exact(self) -> torch.dtype:
        """The least precision that holds projected responses without loss."""

    def shrinkage(self, alphas: Sequence[float]) -> Float64[torch.Tensor, "alpha direction"]:
        """``1 / (eigenvalues + alpha)`` for each alpha, and 0 where the eigenvalue is 0.

        Responses project to 0 there, or to rounding that a small alpha would blow up.
        """
        grid = torch.tensor(alphas, dtype=torch.float64, device=self.device)
        return (self.eigenvalues > 0) / (self.eigenvalues + grid[:, None])

    def read(self, designs: Designs, i: int, dtype: torch.dtype) -> Matrix:
        """Design of story `i`, standardised in float64, then rounded to `dtype`."""
        own = self.decomposition
        design = read_design(designs, i, own.n_features)
        return standardised(design, (own.centre, own.scale), dtype=dtype, device=self.device)

    def project(self, targets: slice) -> Projected:
        """Read a block of training responses once and project it."""
        shift = self.shift(targets)
        values, total = self._sum_products(targets, shift)
        mean = shift + total / int(self.decomposition.n_rows.sum())
        return Projected(targets, values, mean)

    def shift(self, targets: slice) -> Float64[torch.Tensor, "target"]:
        """What is taken off the training responses: a row, or zeros without an intercept."""
        first = first_row(self.train, targets, int(self.decomposition.n_rows[0]), self.device)
        return first if self.decomposition.intercept else torch.zeros_like(first)

    def solve(
        self, block: Projected, alpha: Sequence[float], *, dtype: torch.dtype
    ) -> tuple[
        Float[torch.Tensor, "feature target"],
        Float64[torch.Tensor, "target"],
    ]:
        """Weights of the features as they came in, and constants, at one alpha per target."""
        own = self.decomposition
        grid = torch.tensor(alpha, dtype=torch.float64, device=self.device)
        coefficients = block.values / (self.eigenvalues[:, None] + grid)
        coefficients[self.eigenvalues <= 0] = 0.0  # see `shrinkage`
        weights = self._block_weights(coefficients)
        if own.scaled:
            weights = weights / torch.tensor(own.scale, device=self.device)[:, None]
        rounded = weights.to(dtype)
        if not own.intercept:
            return rounded, block.mean
        centre = torch.tensor(own.centre, device=self.device)
        return rounded, block.mean - centre @ rounded.double()

    @abc.abstractmethod
    def coordinates(self, designs: Designs) -> list[Matrix64]:
        """`A` of each story in `designs`, shape (time, direction)."""

    @abc.abstractmethod
    def training_pair(self, i: int) -> tuple[Matrix64, Matrix64]:
        """`A` and `P` of training story `i`, each of shape (time, direction)."""

    def _total(self, responses: Matrix) -> Float64[torch.Tensor, "target"]:
        """Sum over rows where an intercept is fitted, else zeros."""
        if self.decomposition.intercept:
            return responses.sum(0, dtype=torch.float64)
        return responses.new_zeros(responses.shape[1], dtype=torch.float64)

    def _responses(
        self, targets: slice, shift: Float64[torch.Tensor, "target"], dtype: torch.dtype
    ) -> Iterator[tuple[int, Matrix]]:
        n_rows = self.decomposition.n_rows.tolist()
        return shifted_responses(self.train, targets, n_rows, shift, dtype)

    @abc.abstractmethod
    def _sum_products(
        self, targets: slice, shift: Float64[torch.Tensor, "target"]
    ) -> tuple[Matrix64, Float64[torch.Tensor, "target"]]: ...

    def _block_weights(self, coefficients: Matrix64) -> Matrix:
        """Weights of a block of targets, in the precision of its products."""
        return self.weights(coefficients)

    @abc.abstractmethod
    def weights(self, coefficients: Matrix) -> Matrix:
        """Weights of the standardised features: ``V c``, or ``X_train' U c`` in the dual form."""


@final
@dataclass(frozen=True, eq=False)
class PrimalBasis(Basis):
    """Eigenvectors over features; nothing is kept for each TR."""

    @property
    def exact(self) -> torch.dtype:
        """That of the products: they are rounded to it before they are widened."""
        return self.products

    def coordinates(self, designs: Designs) -> list[Matrix64]:
        """``X V`` of each story."""
        stories = range(len(designs))
        return [self.read(designs, i, torch.float64) @ self.vectors for i in stories]

    def training_pair(self, i: int) -> tuple[Matrix64, Matrix64]:
        """``X V``, twice."""
        rows = self.read(self.train, i, torch.float64) @ self.vectors
        return rows, rows

    def _sum_products(
        self, targets: slice, shift: Float64[torch.Tensor, "target"]
    ) -> tuple[Matrix64, Float64[torch.Tensor, "target"]]:
        cross, total = ProductSum(), torch.zeros_like(shift)
        pairs = (
            (self.read(self.train, i, self.products), responses)
            for i, responses in self._responses(targets, shift, self.products)
        )
        for design, responses in made_ahead(pairs, self.train):
            cross.add(design, responses)
            total += self._total(responses)
        summed = cross.total().to(self.products)
        return (self._rounded[self.products].T @ summed).double(), total

    def weights(self, coefficients: Matrix) -> Matrix:
        """``V c``, in the precision of c."""
        return self._rounded[coefficients.dtype] @ coefficients

    def _block_weights(self, coefficients: Matrix64) -> Matrix:
        return self.weights(coefficients.to(self.products))

    @cached_property
    def _rounded(self) -> dict[torch.dtype, Matrix]:
        """V in the precisions that are used."""
        return {dtype: self.vectors.to(dtype) for dtype in {self.products, torch.float64}}


@final
@dataclass(frozen=True, eq=False)
class DualBasis(Basis):
    """Eigenvectors over training TRs; training designs are read again where needed."""

    @property
    def exact(self) -> torch.dtype:
        """Its products are float64."""
        return torch.float64

    def coordinates(self, designs: Designs) -> list[Matrix64]:
        """``X X_train' U`` of each story; reads each training design once."""
        stories = range(len(designs))
        wanted = [self.read(designs, i, torch.float64) for i in stories]
        found = [rows.new_zeros((rows.shape[0], self.eigenvalues.numel())) for rows in wanted]
        for i in range(len(self.train)):
            through = self.read(self.train, i, torch.float64).T @ self._story_vectors(i)
            for rows, coordinates in zip(wanted, found, strict=True):
                coordinates.addmm_(rows, through)
        return found

    def training_pair(self, i: int) -> tuple[Matrix64, Matrix64]:
        """``U diag(eigenvalues)`` and ``U``, at the rows of the story."""
        own = self._story_vectors(i)
        return own * self.eigenvalues, own

    def _sum_products(
        self, targets: slice, shift: Float64[torch.Tensor, "target"]
    ) -> tuple[Matrix64, Float64[torch.Tensor, "target"]]:
        projected, total = ProductSum(), torch.zeros_like(shift)
        stories = self._responses(targets, shift, torch.float64)
        for i, responses in made_ahead(stories, self.train):
            projected.add(self._story_vectors(i), responses)
            total += self._total(responses)
        return projected.total(), total

    def weights(self, coefficients: Matrix) -> Matrix:
        """``X_train' U c`` in float64; reads each training design once."""
        coefficients, n_features = coefficients.double(), self.decomposition.n_features
        weights = coefficients.new_zeros((n_features, coefficients.shape[1]))
        for i in range(len(self.train)):
            through = self._story_vectors(i) @ coefficients
            weights.addmm_(self.read(self.train, i, torch.float64).T, through)
        return weights

    def _story_vectors(self, i: int) -> Matrix64:
        stop = int(self.decomposition.n_rows[: i + 1].sum())
        return self.vectors[stop - int(self.decomposition.n_rows[i]) : stop]


def basis_on(
    decomposition: Decomposition,
    train: Stories,
    *,
    products: torch.dtype,
    device: torch.device,
) -> Basis:
    """Put a decomposition on `device`, in the form that it has."""
    form = DualBasis if decomposition.dual else PrimalBasis
    vectors = torch.tensor(decomposition.basis, device=device)
    eigenvalues = torch.tensor(decomposition.eigenvalues, device=device)
    return form(decomposition, train, products, vectors, eigenvalues)
