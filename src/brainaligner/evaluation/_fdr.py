"""Which of many p-values stand when false discoveries are kept to a rate."""

from __future__ import annotations

from typing import Literal

import numpy as np
from jaxtyping import Float, Float64

from brainaligner.core import InputError


def fdr_bh(p: Float[np.ndarray, "target"]) -> Float64[np.ndarray, "target"]:
    """Adjusted p-values of Benjamini and Hochberg: at most the level is significant.

    ``q_(i) = min_{j >= i} (n / j) p_(j)`` over the sorted p (Benjamini & Hochberg 1995,
    J. R. Statist. Soc. B 57:289): the share of false discoveries among ``q <= level`` is at
    most `level` for independent or positively dependent tests.

    Parameters
    ----------
    p : float array, shape (target,)
        Within [0, 1]; NaN where nothing was tested.

    Returns
    -------
    float64 array, shape (target,)
        NaN where `p` is: such targets do not count among the tests.

    Raises
    ------
    InputError
        If a value lies outside [0, 1], or there is not one dimension.
    """
    return _adjusted(p, "bh")


def fdr_by(p: Float[np.ndarray, "target"]) -> Float64[np.ndarray, "target"]:
    """Adjusted p-values of Benjamini and Yekutieli, which hold under any dependence.

    Those of :func:`fdr_bh` times ``sum_{i=1}^n 1 / i``, at most 1 (Benjamini & Yekutieli
    2001, Ann. Statist. 29:1165).

    Parameters
    ----------
    p : float array, shape (target,)
        Within [0, 1]; NaN where nothing was tested.

    Returns
    -------
    float64 array, shape (target,)

    Raises
    ------
    InputError
        As :func:`fdr_bh`.
    """
    return _adjusted(p, "by")


def _adjusted(p: np.ndarray, method: Literal["bh", "by"]) -> Float64[np.ndarray, "target"]:
    from scipy.stats import false_discovery_control

    values = np.asarray(p, dtype=np.float64)
    tested = ~np.isnan(values)
    if values.ndim != 1 or ((values[tested] < 0) | (values[tested] > 1)).any():
        raise InputError(
            "p-values",
            got=f"shape {values.shape}, {_span(values[tested])}",
            wanted="one dimension, values within [0, 1]",
            do="Give the p of each target, as block_permutation returns them.",
        )
    adjusted = np.full(values.shape, np.nan)
    if tested.any():
        adjusted[tested] = false_discovery_control(values[tested], method=method)
    return adjusted


def _span(values: np.ndarray) -> str:
    return f"from {values.min():g} to {values.max():g}" if values.size else "none of them a number"
