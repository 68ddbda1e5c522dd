"""Diagnostics of series: rows seen twice, nulls, lags and autocorrelation (1, 2, 10 and 12)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import scipy.stats
from jaxtyping import Float, Float64

from brainaligner.evaluation._diagnostic import Diagnostic
from brainaligner.evaluation._diagnostic_names import made

NULL_ERRORS = 3.0
NULL_SIZE = 0.005
LAG_SECONDS = (4.0, 6.0)
LAG_NOISE = 3.0
AUTOCORRELATION_BOUND = 0.8
LEAST_AUTOCORRELATION = 0.1
FEWEST_TARGETS = 30
SAME_ROW = 0.99


def null_diagnostic(
    where: str, draws: Mapping[str, Float64[np.ndarray, "draw"]], *, strict: bool
) -> Diagnostic:
    """Number 2: mean r that features without a tie to the responses score.

    Off where, for any kind of null, the mean over draws lies more than 3 standard errors from 0
    (as many of Student's t with the draws' degrees of freedom as 3 are of a normal) and more
    than .005: a mean below that moves no conclusion, and 20 draws of many kinds and arms pass
    3 standard errors by chance.

    Parameters
    ----------
    where : str
    draws : mapping of kind to float64 array, shape (draw,)
        Mean r over targets in each draw.
    strict : bool
        Whether it is off by FAIL (single-presentation test stories held out) or WARN.
    """
    rows = {kind: (*null_mean(values), values.size) for kind, values in draws.items()}
    known = {kind: row for kind, row in rows.items() if math.isfinite(row[0])}
    if not known:
        return made(2, where, "NOT RUN", "no null could be scored", "The stories are too short.")
    worst = max(known, key=lambda kind: abs(known[kind][0]) / max(known[kind][1], 1e-12))
    figure = "; ".join(f"{kind} {mean:+.4f} ± {se:.4f}" for kind, (mean, se, _) in known.items())
    figure += f" (bound {NULL_ERRORS:g} standard errors and {NULL_SIZE:g})"
    if any(is_off(*row) for row in known.values()):
        advice = f"Features of no meaning ({worst}) score: rows of test stories were seen."
        if not strict:
            advice = "A single story, or repeats, can do this by chance: read it with care."
        return made(2, where, "FAIL" if strict else "WARN", figure, advice)
    return made(2, where, "PASS", figure, "Features without a tie to the responses score nothing.")


def null_mean(values: Float64[np.ndarray, "draw"]) -> tuple[float, float]:
    """Mean of some draws and its standard error; NaN where there are fewer than two."""
    known = values[np.isfinite(values)]
    if known.size < 2:
        return math.nan, math.nan
    return float(known.mean()), float(known.std(ddof=1) / math.sqrt(known.size))


def is_off(mean: float, error: float, n_draws: int) -> bool:
    """Whether a null mean is too far from 0."""
    tail = float(scipy.stats.norm.sf(NULL_ERRORS))
    bound = float(scipy.stats.t.isf(tail, max(n_draws - 1, 1))) * error
    return abs(mean) > max(bound, NULL_SIZE)


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


def row_twin_diagnostic(
    where: str, best: Float[np.ndarray, "row"], beside: Float[np.ndarray, "row"]
) -> Diagnostic:
    """Number 1, by content: whether rows of test stories stand near rows that trained.

    FAIL where the row of a training story that is most like a test row is, on average, as
    like it as its own neighbours in time are (split rows of one recording), or where more than
    1 % of test rows are found again (correlation over targets above .99).

    Parameters
    ----------
    where : str
    best : float array, shape (row,)
        Largest correlation over targets with any training row.
    beside : float array, shape (row,)
        Correlation with the next row of its own story.
    """
    twin, neighbour = float(best.mean()), float(beside.mean())
    same = float((best > SAME_ROW).mean())
    figure = (
        f"most similar training row {twin:.2f}, own next row {neighbour:.2f}; "
        f"{same:.1%} of rows found again (bound 1%)"
    )
    if same > 0.01:
        advice = "Rows of test stories stand in training stories: find the copy."
        return made(1, where, "FAIL", figure, advice)
    if twin >= neighbour:
        advice = "Neighbours in time of test rows seem to have trained: was the split by rows?"
        return made(1, where, "FAIL", figure, advice)
    return made(1, where, "PASS", figure, "No test row has its neighbours among training rows.")
