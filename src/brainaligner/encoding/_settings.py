"""What a ridge is asked to do."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, get_args

import numpy as np

from brainaligner.core import InputError, settle_types, unknown_name

AlphaRule = Literal["shared", "per_target"]
Selection = Literal["validation", "leave_story_out"]
Scaling = Literal["none", "training"]
Form = Literal["auto", "primal", "dual"]
Products = Literal["float32", "float64"]

WIDE_GRID: tuple[float, ...] = tuple(float(alpha) for alpha in np.logspace(0, 7, 15))
"""Half decades from 1 to 1e7. Standardised features need alphas far above 1000."""


@dataclass(frozen=True)
class RidgeSettings:
    """Settings of ``argmin_W ||Y - X W||_F^2 + alpha ||W||_F^2``.

    The Huth-lab code penalises with ``alpha**2``: its alpha is the square root of ours.

    Parameters
    ----------
    alphas : tuple of float
        Grid to choose from: positive, finite, increasing. Eigenvalues carry an error of
        about 1e-15 of the largest one: an alpha below 1e-10 of that is not resolved.
    alpha : {"shared", "per_target"}
        One alpha for all targets (the best mean validation r), or one for each.
    selection : {"validation", "leave_story_out"}
        Where r is measured for that choice: on stories apart from training, or on each
        training story predicted from the others.
    intercept : bool
        Fit an unpenalised constant, by centring with training means.
    scaling : {"none", "training"}
        "training" divides each feature by its training standard deviation (around its
        training mean, ``ddof = 0``; a constant feature is left as it is), so that the
        penalty falls on all features alike. It needs `intercept`. Weights are given for
        the features as they came in.
    form : {"auto", "primal", "dual"}
        Decompose ``X'X`` (feature x feature) or ``X X'`` (TR x TR); "auto" takes the
        smaller. The results are the same.
    products : {"float32", "float64"}
        Precision of the products that run over targets (in the primal form: those with TRs,
        and with eigenvectors), and of the weights. Decompositions and the dual form are float64
        always, and so is what leaves stories out where targets are fewer than features, and for
        targets of which float32 might cost 1e-5 of r. In float32 the error of r grows as
        ``1e-7 sqrt(largest eigenvalue / (smallest + alpha))``. Without an intercept, float32
        wants features or responses without large means: r is off by 1e-4 where both lie 30 and
        10 standard deviations from 0.
    """

    alphas: tuple[float, ...] = WIDE_GRID
    alpha: AlphaRule = "shared"
    selection: Selection = "validation"
    intercept: bool = False
    scaling: Scaling = "none"
    form: Form = "auto"
    products: Products = "float32"

    def __post_init__(self) -> None:
        settle_types(self, where="ridge")
        object.__setattr__(self, "alphas", checked_alphas(self.alphas))
        check_choice("ridge alpha", self.alpha, AlphaRule)
        check_choice("ridge selection", self.selection, Selection)
        check_choice("ridge scaling", self.scaling, Scaling)
        check_choice("ridge form", self.form, Form)
        check_choice("ridge products", self.products, Products)
        if self.scaling == "training" and not self.intercept:
            raise InputError(
                "ridge scaling",
                got="scaling='training' without an intercept",
                wanted="intercept=True beside it",
                do="Standard deviations are taken around training means: switch both on.",
            )


@dataclass(frozen=True)
class BandedSettings:
    """Settings of ``argmin_W ||Y - sum_b X_b W_b||_F^2 + sum_b (alpha / g_b) ||W_b||_F^2``.

    The shares ``g_b`` of the bands are positive and sum to 1. (The Huth-lab code penalises
    with ``alpha**2``: its alpha is the square root of ours.)

    Parameters
    ----------
    alphas : tuple of float
        Grid for each target's alpha.
    n_iter : int
        Candidate shares: equal ones, then Dirichlet draws with concentration 0.1 and 1
        in turn (Dupré la Tour et al. 2022, doi:10.1016/j.neuroimage.2022.119728).
    seed : int
        Of the draws.
    selection : {"validation", "leave_story_out"}
        Where r is measured: on the validation stories, or as the mean over training
        stories of r on each, fitted to the others.
    intercept : bool
        Fit an unpenalised constant.
    """

    alphas: tuple[float, ...] = WIDE_GRID
    n_iter: int = 20
    seed: int = 0
    selection: Selection = "validation"
    intercept: bool = False

    def __post_init__(self) -> None:
        settle_types(self, where="banded ridge")
        object.__setattr__(self, "alphas", checked_alphas(self.alphas))
        check_choice("banded selection", self.selection, Selection)
        if self.n_iter < 1 or self.seed < 0:
            raise InputError(
                "banded ridge",
                got=f"n_iter={self.n_iter}, seed={self.seed}",
                wanted="at least one candidate, and a seed of 0 or more",
                do="Correct the two numbers.",
            )


def checked_alphas(alphas: Sequence[float]) -> tuple[float, ...]:
    """Return the grid as floats; refuse one that is empty, out of order or not positive."""
    values = tuple(float(alpha) for alpha in alphas)
    ordered = all(a < b for a, b in pairwise(values))
    if not values or not ordered or not all(0 < a < math.inf for a in values):
        raise InputError(
            "ridge alphas",
            got=f"{list(values)}",
            wanted="one or more positive, finite numbers in increasing order",
            do="Give a grid such as logspace(0, 7, 15); for no penalty use a tiny alpha.",
        )
    return values


def check_choice(where: str, name: str, options: object) -> None:
    """Refuse a name that is not among those of a Literal type."""
    if name not in get_args(options):
        raise unknown_name(where, "choice", str(name), get_args(options))
