"""Scores of regions of interest: what a named set of targets scores."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int

from brainaligner.core import InputError, Scores
from brainaligner.evaluation._intervals import Interval, interval_from_moments, resampling_moments
from brainaligner.evaluation._moments import Moments
from brainaligner.evaluation._settings import EvaluationSettings
from brainaligner.evaluation._summary import ScoreBase, StoryRows, group_rows

Regions = Mapping[str, Int[np.ndarray, "_column"]]


@dataclass(frozen=True)
class RegionScore:
    """What one region scores.

    Parameters
    ----------
    region : str
    n_targets, n_scored : int
        All targets of the region, and those with a finite r. A region that a subject lacks
        has 0.
    mean, median : float
        Of r over scored targets; NaN where there are none.
    interval : Interval
        For the mean, from the units and draws of the interval over all targets.
    """

    region: str
    n_targets: int
    n_scored: int
    mean: float
    median: float
    interval: Interval


def region_scores(
    predictions: StoryRows,
    responses: StoryRows,
    regions: Regions,
    *,
    scores: Scores,
    settings: EvaluationSettings,
) -> tuple[RegionScore, ...]:
    """Mean and median r per region, in the order of `regions`; an empty region stays listed.

    Parameters
    ----------
    predictions, responses : mappings of story to float array, shape (time, target)
        What `scores` were made of; for the intervals.
    regions : mapping of name to int array, shape (column,)
        The targets of each region. Regions may overlap.
    scores : Scores
    settings : EvaluationSettings
        Those that `scores` were made with.

    Raises
    ------
    InputError
        If a column is not a target of these scores, or stands twice in a region; also as
        :func:`score_group`.
    """
    for name, columns in regions.items():
        _check_columns(name, columns, scores.space.size)
    base = ScoreBase(scores.subject, scores.group, scores.space, scores.rows_cut, scores.label)
    moments = resampling_moments(*group_rows(predictions, responses, base))
    return tuple(
        _region_score(scores, name, columns, moments, settings) for name, columns in regions.items()
    )


def _check_columns(name: str, columns: np.ndarray, size: int) -> None:
    outside = columns[(columns < 0) | (columns >= size)]
    if outside.size or np.unique(columns).size < columns.size:
        raise InputError(
            f"region {name!r}",
            got=f"column {outside[0]}" if outside.size else "a column that stands twice",
            wanted=f"each column once, from 0 to {size - 1}",
            do="Read the regions with the geometry of this subject.",
        )


def _region_score(
    scores: Scores,
    name: str,
    columns: np.ndarray,
    moments: Moments,
    settings: EvaluationSettings,
) -> RegionScore:
    r = scores.r[columns]
    scored = columns[np.isfinite(r)]
    if not scored.size:
        none = _no_interval(moments, settings.level)
        return RegionScore(name, len(columns), 0, float("nan"), float("nan"), none)
    interval = interval_from_moments(
        _of_targets(moments, scored),
        seed=settings.seed,
        n_draws=settings.n_bootstrap,
        level=settings.level,
    )
    values = scores.r[scored]
    mean, median = float(values.mean()), float(np.median(values))
    return RegionScore(name, len(columns), len(scored), mean, median, interval)


def _no_interval(moments: Moments, level: float) -> Interval:
    nan, conditional = float("nan"), moments.kind == "block"
    return Interval(nan, nan, level, "no scored target", moments.n_units, conditional)


def _of_targets(moments: Moments, columns: np.ndarray) -> Moments:
    sums = (getattr(moments, name)[:, columns] for name in ("p", "y", "pp", "yy", "py"))
    return Moments(moments.kind, moments.story, moments.n, *sums)
