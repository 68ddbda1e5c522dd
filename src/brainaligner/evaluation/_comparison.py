"""What comes of comparing an arm with a reference on the same stories."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Literal

import numpy as np
from jaxtyping import Float64

from brainaligner.core import InputError, frozen_array, settle_types
from brainaligner.evaluation._intervals import Interval

Direction = Literal["better", "worse", "undecided"]
EquivalenceVerdict = Literal["equivalent", "not shown", "not tested"]


@dataclass(frozen=True)
class ComparisonSettings:
    """Settings of a comparison, fixed before scores are looked at.

    Parameters
    ----------
    margin : float
        Largest difference that counts as none, as a share of the reference's mean r.
    alpha : float
        Level of the equivalence test, of false discoveries over targets, and of the test
        that the smallest detectable difference is about.
    power : float
        Of that test.

    Raises
    ------
    InputError
        If a value does not lie within (0, 1).
    """

    margin: float = 0.02
    alpha: float = 0.05
    power: float = 0.8

    def __post_init__(self) -> None:
        settle_types(self, where="comparison settings")
        for field in fields(self):
            value = getattr(self, field.name)
            if not 0 < value < 1:
                raise InputError(
                    f"comparison setting {field.name!r}",
                    got=repr(value),
                    wanted="a number between 0 and 1, such as 0.02",
                    do="Correct it in the study's comparison settings.",
                )
        if self.power <= self.alpha:
            raise InputError(
                "comparison setting 'power'",
                got=repr(self.power),
                wanted=f"more than alpha ({self.alpha})",
                do="Use .8: a test rejects at its level without any difference.",
            )


@dataclass(frozen=True)
class Equivalence:
    """Two one-sided tests of a difference against a margin.

    Parameters
    ----------
    margin : float
        In r; the share of the reference's mean, which is taken as known.
    p : float
        The larger p of both tests; NaN where nothing could be tested, 0 or 1 where the
        difference is the same in every unit.
    verdict : {"equivalent", "not shown", "not tested"}
        ``"not tested"`` where there are too few units, or the reference's mean r is not above 0.
    """

    margin: float
    p: float
    verdict: EquivalenceVerdict


@dataclass(frozen=True, eq=False)
class TargetTests:
    """A two-sided paired test of each target.

    Parameters
    ----------
    difference : float64 array, shape (target,)
        r of the arm less r of the reference; NaN where either has none.
    p : float64 array, shape (target,)
        NaN where nothing could be tested.
    q_bh, q_by : float64 arrays, shape (target,)
        Adjusted by Benjamini and Hochberg, and by Benjamini and Yekutieli.
    """

    difference: Float64[np.ndarray, "target"]
    p: Float64[np.ndarray, "target"]
    q_bh: Float64[np.ndarray, "target"]
    q_by: Float64[np.ndarray, "target"]

    def __post_init__(self) -> None:
        for field in fields(self):
            object.__setattr__(self, field.name, frozen_array(getattr(self, field.name)))

    def __repr__(self) -> str:
        tested = int(np.isfinite(self.p).sum())
        return f"TargetTests({self.p.size} targets, {tested} tested)"

    def shares(self, alpha: float, *, under_any_dependence: bool = False) -> tuple[float, float]:
        """Shares of tested targets that are better and worse; NaN where none was tested."""
        q = self.q_by if under_any_dependence else self.q_bh
        tested = np.isfinite(q)
        if not tested.any():
            return float("nan"), float("nan")
        found = q[tested] <= alpha
        above = self.difference[tested] > 0
        return float((found & above).mean()), float((found & ~above).mean())


@dataclass(frozen=True, eq=False)
class Comparison:
    """An arm less the reference, in one subject, on the same stories with the same draws.

    Parameters
    ----------
    reference, arm : str
    n_targets : int
        Targets with an r in all arms that were compared, over which means are taken.
    n_left_out : int
        Targets that lack an r in some arm.
    reference_mean, mean : float
        Mean r over targets; the mean of it over seeds where there are several.
    difference : float
        ``mean - reference_mean``.
    interval : Interval
        Of the difference. It takes fitted models and seeds as they are.
    standard_error : float
    unit_sd : float
        Spread of paired differences between units, ``standard_error * sqrt(n_units)``.
    detectable : float
        Smallest true difference that such a test finds with the wanted power.
    equivalence : Equivalence
    targets : TargetTests
    seed_means, reference_seed_means : tuple of float
        Mean r of each seed.
    """

    reference: str
    arm: str
    n_targets: int
    n_left_out: int
    reference_mean: float
    mean: float
    difference: float
    interval: Interval
    standard_error: float
    unit_sd: float
    detectable: float
    equivalence: Equivalence
    targets: TargetTests
    seed_means: tuple[float, ...]
    reference_seed_means: tuple[float, ...]

    @property
    def direction(self) -> Direction:
        """What the interval says; ``"undecided"`` where it holds 0 or there is none."""
        if self.interval.low > 0:
            return "better"
        return "worse" if self.interval.high < 0 else "undecided"


@dataclass(frozen=True)
class Replication:
    """In how many subjects a comparison came out alike; no p for a population of people.

    Parameters
    ----------
    n_subjects, n_better, n_worse, n_equivalent : int
    n_above : int
        Subjects with a difference above 0, whatever their interval.
    """

    n_subjects: int
    n_better: int
    n_worse: int
    n_equivalent: int
    n_above: int


def replication(subjects: Sequence[Comparison]) -> Replication:
    """Count subjects by what their comparison says.

    Raises
    ------
    InputError
        If they are comparisons of different arms.
    """
    names = {(one.reference, one.arm) for one in subjects}
    if len(names) != 1:
        raise InputError(
            "replication",
            got=f"comparisons of {len(names)} pairs of arms",
            wanted="one comparison of the same two arms for each subject",
            do="Count each pair of arms by itself.",
        )
    directions = [one.direction for one in subjects]
    equal = [one.equivalence.verdict == "equivalent" for one in subjects]
    above = [one.difference > 0 for one in subjects]
    better, worse = directions.count("better"), directions.count("worse")
    return Replication(len(subjects), better, worse, sum(equal), sum(above))
