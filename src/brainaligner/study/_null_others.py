"""Stage ``other_refit``: what a readout scores that was fitted with another subject's data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from brainaligner.core import Fold, Piece
from brainaligner.evaluation import centred_story, mean_correlation
from brainaligner.study._designs import ArmDesign, word_design
from brainaligner.study._disk import read_json, write_json
from brainaligner.study._judged import MOST_TARGETS, one_thread
from brainaligner.study._lag_stage import training_stories
from brainaligner.study._plan import Plan
from brainaligner.study._readout import ReadoutTask
from brainaligner.study._reduced import (
    GRID,
    Listener,
    Series,
    SmallFit,
    ensure_reduced,
    joined,
    reduced_recipe,
    small_designs,
)
from brainaligner.study._store import Recipe, Store

VERSION = 1
OWN = "own features and responses"
RESPONSES = "another subject's responses"
FEATURES = "another subject's tuned features"
ByGroup = dict[str, float]


@dataclass(frozen=True, eq=False)
class OtherTask:
    """Refits of one arm in one subject, with and without what belongs to another.

    Parameters
    ----------
    plan : Plan
    arm, subject, other : str
    """

    plan: Plan
    arm: str
    subject: str
    other: str

    @property
    def own(self) -> tuple[ReadoutTask, ...]:
        """The subject's readouts, one for each fold."""
        return self.plan.tasks[self.arm, self.subject]

    @cached_property
    def tuned(self) -> bool:
        """Whether a model of the arm is tuned on the subject's brain, and for the subject alone.

        Models on text alone hold no brain, and of those that all share there is no other's.
        """
        run = next(run for run in self.plan.runs if run.name == self.arm)
        tunings = [task for task, _ in self.plan.tunings_of(run, self.subject)]
        return any(task.brains and task.config.subjects == "own" for task in tunings)

    @property
    def same_targets(self) -> bool:
        """Whether both have as many targets, so that columns can be put beside each other."""
        sizes = [self.plan.prepared.dataset.space(s).size for s in (self.subject, self.other)]
        return sizes[0] == sizes[1]

    @cached_property
    def shared(self) -> tuple[Fold, ...]:
        """Folds without the training pieces that the other did not hear in as many rows."""
        return tuple(
            Fold(self._both(t.fold.train), self._both(t.fold.validation), t.fold.test)
            for t in self.own
        )

    def _both(self, pieces: Sequence[Piece]) -> tuple[Piece, ...]:
        rows, heard = self.plan.prepared.dataset.n_rows, self._digests(self.other)
        return tuple(
            piece
            for piece in pieces
            if piece.story in heard
            and rows(self.subject, piece.story) == rows(self.other, piece.story)
        )

    def _digests(self, subject: str) -> Mapping[str, str]:
        return self.plan.prepared.digests[subject]

    @property
    def groups(self) -> dict[str, tuple[str, ...]]:
        """Stories of each group that is scored."""
        run = next(run for run in self.plan.runs if run.name == self.arm)
        return {g.name: g.stories for g in self.plan.groups_of(run, self.subject)}

    @property
    def recipe(self) -> Recipe:
        """All responses enter, those of test stories too: only the null battery reads it."""
        train = training_stories(self.plan)
        tested = {story for stories in self.groups.values() for story in stories}
        fitted = {p.story for t in self.own for p in (*t.fold.train, *t.fold.validation)}
        inputs = {f"responses/{s}": self._digests(self.subject)[s] for s in sorted(fitted | tested)}
        inputs["reduced"] = reduced_recipe(word_design(self.own[0].design), train).key
        theirs = {p.story for fold in self.shared for p in (*fold.train, *fold.validation)}
        if self.same_targets:
            inputs |= {f"other-responses/{s}": self._digests(self.other)[s] for s in sorted(theirs)}
        if self.tuned:
            inputs["other-reduced"] = reduced_recipe(self.other_design, train).key
        settings = {
            "delays": self.own[0].design.arm.design.delays,
            "alphas": GRID,
            "targets": MOST_TARGETS,
            "folds": [str(task.fold) for task in self.own],
            "groups": [[name, *stories] for name, stories in self.groups.items()],
        }
        return Recipe("other_refit", VERSION, settings, inputs)

    @property
    def other_design(self) -> ArmDesign:
        """Features that the other reads in the arm."""
        return word_design(self.plan.tasks[self.arm, self.other][0].design)


def ensure_other_refit(task: OtherTask, *, store: Store) -> dict[str, ByGroup]:
    """Mean r of each refit, by group of stories, where that has not been found yet."""
    made = store.ensure(task.recipe, lambda folder: _write(folder, task, store))
    found: dict[str, ByGroup] = read_json(made / "r.json")
    return found


def _write(folder: Path, task: OtherTask, store: Store) -> None:
    train = training_stories(task.plan)
    series = ensure_reduced(word_design(task.own[0].design), train, store=store)
    own = tuple(one.fold for one in task.own)
    responses = _responses(task, task.subject, own, tested=True)
    with one_thread():
        found = {OWN: _refit(task, own, series, responses, responses)}
        if task.same_targets and all(fold.train and fold.validation for fold in task.shared):
            theirs = _responses(task, task.other, task.shared, tested=False)
            found[RESPONSES] = _refit(task, task.shared, series, theirs, responses)
        if task.tuned:
            other = ensure_reduced(task.other_design, train, store=store)
            found[FEATURES] = _refit(task, own, other, responses, responses)
    write_json(folder / "r.json", found)


def _responses(task: OtherTask, subject: str, folds: Sequence[Fold], *, tested: bool) -> Series:
    scored = {story for stories in task.groups.values() for story in stories}
    pieces = [
        piece
        for fold in folds
        for piece in (*fold.train, *fold.validation, *(fold.test if tested else ()))
        if piece not in fold.test or piece.story in scored
    ]
    return Listener(task.plan.prepared, subject, tuple(pieces)).responses


def _refit(
    task: OtherTask, folds: Sequence[Fold], series: Series, fitted: Series, measured: Series
) -> ByGroup:
    """Fit some responses, and score what comes of it on the subject's own."""
    delays = task.own[0].design.arm.design.delays
    designs = small_designs({story: series[story] for story in measured}, delays)
    pieces, predicted = [], []
    for one, fold in zip(task.own, folds, strict=True):
        test = [p for p in fold.test if p.story in measured]
        pieces += test
        predicted += SmallFit(fold, designs, one.rows).predict(fitted, test=test)[0]
    p = joined(pieces, predicted)
    y = joined(pieces, [measured[piece.story][piece.rows] for piece in pieces])
    return {
        name: mean_correlation(
            *([centred_story(np.asarray(side[s])) for s in stories] for side in (p, y))
        )
        for name, stories in task.groups.items()
    }
