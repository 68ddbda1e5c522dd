"""Scores of one arm on one base, with the numbers that belong beside them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float64

from brainaligner.core import (
    InputError,
    Scores,
    Space,
    StoryGroup,
    Witness,
    no_witness,
    unknown_name,
)
from brainaligner.evaluation._groups import check_group
from brainaligner.evaluation._intervals import Interval, interval_from_moments, resampling_moments
from brainaligner.evaluation._moments import correlation_from_moments
from brainaligner.evaluation._rows import Rows, paired_rows
from brainaligner.evaluation._settings import EvaluationSettings
from brainaligner.evaluation._shift_null import ShiftNull, share_above, shift_null

QUANTILES = (0.05, 0.25, 0.75, 0.95, 0.99, 1.0)
StoryRows = Mapping[str, Float[np.ndarray, "_time _target"]]


@dataclass(frozen=True)
class ScoreBase:
    """What scores stand on. Two arms can be compared where all of it is the same.

    Parameters
    ----------
    subject : str
    group : StoryGroup
    space : Space
    rows_cut : int
        Rows dropped at each end of each story.
    label : str
        ``"held-out stories"`` or ``"within one story"``: the split's own.
    """

    subject: str
    group: StoryGroup
    space: Space
    rows_cut: int = 0
    label: str = "held-out stories"


@dataclass(frozen=True)
class Summary:
    """One line of a table of results: numbers, and what they are numbers of.

    Parameters
    ----------
    arm, subject, group, label : str
    presentations : {"single", "repeated"}
    space_kind : str
        What a target is: ``"voxels"``, ``"components"``, ...
    rows_cut, n_stories, n_rows : int
        Rows dropped at each end of each story; stories; rows that entered.
    n_targets, n_scored : int
        All targets, and those with a finite r.
    mean, median, skew : float
        Over scored targets; NaN where there are none. ``skew = mean(d^3) / mean(d^2)^1.5``.
    quantiles : tuple of float
        At ``QUANTILES``: .05 .25 .75 .95 .99, and the largest.
    interval : Interval
        For the mean.
    share_above_null : float
        Share of scored targets above the 95 % quantile of their own circular-shift null.
    null_mean, null_sd : float
        Mean and standard deviation, over shifts, of the mean r over targets.
    """

    arm: str
    subject: str
    group: str
    presentations: str
    label: str
    space_kind: str
    rows_cut: int
    n_stories: int
    n_rows: int
    n_targets: int
    n_scored: int
    mean: float
    median: float
    skew: float
    quantiles: tuple[float, ...]
    interval: Interval
    share_above_null: float
    null_mean: float
    null_sd: float


def score_group(
    predictions: StoryRows,
    responses: StoryRows,
    presentations: Mapping[str, int],
    *,
    arm: str,
    base: ScoreBase,
    settings: EvaluationSettings,
    witness: Witness = no_witness,
) -> tuple[Scores, Summary]:
    """Score one arm on one group of stories: r of each target, and its summary.

    Parameters
    ----------
    predictions, responses : mappings of story to float array, shape (time, target)
        At least the stories of the group; whole stories, or their scored rows from
        :func:`join_pieces`. Nothing is cut yet.
    presentations : mapping of story to int
        How many presentations each story's responses average.
    arm : str
    base : ScoreBase
    settings : EvaluationSettings
        `cuts` is not read here: the cut is ``base.rows_cut``.
    witness : Witness
        Shown the rows that are scored, after the cut, in the roles ``"score"`` (responses) and
        ``"predicted"``.

    Returns
    -------
    (Scores, Summary)

    Raises
    ------
    InputError
        If the group mixes single-presentation and repeated stories, a story is missing on
        either side, shapes differ, a value is not finite, or a cut leaves too few rows.
    """
    check_group(base.group, presentations)
    p, y = group_rows(predictions, responses, base)
    for story, predicted, measured in zip(base.group.stories, p, y, strict=True):
        place = f"{base.group.name}/cut{base.rows_cut}/{story}"
        witness("predicted/responses", place, predicted, 0)
        witness("score/responses", place, measured, 0)
    moments = resampling_moments(p, y)
    r = correlation_from_moments(moments)
    null = shift_null(
        p, y, n_draws=settings.n_shifts, min_shift=settings.min_shift, seed=settings.seed
    )
    interval = interval_from_moments(
        moments, seed=settings.seed, n_draws=settings.n_bootstrap, level=settings.level
    )
    n_rows = sum(len(rows) for rows in p)
    scores = Scores(arm, base.subject, base.group, base.space, r, n_rows, base.rows_cut, base.label)
    return scores, _summary(scores, interval, null)


def group_rows(
    predictions: StoryRows, responses: StoryRows, base: ScoreBase
) -> tuple[tuple[Rows, ...], tuple[Rows, ...]]:
    """Rows of each story of a group on both sides, cut as the base says.

    Raises
    ------
    InputError
        If a story is missing, shapes differ, a value is not finite, or too few rows are left.
    """
    stories = base.group.stories
    for side, rows in (("predictions", predictions), ("responses", responses)):
        for story in stories:
            if story not in rows:
                raise unknown_name(f"{side} of {base.subject}", "story", story, rows)
            if rows[story].shape[1:] != (base.space.size,):
                raise InputError(
                    f"{side} of {base.subject} for {story!r}",
                    got=f"shape {rows[story].shape}",
                    wanted=f"(time, {base.space.size}), one column for each target",
                    do="Use the space that belongs to these columns.",
                )
    return paired_rows(
        [predictions[story] for story in stories],
        [responses[story] for story in stories],
        cut=base.rows_cut,
    )


def _summary(scores: Scores, interval: Interval, null: ShiftNull) -> Summary:
    r = scores.r[np.isfinite(scores.r)]
    mean, median, skew, *quantiles = _shape(r)
    return Summary(
        arm=scores.arm,
        subject=scores.subject,
        group=scores.group.name,
        presentations=scores.group.presentations,
        label=scores.label,
        space_kind=scores.space.kind,
        rows_cut=scores.rows_cut,
        n_stories=len(scores.group.stories),
        n_rows=scores.n_rows,
        n_targets=len(scores.r),
        n_scored=len(r),
        mean=mean,
        median=median,
        skew=skew,
        quantiles=tuple(quantiles),
        interval=interval,
        share_above_null=share_above(scores.r, null.threshold),
        null_mean=float(null.mean_r.mean()),
        null_sd=float(null.mean_r.std()),
    )


def _shape(r: Float64[np.ndarray, "target"]) -> tuple[float, ...]:
    """Mean, median, skew and ``QUANTILES`` of finite values; NaN where there are none."""
    if not r.size:
        return (float("nan"),) * (3 + len(QUANTILES))
    away = r - r.mean()
    spread = float(np.mean(away**2))
    skew = float(np.mean(away**3)) / spread**1.5 if spread > 0 else 0.0
    quantiles = np.quantile(r, QUANTILES).tolist()
    return (float(r.mean()), float(np.median(r)), skew, *quantiles)
