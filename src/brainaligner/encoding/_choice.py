"""Which alpha, and whether the grid was wide enough."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float, Float32, Float64, Int64

from brainaligner.core import frozen_array

Edge = Literal["none", "low", "high", "both"]


@runtime_checkable
class Chosen(Protocol):
    """Anything that chose an alpha for each target from a grid."""

    @property
    def alphas(self) -> tuple[float, ...]:
        """The grid."""
        ...

    @property
    def alpha(self) -> Float64[np.ndarray, "target"]:
        """The choice."""
        ...

    @property
    def edge(self) -> Edge:
        """At which ends of the grid choices lie."""
        ...

    @property
    def n_edge(self) -> int:
        """How many targets."""
        ...


@dataclass(frozen=True, eq=False)
class AlphaChoice:
    """The alpha of each target and the scores that chose it.

    Alphas are those of ``argmin_W ||Y - X W||_F^2 + alpha ||W||_F^2`` (the Huth-lab code
    penalises with ``alpha**2``: its alpha is the square root of ours).

    Parameters
    ----------
    alphas : tuple of float
        The grid.
    alpha : float64 array, shape (target,)
    validation_r : float32 array, shape (alpha, target)
        Pearson r of each alpha; 0 where the measured or the predicted series has no
        variance, so that such targets neither poison nor decide a mean. NaN throughout
        where one alpha was given and nothing to score it on.
    shared : bool
        Whether one alpha serves all targets.
    """

    alphas: tuple[float, ...]
    alpha: Float64[np.ndarray, "target"]
    validation_r: Float32[np.ndarray, "alpha target"]
    shared: bool

    def __post_init__(self) -> None:
        object.__setattr__(self, "alpha", frozen_array(self.alpha))
        object.__setattr__(self, "validation_r", frozen_array(self.validation_r))

    @property
    def edge(self) -> Edge:
        """At which ends of the grid choices lie."""
        return grid_edge(self.alphas, self.alpha, self._was_choice)[0]

    @property
    def n_edge(self) -> int:
        """Targets whose alpha lies at an end of the grid, for want of a wider one.

        A target that scores the same with every alpha does not count.
        """
        return grid_edge(self.alphas, self.alpha, self._was_choice)[1]

    @property
    def _was_choice(self) -> Bool[np.ndarray, "target"]:
        if self.shared:
            return np.full(self.alpha.size, bool(np.ptp(self.validation_r, axis=0).any()))
        return np.ptp(self.validation_r, axis=0) > 0


def grid_edge(
    alphas: tuple[float, ...],
    alpha: Float64[np.ndarray, "target"],
    counted: Bool[np.ndarray, "target"],
) -> tuple[Edge, int]:
    """Say at which ends of the grid the counted targets' alphas lie, and how many do."""
    if len(alphas) == 1:
        return "none", 0
    low = int((counted & (alpha == alphas[0])).sum())
    high = int((counted & (alpha == alphas[-1])).sum())
    edges: dict[tuple[bool, bool], Edge] = {
        (False, False): "none",
        (True, False): "low",
        (False, True): "high",
        (True, True): "both",
    }
    return edges[low > 0, high > 0], low + high


def edge_warning(fit: Chosen) -> str | None:
    """Return a sentence of advice where the chosen alpha lies at an end of the grid.

    Parameters
    ----------
    fit : RidgeFit, BandedFit or AlphaChoice
    """
    if fit.edge == "none":
        return None
    n_targets = fit.alpha.size
    ends = {
        "low": f"the smallest, {fit.alphas[0]:g}",
        "high": f"the largest, {fit.alphas[-1]:g}",
        "both": f"the smallest, {fit.alphas[0]:g}, or the largest, {fit.alphas[-1]:g}",
    }
    return (
        f"The alpha chosen for {fit.n_edge} of {n_targets} targets is at the edge of the grid "
        f"({ends[fit.edge]}): extend the grid beyond it, since scores may be held back by it."
    )


def alpha_words(choice: AlphaChoice) -> str:
    """Say which alpha was chosen: ``"1e+05 (shared)"``, or the range and median of many."""
    if choice.shared:
        return f"{choice.alpha[0]:.3g} (shared)"
    low, high, median = choice.alpha.min(), choice.alpha.max(), np.median(choice.alpha)
    return f"{low:.3g} to {high:.3g}, median {median:.3g} (per target)"


def best_index(
    scores: Float[np.ndarray, "alpha target"], *, shared: bool
) -> Int64[np.ndarray, "target"]:
    """Row of the best score for each target; of equal scores, the largest alpha.

    With `shared`, the best mean over targets serves all of them.
    """
    n_alphas, n_targets = scores.shape
    table = scores.mean(axis=1, keepdims=True, dtype=np.float64) if shared else scores
    if np.isnan(table).all():
        return np.zeros(n_targets, dtype=np.int64)
    best = n_alphas - 1 - np.argmax(table[::-1], axis=0)
    return np.broadcast_to(best, (n_targets,)).astype(np.int64)


def join_choices(choices: Sequence[AlphaChoice]) -> AlphaChoice:
    """Join the choices of consecutive blocks of targets into one."""
    return AlphaChoice(
        alphas=choices[0].alphas,
        alpha=np.concatenate([choice.alpha for choice in choices]),
        validation_r=np.concatenate([choice.validation_r for choice in choices], axis=1),
        shared=choices[0].shared,
    )
