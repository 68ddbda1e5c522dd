"""What a study will make, laid out before any of it is made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from brainaligner.core import InputError, StoryGroup
from brainaligner.study._arms import ArmRun, arm_runs
from brainaligner.study._cross_fit import cross_fitted_space
from brainaligner.study._designs import ArmDesign, Design
from brainaligner.study._features import FeatureSpace, feature_space
from brainaligner.study._fold_features import CrossFittedSpace
from brainaligner.study._listeners import listener_tasks
from brainaligner.study._prepare import Prepared
from brainaligner.study._projected import ProjectedDesign
from brainaligner.study._projection_task import ProjectionTask
from brainaligner.study._readout import ReadoutTask
from brainaligner.study._store import Store
from brainaligner.study._tuning_task import TuningTask, TuningTasks, plan_tunings

SMALLEST_RUN = 2**24

SpaceKey = tuple[str, str | None, int | None, int | None]
"""Entry of ``features``; subject, seed and fold where a tuned model is read."""


@dataclass(frozen=True, eq=False)
class Plan:
    """What a prepared study will make, none of it made yet.

    Parameters
    ----------
    prepared : Prepared
    runs : tuple of ArmRun
    tunings : TuningTasks
        By tuning, subject, seed and fold.
    spaces : mapping of SpaceKey to FeatureSpace
        Features that any arm reads, and the frozen ones that fold models are aligned to.
    tasks : mapping of (run, subject) to tuple of ReadoutTask
        One task for each fold.
    listeners : mapping of subject to tuple of ReadoutTask
        The other-listener reference, where there is one.
    """

    prepared: Prepared
    runs: tuple[ArmRun, ...]
    tunings: TuningTasks
    spaces: Mapping[SpaceKey, FeatureSpace]
    tasks: Mapping[tuple[str, str], tuple[ReadoutTask, ...]]
    listeners: Mapping[str, tuple[ReadoutTask, ...]] = field(default_factory=dict)

    def plain_spaces(self) -> list[FeatureSpace]:
        """Features of models as they come."""
        return [space for (_, subject, *_), space in self.spaces.items() if subject is None]

    def tunings_of(self, run: ArmRun, subject: str) -> list[tuple[TuningTask, list[FeatureSpace]]]:
        """Tunings (all folds) that a run reads in a subject, with features that come from each."""
        config = self.prepared.config
        names = dict.fromkeys(config.features[name].tuning for name in run.arm.read)
        found = []
        for tuning in names:
            for (*entry, fold), task in self.tunings.items():
                if entry == [tuning, subject, run.seed]:
                    spaces = [
                        space
                        for (name, *place), space in self.spaces.items()
                        if config.features[name].tuning == tuning
                        and place == [subject, run.seed, fold]
                    ]
                    found.append((task, spaces))
        return found

    def groups_of(self, run: ArmRun, subject: str) -> tuple[StoryGroup, ...]:
        """Groups of test stories that may be scored: none that the tuning chose anything on."""
        seen = {story for task, _ in self.tunings_of(run, subject) for story in task.chosen_on}
        groups = self.prepared.division.groups[subject]
        kept = tuple(group for group in groups if not seen & set(group.stories))
        if not kept:
            raise InputError(
                f"arms.{run.entry}, {subject}",
                got="a brain encoder that selects by all of the test stories",
                wanted="a test story that it does not look at",
                do="Add single-presentation test stories.",
            )
        return kept


def make_plan(prepared: Prepared, *, store: Store) -> Plan:
    """Lay out all artifacts of a study; none is made."""
    runs = arm_runs(prepared.config)
    tunings = plan_tunings(prepared, runs, store=store)
    spaces = _spaces(prepared, runs, tunings, store)
    tasks = _tasks(prepared, runs, spaces, tunings, store)
    plan = Plan(prepared, runs, tunings, spaces, tasks, listener_tasks(prepared))
    for run in runs:
        for subject in prepared.division.splits:
            plan.groups_of(run, subject)
    return plan


def _space_keys(
    prepared: Prepared, name: str, subject: str, seed: int | None, tunings: TuningTasks
) -> tuple[SpaceKey, ...]:
    """Spaces of one entry: the frozen one first where several models of folds are aligned to it."""
    entry = [prepared.config.features[name].tuning, subject, seed]
    folds = [fold for (*place, fold) in tunings if place == entry]
    tuned = tuple((name, subject, seed, fold) for fold in folds)
    return tuned if folds == [None] else ((name, None, None, None), *tuned)


def _spaces(
    prepared: Prepared, runs: tuple[ArmRun, ...], tunings: TuningTasks, store: Store
) -> dict[SpaceKey, FeatureSpace]:
    spaces: dict[SpaceKey, FeatureSpace] = {}
    for run in runs:
        for subject in prepared.division.splits:
            for name in run.arm.read:
                for key in _space_keys(prepared, name, subject, run.seed, tunings):
                    if key not in spaces:
                        spaces[key] = _space(prepared, key, tunings, store)
    return spaces


def _space(prepared: Prepared, key: SpaceKey, tunings: TuningTasks, store: Store) -> FeatureSpace:
    name, subject, seed, fold = key
    feature, stimuli = prepared.config.features[name], prepared.division.stimuli
    info = prepared.infos[feature.model]
    tuned = None
    if feature.tuning is not None and subject is not None and seed is not None:
        tuned = tunings[feature.tuning, subject, seed, fold].tuned_model(store)
    return feature_space(name, feature, info, stimuli, store=store, tuned=tuned)


def _tasks(
    prepared: Prepared,
    runs: tuple[ArmRun, ...],
    spaces: Mapping[SpaceKey, FeatureSpace],
    tunings: TuningTasks,
    store: Store,
) -> dict[tuple[str, str], tuple[ReadoutTask, ...]]:
    tasks = {}
    for run in runs:
        designs: dict[tuple[str, ...], ArmDesign] = {}
        projected: dict[int, ProjectedDesign] = {}
        shift = prepared.config.features[run.arm.features[0]].text.shift
        for subject, split in prepared.division.splits.items():
            read = tuple(
                _read_space(prepared, run, _space_keys(prepared, *place, tunings), spaces, tunings)
                for name in run.arm.read
                for place in [(name, subject, run.seed)]
            )
            design = designs.setdefault(
                tuple(key for space in read for key in space.parts().values()),
                ArmDesign(run.arm, read, prepared.division.stimuli, shift),
            )
            tasks[run.name, subject] = tuple(
                ReadoutTask(
                    prepared, _of_fold(prepared, design, i, projected, store), subject, fold
                )
                for i, fold in enumerate(split.folds)
            )
    return tasks


def _of_fold(
    prepared: Prepared,
    design: ArmDesign,
    number: int,
    projected: dict[int, ProjectedDesign],
    store: Store,
) -> Design:
    """What an arm's ridges read in one fold: subjects share its projection."""
    if design.arm.reduced_rank is None:
        return design
    if number not in projected:
        projected[number] = ProjectedDesign(ProjectionTask(prepared, design, number), store)
    return projected[number]


def _read_space(
    prepared: Prepared,
    run: ArmRun,
    keys: tuple[SpaceKey, ...],
    spaces: Mapping[SpaceKey, FeatureSpace],
    tunings: TuningTasks,
) -> FeatureSpace | CrossFittedSpace:
    frozen, *crossed = keys
    if not crossed:
        return spaces[frozen]
    tuning = prepared.config.features[frozen[0]].tuning
    assert tuning is not None
    models = [
        (task, spaces[key])
        for key in crossed
        for place, task in tunings.items()
        if place == (tuning, *key[1:])
    ]
    within_story = run.arm.design.scaling == "story"
    return cross_fitted_space(spaces[frozen], models, within_story=within_story)
