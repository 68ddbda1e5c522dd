"""A fitted ridge, and its predictions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float, Float32, Float64

from brainaligner.core import InputError, frozen_array, html_table
from brainaligner.encoding._choice import AlphaChoice, Edge, alpha_words
from brainaligner.encoding._device import compute_device
from brainaligner.encoding._settings import Products


@runtime_checkable
class LinearFit(Protocol):
    """Anything that predicts by ``design @ weights + intercept``."""

    @property
    def weights(self) -> Float[np.ndarray, "feature target"]:
        """Weights of the features as they come in."""
        ...

    @property
    def intercept(self) -> Float[np.ndarray, "target"]:
        """Constant of each target."""
        ...


@dataclass(frozen=True, eq=False, repr=False)
class RidgeFit:
    """A fitted ridge: ``prediction = design @ weights + intercept``.

    Parameters
    ----------
    choice : AlphaChoice
        The alpha of each target and what chose it.
    weights : float array, shape (feature, target)
        In the precision of `RidgeSettings.products`.
    intercept : float64 array, shape (target,)
        Zeros where none was fitted.
    """

    choice: AlphaChoice
    weights: Float[np.ndarray, "feature target"]
    intercept: Float64[np.ndarray, "target"]

    def __post_init__(self) -> None:
        object.__setattr__(self, "weights", frozen_array(self.weights))
        object.__setattr__(self, "intercept", frozen_array(self.intercept))

    @property
    def alphas(self) -> tuple[float, ...]:
        """The grid."""
        return self.choice.alphas

    @property
    def alpha(self) -> Float64[np.ndarray, "target"]:
        """Alpha of each target, in ``||Y - X W||^2 + alpha ||W||^2`` (Huth lab: its root)."""
        return self.choice.alpha

    @property
    def validation_r(self) -> Float32[np.ndarray, "alpha target"]:
        """Pearson r of each alpha; NaN where nothing could be scored."""
        return self.choice.validation_r

    @property
    def edge(self) -> Edge:
        """At which ends of the grid the chosen alphas lie."""
        return self.choice.edge

    @property
    def n_edge(self) -> int:
        """How many targets' alphas lie there."""
        return self.choice.n_edge

    def __repr__(self) -> str:
        facts = "; ".join(f"{name}: {fact}" for name, fact in self._facts())
        return f"{type(self).__name__}({facts})"

    def _repr_html_(self) -> str:
        return html_table("Fitted ridge", ("what", "value"), self._facts())

    def _facts(self) -> tuple[tuple[str, str], ...]:
        n_features, n_targets = self.weights.shape
        grid = f"{self.alphas[0]:.3g} to {self.alphas[-1]:.3g}, {len(self.alphas)} values"
        return (
            ("weights", f"{n_features} features x {n_targets} targets, {self.weights.dtype}"),
            ("alpha", alpha_words(self.choice)),
            ("grid", grid),
            ("at the edge of the grid", f"{self.n_edge} targets"),
        )


@dataclass(frozen=True)
class Route:
    """How a ridge is computed: what was chosen where the settings leave it open.

    Parameters
    ----------
    form : {"primal", "dual"}
        The narrower side of the training designs, unless ``RidgeSettings.form`` says.
    n_directions : int
        Features or TRs that were decomposed.
    products : {"float32", "float64"}
        Of what is as wide as the targets. Leaving stories out may need more than was asked for,
        and computes single targets again in float64.
    devices : tuple of str
    """

    form: Literal["primal", "dual"]
    n_directions: int
    products: Products
    devices: tuple[str, ...]

    def __str__(self) -> str:
        places = ", ".join(self.devices)
        return f"{self.form}, {self.n_directions:,} directions, {self.products} on {places}"


@dataclass(frozen=True, eq=False, repr=False)
class RidgeBlock(RidgeFit):
    """The fit of some consecutive targets, with their predictions.

    Parameters
    ----------
    targets : slice
        Which targets these are.
    predictions : tuple of float arrays, each (time, target)
        One for each test design.
    route : Route
    """

    targets: slice
    predictions: tuple[Float[np.ndarray, "_ _"], ...]
    route: Route


def predict(
    fit: LinearFit, design: Float[np.ndarray, "time feature"], *, device: str = "cpu"
) -> Float[np.ndarray, "time target"]:
    """Predict responses: ``design @ weights + intercept``, in the precision of the weights.

    The product runs on differences from the design's first row, whose own prediction is
    added in float64: a feature with a large mean costs no digits.
    """
    on = compute_device(device)
    if design.ndim != 2 or design.shape[1] != fit.weights.shape[0]:
        raise InputError(
            "design",
            got=f"an array of shape {design.shape}",
            wanted=f"(time, {fit.weights.shape[0]}), the features that were fitted",
            do="Make it with the same model, layers and delays as the training designs.",
        )
    first = design[:1].astype(np.float64)
    weights = torch.tensor(fit.weights, device=on)
    base = torch.tensor(first, device=on) @ weights.double() + torch.tensor(fit.intercept).to(on)
    moved = torch.tensor(design - first, dtype=weights.dtype, device=on)
    return (moved @ weights + base.to(weights.dtype)).cpu().numpy()
