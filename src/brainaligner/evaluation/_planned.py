"""What a design can find, said from the spread of differences over other stories."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from brainaligner.core import InputError
from brainaligner.evaluation._comparison import ComparisonSettings
from brainaligner.evaluation._detectable import detectable_difference
from brainaligner.evaluation._moments import correlation_from_moments, story_moments

_QUANTILES = 4000  # of the distribution of a spread, for a mean over it


@dataclass(frozen=True)
class PlannedDifference:
    """What a paired comparison on stories that nobody scored yet will be able to say.

    Parameters
    ----------
    n_seen : int
        Stories that the spread was measured on.
    n_stories : int
        Stories that will be scored.
    difference : float
        Mean difference on the stories that were seen.
    sd, sd_low, sd_high : float
        Standard deviation of paired differences between stories, and the ends of its 95 %
        interval; in r.
    detectable, low, high : float
        Smallest true mean difference that is found with the wanted power, for that spread and
        for the ends of its interval.
    margin : float
        Largest difference that the study counts as none, in r; NaN without a positive mean.
    shown_margin : float
        Smallest margin within which "no difference" is shown with the wanted power where there
        is none.
    """

    n_seen: int
    n_stories: int
    difference: float
    sd: float
    sd_low: float
    sd_high: float
    detectable: float
    low: float
    high: float
    margin: float
    shown_margin: float

    @property
    def resolves_margin(self) -> bool:
        """Whether "no difference" can be shown within the study's margin."""
        return self.shown_margin <= self.margin


def story_means(
    predictions: Sequence[Float[np.ndarray, "_time target"]],
    responses: Sequence[Float[np.ndarray, "_time target"]],
    *,
    cut: int = 0,
) -> list[float]:
    """Mean over targets of Pearson r in each story by itself.

    Parameters
    ----------
    predictions, responses : sequences of float arrays, shape (time, target)
        One of each per story.
    cut : int
        Rows dropped at each end of each story.

    Returns
    -------
    list of float
        One for each story; NaN where no target has an r.

    Raises
    ------
    InputError
        If both sides do not fit each other, or a cut leaves too few rows.
    """
    means = []
    for predicted, measured in zip(predictions, responses, strict=True):
        r = correlation_from_moments(story_moments([predicted], [measured], cut=cut))
        known = r[np.isfinite(r)]
        means.append(float(known.mean()) if known.size else math.nan)
    return means


def planned_difference(
    arm: Mapping[str, float],
    reference: Mapping[str, float],
    n_stories: int,
    *,
    settings: ComparisonSettings | None = None,
) -> PlannedDifference:
    r"""Say what `n_stories` further stories can show, from the spread over stories that were seen.

    With d the paired differences, s their standard deviation over m stories and n stories to be
    scored, the smallest detectable difference is that of :func:`detectable_difference` (two-sided
    paired t, level alpha). s has m - 1 degrees of freedom: its 95 % interval,
    :math:`s \sqrt{(m - 1) / \chi^2_{m - 1}}`, is carried through, for few stories tell little of
    a spread.

    Parameters
    ----------
    arm, reference : mappings of story to mean r
        Of which the common stories with a number are used.
    n_stories : int
        At least 2.
    settings : ComparisonSettings, optional
        Margin (a share of the reference's mean), alpha and power.

    Raises
    ------
    InputError
        If there are fewer than two common stories, or `n_stories` is less than 2.
    """
    from scipy.stats import chi2

    settings = settings or ComparisonSettings()
    known = [s for s in arm if s in reference and math.isfinite(arm[s] + reference[s])]
    if len(known) < 2:
        raise InputError(
            "smallest detectable difference",
            got=f"{len(known)} stories with scores of both arms",
            wanted="two or more",
            do="Use a division with more validation stories.",
        )
    d = np.array([arm[story] - reference[story] for story in known])
    m, sd = len(d), float(d.std(ddof=1))
    ends = tuple(sd * math.sqrt((m - 1) / float(chi2.ppf(p, m - 1))) for p in (0.975, 0.025))
    found, low, high = (
        detectable_difference(one, n_stories, power=settings.power, alpha=settings.alpha)
        for one in (sd, *ends)
    )
    mean = float(np.mean([reference[story] for story in known]))
    margin = settings.margin * mean if mean > 0 else math.nan
    shown = equivalence_margin(sd, n_stories, power=settings.power, alpha=settings.alpha)
    return PlannedDifference(
        n_seen=m,
        n_stories=n_stories,
        difference=float(d.mean()),
        sd=sd,
        sd_low=ends[0],
        sd_high=ends[1],
        detectable=found,
        low=low,
        high=high,
        margin=margin,
        shown_margin=shown,
    )


def equivalence_margin(
    unit_sd: float, n_units: int, *, power: float = 0.8, alpha: float = 0.05
) -> float:
    r"""Smallest margin within which two one-sided t tests show equality with some power.

    The true difference is 0. Both tests reject where
    :math:`|\bar d| < m - t_{1 - \alpha, n - 1} s / \sqrt{n}`; the margin m is solved for with s
    over its chi distribution (Schuirmann 1987, J. Pharmacokinet. Biopharm. 15:657).

    Parameters
    ----------
    unit_sd : float
        Standard deviation of paired differences between units, in r.
    n_units : int
        At least 2.
    power, alpha : float
        Within (0, 1).

    Returns
    -------
    float
        In r.

    Raises
    ------
    InputError
        As `detectable_difference`.
    """
    detectable_difference(unit_sd, n_units, power=power, alpha=alpha)  # checks its arguments
    return unit_sd / math.sqrt(n_units) * _standard_margin(n_units, power, alpha)


def _standard_margin(n_units: int, power: float, alpha: float) -> float:
    from scipy.optimize import brentq
    from scipy.special import ndtr
    from scipy.stats import chi2, t

    df = n_units - 1
    quantiles = (np.arange(_QUANTILES) + 0.5) / _QUANTILES
    spread = np.sqrt(chi2.ppf(quantiles, df) / df)
    edge = float(t.isf(alpha, df))

    def lacking(margin: float) -> float:
        room = np.maximum(margin - edge * spread, 0.0)
        return float(np.mean(2 * ndtr(room) - 1)) - power

    upper = edge + 1.0
    while lacking(upper) < 0:
        upper *= 1.5
    return float(brentq(lacking, 0.0, upper, xtol=1e-9))
