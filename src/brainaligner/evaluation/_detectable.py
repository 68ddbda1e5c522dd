"""How small a difference a paired test over stories can find."""

from __future__ import annotations

import math

from brainaligner.core import InputError


def detectable_difference(
    unit_sd: float, n_units: int, *, power: float = 0.8, alpha: float = 0.05
) -> float:
    r"""Smallest true mean difference that a two-sided paired t test finds with some power.

    It is the :math:`\delta` for which

    .. math:: P(|T| > t_{1 - \alpha / 2, n - 1}) = \text{power}, \qquad
              T \sim t'_{n - 1}(\delta \sqrt{n} / \sigma)

    with t' the noncentral t distribution (Cohen 1988, Statistical Power Analysis for the
    Behavioral Sciences, chapter 2).

    Parameters
    ----------
    unit_sd : float
        Standard deviation of paired differences between units, such as the `unit_sd` of a
        comparison on other stories; in r.
    n_units : int
        Stories that will be scored, at least 2.
    power, alpha : float
        Within (0, 1), `power` above `alpha`.

    Returns
    -------
    float
        In r.

    Raises
    ------
    InputError
        If a number is out of range.
    """
    sound = math.isfinite(unit_sd) and unit_sd >= 0 and n_units >= 2
    if not sound or not 0 < alpha < power < 1:
        raise InputError(
            "smallest detectable difference",
            got=f"spread {unit_sd}, {n_units} units, power {power}, alpha {alpha}",
            wanted="a spread of 0 or more, 2 units or more, 0 < alpha < power < 1",
            do="Give the spread of paired differences between stories.",
        )
    return unit_sd / math.sqrt(n_units) * _noncentrality(n_units - 1, power, alpha)


def _noncentrality(df: int, power: float, alpha: float) -> float:
    from scipy.optimize import brentq
    from scipy.stats import t

    edge = float(t.isf(alpha / 2, df))

    def lacking(shift: float) -> float:
        return _power(shift, edge, df) - power

    upper = edge + 1.0
    while lacking(upper) < 0:
        upper *= 1.5
    return float(brentq(lacking, 0.0, upper, xtol=1e-10))


def _power(shift: float, edge: float, df: int) -> float:
    """P(|T| > edge) of the noncentral t: scipy's, or an integral where that has no number."""
    from scipy.integrate import quad
    from scipy.special import gammaincinv, ndtr
    from scipy.stats import nct

    found = float(nct.sf(edge, df, shift) + nct.cdf(-edge, df, shift))
    if math.isfinite(found):
        return found

    def given_spread(quantile: float) -> float:
        squares = 2.0 * float(gammaincinv(df / 2, quantile))  # quantile of chi-squared
        reach = edge * math.sqrt(squares / df)
        return float(ndtr(shift - reach) + ndtr(-shift - reach))

    return float(quad(given_spread, 0.0, 1.0, epsabs=1e-9, limit=200)[0])
