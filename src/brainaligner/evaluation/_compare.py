"""Arms against a reference arm on the same stories, with the same draws for all."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float64

from brainaligner.core import InputError
from brainaligner.evaluation._blocks import block_length
from brainaligner.evaluation._compare_targets import target_tests
from brainaligner.evaluation._comparison import (
    Comparison,
    ComparisonSettings,
    Equivalence,
)
from brainaligner.evaluation._detectable import detectable_difference
from brainaligner.evaluation._intervals import (
    FEWEST_STORIES,
    METHODS,
    Influenced,
    Interval,
    Studentised,
    draw_weights,
    mean_and_influence,
    studentised,
    too_few_units,
)
from brainaligner.evaluation._moments import (
    Moments,
    block_moments,
    correlation_from_moments,
    story_moments,
)
from brainaligner.evaluation._rows import Rows
from brainaligner.evaluation._settings import EvaluationSettings

Sides = Callable[[], tuple[Sequence[Rows], Sequence[Rows]]]
Seeds = Sequence[Moments]
_NO_SPREAD = 1e-12


def paired_moments(arms: Sequence[Sides], *, cut: int = 0) -> tuple[Moments, ...]:
    """Moments of several arms on the same units: stories where there are 8 or more, else blocks.

    Blocks are as long as the longest that :func:`block_length` asks for in any of the arms.

    Parameters
    ----------
    arms : sequence of callables
        Each returns predictions and responses, one array (time, target) of each per story. They
        are called one after the other, so that one arm at a time is in memory; twice where
        there are fewer than 8 stories.
    cut : int
        Rows dropped at each end of each story first.

    Raises
    ------
    InputError
        If there is no arm, or predictions and responses do not fit each other.
    """
    if not arms:
        raise InputError("arms to compare", got="none", wanted="two or more", do="Name two arms.")
    predictions, responses = arms[0]()
    if len(responses) >= FEWEST_STORIES:
        first = story_moments(predictions, responses, cut=cut)
        del predictions, responses
        return (first, *(story_moments(*sides(), cut=cut) for sides in arms[1:]))
    del predictions, responses
    rows = max(block_length(*sides(), cut=cut) for sides in arms)
    return tuple(block_moments(*sides(), block_rows=rows, cut=cut) for sides in arms)


def compare_arms(
    arms: Mapping[str, Seeds],
    *,
    settings: ComparisonSettings | None = None,
    evaluation: EvaluationSettings | None = None,
) -> tuple[Comparison, ...]:
    """Compare arms with the first of them, in one subject.

    Means are taken over the targets that have an r in every arm. The interval is the
    studentised bootstrap of :func:`mean_interval`, of the difference of two means: the same
    stories (or blocks, where stories are fewer than 8) are drawn for all arms. Equivalence is
    two one-sided tests by the same draws: with ``t*`` of the draws and margin m,
    ``p = max(P(t* >= (d + m) / SE), P(t* <= (d - m) / SE))`` (Schuirmann 1987, J.
    Pharmacokinet. Biopharm. 15:657), so that ``p <= alpha`` is an interval of coverage
    ``1 - 2 alpha`` inside the margin. A difference that is the same in every unit, such as that
    of an arm from itself, has no draws to count: p is 0 inside the margin and 1 elsewhere.

    Parameters
    ----------
    arms : mapping of arm to sequence of Moments
        One for each seed, from :func:`paired_moments`; the first arm is the reference.
    settings : ComparisonSettings, optional
    evaluation : EvaluationSettings, optional
        Of which `n_bootstrap`, `level` and `seed` are read.

    Returns
    -------
    tuple of Comparison
        One for each arm but the first.

    Raises
    ------
    InputError
        If there are fewer than two arms, or they do not stand on the same rows.
    """
    settings, evaluation = settings or ComparisonSettings(), evaluation or EvaluationSettings()
    _check_arms(arms)
    scored = _scored_everywhere(arms)
    resampled = {name: _Resampled.of(seeds, scored, evaluation) for name, seeds in arms.items()}
    name, *others = arms
    pairs = [_Pair((name, other), arms, resampled, settings, evaluation.level) for other in others]
    return tuple(pair.compare(scored) for pair in pairs)


@dataclass(frozen=True, eq=False)
class _Resampled:
    """Mean r of an arm, averaged over seeds, as it is and in each draw."""

    units: Moments
    weights: Float64[np.ndarray, "draw unit"]
    once: Influenced
    drawn: Influenced
    seed_means: tuple[float, ...]

    @classmethod
    def of(
        cls, seeds: Seeds, scored: Bool[np.ndarray, "target"], evaluation: EvaluationSettings
    ) -> _Resampled:
        units = seeds[0]
        count = np.ones((1, units.n_units))
        weights = draw_weights(units, n_draws=evaluation.n_bootstrap, seed=evaluation.seed)
        kept = [_some_targets(moments, scored) for moments in seeds]
        once = [mean_and_influence(moments, count) for moments in kept]
        drawn = [] if too_few_units(units) else [mean_and_influence(m, weights) for m in kept]
        means = tuple(float(mean[0]) for mean, _ in once)
        return cls(units, weights, _average(once), _average(drawn or once), means)


@dataclass(frozen=True, eq=False)
class _Pair:
    """A reference and an arm, about to be compared."""

    names: tuple[str, str]
    arms: Mapping[str, Seeds]
    resampled: Mapping[str, _Resampled]
    settings: ComparisonSettings
    level: float

    def compare(self, scored: Bool[np.ndarray, "target"]) -> Comparison:
        reference, arm = (self.resampled[name] for name in self.names)
        units, lacking = arm.units, too_few_units(arm.units)
        found = _studentised_difference(reference, arm, lacking)
        reference_mean, mean = float(reference.once[0][0]), float(arm.once[0][0])
        unit_sd = found.error * float(np.sqrt(units.n_units))
        return Comparison(
            *self.names,
            n_targets=int(scored.sum()),
            n_left_out=int((~scored).sum()),
            reference_mean=reference_mean,
            mean=mean,
            difference=mean - reference_mean,
            interval=_interval(units, found, self.level),
            standard_error=found.error,
            unit_sd=unit_sd,
            detectable=self._detectable(unit_sd, units.n_units),
            equivalence=_equivalence(found, self.settings.margin * reference_mean, self.settings),
            targets=target_tests(*(self.arms[name] for name in self.names)),
            seed_means=arm.seed_means,
            reference_seed_means=reference.seed_means,
        )

    def _detectable(self, unit_sd: float, n_units: int) -> float:
        if np.isnan(unit_sd):
            return float("nan")
        power, alpha = self.settings.power, self.settings.alpha
        return detectable_difference(unit_sd, n_units, power=power, alpha=alpha)


def _average(seeds: Sequence[Influenced]) -> Influenced:
    mean, influence = (np.mean([one[i] for one in seeds], axis=0) for i in (0, 1))
    return mean, influence


def _studentised_difference(reference: _Resampled, arm: _Resampled, lacking: str) -> Studentised:
    if lacking:
        difference = float(arm.once[0][0] - reference.once[0][0])
        return Studentised(difference, float("nan"), np.empty(0))
    once, drawn = (
        (new[0] - old[0], new[1] - old[1])
        for new, old in ((arm.once, reference.once), (arm.drawn, reference.drawn))
    )
    return studentised(arm.units, arm.weights, once, drawn)


def _interval(units: Moments, found: Studentised, level: float) -> Interval:
    conditional, method = units.kind == "block", METHODS[units.kind]
    low, high = found.ends(level)
    if found.error <= _NO_SPREAD:
        low, high, method = found.estimate, found.estimate, "the same in every unit"
    return Interval(low, high, level, too_few_units(units) or method, units.n_units, conditional)


def _equivalence(found: Studentised, margin: float, settings: ComparisonSettings) -> Equivalence:
    if not margin > 0 or np.isnan(found.error):
        return Equivalence(margin, float("nan"), "not tested")
    p = tost_p(found, margin)
    if np.isnan(p):
        return Equivalence(margin, p, "not tested")
    return Equivalence(margin, p, "equivalent" if p <= settings.alpha else "not shown")


def tost_p(found: Studentised, margin: float) -> float:
    """Return the larger p of two one-sided tests, by the m draws: ``(b + 1) / (m + 1)`` each.

    Without spread between units nothing is left to chance: 0 inside the margin, 1 elsewhere.
    """
    if found.error <= _NO_SPREAD:
        return 0.0 if abs(found.estimate) < margin else 1.0
    if not found.t.size:
        return float("nan")
    above = np.count_nonzero(found.t >= (found.estimate + margin) / found.error)
    below = np.count_nonzero(found.t <= (found.estimate - margin) / found.error)
    return (max(above, below) + 1) / (len(found.t) + 1)


def _scored_everywhere(arms: Mapping[str, Seeds]) -> Bool[np.ndarray, "target"]:
    every = [correlation_from_moments(moments) for seeds in arms.values() for moments in seeds]
    return np.asarray(np.isfinite(every).all(axis=0))


def _some_targets(moments: Moments, kept: Bool[np.ndarray, "target"]) -> Moments:
    if kept.all():
        return moments
    sums = {name: getattr(moments, name)[:, kept] for name in ("p", "y", "pp", "yy", "py")}
    return replace(moments, **sums)


def _check_arms(arms: Mapping[str, Seeds]) -> None:
    if len(arms) < 2 or not all(len(seeds) for seeds in arms.values()):
        raise InputError(
            "arms to compare",
            got=f"{sum(map(bool, arms.values()))} with results",
            wanted="two or more, each with at least one seed",
            do="Name a reference and another arm.",
        )
    first, *others = [moments for seeds in arms.values() for moments in seeds]
    for other in others:
        if not _same_rows(first, other):
            raise InputError(
                "arms to compare",
                got="moments of different stories, rows or responses",
                wanted="the same stories, rows and responses in every arm",
                do="Make the moments of all arms together, with paired_moments.",
            )


def _same_rows(one: Moments, other: Moments) -> bool:
    if one.kind != other.kind or one.y.shape != other.y.shape:
        return False
    same = np.array_equal(one.n, other.n) and np.array_equal(one.story, other.story)
    return same and bool(np.allclose(one.yy, other.yy, rtol=1e-9, atol=0))
