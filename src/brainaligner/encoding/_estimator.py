"""The same ridge as a scikit-learn estimator."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast, no_type_check

import numpy as np
from jaxtyping import Float, Int
from sklearn.base import BaseEstimator, MultiOutputMixin, RegressorMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from brainaligner.core import InputError
from brainaligner.encoding._ridge import fit_ridge
from brainaligner.encoding._settings import (
    WIDE_GRID,
    AlphaRule,
    Form,
    Products,
    RidgeSettings,
    Scaling,
)
from brainaligner.encoding._stories import ArrayStories

ArrayLike = Any  # scikit-learn also takes lists, frames and sparse matrices, and checks them
N_FIFTHS = 5


class RidgeEncoder(MultiOutputMixin, RegressorMixin, BaseEstimator):
    """Ridge regression that chooses alpha by leaving one story out.

    Solves ``argmin_W ||Y - X W||_F^2 + alpha ||W||_F^2`` (the Huth-lab code penalises with
    ``alpha**2``: its alpha is the square root of ours). Parameters are the fields of
    `RidgeSettings`; `selection` is always "leave_story_out".

    Unlike scikit-learn's own, it fits no intercept unless ``intercept=True``: X and y are taken to
    lie about 0, as z-scored responses do. The mean of a y that does not is fitted with the
    features, and `predict` and `score` are far off.

    Attributes
    ----------
    coef_ : float64 array, shape (target, feature), or (feature,) for a single series `y`
    intercept_ : float64 array, shape (target,), or a float
    alpha_ : float64 array, shape (target,), or a float
    n_features_in_ : int
    """

    alphas: Sequence[float]
    alpha: AlphaRule
    intercept: bool
    scaling: Scaling
    form: Form
    products: Products

    @no_type_check  # scikit-learn may set anything here; `fit` checks it
    def __init__(
        self,
        alphas: Sequence[float] = WIDE_GRID,
        alpha: AlphaRule = "shared",
        intercept: bool = False,
        scaling: Scaling = "none",
        form: Form = "auto",
        products: Products = "float32",
    ) -> None:
        self.alphas = alphas
        self.alpha = alpha
        self.intercept = intercept
        self.scaling = scaling
        self.form = form
        self.products = products

    def fit(
        self,
        X: ArrayLike,
        y: ArrayLike,
        groups: ArrayLike | None = None,
    ) -> RidgeEncoder:
        """Fit `y` (sample, target) or (sample,) from `X` (sample, feature).

        `groups` names the story of each row. Without it, contiguous fifths of the rows are
        left out in turn.
        """
        X, y = validate_data(
            self, X, y, dtype=[np.float32, np.float64], multi_output=True, ensure_min_samples=2
        )
        targets = np.asarray(y, dtype=X.dtype).reshape(X.shape[0], -1)
        labels = _fifths(X.shape[0]) if groups is None else _codes(groups, X.shape[0])
        rows = [np.flatnonzero(labels == label) for label in range(labels.max() + 1)]
        stories = ArrayStories([X[at] for at in rows], [targets[at] for at in rows])
        fit = fit_ridge(stories, settings=self._settings())
        one = y.ndim == 1
        weights = fit.weights.T.astype(np.float64)
        self.coef_ = weights[0] if one else weights
        self.intercept_ = float(fit.intercept[0]) if one else np.array(fit.intercept)
        self.alpha_ = float(fit.alpha[0]) if one else np.array(fit.alpha)
        return self

    def predict(
        self, X: ArrayLike
    ) -> Float[np.ndarray, "sample target"] | Float[np.ndarray, "sample"]:
        """Predict in float64: ``X @ coef_.T + intercept_``."""
        check_is_fitted(self)
        X = validate_data(self, X, dtype=np.float64, reset=False)
        return X @ self.coef_.T + self.intercept_

    def _settings(self) -> RidgeSettings:
        return RidgeSettings(
            alphas=cast("tuple[float, ...]", self.alphas),  # the settings make it one
            alpha=self.alpha,
            selection="leave_story_out",
            intercept=self.intercept,
            scaling=self.scaling,
            form=self.form,
            products=self.products,
        )


def _fifths(n_rows: int) -> Int[np.ndarray, "sample"]:
    return np.arange(n_rows) * min(N_FIFTHS, n_rows) // n_rows


def _codes(groups: ArrayLike, n_rows: int) -> Int[np.ndarray, "sample"]:
    labels = np.asarray(groups)
    if labels.shape != (n_rows,):
        raise InputError(
            "groups",
            got=f"an array of shape {labels.shape}",
            wanted=f"({n_rows},), one story label for each row",
            do="Give the story of each row of X.",
        )
    try:
        return np.unique(labels, return_inverse=True)[1]
    except TypeError as error:
        raise InputError(
            "groups",
            got=f"labels that cannot be sorted ({error})",
            wanted="labels of one type, none missing",
            do="Give every row the name of its story.",
        ) from error
