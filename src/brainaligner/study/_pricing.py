"""What a study would cost: stages, time, memory and disk, before any of it runs.

Times come from counts of operations and from how fast this machine multiplies matrices. They are
estimates, good to a factor of two or three.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

from brainaligner.study._brain_task import BrainTask
from brainaligner.study._designs import word_design
from brainaligner.study._features import FeatureSpace
from brainaligner.study._fold_features import CrossFittedSpace, FoldModel
from brainaligner.study._foresight import stored_reference
from brainaligner.study._listeners import LISTENERS
from brainaligner.study._plan import SMALLEST_RUN, Plan
from brainaligner.study._pricing_checks import Cost, costs_after, costs_before
from brainaligner.study._pricing_tunings import (
    PricedStage,
    head_price,
    layer_weights,
    shares_states,
    states_price,
    states_recipe,
    tuning_price,
)
from brainaligner.study._projected import ProjectedDesign
from brainaligner.study._readout import ReadoutTask, decomposition_recipe, readout_recipe
from brainaligner.study._store import Recipe, Store
from brainaligner.study._token_counts import TokenCounts
from brainaligner.study._validation import validation_view

_KEPT_DESIGNS = 2**30


def price(plan: Plan, store: Store, seen: set[str] | None = None) -> list[PricedStage]:
    """Price each artifact of a study, in the order in which they are made.

    Parameters
    ----------
    plan : Plan
    store : Store
    seen : set of str, optional
        Keys of artifacts that another plan was priced with: they are left out, and those of
        this plan are added.
    """
    seen = set() if seen is None else seen
    stages = []
    counts = TokenCounts(plan.prepared.division.stimuli)
    for recipe, priced in _stages(plan, store, counts):
        if recipe.key not in seen:
            seen.add(recipe.key)
            stages.append(priced())
    return stages


def bytes_needed(plan: Plan, store: Store) -> int:
    """What all missing artifacts take on the disk; a little for the rest."""
    return round(sum(stage.disk for stage in price(plan, store) if not stage.done)) + SMALLEST_RUN


def _stages(
    plan: Plan, store: Store, counts: TokenCounts
) -> Iterator[tuple[Recipe, Callable[[], PricedStage]]]:
    for space in plan.plain_spaces():
        yield space.recipe, partial(_of_features, counts, space, store)
    yield from (_of_check(cost, store) for cost in costs_before(plan))
    for run in plan.runs:
        for subject in plan.prepared.division.splits:
            for tuning, spaces in plan.tunings_of(run, subject):
                if tuning.needs_head:
                    yield tuning.head_recipe, partial(head_price, tuning, store, counts)
                for brain in tuning.brains:
                    if brain.features is not None:
                        yield (
                            brain.features.recipe,
                            partial(_of_features, counts, brain.features, store),
                        )
                    yield brain.recipe, partial(_of_brain, brain, store)
                if shares_states(tuning):
                    yield states_recipe(tuning), partial(states_price, plan, tuning, store, counts)
                yield tuning.recipe, partial(tuning_price, tuning, store, counts)
                for space in spaces:
                    yield space.recipe, partial(_of_features, counts, space, store)
            for crossed in word_design(plan.tasks[run.name, subject][0].design).crossed:
                yield from _of_alignments(crossed, store)
            for task in plan.tasks[run.name, subject]:
                place = f"{run.name}, {subject}"
                if isinstance(task.design, ProjectedDesign):
                    yield task.design.recipe, partial(_of_projection, task.design, run.name, store)
                if _is_decomposed(task):
                    yield decomposition_recipe(task), partial(_of_decomposition, task, place, store)
                yield readout_recipe(task), partial(_of_readout, task, place, store)
    yield from _of_view(plan, store)
    for subject, tasks in plan.listeners.items():
        for task in tasks:
            place = f"{LISTENERS}, {subject}"
            yield decomposition_recipe(task), partial(_of_decomposition, task, place, store)
            yield readout_recipe(task), partial(_of_readout, task, place, store)
    reference = stored_reference(plan, store)
    yield from (_of_check(cost, store) for cost in costs_after(plan, reference))


def _of_view(plan: Plan, store: Store) -> Iterator[tuple[Recipe, Callable[[], PricedStage]]]:
    """Readouts of the validation stories, where they are not what is scored."""
    view = validation_view(plan)
    if view is None or view is plan:
        return
    for (name, subject), tasks in view.tasks.items():
        for task in tasks:
            place = f"{name}, {subject}, validation stories"
            yield readout_recipe(task), partial(_of_readout, task, place, store)


def _of_check(cost: Cost, store: Store) -> tuple[Recipe, Callable[[], PricedStage]]:
    def priced() -> PricedStage:
        done, stage = store.has(cost.recipe), cost.recipe.stage
        return PricedStage(stage, cost.what, done, cost.flop, cost.disk, cost.memory)

    return cost.recipe, priced


def _of_features(counts: TokenCounts, space: FeatureSpace, store: Store) -> PricedStage:
    rows = sum(counts.stimuli.rows.values())
    layers = max(space.layer - space.unchanged, 1) / space.info.n_layers
    flop = 2.0 * layer_weights(space.info) * layers * counts.different(space.text)
    disk = 4.0 * rows * space.width
    memory = 4.0 * layer_weights(space.info) + 2 * disk
    done, precision = store.has(space.recipe), space.text.dtype
    return PricedStage("features", space.name, done, flop, disk, memory, precision)


def _of_brain(task: BrainTask, store: Store) -> PricedStage:
    rows = sum(task.recording.rows(story) for story in task.division.stories)
    disk = 4.0 * rows * task.width
    flop = task.operations(rows)
    what = f"{task.name}, {task.subject}{task.division.place}"
    memory = task.weight_bytes + 2 * disk
    return PricedStage("brain", what, store.has(task.recipe), flop, disk, memory)


def _of_alignments(
    space: CrossFittedSpace, store: Store
) -> Iterator[tuple[Recipe, Callable[[], PricedStage]]]:
    for model in space.models:
        recipe = space.alignment(model)
        yield recipe, partial(_of_alignment, space, model, recipe, store)


def _of_alignment(
    space: CrossFittedSpace, model: FoldModel, recipe: Recipe, store: Store
) -> PricedStage:
    """Products of features over training rows, and one singular value decomposition."""
    rows, width = sum(space.train.values()), space.width
    flop, disk = 4.0 * rows * width**2 + 20.0 * width**3, 8.0 * width**2
    what = f"{model.space.name}, scaling {'story' if space.within_story else 'none'}"
    memory = 16.0 * rows * width + 4 * disk
    return PricedStage("alignment", what, store.has(recipe), flop, disk, memory)


def _is_decomposed(task: ReadoutTask) -> bool:
    """Whether a readout fits a ridge by a decomposition: none of bands, none in one stage."""
    design = task.design
    one_stage = isinstance(design, ProjectedDesign) and design.task.settings.form == "one-stage"
    return design.arm.banded is None and not one_stage


def _of_decomposition(task: ReadoutTask, place: str, store: Store) -> PricedStage:
    rows, columns = _train_size(task)
    side = min(rows, columns)
    flop = 2.0 * rows * columns * side + 10.0 * side**3
    done = store.has(decomposition_recipe(task)) or store.has(readout_recipe(task))
    memory = _KEPT_DESIGNS + 24.0 * side**2
    return PricedStage("decomposition", place, done, flop, 8.0 * side**2, memory)


def _of_projection(design: ProjectedDesign, place: str, store: Store) -> PricedStage:
    task = design.task
    sharing = task.sharing(task.common)
    rows, _ = _train_size(sharing)
    columns = task.design.n_feature_columns + 16
    side = min(rows, columns)
    spaces = (task.prepared.dataset.space(subject) for subject in task.readouts)
    targets = sum(space.size for space in spaces)
    smaller = min(side, targets)
    choices, rank = task.settings.n_choices, task.settings.rank[-1]
    once = 2.0 * rows * columns * side + 10.0 * side**3 + 2.0 * rows * side * targets
    once += 2.0 * side * smaller * targets + len(task.settings.alpha) * 10.0 * smaller**3
    scored = 2.0 * choices * rows * rank * (columns + targets) if choices > 1 else 0.0
    flop = len(task.folds or ((),)) * once + scored
    memory = _KEPT_DESIGNS + 40.0 * side**2
    done, disk = store.has(design.recipe), float(design.n_bytes)
    return PricedStage("projection", place, done, flop, disk, memory)


def _train_size(task: ReadoutTask) -> tuple[int, int]:
    rows = sum(len(range(task.rows[piece.story])[piece.rows]) for piece in task.fold.train)
    return rows, task.design.n_feature_columns + 4


def _of_readout(task: ReadoutTask, place: str, store: Store) -> PricedStage:
    rows, columns = _train_size(task)
    targets = task.prepared.dataset.space(task.subject).size
    chosen, tested = (
        sum(len(range(task.rows[piece.story])[piece.rows]) for piece in side)
        for side in (task.validation, task.fold.test)
    )
    alphas = len((task.design.arm.banded or task.design.arm.ridge).alphas)
    side = min(rows, columns)
    flop = 2.0 * targets * (2 * rows * side + alphas * chosen * side + (columns + tested) * side)
    disk = 4.0 * tested * targets
    memory = _KEPT_DESIGNS + 24.0 * side**2 + 2 * disk
    return PricedStage("readout", place, store.has(readout_recipe(task)), flop, disk, memory)
