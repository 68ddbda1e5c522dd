"""How much of a response repeats: signal power, explainable variance, noise ceiling."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
from jaxtyping import Bool, Float, Float64

from brainaligner.core import InputError, frozen_array
from brainaligner.evaluation._rows import target_blocks

Repeats = Float[np.ndarray, "_repeat _time _target"]

N_SE = 2.0
"""Standard errors from 0 within which a signal power counts as none, by convention."""
_FLAT = 1e-7  # relative standard deviation under which float32 values are one constant
_LEAST_BLOCKS = 4


@dataclass(frozen=True, eq=False)
class NoiseCeiling:
    """What repeats say about each target, and the best r that a model could reach.

    Parameters
    ----------
    n_repeats, n_rows : int
        Presentations, and the rows (TRs) of each.
    explainable_variance : float64 array, shape (target,)
        Share of a standardised single response that repeats; NaN where a repeat is constant.
    signal_power, signal_power_se, total_power : float64 arrays, shape (target,)
        In squared units of the responses.
    cc_max, cc_max_se : float64 arrays, shape (target,)
        Highest expected r of a prediction with the mean of these repeats. NaN where the
        signal power is within two standard errors of 0: there is nothing to predict.
    """

    n_repeats: int
    n_rows: int
    explainable_variance: Float64[np.ndarray, "target"]
    signal_power: Float64[np.ndarray, "target"]
    signal_power_se: Float64[np.ndarray, "target"]
    total_power: Float64[np.ndarray, "target"]
    cc_max: Float64[np.ndarray, "target"]
    cc_max_se: Float64[np.ndarray, "target"]

    def __post_init__(self) -> None:
        for name in per_target_fields():
            array = getattr(self, name)
            if array.shape != self.signal_power.shape:
                raise InputError(
                    f"noise ceiling, {name!r}",
                    got=f"shape {array.shape}",
                    wanted=str(self.signal_power.shape),
                    do="Build it with noise_ceiling.",
                )
            object.__setattr__(self, name, frozen_array(array))

    @property
    def n_targets(self) -> int:
        """Number of targets."""
        return len(self.signal_power)

    @property
    def has_signal(self) -> Bool[np.ndarray, "target"]:
        """Where the signal power can be told from none, and so a ceiling exists."""
        return np.isfinite(self.cc_max)


def per_target_fields() -> tuple[str, ...]:
    """Names of the arrays of a `NoiseCeiling`."""
    return tuple(field.name for field in fields(NoiseCeiling) if not field.name.startswith("n_"))


def noise_ceiling(repeats: Repeats, *, block_rows: int = 10) -> NoiseCeiling:
    r"""Signal power, explainable variance and noise ceiling of each target from N repeats.

    With :math:`R_n` the repeats, :math:`y` their mean and variances over time (ddof 0):

    .. math:: TP = \overline{Var(R_n)}, \qquad SP = \frac{N\,Var(y) - TP}{N - 1}, \qquad
              CC_{max} = \left[1 + \frac{1}{N}\left(\frac{TP}{SP} - 1\right)\right]^{-1/2}

    (Schoppe et al. 2016, Frontiers in Computational Neuroscience 10:10; signal power after
    Sahani & Linden 2003). Explainable variance (Huth et al. 2012, Neuron 76:1210) stands on
    repeats that are each standardised over time,

    .. math:: EV = e - \frac{1 - e}{N - 1}, \qquad e = 1 - \overline{Var(R_n - y)},

    which by algebra is SP / TP of standardised repeats; :func:`split_half_reliability` is
    the independent road. Nothing is clipped: a target without signal scatters around 0.

    Standard errors come from the scatter of blocks of consecutive rows, so they hold for
    autocorrelated noise and for as few as two repeats; that of the ceiling is linearised.
    Rows count as a sample of stories: where there is much signal, errors are wider than the
    spread over repeats of this one story.

    Simulated with 291 rows and lag-1 autocorrelation .5 in the noise, ten repeats give a
    ceiling to 1.5 % of targets without signal and to 92 % at SP = .05, with a bias under .005.
    Where the error is a large part of the signal power, those that pass are the lucky ones:
    at SP = .05 with five repeats the ceilings that are left are .07 too high.

    Parameters
    ----------
    repeats : float array, shape (repeat, time, target)
        The single presentations of one story. Read many targets as slices and put the
        results together with :func:`join_ceilings`.
    block_rows : int
        Shortest block behind the standard errors, in rows.

    Raises
    ------
    InputError
        If there are fewer than two repeats, fewer rows than four blocks, or a value that is
        not finite.
    """
    checked = _checked(repeats, least_rows=_LEAST_BLOCKS * _checked_block(block_rows))
    n_repeats, n_rows, n_targets = checked.shape
    out = np.empty((6, n_targets))
    edges = np.linspace(0, n_rows, n_rows // block_rows + 1).astype(np.int64)
    for targets in target_blocks(n_targets, n_repeats * n_rows):
        out[:, targets] = _ceiling_of(_centred(checked[:, :, targets]), edges)
    return NoiseCeiling(n_repeats, n_rows, *out)


def _ceiling_of(
    centred: Float64[np.ndarray, "repeat time target"], edges: np.ndarray
) -> Float64[np.ndarray, "statistic target"]:
    n = len(centred)
    mean = centred.mean(axis=0)
    total_at, mean_at = (centred**2).mean(axis=0), mean**2
    signal_at = (n * mean_at - total_at) / (n - 1)
    total, of_mean, signal = (rows.mean(axis=0) for rows in (total_at, mean_at, signal_at))
    signal_se = _block_error(signal_at, edges)
    seen = signal > N_SE * signal_se
    safe_signal, safe_mean = np.where(seen, signal, np.nan), np.where(seen, of_mean, np.nan)
    ceiling = 1 / np.sqrt(1 + (total / safe_signal - 1) / n)
    # CCmax^2 is SP / Var(y) by algebra, so its relative error is that of a ratio of means.
    influence = ceiling / 2 * (signal_at / safe_signal - mean_at / safe_mean)
    ceiling_se = np.where(seen, _block_error(influence, edges), np.nan)
    return np.stack([_explainable(centred), signal, signal_se, total, ceiling, ceiling_se])


def _explainable(centred: Float64[np.ndarray, "repeat time target"]) -> np.ndarray:
    n = len(centred)
    spread = np.sqrt((centred**2).mean(axis=1, keepdims=True))
    z = centred / np.where(spread > 0, spread, np.nan)
    raw = 1 - (z - z.mean(axis=0)).var(axis=1).mean(axis=0)
    return raw - (1 - raw) / (n - 1)


def _block_error(
    rows: Float64[np.ndarray, "time target"], edges: np.ndarray
) -> Float64[np.ndarray, "target"]:
    """Standard error of the mean over rows, from the scatter of block sums."""
    n_blocks = len(edges) - 1
    away = np.add.reduceat(rows - rows.mean(axis=0), edges[:-1], axis=0)
    return np.sqrt((away**2).sum(axis=0) * n_blocks / (n_blocks - 1)) / len(rows)


def _centred(repeats: Repeats) -> Float64[np.ndarray, "repeat time target"]:
    """float64, each repeat less its own mean; a constant becomes exact zeros."""
    values = repeats.astype(np.float64)
    level = values.mean(axis=1, keepdims=True)
    values -= level
    spread = np.sqrt((values**2).mean(axis=1, keepdims=True))
    return np.where(spread <= _FLAT * np.abs(level), 0.0, values)


def join_ceilings(parts: Sequence[NoiseCeiling]) -> NoiseCeiling:
    """Put the ceilings of consecutive slices of targets side by side.

    Raises
    ------
    InputError
        If there are none, or they stand on other numbers of repeats or rows.
    """
    shapes = {(part.n_repeats, part.n_rows) for part in parts}
    if len(shapes) != 1:
        raise InputError(
            "noise ceilings to join",
            got=f"{len(parts)} parts with (repeats, rows) {sorted(shapes)}",
            wanted="at least one, all of the same repeats",
            do="Join slices of the targets of one story.",
        )
    arrays = (
        np.concatenate([getattr(part, name) for part in parts]) for name in per_target_fields()
    )
    return NoiseCeiling(*shapes.pop(), *arrays)


def normalised_correlation(r: Float64[np.ndarray, "target"], ceiling: NoiseCeiling) -> float:
    """CCnorm over targets as a ratio of sums: ``sum r / sum CCmax``.

    Only targets that have both enter; a mean of ratios would be carried by the targets with
    the least signal. `r` must be that of the mean of the same repeats.

    Returns
    -------
    float
        NaN where no target has a ceiling.

    Raises
    ------
    InputError
        If there is not one r for each target of the ceiling.
    """
    if r.shape != ceiling.cc_max.shape:
        raise InputError(
            "normalised correlation",
            got=f"r of shape {r.shape}",
            wanted=f"{ceiling.cc_max.shape}, one for each target of the ceiling",
            do="Score the same targets that have repeats.",
        )
    both = ceiling.has_signal & np.isfinite(r)
    return float(r[both].sum() / ceiling.cc_max[both].sum()) if both.any() else float("nan")


def split_half_reliability(
    repeats: Repeats, *, n_splits: int = 10, seed: int = 0
) -> Float64[np.ndarray, "target"]:
    """Reliability of the mean of N repeats: halves correlated, stepped up by Spearman-Brown.

    ``r`` is Pearson's between the means of two disjoint random sets of ``h = N // 2`` repeats,
    averaged over splits; with ``k = N / h`` the reliability is ``k r / (1 + (k - 1) r)``. Its
    square root estimates CCmax without any of the sums that CCmax is made of.

    Parameters
    ----------
    repeats : float array, shape (repeat, time, target)
    n_splits : int
        Random divisions into halves.
    seed : int

    Returns
    -------
    float64 array, shape (target,)
        Negative where halves disagree; NaN where a half is constant.

    Raises
    ------
    InputError
        As :func:`noise_ceiling`, and if `n_splits` is under 1.
    """
    if n_splits < 1:
        raise InputError("n_splits", got=str(n_splits), wanted="1 or more", do="Ask for one.")
    checked = _checked(repeats, least_rows=2)
    n_repeats, n_rows, n_targets = checked.shape
    half = n_repeats // 2
    rng = np.random.default_rng(seed)
    orders = [rng.permutation(n_repeats) for _ in range(n_splits)]
    r = np.empty(n_targets)
    for targets in target_blocks(n_targets, n_repeats * n_rows):
        centred = _centred(checked[:, :, targets])
        halves = ((centred[o[:half]], centred[o[half : 2 * half]]) for o in orders)
        r[targets] = np.mean([_correlation(a.mean(0), b.mean(0)) for a, b in halves], axis=0)
    step = n_repeats / half
    return step * r / (1 + (step - 1) * r)


def _correlation(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    size = np.sqrt((a * a).sum(axis=0) * (b * b).sum(axis=0))
    return (a * b).sum(axis=0) / np.where(size > 0, size, np.nan)


def _checked_block(block_rows: int) -> int:
    if block_rows < 1:
        raise InputError(
            "block_rows", got=str(block_rows), wanted="1 or more", do="Give a number of rows."
        )
    return block_rows


def _checked(repeats: np.ndarray, *, least_rows: int) -> np.ndarray:
    short = repeats.ndim != 3 or len(repeats) < 2 or repeats.shape[1] < least_rows
    if short or repeats.shape[2] < 1:
        raise InputError(
            "repeats",
            got=f"an array of shape {repeats.shape}",
            wanted=f"(repeat, time, target) with 2 repeats and {least_rows} rows or more",
            do="Give the single presentations of one story, not their mean.",
        )
    if not np.issubdtype(repeats.dtype, np.floating) or not np.isfinite(repeats).all():
        raise InputError(
            "repeats",
            got=f"{repeats.dtype} values, some of them not finite numbers",
            wanted="finite floating-point values",
            do="Replace NaN and infinite values, as readers do.",
        )
    return repeats
