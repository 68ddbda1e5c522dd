"""Scores of a repeated story beside what its noise allows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from brainaligner.core import InputError, Scores
from brainaligner.evaluation._repeats import NoiseCeiling, normalised_correlation


@dataclass(frozen=True)
class CeilingSummary:
    """Noise ceilings over the targets of one subject, and how near an arm comes to them.

    Parameters
    ----------
    n_repeats, n_rows : int
        Presentations, and the rows of each that entered.
    n_targets, n_with_ceiling : int
        All targets, and those whose signal power can be told from none.
    explainable_variance : float
        Mean over targets where it is defined, with signal or not; NaN where there are none.
    cc_max : float
        Mean over the targets that have a ceiling.
    cc_norm : float
        ``sum r / sum CCmax`` over targets with both.
    """

    n_repeats: int
    n_rows: int
    n_targets: int
    n_with_ceiling: int
    explainable_variance: float
    cc_max: float
    cc_norm: float

    @property
    def share(self) -> float:
        """Share of targets that have a ceiling."""
        return self.n_with_ceiling / self.n_targets


def ceiling_summary(scores: Scores, ceiling: NoiseCeiling) -> CeilingSummary:
    """Put scores of a repeated story beside the ceilings of the same rows.

    Parameters
    ----------
    scores : Scores
        Of the mean of the repeats.
    ceiling : NoiseCeiling
        Of those repeats, with the same rows cut.

    Raises
    ------
    InputError
        If the scores are of single presentations, or of other targets or rows.
    """
    of_scores = (scores.group.presentations, scores.n_rows, scores.space.size)
    of_ceiling = ("repeated", ceiling.n_rows, ceiling.n_targets)
    if of_scores != of_ceiling:
        raise InputError(
            f"ceiling of {scores.subject} for {scores.group.name!r}",
            got="scores of {} presentations, {} rows, {} targets".format(*of_scores),
            wanted="{} presentations, {} rows, {} targets".format(*of_ceiling),
            do="Measure the ceiling on the rows and targets that were scored.",
        )
    return CeilingSummary(
        ceiling.n_repeats,
        ceiling.n_rows,
        ceiling.n_targets,
        int(ceiling.has_signal.sum()),
        _mean(ceiling.explainable_variance),
        _mean(ceiling.cc_max),
        normalised_correlation(scores.r, ceiling),
    )


def _mean(values: Float64[np.ndarray, "target"]) -> float:
    known = values[np.isfinite(values)]
    return float(known.mean()) if known.size else float("nan")
