"""What a study would cost: stages, time, memory and disk, before any of it runs.

Times come from counts of operations and from how fast this machine multiplies matrices. They are
estimates, good to a factor of two or three.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

from brainaligner.aligner import ObjectiveSettings
from brainaligner.study._brain_task import BrainTask
from brainaligner.study._designs import word_design
from brainaligner.study._features import FeatureSpace
from brainaligner.study._fold_features import CrossFittedSpace, FoldModel
from brainaligner.study._listeners import LISTENERS
from brainaligner.study._plan import Plan
from brainaligner.study._pricing_checks import Cost, costs_after, costs_before
from brainaligner.study._projected import ProjectedDesign
from brainaligner.study._readout import ReadoutTask, decomposition_recipe, readout_recipe
from brainaligner.study._settings import plain
from brainaligner.study._store import Recipe, Store
from brainaligner.study._token_counts import TokenCounts
from brainaligner.study._tuning_task import TuningTask, tuning_bytes
from brainaligner.study._validation import validation_view
from brainaligner.text import ModelInfo, resolve_layer

SHARE_OF_PEAK = 0.35  # of the speed of large products, which short texts and small blocks reach
_MEASURED_SIDE = 1024
_MEASURED_S = 0.3
_VOCABULARY = 30_522
_KEPT_DESIGNS = 2**30


@dataclass(frozen=True)
class PricedStage:
    """One artifact, or several that are made in one go.

    Parameters
    ----------
    stage, what : str
    done : bool
        Whether it is in the store already: then it costs nothing.
    flop : float
        Operations.
    disk, memory : float
        Bytes that it adds to the store, and that it takes while it runs.
    """

    stage: str
    what: str
    done: bool
    flop: float
    disk: float
    memory: float


def price(plan: Plan, store: Store) -> list[PricedStage]:
    """Price each artifact of a study, in the order in which they are made."""
    seen: set[str] = set()
    stages = []
    counts = TokenCounts(plan.prepared.division.stimuli)
    for recipe, priced in _stages(plan, store, counts):
        if recipe.key not in seen:
            seen.add(recipe.key)
            stages.append(priced())
    return stages


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
                    yield tuning.head_recipe, partial(_of_head, tuning, store, counts)
                for brain in tuning.brains:
                    if brain.features is not None:
                        yield (
                            brain.features.recipe,
                            partial(_of_features, counts, brain.features, store),
                        )
                    yield brain.recipe, partial(_of_brain, brain, store)
                if _shares_states(tuning):
                    yield _states_recipe(tuning), partial(_of_states, plan, tuning, store, counts)
                yield tuning.recipe, partial(_of_tuning, tuning, store, counts)
                for space in spaces:
                    yield space.recipe, partial(_of_features, counts, space, store)
            for crossed in word_design(plan.tasks[run.name, subject][0].design).crossed:
                yield from _of_alignments(crossed, store)
            for task in plan.tasks[run.name, subject]:
                place = f"{run.name}, {subject}"
                if isinstance(task.design, ProjectedDesign):
                    yield task.design.recipe, partial(_of_projection, task.design, run.name, store)
                yield decomposition_recipe(task), partial(_of_decomposition, task, place, store)
                yield readout_recipe(task), partial(_of_readout, task, place, store)
    yield from _of_view(plan, store)
    for subject, tasks in plan.listeners.items():
        for task in tasks:
            place = f"{LISTENERS}, {subject}"
            yield decomposition_recipe(task), partial(_of_decomposition, task, place, store)
            yield readout_recipe(task), partial(_of_readout, task, place, store)
    yield from (_of_check(cost, store) for cost in costs_after(plan))


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
    flop = 2.0 * _weights(space.info) * layers * counts.different(space.text)
    disk = 4.0 * rows * space.width
    memory = 4.0 * _weights(space.info) + 2 * disk
    return PricedStage("features", space.name, store.has(space.recipe), flop, disk, memory)


def _weights(info: ModelInfo) -> float:
    """Weights of the transformer layers, embeddings apart: 12 width^2 in each."""
    return 12.0 * info.n_layers * info.width**2


def _of_head(task: TuningTask, store: Store, counts: TokenCounts) -> PricedStage:
    info = task.prepared.infos[task.config.model]
    settings = task.config.head.settings
    tokens = _training_tokens(task, counts)
    flop = settings.epochs * tokens * (2 * _weights(info) + _head(info, settings.mask_rate))
    disk = 4.0 * (_weights(info) + _VOCABULARY * info.width)
    what = f"{task.config.model}{task.division.place}"
    return PricedStage("head", what, store.has(task.head_recipe), flop, disk, 3 * disk)


def _training_tokens(task: TuningTask, counts: TokenCounts) -> float:
    return sum(counts.of_story(task.config.text, s, n) for s, n in task._rows().items())


def _head(info: ModelInfo, mask_rate: float) -> float:
    """Operations per token of the output layer, forwards and backwards."""
    return mask_rate * 6.0 * info.width * _vocabulary(info)


def _vocabulary(info: ModelInfo) -> int:
    path = info.folder / "config.json"
    if not path.is_file():
        return _VOCABULARY
    return int(json.loads(path.read_text(encoding="utf-8")).get("vocab_size", _VOCABULARY))


def _of_tuning(task: TuningTask, store: Store, counts: TokenCounts) -> PricedStage:
    if task.objectives is not None:
        return _of_objectives(task, task.objectives, store, counts)
    info, settings = task.prepared.infos[task.config.model], task.settings
    layers = info.n_layers if settings.trained_layers == "all" else settings.trained_layers
    trained = _weights(info) * min(layers, info.n_layers) / info.n_layers
    frozen = _weights(info) - trained
    crossed = frozen if task.brains and settings.train_projection else 0.0
    per_token = 2 * _weights(info) + 2 * crossed + 4 * trained
    per_token += _head(info, settings.mask_rate)
    rows = sum(task._rows().values())
    vectors = sum(4.0 * rows * brain.width for brain in task.brains)
    flop = settings.epochs * _training_tokens(task, counts) * per_token
    disk = float(tuning_bytes(task, store))
    whole = 4.0 * (_weights(info) + _vocabulary(info) * info.width)
    activations = 64.0 * settings.batch * 32 * info.n_layers * info.width
    memory = whole + 12 * trained + vectors + activations
    return PricedStage("tuning", task.words, store.has(task.recipe), flop, disk, memory)


def _shares_states(task: TuningTask) -> bool:
    """Whether its lower layers are computed once, for all tunings that leave them alone."""
    settings = task.objectives
    kept = settings is not None and settings.cache != "off" and not settings.drops_below
    return kept and task.unchanged_layers > 0


def _states_recipe(task: TuningTask) -> Recipe:
    """Stands for what is kept until the run's tunings are done; no artifact of the store."""
    text = plain(task.config.text)
    model = {"model": task.prepared.infos[task.config.model].digest}
    return Recipe("states", 0, {"text": text, "layers": task.unchanged_layers}, model)


