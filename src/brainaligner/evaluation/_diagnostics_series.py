"""Diagnostics of series: stories seen twice, nulls, lags and autocorrelation (1, 2, 10 and 12)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import scipy.stats
from jaxtyping import Float, Float64

from brainaligner.evaluation._diagnostic import Diagnostic
from brainaligner.evaluation._diagnostic_names import made
from brainaligner.evaluation._likeness import StoryLikeness

NULL_ERRORS = 3.0
ENOUGH_DRAWS = 20
LAG_SECONDS = (4.0, 6.0)
LAG_NOISE = 3.0
AUTOCORRELATION_BOUND = 0.8
LEAST_AUTOCORRELATION = 0.1
FEWEST_TARGETS = 30
TWIN_WARN, TWIN_FAIL = 0.2, 0.3
TWIN_SPREADS = 7.0


def null_diagnostic(
    where: str,
    draws: Mapping[str, Float64[np.ndarray, "draw"]],
    *,
    strict: bool,
    again: Mapping[str, Float64[np.ndarray, "_draw"]] | None = None,
) -> Diagnostic:
    """Number 2: mean r that features without a tie to the responses score.

    Off where, for any kind of null, the mean over draws lies more than 3 standard errors from 0
    (of fewer than 20 draws: as many of Student's t as 3 are of a normal, for so few draws know
    their own spread badly).
    Of many kinds, arms and ways some mean of 20 draws does so by chance (one in 135): a kind that
    is off is therefore drawn again, and its fresh draws have to be off too, on the same side.

    Parameters
    ----------
    where : str
    draws : mapping of kind to float64 array, shape (draw,)
        Mean r over targets in each draw.
    strict : bool
        Whether it is off by FAIL (single-presentation test stories held out) or WARN.
    again : mapping of kind to float64 array, shape (draw,), optional
        Fresh draws of the kinds that :func:`crossed_kinds` names. A kind that is off and was not
        drawn again stays off.
    """
    known = {kind: null_mean(values) for kind, values in draws.items()}
    known = {kind: row for kind, row in known.items() if math.isfinite(row[0])}
    if not known:
        return made(2, where, "NOT RUN", "no null could be scored", "The stories are too short.")
    figure = "; ".join(f"{kind} {_with_error(row)}" for kind, row in known.items())
    figure += f" (bound {NULL_ERRORS:g} standard errors)"
    crossed, fresh = crossed_kinds(draws), again or {}
    if not crossed:
        advice = "Features without a tie to the responses score nothing."
        return made(2, where, "PASS", figure, advice)
    figure += "".join(
        f"; {kind} drawn {values.size} times again {_with_error(null_mean(values))}"
        for kind, values in fresh.items()
    )
    held = [kind for kind in crossed if kind not in fresh or _same_side(draws[kind], fresh[kind])]
    if not held:
        advice = f"By chance: fresh draws ({', '.join(crossed)}) lie within their bound."
        return made(2, where, "WARN", figure, advice)
    if not strict:
        advice = "A single story, or repeats, can do this by chance: read it with care."
        return made(2, where, "WARN", figure, advice)
    worst = max(held, key=lambda kind: abs(known[kind][0]) / max(known[kind][1], 1e-12))
    advice = f"Features of no meaning ({worst}) score: rows of test stories were seen."
    return made(2, where, "FAIL", figure, advice)


def crossed_kinds(draws: Mapping[str, Float64[np.ndarray, "draw"]]) -> tuple[str, ...]:
    """Kinds of null whose mean lies more than 3 standard errors from 0."""
    return tuple(kind for kind, values in draws.items() if _is_off(values))


def null_mean(values: Float64[np.ndarray, "draw"]) -> tuple[float, float]:
    """Mean of some draws and its standard error; NaN where there are fewer than two."""
    known = values[np.isfinite(values)]
    if known.size < 2:
        return math.nan, math.nan
    return float(known.mean()), float(known.std(ddof=1) / math.sqrt(known.size))


def _is_off(values: Float64[np.ndarray, "draw"]) -> bool:
    mean, error = null_mean(values)
    n_draws = int(np.isfinite(values).sum())
    bound = NULL_ERRORS
    if 1 < n_draws < ENOUGH_DRAWS:
        bound = float(scipy.stats.t.isf(scipy.stats.norm.sf(NULL_ERRORS), n_draws - 1))
    return abs(mean) > bound * error


def _same_side(first: Float64[np.ndarray, "draw"], fresh: Float64[np.ndarray, "_draw"]) -> bool:
    return _is_off(fresh) and null_mean(fresh)[0] * null_mean(first)[0] > 0


def _with_error(row: tuple[float, float]) -> str:
    return f"{row[0]:+.4f} ± {row[1]:.4f}"


def lag_diagnostic(
    where: str, delays: Sequence[int], r: Float[np.ndarray, "delay"], *, tr: float
) -> Diagnostic:
    """Number 10: mean r of single delays on the row's own clock; BOLD lags words by 4 to 6 s.

    A peak counts that lies above the delays before the words (negative ones) by three of their
    standard deviations; otherwise no delay stands out.

    Parameters
    ----------
    where : str
    delays : sequence of int
        In rows, on the row's own clock; some negative.
    r : float array, shape (delay,)
    tr : float
        Repetition time, in seconds.
    """
    peak = delays[int(np.argmax(r))]
    first, last = math.floor(LAG_SECONDS[0] / tr), math.ceil(LAG_SECONDS[1] / tr)
    before = np.array([value for delay, value in zip(delays, r, strict=True) if delay < 0])
    curve = ", ".join(f"{d} {v:.3f}" for d, v in zip(delays, r, strict=True))
    figure = f"peak at {peak} of {curve} (bounds {first} to {last} TRs)"
    if float(np.max(r)) < before.mean() + LAG_NOISE * max(float(before.std(ddof=1)), 1e-3):
        advice = "No delay stands out: these features hardly predict the validation stories."
        return made(10, where, "WARN", figure, advice)
    if first <= peak <= last:
        return made(10, where, "PASS", figure, "r peaks where BOLD follows the words.")
    advice = "Check the clock and the alignment of stories: BOLD follows words by 4 to 6 s."
    return made(10, where, "WARN", figure, advice)


def autocorrelation_diagnostic(
    where: str,
    r: Float[np.ndarray, "target"],
    autocorrelation: Float[np.ndarray, "target"],
) -> Diagnostic:
    """Number 12: rank correlation, over targets, of r with lag-1 autocorrelation of responses.

    WARN over .8, where slowness alone would order the map, and where the responses have hardly
    any autocorrelation: BOLD has, and rows that were shuffled have none.

    Parameters
    ----------
    where : str
    r : float array, shape (target,)
        Of the single-presentation test stories.
    autocorrelation : float array, shape (target,)
        Of the same responses, within stories.
    """
    known = np.isfinite(r) & np.isfinite(autocorrelation)
    level = float(np.median(autocorrelation[known])) if known.any() else math.nan
    text = f"median autocorrelation {level:.2f} (bound {LEAST_AUTOCORRELATION:g})"
    if known.any() and level < LEAST_AUTOCORRELATION:
        advice = "BOLD is slow, these responses are not: are the rows in the order of time?"
        return made(12, where, "WARN", text, advice)
    if known.sum() < FEWEST_TARGETS or np.ptp(r[known]) == 0:
        advice = f"A map needs at least {FEWEST_TARGETS} targets to be compared."
        return made(12, where, "NOT RUN", f"{int(known.sum())} targets; {text}", advice)
    rho = float(scipy.stats.spearmanr(r[known], autocorrelation[known]).statistic)
    figure = f"rank correlation {rho:.2f} (bound {AUTOCORRELATION_BOUND:g}); {text}"
    if rho > AUTOCORRELATION_BOUND:
        advice = "The map follows how slow each target is, as leaks between neighbouring rows do."
        return made(12, where, "WARN", figure, advice)
    return made(12, where, "PASS", figure, "The map is more than a map of slowness.")


def story_twin_diagnostic(where: str, found: StoryLikeness) -> Diagnostic:
    """Number 1, by content: whether a test story's responses run along a training story's.

    WARN over .2, FAIL over .3, where that is also over seven times what pairs of stories have at
    any alignment (root mean square): few rows and targets are alike by chance. On the real
    recordings that were looked at, the most alike pair of different stories has .14.
    """
    figure = (
        f"r {found.r:.3f} of {found.tested} with {found.trained}, moved by {found.lag} rows, the "
        f"most alike pair (bounds {TWIN_WARN:g}, {TWIN_FAIL:g}; all pairs {found.spread:.3f})"
    )
    chance = TWIN_SPREADS * found.spread
    if found.r > max(TWIN_FAIL, chance):
        advice = "Responses to this test story stand among the training stories: find the copy."
        return made(1, where, "FAIL", figure, advice)
    if found.r > max(TWIN_WARN, chance):
        advice = "These two stories run alike: look whether they are one, or share a part."
        return made(1, where, "WARN", figure, advice)
    return made(1, where, "PASS", figure, "No test story runs along a training story.")
