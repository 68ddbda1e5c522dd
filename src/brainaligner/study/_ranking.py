"""Variants of a study in the order of their scores on validation stories."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

Stories = Mapping[str, float]
"""Mean r of each validation story, over targets and subjects."""


@dataclass(frozen=True)
class Ranked:
    """One variant of one arm.

    Parameters
    ----------
    arm : str
    rank : int
        1 is the highest mean r.
    variant : int
        Position among the variants.
    mean, low, high : float
        Mean r over stories, and its 95 % interval (Student's t over stories).
    difference, difference_low, difference_high : float
        Paired difference from the first of the rank; NaN where the stories are others.
    n_stories : int
    """

    arm: str
    rank: int
    variant: int
    mean: float
    low: float
    high: float
    difference: float
    difference_low: float
    difference_high: float
    n_stories: int


def ranking(runs: Sequence[Mapping[str, Any]]) -> tuple[Ranked, ...]:
    """Rank variants, arm by arm, by the mean over validation stories.

    Arms that score alike in all variants are left out, unless all arms do.

    Parameters
    ----------
    runs : sequence of mapping
        What run.json of each variant holds.
    """
    scores = [arm_stories(run) for run in runs]
    arms = list(dict.fromkeys(arm for found in scores for arm in found))
    moved = [arm for arm in arms if _differs([found.get(arm) for found in scores])]
    return tuple(
        one
        for arm in moved or arms
        for one in _ranked(arm, {i: found[arm] for i, found in enumerate(scores) if arm in found})
    )


def arm_stories(run: Mapping[str, Any]) -> dict[str, Stories]:
    """Validation scores of a run: each arm's mean over subjects of each story, fewest rows cut."""
    foresight = run.get("foresight", {})
    rows = [
        row
        for row in foresight.get("validation_stories", ())
        if row["rows_cut"] == foresight["rows_cut"]
    ]
    values: dict[str, dict[str, list[float]]] = {}
    for row in rows:
        for story, r in row["r"].items():
            if r is not None:
                values.setdefault(row["arm"], {}).setdefault(story, []).append(r)
    return {
        arm: {story: float(np.mean(found)) for story, found in stories.items()}
        for arm, stories in values.items()
    }


def _differs(found: Sequence[Stories | None]) -> bool:
    return any(one != found[0] for one in found)


def _ranked(arm: str, variants: Mapping[int, Stories]) -> list[Ranked]:
    means = {i: t_interval(list(stories.values())) for i, stories in variants.items()}
    order = sorted(variants, key=lambda i: -means[i][0])
    first = variants[order[0]]
    return [
        Ranked(arm, place, i, *means[i], *_paired(variants[i], first), len(variants[i]))
        for place, i in enumerate(order, start=1)
    ]


def _paired(stories: Stories, first: Stories) -> tuple[float, float, float]:
    if set(stories) != set(first):
        return (math.nan,) * 3
    return t_interval([stories[story] - first[story] for story in first])


def t_interval(values: Sequence[float], *, level: float = 0.95) -> tuple[float, float, float]:
    """Mean of some values with the ends of its interval by Student's t; NaN ends of one value."""
    from scipy.stats import t

    if len(values) < 2:
        return float(np.mean(values)), math.nan, math.nan
    mean, error = float(np.mean(values)), float(np.std(values, ddof=1) / math.sqrt(len(values)))
    reach = float(t.ppf((1 + level) / 2, len(values) - 1)) * error
    return mean, mean - reach, mean + reach
