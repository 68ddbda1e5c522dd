"""Scores of regions of interest: what a named set of targets scores on average."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int

from brainaligner.core import InputError, Scores


@dataclass(frozen=True)
class RegionMean:
    """Mean r of one region.

    Parameters
    ----------
    region : str
    mean : float
        Over scored targets; NaN where there are none.
    n_targets, n_scored : int
        All targets of the region, and those with a finite r.
    """

    region: str
    mean: float
    n_targets: int
    n_scored: int


def region_means(
    scores: Scores, regions: Mapping[str, Int[np.ndarray, "_column"]]
) -> tuple[RegionMean, ...]:
    """Mean r per region, in the order of `regions`; a region without targets stays listed.

    Parameters
    ----------
    scores : Scores
    regions : mapping of name to int array, shape (column,)
        The targets of each region. Regions may overlap.

    Raises
    ------
    InputError
        If a column is not a target of these scores, or stands twice in a region.
    """
    return tuple(_region_mean(scores, name, columns) for name, columns in regions.items())


def _region_mean(scores: Scores, name: str, columns: np.ndarray) -> RegionMean:
    outside = columns[(columns < 0) | (columns >= scores.space.size)]
    if outside.size or np.unique(columns).size < columns.size:
        raise InputError(
            f"region {name!r}",
            got=f"column {outside[0]}" if outside.size else "a column that stands twice",
            wanted=f"each column once, from 0 to {scores.space.size - 1}",
            do="Read the regions with the geometry of this subject.",
        )
    r = scores.r[columns]
    scored = r[np.isfinite(r)]
    mean = float(scored.mean()) if scored.size else float("nan")
    return RegionMean(name, mean, len(columns), len(scored))
