"""What diagnostics, nulls and tests of significance would cost.

Operations are counted as the ridge's are; sums that memory holds up are weighed by what they took
beside large products on one core.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass

from brainaligner.core import InputError, Split
from brainaligner.evaluation import NULL_KINDS
from brainaligner.study._contrasts import ContrastTask, contrast_tasks
from brainaligner.study._designs import word_design
from brainaligner.study._flatmap_stage import flatmap_tasks
from brainaligner.study._judged import MOST_TARGETS
from brainaligner.study._lag_stage import OWN_DELAYS, lag_recipe, plain_arm, training_stories
from brainaligner.study._null_battery import AGAIN, other_tasks
from brainaligner.study._null_refits import DEFAULT_REFITS, null_tasks
from brainaligner.study._null_stage import NullTask
from brainaligner.study._plan import Plan
from brainaligner.study._readout import Readout, ReadoutTask, readout_recipe
from brainaligner.study._reduced import N_COMPONENTS, reduced_recipe
from brainaligner.study._setup_checks import simulation_recipe, story_recipes
from brainaligner.study._significance import (
    TARGETS_AT_ONCE,
    SignificanceTask,
    significance_tasks,
)
from brainaligner.study._store import Recipe
from brainaligner.study._test_checks import checks_recipe

_FLATMAP_BYTES = 1e7  # several hundred thousand pixels, and what each shows
_SMALL = 1e9  # operations of what takes a moment
_PER_ROW = 2_000.0  # moments, autocorrelations and Fourier transforms, for each row and target
_PER_NULL = 160.0  # one row and target of a null that is drawn and correlated
_PER_MOVE = 10.0  # one block of one permutation and target
_PER_LAG = 80.0  # one row of a pair of stories and target, at all alignments
_SHORTEST_BLOCK = 10


@dataclass(frozen=True)
class Cost:
    """What one stage takes.

    Parameters
    ----------
    recipe : Recipe
    what : str
    flop : float
        Operations.
    disk, memory : float
        Bytes that it adds to the store, and that it takes while it runs.
    """

    recipe: Recipe
    what: str
    flop: float
    disk: float = 0.0
    memory: float = 0.0


def costs_before(plan: Plan) -> Iterator[Cost]:
    """What is looked at before any test score."""
    for arm in plan.prepared.config.arms.values():
        yield Cost(simulation_recipe(arm), "readouts on simulated responses", _SMALL)
    for subject, recipe in story_recipes(plan.prepared):
        split = plan.prepared.division.splits[subject]
        assert isinstance(split, Split)
        pairs = len(split.test + split.test_repeated) * len(split.train + split.validation)
        rows = _rows(plan, subject, split.stories) / max(len(split.stories), 1)
        flop = _PER_LAG * pairs * _looked_at(plan, subject) * rows
        yield Cost(recipe, subject, flop, 0.0, 4.0 * len(split.stories) * rows * MOST_TARGETS)
    arm_name = plain_arm(plan)
    if arm_name is None:
        return
    train = training_stories(plan)
    for subject in plan.prepared.division.splits:
        task = plan.tasks[arm_name, subject][0]
        yield _reduced(plan, task, arm_name)
        flop = len(OWN_DELAYS) * _small_fit(plan, [task], N_COMPONENTS)
        yield Cost(lag_recipe(task, train), f"{arm_name}, {subject}", flop)


def costs_after(plan: Plan, reference: str) -> Iterator[Cost]:
    """What finished readouts are put through.

    Parameters
    ----------
    plan : Plan
    reference : str
        The arm that the others are compared with.
    """
    yield from map(_significance, significance_tasks(plan))
    yield from map(_contrast, contrast_tasks(plan, reference))
    for roads in flatmap_tasks(plan.prepared):
        with suppress(InputError):  # of surfaces that cannot be read the run itself tells
            yield Cost(roads[0].recipe, roads[0].subject, _SMALL, _FLATMAP_BYTES)
    for run in plan.runs:
        for subject in plan.prepared.division.splits:
            yield _test_checks(plan, run.name, subject)
    arm = plain_arm(plan)
    if arm is not None:
        for task in null_tasks(plan, arm, "features", DEFAULT_REFITS).values():
            yield from _refits(plan, task, arm)
    if plan.prepared.config.nulls:
        yield from _battery(plan)


def _battery(plan: Plan) -> Iterator[Cost]:
    for run in plan.runs:
        if not run.arm.read:
            continue
        for side in AGAIN.values():
            for task in null_tasks(plan, run.name, side, NULL_KINDS).values():
                yield from _refits(plan, task, f"{run.name}, null {side}")
        for other in other_tasks(plan, run.name):
            columns = N_COMPONENTS * len(other.own[0].design.arm.design.delays)
            flop = 3 * _small_fit(plan, other.own, columns)
            yield Cost(other.recipe, f"{run.name}, {other.subject}", flop)


def _significance(task: SignificanceTask) -> Cost:
    plan, cuts = task.plan, len(task.cuts)
    targets = plan.prepared.dataset.space(task.subject).size
    rows, n_groups = task.rows_of(task.groups), len(task.groups)
    moves = task.settings.permutations * rows / _SHORTEST_BLOCK
    flop = cuts * targets * (_PER_MOVE * moves + _PER_ROW * rows)
    disk = 8.0 * targets * cuts * (3 * n_groups + 2 * len(task.paired))
    sides = 3.0 if task.paired else 2.0
    at_once = min(targets, TARGETS_AT_ONCE)
    memory = sides * 4.0 * rows * at_once + 80.0 * at_once * max(rows / _SHORTEST_BLOCK, 1) / 10
    return Cost(task.recipe, f"{task.run.name}, {task.subject}", flop, disk, memory)


def _contrast(task: ContrastTask) -> Cost:
    plan = task.plan
    targets = plan.prepared.dataset.space(task.subject).size
    rows = _rows(plan, task.subject, task.group.stories)
    draws = plan.prepared.config.evaluation.n_bootstrap * len(task.group.stories)
    flop = 2.0 * targets * (_PER_ROW * rows + _PER_MOVE * draws)
    disk, memory = 16.0 * targets, 8.0 * rows * targets
    return Cost(task.recipe, f"{task.run.name}, {task.subject}", flop, disk, memory)


def _test_checks(plan: Plan, arm: str, subject: str) -> Cost:
    run = next(run for run in plan.runs if run.name == arm)
    groups, tasks = plan.groups_of(run, subject), plan.tasks[arm, subject]
    readouts = [
        Readout(recipe, recipe_folder, task.fold.test, "", None, {})
        for task in tasks
        for recipe in [readout_recipe(task)]
        for recipe_folder in [plan.prepared.dataset.folder]  # nothing is read
    ]
    recipe = checks_recipe(plan.prepared, subject, groups, readouts)
    rows = _rows(plan, subject, [story for group in groups for story in group.stories])
    draws = plan.prepared.config.null_draws * len(NULL_KINDS)
    flop = (_PER_NULL * draws + _PER_ROW) * rows * _looked_at(plan, subject)
    memory = 8.0 * rows * plan.prepared.dataset.space(subject).size
    return Cost(recipe, f"{arm}, {subject}", flop, 0.0, memory)


def _refits(plan: Plan, task: NullTask, what: str) -> Iterator[Cost]:
    first = task.tasks[0]
    yield _reduced(plan, first, what)
    columns = N_COMPONENTS * len(first.design.arm.design.delays)
    fits = task.draws * len(task.kinds)
    flop = fits * _small_fit(plan, task.tasks, columns)
    memory = 8.0 * _rows(plan, first.subject, tuple(first.rows)) * (columns + MOST_TARGETS)
    yield Cost(task.recipe, f"{what}, {first.subject}", flop, 0.0, memory)


def _reduced(plan: Plan, task: ReadoutTask, what: str) -> Cost:
    design = word_design(task.design)
    rows = sum(plan.prepared.division.stimuli.rows.values())
    width = sum(space.width for space in design.spaces)
    flop, disk = 2.0 * rows * width**2, 4.0 * rows * N_COMPONENTS
    recipe = reduced_recipe(design, training_stories(plan))
    return Cost(recipe, what, flop, disk, 4.0 * rows * width + 8.0 * width**2)


def _small_fit(plan: Plan, tasks: Sequence[ReadoutTask], columns: int) -> float:
    """Operations of one fit on few columns, in all folds."""
    subject = tasks[0].subject
    rows = len(tasks) * _rows(plan, subject, tuple(tasks[0].rows))
    return 2.0 * rows * columns * (columns + 1.5 * _looked_at(plan, subject))


def _rows(plan: Plan, subject: str, stories: Sequence[str]) -> int:
    return sum(plan.prepared.dataset.n_rows(subject, story) for story in stories)


def _looked_at(plan: Plan, subject: str) -> int:
    return min(MOST_TARGETS, plan.prepared.dataset.space(subject).size)
