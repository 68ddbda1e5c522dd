"""Confidence intervals for a mean over targets, by resampling stories or blocks of rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int64

from brainaligner.core import InputError
from brainaligner.evaluation._blocks import block_length
from brainaligner.evaluation._moments import (
    Moments,
    block_moments,
    checked_weights,
    correlation,
    story_moments,
    weighted_totals,
)
from brainaligner.evaluation._rows import Rows, target_blocks

FEWEST_STORIES = 8
FEWEST_BLOCKS = 8
METHODS = {
    "story": "studentised bootstrap over stories",
    "block": "studentised bootstrap over blocks, conditional on these stories",
}


@dataclass(frozen=True)
class Interval:
    """A confidence interval and where it comes from.

    Parameters
    ----------
    low, high : float
        NaN where there are too few units to say anything.
    level : float
        Wanted coverage, such as .95.
    method : str
        What was resampled, or why nothing was.
    n_units : int
        Stories, or blocks of rows.
    conditional : bool
        True where it speaks of these stories only, not of others like them.
    """

    low: float
    high: float
    level: float
    method: str
    n_units: int
    conditional: bool


def resampling_moments(
    predictions: Sequence[Rows], responses: Sequence[Rows], *, cut: int = 0
) -> Moments:
    """Moments of the units to resample: stories where there are 8 or more, else blocks.

    Blocks are as long as :func:`block_length` says.

    Raises
    ------
    InputError
        If the two sides do not fit each other, or a value is not finite.
    """
    if len(predictions) >= FEWEST_STORIES:
        return story_moments(predictions, responses, cut=cut)
    rows = block_length(predictions, responses, cut=cut)
    return block_moments(predictions, responses, block_rows=rows, cut=cut)


def draw_weights(moments: Moments, *, n_draws: int, seed: int) -> Float64[np.ndarray, "draw unit"]:
    """How often each unit is drawn: stories from all stories, blocks from their stratum.

    Strata are those of :func:`strata`: the blocks of one story, but for stories of one block.

    The same units and seed give the same draws, so arms can be compared pairwise.
    """
    rng = np.random.default_rng(seed)
    weights = np.zeros((n_draws, moments.n_units))
    for units in strata(moments):
        size = len(units)
        weights[:, units] = rng.multinomial(size, np.full(size, 1 / size), size=n_draws)
    return weights


def strata(moments: Moments) -> list[Int64[np.ndarray, "_unit"]]:
    """Units that are drawn for each other: all stories, or the blocks of one story.

    A story of a single block has no spread of its own. Such stories are drawn for each other; one
    that is alone joins the story of fewest blocks. Collapsed strata of this kind hold what differs
    between stories too, so that errors are rather too large than too small (Wolter 2007,
    Introduction to Variance Estimation, chapter 2).
    """
    if moments.kind == "story":
        return [np.arange(moments.n_units)]
    every = [np.flatnonzero(moments.story == story) for story in np.unique(moments.story)]
    several = [units for units in every if len(units) > 1]
    single = [units for units in every if len(units) == 1]
    if len(single) == 1 and several:
        fewest = min(range(len(several)), key=lambda i: len(several[i]))
        several[fewest] = np.sort(np.concatenate([several[fewest], *single]))
        return several
    return [*several, np.concatenate(single)] if single else several


def mean_and_influence(
    moments: Moments, weights: Float64[np.ndarray, "draw unit"]
) -> tuple[Float64[np.ndarray, "draw"], Float64[np.ndarray, "draw unit"]]:
    r"""Mean r over targets in each draw, and its derivative by each unit's weight.

    With :math:`a_i, b_i, c_i` the sums over unit i of :math:`(p-\bar p)(y-\bar y)`,
    :math:`(p-\bar p)^2` and :math:`(y-\bar y)^2` about the draw's means, and A, B, C their
    weighted totals,

    .. math:: \frac{\partial r}{\partial w_i} = \frac{a_i}{\sqrt{BC}}
              - \frac{r}{2} \left( \frac{b_i}{B} + \frac{c_i}{C} \right).

    Targets without variance in a draw are left out of that draw. Paired comparisons take
    the difference of two such results for the same weights.
    """
    weights = checked_weights(moments, weights)
    total, count = np.zeros(len(weights)), np.zeros(len(weights))
    influence = np.zeros(weights.shape)
    for targets in target_blocks(moments.n_targets, len(weights)):
        block_r, block_influence, block_count = _sums_over(targets, moments, weights)
        total += block_r
        influence += block_influence
        count += block_count
    count = np.where(count > 0, count, np.nan)
    return total / count, influence / count[:, None]


def _sums_over(
    targets: slice, moments: Moments, weights: Float64[np.ndarray, "draw unit"]
) -> tuple[
    Float64[np.ndarray, "draw"], Float64[np.ndarray, "draw unit"], Float64[np.ndarray, "draw"]
]:
    """Sums over targets of r and of its influences, and the number of targets summed."""
    t = weighted_totals(moments, weights, targets)
    r = np.nan_to_num(correlation(t))
    a = 1 / np.sqrt(np.where(t.varies, t.cpp * t.cyy, np.inf))
    b = r / (2 * np.where(t.varies, t.cpp, np.inf))
    c = r / (2 * np.where(t.varies, t.cyy, np.inf))
    p, y, pp, yy, py = (
        getattr(moments, name)[:, targets].T for name in ("p", "y", "pp", "yy", "py")
    )
    influence = a @ py - b @ pp - c @ yy
    influence -= (a * t.mean_y - 2 * b * t.mean_p) @ p + (a * t.mean_p - 2 * c * t.mean_y) @ y
    constant = a * t.mean_p * t.mean_y - b * t.mean_p**2 - c * t.mean_y**2
    influence += np.outer(constant.sum(axis=1), moments.n)
    return r.sum(axis=1), influence, t.varies.sum(axis=1).astype(np.float64)


def standard_error(
    moments: Moments,
    influence: Float64[np.ndarray, "draw unit"],
    weights: Float64[np.ndarray, "draw unit"],
) -> Float64[np.ndarray, "draw"]:
    r"""Infinitesimal-jackknife standard error of a statistic in each draw.

    .. math:: \mathrm{SE}^2 = \sum_s \frac{K_s}{K_s - 1}
              \sum_{i \in s} w_i (U_i - \bar U_s)^2

    over strata s of :math:`K_s` units, those of :func:`strata`. U is the
    derivative by the units' weights (Efron 1982, The Jackknife, the Bootstrap and Other
    Resampling Plans, chapter 6). It needs no refit, so that each draw has its own.
    """
    variance = np.zeros(len(weights))
    for units in strata(moments):
        u, w, size = influence[:, units], weights[:, units], len(units)
        mean = (w * u).sum(axis=1, keepdims=True) / size
        variance += size / (size - 1) * (w * (u - mean) ** 2).sum(axis=1)
    return np.sqrt(variance)


def interval_from_moments(
    moments: Moments, *, seed: int, n_draws: int = 1000, level: float = 0.95
) -> Interval:
    """Bootstrap-t interval for the mean over targets of r on concatenated rows.

    In each draw ``t* = (mean* - mean) / SE*``; the interval is
    ``[mean - q_hi SE, mean - q_lo SE]`` with q the quantiles of t*. Dividing by each
    draw's own SE is what makes it cover at few, skewed units, where percentiles of mean*
    are too narrow (Efron and Tibshirani 1993, An Introduction to the Bootstrap, chapter 12).

    It takes fitted models and seeds as they are. Moments of fewer than 8 units give NaN and
    say so in `method`.

    Raises
    ------
    InputError
        If `n_draws` is under 20 or `level` is not within (0, 1).
    """
    check_draws(n_draws, level)
    conditional = moments.kind == "block"
    reason = too_few_units(moments)
    if reason:
        return Interval(np.nan, np.nan, level, reason, moments.n_units, conditional)
    weights = draw_weights(moments, n_draws=n_draws, seed=seed)
    once = np.ones((1, moments.n_units))
    found = studentised(
        moments, weights, mean_and_influence(moments, once), mean_and_influence(moments, weights)
    )
    low, high = found.ends(level)
    low, high = max(low, -1.0), min(high, 1.0)
    return Interval(low, high, level, METHODS[moments.kind], moments.n_units, conditional)


def too_few_units(moments: Moments) -> str:
    """Why these units cannot be resampled; empty where they can."""
    conditional = moments.kind == "block"
    if moments.n_units >= (FEWEST_BLOCKS if conditional else FEWEST_STORIES):
        return ""
    return "too few rows" if conditional else "too few stories"


@dataclass(frozen=True, eq=False)
class Studentised:
    """An estimate, its standard error, and both in each draw, as ``t* = (est* - est) / SE*``.

    Draws of one story only have no spread of their own and are left out of `t`.
    """

    estimate: float
    error: float
    t: Float64[np.ndarray, "_draw"]

    def ends(self, level: float) -> tuple[float, float]:
        """``[est - q_hi SE, est - q_lo SE]`` with q the quantiles of t*; NaN without draws."""
        if not self.t.size:
            return float("nan"), float("nan")
        q_low, q_high = np.quantile(self.t, [(1 - level) / 2, (1 + level) / 2])
        low, high = self.estimate - q_high * self.error, self.estimate - q_low * self.error
        return float(low), float(high)


Influenced = tuple[Float64[np.ndarray, "_draw"], Float64[np.ndarray, "_draw unit"]]


def studentised(
    moments: Moments,
    weights: Float64[np.ndarray, "draw unit"],
    once: Influenced,
    drawn: Influenced,
) -> Studentised:
    """Studentise a statistic from its value and influences, once and in each draw."""
    error = standard_error(moments, once[1], np.ones((1, moments.n_units)))[0]
    drawn_error = standard_error(moments, drawn[1], weights)
    usable = drawn_error > 1e-9 * error  # a draw of one story only has no spread of its own
    t = (drawn[0][usable] - once[0][0]) / drawn_error[usable]
    return Studentised(float(once[0][0]), float(error), t)


def check_draws(n_draws: int, level: float) -> None:
    """Refuse too few draws, or a level outside (0, 1)."""
    if n_draws < 20 or not 0 < level < 1:
        raise InputError(
            "interval",
            got=f"{n_draws} draws, level {level}",
            wanted="at least 20 draws and a level between 0 and 1",
            do="Use 1000 draws and a level of .95.",
        )


def mean_interval(
    predictions: Sequence[Rows],
    responses: Sequence[Rows],
    *,
    seed: int,
    n_draws: int = 1000,
    level: float = 0.95,
    cut: int = 0,
) -> Interval:
    """Interval for the mean over targets of r on concatenated rows.

    With 8 stories or more, stories alone are resampled and the interval speaks of stories
    like these. With fewer, blocks of consecutive rows are resampled inside each story and
    the interval is conditional on these stories. Targets without variance are left out.

    Parameters
    ----------
    predictions, responses : sequences of float arrays, shape (time, target)
        One of each per story, in the same order.
    seed, n_draws, level
        As in :func:`interval_from_moments`.
    cut : int
        Rows dropped at each end of each story first.

    Raises
    ------
    InputError
        If the two sides do not fit each other, or a setting is out of range.
    """
    check_draws(n_draws, level)
    moments = resampling_moments(predictions, responses, cut=cut)
    return interval_from_moments(moments, seed=seed, n_draws=n_draws, level=level)
