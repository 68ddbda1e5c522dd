"""Reduced-rank regression: the few directions of the features that drive all targets.

With the decomposition ``X'X = Q diag(e) Q'``, ``P = Q'X'Y`` and ``d = 1 / (e + alpha)`` the fitted
values are ``X W = X Q diag(d) P``, and ``W'X'X W = R'R`` with ``R = diag(sqrt(e) d) P``. Let
``R = U diag(s) V'``. Then ``X W V = X Q diag(e)^(-1/2) U diag(s)``: the targets' side V is never
needed, nor is a matrix of targets x targets. U comes from the smaller of ``R R'`` (directions)
and ``R'R`` (targets, where they are fewer); ``P P'`` is a sum over blocks of targets that every
alpha shares. In the dual form of the decomposition ``sqrt(e)`` stands in for e in both places.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Float32, Float64

from brainaligner.core import InputError, Progress, frozen_array, no_progress
from brainaligner.encoding._basis import Basis, basis_on
from brainaligner.encoding._checks import check_rows, check_sides, check_target_block
from brainaligner.encoding._decompose import Decomposition, check_decomposition, decompose
from brainaligner.encoding._device import DTYPES, compute_device
from brainaligner.encoding._eigen import symmetric_eigen
from brainaligner.encoding._product_sum import Matrix64
from brainaligner.encoding._reduced_rank_settings import ReducedRankSettings
from brainaligner.encoding._ridge import TARGET_BLOCK, target_blocks
from brainaligner.encoding._settings import RidgeSettings
from brainaligner.encoding._stories import Stories, read_design

_ROUNDING = 1e-7  # of the largest singular value: what lies below is noise of a squared matrix


@dataclass(frozen=True, eq=False)
class ReducedRank:
    """The leading directions of a reduced-rank regression at one alpha.

    ``X W V = X @ weights + constant``. Lower ranks are the first columns.

    Parameters
    ----------
    alpha : float
        Of ``W = (X'X + alpha I)^-1 X'Y`` (Huth lab: its square root).
    weights : float64 array, shape (feature, direction)
        For features as they came in; the direction that explains most comes first.
    constant : float64 array, shape (direction,)
        Zeros where no intercept is fitted.
    singular_values : float64 array, shape (direction,)
        Of the fitted values ``X W``, centred where an intercept is fitted; 0 where nothing is
        left to explain.
    deviations : float64 array, shape (direction,)
        Training standard deviation (``ddof = 0``) of each column of ``X W V``.
    frame : float64 array, shape (item, direction)
        U: orthonormal, in the whitened coordinates of the decomposition; what aligns
        projections of the same designs (`whitened_frame`).
    """

    alpha: float
    weights: Float64[np.ndarray, "feature direction"]
    constant: Float64[np.ndarray, "direction"]
    singular_values: Float64[np.ndarray, "direction"]
    deviations: Float64[np.ndarray, "direction"]
    frame: Float64[np.ndarray, "item direction"]

    def __post_init__(self) -> None:
        for name in list(self.__dataclass_fields__)[1:]:
            object.__setattr__(self, name, frozen_array(getattr(self, name)))

    def scale(self, rank: int) -> float:
        """Mean training standard deviation of the first `rank` columns; 1 where it is 0."""
        mean = float(self.deviations[:rank].mean())
        return mean if mean > 0 else 1.0

    def rows(
        self, design: Float[np.ndarray, "time feature"], *, rank: int
    ) -> Float32[np.ndarray, "time rank"]:
        """G: the first `rank` columns of ``X W V`` divided by their mean standard deviation."""
        values = design @ self.weights[:, :rank] + self.constant[:rank]
        return (values / self.scale(rank)).astype(np.float32)


@dataclass(frozen=True, eq=False)
class _Summed:
    """``P`` where targets are few, else ``P P'``: all that the responses contribute."""

    values: Matrix64
    squared: bool


def fit_reduced_rank(
    train: Stories,
    *,
    settings: ReducedRankSettings,
    ridge: RidgeSettings,
    decomposition: Decomposition | None = None,
    device: str = "cpu",
    target_block: int = TARGET_BLOCK,
    progress: Progress = no_progress,
) -> tuple[ReducedRank, ...]:
    """Find V, the leading eigenvectors of ``W'X'X W`` with ``W = (X'X + alpha I)^-1 X'Y``.

    (The Huth-lab code penalises with ``alpha**2``: its alpha is the square root of ours. Source:
    Izenman 1975, doi:10.1016/0047-259X(75)90042-1, with a ridge penalty as in Mukherjee & Zhu
    2011, doi:10.1002/sam.10138.) Responses are read once, in blocks; beside one block, memory
    holds matrices of features x features.

    Parameters
    ----------
    train : Stories
        Often `StackedStories`: the targets of all subjects. Lightly penalised columns (Z) are
        columns like any others here, with the weight that they come with.
    settings : ReducedRankSettings
        Its largest rank is kept; `form` and `cross_fit` do not enter.
    ridge : RidgeSettings
        `intercept`, `scaling`, `form` and `products` enter; its alphas do not.
    decomposition : Decomposition, optional
        Of these training stories, with these settings; made here when left out.
    device : str
        Any torch device with float64.
    target_block : int
        Targets read at once.
    progress : callable

    Returns
    -------
    tuple of ReducedRank
        One for each alpha of the settings, in their order.

    Raises
    ------
    InputError
        If the rank is more than the features, the targets or the rows allow, or as `fit_ridge`.
    """
    on = compute_device(device)
    check_target_block(target_block)
    check_sides(train, None)
    if decomposition is None:
        decomposition = decompose(train, settings=ridge, device=device, progress=progress)
    else:
        check_decomposition(decomposition, train, ridge)
    check_rows(train, decomposition.n_rows)
    _check_rank(settings.rank[-1], decomposition, train.n_targets)
    basis = basis_on(decomposition, train, products=DTYPES[ridge.products], device=on)
    summed = _sum(basis, train.n_targets, target_block, progress)
    means = _training_means(basis)
    return tuple(
        _reduced(basis, summed, means, alpha, settings.rank[-1]) for alpha in settings.alpha
    )


def one_stage_blocks(
    train: Stories,
    fit: ReducedRank,
    *,
    ridge: RidgeSettings,
    decomposition: Decomposition,
    device: str = "cpu",
    target_block: int = TARGET_BLOCK,
) -> Iterator[tuple[slice, Float64[np.ndarray, "direction target"], Float64[np.ndarray, "target"]]]:
    """V' of blocks of targets, and their means: ``X W V V' = (X @ weights + constant) V'``.

    Parameters
    ----------
    train : Stories
        Some of the targets, or all, that `fit` was made of, with the same designs.
    fit : ReducedRank
    ridge, decomposition, device, target_block
        As `fit` was made with.

    Yields
    ------
    targets : slice
    loadings : float64 array, shape (direction, target)
        V', for the unscaled ``X W V``.
    mean : float64 array, shape (target,)
        Training means where an intercept is fitted, else zeros.
    """
    on = compute_device(device)
    check_decomposition(decomposition, train, ridge)
    basis = basis_on(decomposition, train, products=DTYPES[ridge.products], device=on)
    filtered = _filter(basis, fit.alpha)[:, None] * torch.tensor(fit.frame, device=on)
    sizes = torch.tensor(fit.singular_values, device=on)
    turned = filtered * torch.where(sizes > 0, 1.0 / sizes, torch.zeros_like(sizes))
    for targets in target_blocks(train.n_targets, target_block):
        block = basis.project(targets)
        yield targets, (turned.T @ block.values).cpu().numpy(), block.mean.cpu().numpy()


def _check_rank(rank: int, decomposition: Decomposition, n_targets: int) -> None:
    most = min(int((decomposition.eigenvalues > 0).sum()), n_targets)
    if rank > most:
        raise InputError(
            "reduced rank",
            got=f"rank {rank}",
            wanted=f"at most {most}: {decomposition.n_features} features, "
            f"{int(decomposition.n_rows.sum())} rows, {n_targets} targets",
            do="Ask for a lower rank.",
        )


def _sum(basis: Basis, n_targets: int, target_block: int, progress: Progress) -> _Summed:
    n_directions = basis.eigenvalues.numel()
    blocks = target_blocks(n_targets, target_block)
    squared = n_targets > n_directions
    values = basis.vectors.new_zeros((n_directions, n_directions if squared else n_targets))
    for b, targets in enumerate(blocks):
        projected = basis.project(targets).values
        if squared:
            values.addmm_(projected, projected.T)
        else:
            values[:, targets] = projected
        progress("responses for the projection", b + 1, len(blocks))
    return _Summed(values, squared)


def _length(basis: Basis) -> Float64[torch.Tensor, "direction"]:
    """Norm over the training rows of each coordinate: sqrt(e), or e in the dual form."""
    return basis.eigenvalues if basis.decomposition.dual else basis.eigenvalues.sqrt()


def _filter(basis: Basis, alpha: float) -> Float64[torch.Tensor, "direction"]:
    """What turns P into R."""
    return _length(basis) * basis.shrinkage([alpha])[0]


def _leading(summed: _Summed, keep: torch.Tensor, rank: int) -> tuple[Matrix64, torch.Tensor]:
    """U and s: the first `rank` left singular vectors and values of ``diag(keep) P``."""
    if summed.squared:
        squares, turn = symmetric_eigen(keep[:, None] * summed.values * keep)
        vectors = turn.flip(1)[:, :rank]
    else:
        reduced = keep[:, None] * summed.values
        squares, turn = symmetric_eigen(reduced.T @ reduced)
        vectors = reduced @ turn.flip(1)[:, :rank]
    sizes = squares.flip(0)[:rank].clamp(min=0).sqrt()
    sizes = torch.where(sizes > _ROUNDING * sizes[0], sizes, torch.zeros_like(sizes))
    if not summed.squared:
        vectors = vectors * torch.where(sizes > 0, 1.0 / sizes, torch.zeros_like(sizes))
    return vectors * _signs(vectors), sizes


def _signs(vectors: Matrix64) -> Float64[torch.Tensor, "direction"]:
    """What makes the largest entry of each vector positive."""
    largest = vectors.gather(0, vectors.abs().argmax(0, keepdim=True))[0]
    return torch.where(largest < 0, -1.0, 1.0).to(vectors)


def _reduced(
    basis: Basis,
    summed: _Summed,
    means: Float64[torch.Tensor, "feature"],
    alpha: float,
    rank: int,
) -> ReducedRank:
    frame, sizes = _leading(summed, _filter(basis, alpha), rank)
    length = _length(basis)
    inverse = torch.where(length > 0, 1.0 / length, torch.zeros_like(length))
    scale = torch.tensor(basis.decomposition.scale).to(length)
    weights = basis.weights(inverse[:, None] * frame * sizes) / scale[:, None]
    constant = -torch.tensor(basis.decomposition.centre).to(length) @ weights
    offset = means.to(length) @ weights + constant
    n = int(basis.decomposition.n_rows.sum())
    deviations = (sizes.square() / n - offset.square()).clamp(min=0).sqrt()
    arrays = (weights, constant, sizes, deviations, frame)
    return ReducedRank(alpha, *(values.cpu().numpy() for values in arrays))


def _training_means(basis: Basis) -> Float64[torch.Tensor, "feature"]:
    """Means of the features as they came in, over all training rows."""
    train: Sequence[int] = basis.decomposition.n_rows.tolist()
    total = np.zeros(basis.decomposition.n_features)
    for i in range(len(train)):
        total += read_design(basis.train, i).sum(axis=0, dtype=np.float64)
    return torch.tensor(total / sum(train))
