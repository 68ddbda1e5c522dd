"""From arrays to scores: one ridge, one division, for a notebook."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from brainaligner.core import (
    Scores,
    Space,
    Split,
    StoryGroup,
    ValidationSplit,
    html_table,
)
from brainaligner.encoding import ArrayStories, RidgeFit, RidgeSettings, fit_ridge, predict
from brainaligner.evaluation import (
    EvaluationSettings,
    Finding,
    Interval,
    ScoreBase,
    Summary,
    score_group,
    story_groups,
)
from brainaligner.report import mean_cell, number, percent, rows_cut
from brainaligner.study._array_checks import (
    StoryArrays,
    check_lengths,
    check_request,
    checked_rows,
)
from brainaligner.study._centring import off_centre_text
from brainaligner.text import DesignSettings, design_rows

ARM, SUBJECT = "arrays", "subject"


@dataclass(frozen=True, eq=False, repr=False)
class ArrayScores:
    """A fitted ridge, and how well it predicts stories that it never saw.

    Parameters
    ----------
    fit : RidgeFit
    results : tuple of (Scores, Summary)
        One for each group of stories and number of rows cut: single-presentation test stories
        first, then each repeated story by itself.
    findings : tuple of Finding
        What a careful reader would object to; warned of when they are found.
    """

    fit: RidgeFit
    results: tuple[tuple[Scores, Summary], ...]
    findings: tuple[Finding, ...] = ()

    @property
    def scores(self) -> Scores:
        """Scores of the first group, with the first number of rows cut."""
        return self.results[0][0]

    @property
    def summary(self) -> Summary:
        """What `scores` amount to: mean, interval, quantiles, null."""
        return self.results[0][1]

    @property
    def r(self) -> Float64[np.ndarray, "target"]:
        """Pearson r of each target, as `scores` has it; NaN where a series has no variance."""
        return self.scores.r

    @property
    def alpha(self) -> Float64[np.ndarray, "target"]:
        """Alpha of each target, in ``||Y - X W||^2 + alpha ||W||^2``."""
        return self.fit.alpha

    @property
    def mean(self) -> float:
        """Mean r over targets that have one."""
        return self.summary.mean

    @property
    def interval(self) -> Interval:
        """Interval for `mean`: over stories where there are 8 or more, else over blocks of rows."""
        return self.summary.interval

    def __repr__(self) -> str:
        lines = ["; ".join(cells) for cells in self._rows()]
        said = [f"{one.severity.upper()} {one.where}: {one.text}" for one in self.findings]
        return "\n  ".join([f"ArrayScores: {self._caption}", *said, *lines, repr(self.fit)])

    def _repr_html_(self) -> str:
        columns = ("stories", "rows cut", "mean r", "median", "above null")
        interval = self.interval
        said = "".join(f"{one.severity.upper()}: {one.text} " for one in self.findings)
        note = (
            f"{said}Brackets: {100 * interval.level:g} % interval, {interval.method}. {self.fit!r}"
        )
        return html_table(self._caption, columns, self._rows(), note=note)

    @property
    def _caption(self) -> str:
        return f"Pearson r over {self.scores.r.size} {self.scores.space.kind}, {self.scores.label}"

    def _rows(self) -> list[tuple[str, ...]]:
        return [
            (
                f"{one.group} ({one.n_stories} {one.presentations})",
                rows_cut(one.rows_cut),
                mean_cell(one.mean, one.interval),
                number(one.median),
                percent(one.share_above_null),
            )
            for _, one in self.results
        ]


def score_arrays(
    features: StoryArrays,
    responses: StoryArrays,
    split: Split,
    *,
    design: DesignSettings | None = None,
    ridge: RidgeSettings | None = None,
    evaluation: EvaluationSettings | None = None,
    targets: str = "voxels",
) -> ArrayScores:
    """Fit ridge from features to one subject's responses, and score it on stories apart.

    Solves ``argmin_W ||Y - X W||_F^2 + alpha ||W||_F^2`` with X the features, standardised within
    their story and delayed. Alpha is chosen on validation stories, r is measured on test stories.

    Parameters
    ----------
    features : mapping of story to float array, shape (time, feature)
        One row per TR, from the story's start. Stories that are not in the split are not read.
    responses : mapping of story to float array, shape (time, target)
        Rows of the same stories.
    split : Split
        As `brainaligner.core.draw_split` gives it. `ValidationSplit.of` it compares ideas without
        a look at test stories.
    design : DesignSettings, optional
        Delays (default: rows 1 to 4) and scaling. Without Z, for it needs the words.
    ridge : RidgeSettings, optional
        Default: alphas from 1 to 1e7, one for all targets.
    evaluation : EvaluationSettings, optional
        Default: whole stories, and 10 rows cut at each end of each.
    targets : {"voxels", "components", "regions", "parcels"}
        What the columns of the responses are.

    Returns
    -------
    ArrayScores

    Raises
    ------
    InputError
        If a story of the split is missing, shapes disagree, a value is not finite, the design
        wants Z, the split divides one story, or alpha cannot be chosen from what was given.

    Examples
    --------
    >>> split = draw_split(list(features), (8, 2, 3), seed=0)
    >>> score_arrays(features, responses, split).mean
    """
    design = DesignSettings() if design is None else design
    ridge = RidgeSettings() if ridge is None else ridge
    evaluation = EvaluationSettings() if evaluation is None else evaluation
    check_request(features, responses, split, (design, ridge, evaluation))
    rows = checked_rows(features, responses, split)
    check_lengths({story: len(pair[1]) for story, pair in rows.items()}, split, design, evaluation)
    designs = {
        story: design_rows([rows[story][0]], None, settings=design) for story in split.stories
    }
    fold = split.folds[0]
    train, choose, test = (
        [piece.story for piece in side] for side in (fold.train, fold.validation, fold.test)
    )
    measured = {story: rows[story][1] for story in split.stories}
    train_side, choose_side = (
        ArrayStories([designs[s] for s in side], [measured[s] for s in side])
        for side in (train, choose)
    )
    findings = _centring([measured[s] for s in train], ridge)
    chosen_apart = ridge.selection == "validation"
    fit = fit_ridge(train_side, choose_side if chosen_apart else None, settings=ridge)
    predicted = {story: predict(fit, designs[story]) for story in test}
    space = Space(targets, choose_side.n_targets)
    results = _results(predicted, measured, split, space, evaluation)
    return ArrayScores(fit, results, findings)


def _centring(training: Sequence[np.ndarray], ridge: RidgeSettings) -> tuple[Finding, ...]:
    """Warn of training responses that lie off 0 where no intercept is fitted."""
    text = "" if ridge.intercept else off_centre_text(training)
    if not text:
        return ()
    warnings.warn(text, stacklevel=3)
    return (Finding("warn", "responses", text),)


def _results(
    predicted: StoryArrays,
    measured: StoryArrays,
    split: Split,
    space: Space,
    evaluation: EvaluationSettings,
) -> tuple[tuple[Scores, Summary], ...]:
    presentations = dict.fromkeys(split.test, 1) | dict.fromkeys(split.test_repeated, 2)
    return tuple(
        score_group(
            predicted,
            measured,
            presentations,
            arm=ARM,
            base=ScoreBase(SUBJECT, group, space, cut, split.label),
            settings=evaluation,
        )
        for group in _groups(split, presentations)
        for cut in evaluation.cuts
    )


def _groups(split: Split, presentations: Mapping[str, int]) -> Sequence[StoryGroup]:
    if isinstance(split, ValidationSplit):
        return (StoryGroup("validation", split.test),)
    return story_groups(split, presentations)
