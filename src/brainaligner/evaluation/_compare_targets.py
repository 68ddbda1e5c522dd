"""A paired test of each target: does one arm predict it better than another?"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float64

from brainaligner.evaluation._comparison import TargetTests
from brainaligner.evaluation._fdr import fdr_bh, fdr_by
from brainaligner.evaluation._intervals import strata, too_few_units
from brainaligner.evaluation._moments import Moments, correlation, weighted_totals
from brainaligner.evaluation._rows import target_blocks

_NO_SPREAD = 1e-12
_WORKING_ARRAYS = 8


def target_tests(reference: Sequence[Moments], arm: Sequence[Moments]) -> TargetTests:
    r"""Test each target's difference in r, two-sided, by its spread between stories.

    With d the difference in r on concatenated rows and :math:`U_i` its derivative by the
    weight of unit i,

    .. math:: T = d / \mathrm{SE}, \qquad
              \mathrm{SE}^2 = \sum_s \frac{K_s}{K_s - 1} \sum_{i \in s} (U_i - \bar U_s)^2

    over strata s of :math:`K_s` units (all stories, or the blocks of one story; a story of one
    block is drawn with others) is referred to
    Student's t with as many degrees of freedom as there are units less strata. For equally
    long stories and sums instead of r this is the paired t test over stories. It holds for
    the fitted models as they are.

    Parameters
    ----------
    reference, arm : sequences of Moments
        One for each seed; r is averaged over seeds. All on the same units.

    Returns
    -------
    TargetTests
        p is NaN where units are too few, and 1 where two arms do not differ at all.
    """
    first = reference[0]
    difference, error = np.full((2, first.n_targets), np.nan)
    for targets in target_blocks(first.n_targets, _WORKING_ARRAYS * first.n_units):
        r_arm, of_arm = _mean_over_seeds(arm, targets)
        r_reference, of_reference = _mean_over_seeds(reference, targets)
        difference[targets] = r_arm - r_reference
        error[targets] = _error(first, of_arm - of_reference)
    p = np.full(len(difference), np.nan) if too_few_units(first) else _p(first, difference, error)
    return TargetTests(difference, p, fdr_bh(p), fdr_by(p))


def _mean_over_seeds(
    seeds: Sequence[Moments], targets: slice
) -> tuple[Float64[np.ndarray, "target"], Float64[np.ndarray, "unit target"]]:
    found = [target_influence(moments, targets) for moments in seeds]
    r, influence = sum(one[0] for one in found), sum(one[1] for one in found)
    return np.asarray(r / len(seeds)), np.asarray(influence / len(seeds))


def target_influence(
    moments: Moments, targets: slice
) -> tuple[Float64[np.ndarray, "target"], Float64[np.ndarray, "unit target"]]:
    """R of some targets, and its derivative by each unit's weight; NaN without variance.

    The formula is that of :func:`mean_and_influence`, for each target by itself.
    """
    once = np.ones((1, moments.n_units))
    t = weighted_totals(moments, once, targets)
    r = correlation(t)
    p, y, pp, yy, py = (getattr(moments, name)[:, targets] for name in ("p", "y", "pp", "yy", "py"))
    n = moments.n[:, None]
    cross = py - t.mean_y * p - t.mean_p * y + n * t.mean_p * t.mean_y
    own_p = pp - 2 * t.mean_p * p + n * t.mean_p**2
    own_y = yy - 2 * t.mean_y * y + n * t.mean_y**2
    cpp, cyy = (np.where(t.varies, sums, np.nan) for sums in (t.cpp, t.cyy))
    influence = cross / np.sqrt(cpp * cyy) - r / 2 * (own_p / cpp + own_y / cyy)
    return r[0], influence


def _error(
    moments: Moments, influence: Float64[np.ndarray, "unit target"]
) -> Float64[np.ndarray, "target"]:
    variance = np.zeros(influence.shape[1])
    for units in strata(moments):
        u, size = influence[units], len(units)
        variance += size / max(size - 1, 1) * ((u - u.mean(axis=0)) ** 2).sum(axis=0)
    return np.asarray(np.sqrt(variance))


def _p(
    moments: Moments,
    difference: Float64[np.ndarray, "target"],
    error: Float64[np.ndarray, "target"],
) -> Float64[np.ndarray, "target"]:
    from scipy.stats import t

    df = moments.n_units - len(strata(moments))
    spread = error > _NO_SPREAD
    statistic = np.abs(difference) / np.where(spread, error, np.nan)
    p = np.where(
        spread, 2 * t.sf(statistic, df), np.where(np.abs(difference) > _NO_SPREAD, 0.0, 1.0)
    )
    return np.asarray(np.where(np.isfinite(difference), p, np.nan))
