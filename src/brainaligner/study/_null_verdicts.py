"""Number 2 of the diagnostics: verdicts on nulls, draws averaged over subjects first."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
from jaxtyping import Float64

from brainaligner.evaluation import crossed_kinds, null_diagnostic
from brainaligner.study._judged import Judged, judged
from brainaligner.study._null_stage import NullDraws
from brainaligner.study._plan import Plan
from brainaligner.study._store import Recipe

Again = Callable[[tuple[str, ...]], tuple[Mapping[str, NullDraws], Sequence[Recipe]]]
"""Draws some kinds again in every subject, and says by what recipes."""


def is_strict(plan: Plan, name: str) -> bool:
    """Whether nulls of a group have to be 0: stories heard once, and held out."""
    division = plan.prepared.division
    groups = [group for own in division.groups.values() for group in own if group.name == name]
    label = next(iter(division.splits.values())).label
    single = all(group.presentations == "single" for group in groups)
    return single and label == "held-out stories"


def null_verdicts(
    plan: Plan,
    what: str,
    draws: Mapping[str, NullDraws],
    recipes: Sequence[Recipe],
    again: Again,
) -> Iterator[Judged]:
    """Number 2 for each group of stories.

    Parameters
    ----------
    plan : Plan
    what : str
        Arm, and how its nulls were made.
    draws : mapping of subject to NullDraws
    recipes : sequence of Recipe
    again : callable
        Asked for fresh draws of the kinds that are off.
    """
    for name in dict.fromkeys(group for found in draws.values() for group in found):
        found = _of_group(draws, name)
        crossed = crossed_kinds(found)
        more, of_more = again(crossed) if crossed else ({}, ())
        verdict = null_diagnostic(
            f"{what}, {name}", found, strict=is_strict(plan, name), again=_of_group(more, name)
        )
        yield judged(verdict, (*recipes, *of_more))


def _of_group(draws: Mapping[str, NullDraws], name: str) -> dict[str, Float64[np.ndarray, "draw"]]:
    return over_subjects([by_group[name] for by_group in draws.values() if name in by_group])


def over_subjects(
    found: Sequence[Mapping[str, Float64[np.ndarray, "draw"]]],
) -> dict[str, Float64[np.ndarray, "draw"]]:
    """Mean over subjects of each draw, by kind."""
    kinds = dict.fromkeys(kind for draws in found for kind in draws)
    return {k: np.mean([draws[k] for draws in found if k in draws], axis=0) for k in kinds}
