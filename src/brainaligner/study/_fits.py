"""All arms of a study, fitted before any of them is scored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial

from brainaligner.study._arm_readout import ensure_arm_readout
from brainaligner.study._arms import ArmRun
from brainaligner.study._designs import word_design
from brainaligner.study._features import ensure_features
from brainaligner.study._fitted import Fit
from brainaligner.study._listeners import LISTENERS
from brainaligner.study._options import RunOptions
from brainaligner.study._plan import Plan
from brainaligner.study._progress import Reporter
from brainaligner.study._readout import Readout, ReadoutTask
from brainaligner.study._readout_fits import ensure_readout
from brainaligner.study._region_stage import ensure_regions
from brainaligner.study._scoring import ArmScores, ensure_scores
from brainaligner.study._store import Store
from brainaligner.study._story_scores import StoryScores, ensure_story_scores
from brainaligner.study._tuning import TuningFacts, ensure_tuning
from brainaligner.study._validation import validation_view


@dataclass(frozen=True, eq=False)
class Fits:
    """Readouts of every arm and subject, and scores of their validation stories.

    Parameters
    ----------
    plan : Plan
        Of what will be scored.
    store : Store
    options : RunOptions
    reporter : Reporter
    readouts : dict of (run, subject) to list of Readout
        Filled by `make_all`.
    stories : dict of (run, subject) to StoryScores
        Filled by `make_all`; empty where one story is divided.
    """

    plan: Plan
    store: Store
    options: RunOptions
    reporter: Reporter
    readouts: dict[tuple[str, str], list[Readout]] = field(default_factory=dict)
    stories: dict[tuple[str, str], StoryScores] = field(default_factory=dict)

    @cached_property
    def view(self) -> Plan | None:
        """The plan of the validation stories: the plan itself where they are what is scored."""
        return validation_view(self.plan)

    def make_all(self) -> tuple[TuningFacts, ...]:
        """Make all tunings, features and readouts; no test score."""
        stimuli = self.plan.prepared.division.stimuli
        features = partial(
            ensure_features,
            stimuli=stimuli,
            store=self.store,
            options=self.options,
            reporter=self.reporter,
        )
        features(self.plan.plain_spaces())
        tuned: dict[str, TuningFacts] = {}
        for run in self.plan.runs:
            for subject in self.plan.prepared.division.splits:
                for tuning, spaces in self.plan.tunings_of(run, subject):
                    tuned[tuning.words] = ensure_tuning(
                        tuning, store=self.store, options=self.options, reporter=self.reporter
                    )
                    features(spaces)
                for space in word_design(self.plan.tasks[run.name, subject][0].design).crossed:
                    space.ensure_alignments()
                self.fit(run.name, subject)
            for subject in self.plan.prepared.division.splits:
                self.plan.tasks[run.name, subject][0].design.forget()
        return tuple(tuned.values())

    def fit(self, run: str, subject: str) -> None:
        """Fit one arm in one subject, and score its validation stories."""
        place = run, subject
        self.readouts[place] = self._readouts(self.plan, place)
        first = self.readouts[place][0]
        route = f"; {first.route}" if first.route else ""
        self.reporter.line(f"{run}, {subject}: fitted, {first.alpha}{route}")
        if self.view is not None:
            readouts = self._readouts(self.view, place)
            self.stories[place] = ensure_story_scores(
                self.view, subject, readouts, store=self.store
            )

    def _readouts(self, plan: Plan, place: tuple[str, str]) -> list[Readout]:
        return [
            ensure_arm_readout(task, store=self.store, options=self.options, reporter=self.reporter)
            for task in plan.tasks[place]
        ]

    def score(self, run: ArmRun, subject: str) -> Fit:
        """Score one arm in one subject."""
        prepared, readouts = self.plan.prepared, self.readouts[run.name, subject]
        groups = self.plan.groups_of(run, subject)
        scores = ensure_scores(prepared, run.name, subject, groups, readouts, store=self.store)
        self.reporter.line(f"{run.name}, {subject}: {first_means(scores)}")
        regions = ensure_regions(prepared, subject, readouts, scores, store=self.store)
        return Fit(readouts, scores, regions)

    def score_listeners(self) -> dict[str, Fit]:
        """Fit and score the other-listener reference of each subject that has one."""
        return {
            subject: self._score_listener(subject, tasks)
            for subject, tasks in self.plan.listeners.items()
        }

    def _score_listener(self, subject: str, tasks: Sequence[ReadoutTask]) -> Fit:
        prepared, reporter = self.plan.prepared, self.reporter
        readouts = [
            ensure_readout(task, store=self.store, options=self.options, reporter=reporter)
            for task in tasks
        ]
        groups = prepared.division.groups[subject]
        scores = ensure_scores(prepared, LISTENERS, subject, groups, readouts, store=self.store)
        reporter.line(f"{LISTENERS}, {subject}: {first_means(scores)}")
        for task in tasks:
            task.design.forget()
        return Fit(readouts, scores, None)


def first_means(scores: ArmScores) -> str:
    """Mean r of each group of stories, with the first cut."""
    return "; ".join(
        f"{summary.group} mean r {summary.mean:.4f}"
        for _, summary in scores.results
        if summary.rows_cut == scores.results[0][1].rows_cut
    )