def _of_states(plan: Plan, task: TuningTask, store: Store, counts: TokenCounts) -> PricedStage:
    """The layers that tunings share, on all stories once; the disk is free again afterwards."""
    info, key = task.prepared.infos[task.config.model], _states_recipe(task).key
    same = [t for t in plan.tunings.values() if _shares_states(t) and _states_recipe(t).key == key]
    rows = counts.stimuli.rows.items()
    tokens = sum(counts.of_story(task.config.text, story, n) for story, n in rows)
    flop = 2.0 * _weights(info) * task.unchanged_layers / info.n_layers * tokens
    disk = 4.0 * info.width * tokens
    done = all(store.has(t.recipe) for t in same)
    what = f"{task.config.model}, layers up to {task.unchanged_layers}"
    return PricedStage("states", what, done, flop, disk, 4.0 * _weights(info))


def _of_objectives(
    task: TuningTask, settings: ObjectiveSettings, store: Store, counts: TokenCounts
) -> PricedStage:
    """Trained layers in each epoch, lower ones too where they are not shared, heads beside them."""
    info, heads = task.prepared.infos[task.config.model], settings.heads
    layer, below = _weights(info) / info.n_layers, task.unchanged_layers
    count = max(resolve_layer(k, info) for k in settings.read_layers) - below
    tokens, rows = _training_tokens(task, counts), sum(task._rows().values())
    columns = len(heads.delays) * info.width * len(settings.read_layers)
    targets = sum(brain.width for brain in task.brains)
    passes = settings.epochs * (1 + heads.before / settings.stretch)
    flop = 0.0
    if settings.reads_brains:
        lower = 0.0 if _shares_states(task) else 2.0 * below
        flop += tokens * layer * (lower + 6.0 * count) * passes
        flop += settings.epochs * rows * 6.0 * heads.rank * (columns + targets)
        flop += 4.0 * rows * columns**2
    for loss in (settings.language, settings.anchor):
        if loss is not None and getattr(loss, "kind", "kl") == "kl":
            whole = 2.0 * _weights(info) + 4.0 * layer * (info.n_layers - below)
            whole += _head(info, settings.mask_rate)
            flop += settings.epochs * loss.share * tokens * whole
    disk = float(tuning_bytes(task, store))
    whole = 4.0 * (_weights(info) + _vocabulary(info) * info.width)
    per_batch = settings.stretches * (settings.stretch + heads.before) * tokens / max(rows, 1)
    memory = whole + 12.0 * layer * count + 64.0 * per_batch * count * info.width
    memory += 4.0 * rows * (targets + columns)
    return PricedStage("tuning", task.words, store.has(task.recipe), flop, disk, memory)


def _of_brain(task: BrainTask, store: Store) -> PricedStage:
    rows = sum(task.recording.rows(story) for story in task.division.stories)
    disk = 4.0 * rows * task.width
    flop = task.operations(rows)
    what = f"{task.name}, {task.subject}{task.division.place}"
    return PricedStage("brain", what, store.has(task.recipe), flop, disk, 2 * disk)


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


def operations_per_second(device: str) -> float:
    """Measure how fast float32 matrices of side 1024 are multiplied here, in operations/s."""
    import torch

    first = torch.ones(_MEASURED_SIDE, _MEASURED_SIDE, device=device)
    done, started = 0, time.perf_counter()
    while (elapsed := time.perf_counter() - started) < _MEASURED_S or done < 3:
        (first @ first).sum().item()
        done += 1
    return 2.0 * _MEASURED_SIDE**3 * done / elapsed
