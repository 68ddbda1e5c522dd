"""What tunings cost: heads, shared states, and each tuning's own passes."""

from __future__ import annotations

import json
from dataclasses import dataclass

from brainaligner.aligner import ObjectiveSettings
from brainaligner.study._plan import Plan
from brainaligner.study._settings import plain
from brainaligner.study._store import Recipe, Store
from brainaligner.study._token_counts import TokenCounts
from brainaligner.study._tuning_task import TuningTask, tuning_bytes
from brainaligner.text import ModelInfo, resolve_layer

_VOCABULARY = 30_522


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
    precision : {"float32", "bfloat16", "float16"}
        Of most of its products.
    """

    stage: str
    what: str
    done: bool
    flop: float
    disk: float
    memory: float
    precision: str = "float32"


def layer_weights(info: ModelInfo) -> float:
    """Weights of the transformer layers, embeddings apart: 12 width^2 in each."""
    return 12.0 * info.n_layers * info.width**2


def head_price(task: TuningTask, store: Store, counts: TokenCounts) -> PricedStage:
    """A masked-LM head that is learned, all else frozen."""
    info = task.prepared.infos[task.config.model]
    settings = task.config.head.settings
    tokens = _training_tokens(task, counts)
    flop = settings.epochs * tokens * (2 * layer_weights(info) + _head(info, settings.mask_rate))
    disk = 4.0 * (layer_weights(info) + _VOCABULARY * info.width)
    what, done = f"{task.config.model}{task.division.place}", store.has(task.head_recipe)
    return PricedStage("head", what, done, flop, disk, 3 * disk, settings.precision)


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


def tuning_price(task: TuningTask, store: Store, counts: TokenCounts) -> PricedStage:
    """One tuning, with all its epochs."""
    if task.objectives is not None:
        return _of_objectives(task, task.objectives, store, counts)
    info, settings = task.prepared.infos[task.config.model], task.settings
    layers = info.n_layers if settings.trained_layers == "all" else settings.trained_layers
    trained = layer_weights(info) * min(layers, info.n_layers) / info.n_layers
    frozen = layer_weights(info) - trained
    crossed = frozen if task.brains and settings.train_projection else 0.0
    per_token = 2 * layer_weights(info) + 2 * crossed + 4 * trained
    per_token += _head(info, settings.mask_rate)
    rows = sum(task._rows().values())
    vectors = sum(4.0 * rows * brain.width for brain in task.brains)
    flop = settings.epochs * _training_tokens(task, counts) * per_token
    disk = float(tuning_bytes(task, store))
    whole = 4.0 * (layer_weights(info) + _vocabulary(info) * info.width)
    activations = 64.0 * settings.batch * 32 * info.n_layers * info.width
    memory = whole + 12 * trained + vectors + activations
    done = store.has(task.recipe)
    return PricedStage("tuning", task.words, done, flop, disk, memory, settings.precision)


def shares_states(task: TuningTask) -> bool:
    """Whether its lower layers are computed once, for all tunings that leave them alone."""
    settings = task.objectives
    kept = settings is not None and settings.cache != "off" and not settings.drops_below
    return kept and task.unchanged_layers > 0


def states_recipe(task: TuningTask) -> Recipe:
    """Stands for what is kept until the run's tunings are done; no artifact of the store."""
    text = plain(task.config.text)
    model = {"model": task.prepared.infos[task.config.model].digest}
    return Recipe("states", 0, {"text": text, "layers": task.unchanged_layers}, model)


def states_price(plan: Plan, task: TuningTask, store: Store, counts: TokenCounts) -> PricedStage:
    """The layers that tunings share, on all stories once; the disk is free again afterwards."""
    info, key = task.prepared.infos[task.config.model], states_recipe(task).key
    same = [t for t in plan.tunings.values() if shares_states(t) and states_recipe(t).key == key]
    rows = counts.stimuli.rows.items()
    tokens = sum(counts.of_story(task.config.text, story, n) for story, n in rows)
    flop = 2.0 * layer_weights(info) * task.unchanged_layers / info.n_layers * tokens
    disk = 4.0 * info.width * tokens
    done = all(store.has(t.recipe) for t in same)
    what = f"{task.config.model}, layers up to {task.unchanged_layers}"
    return PricedStage("states", what, done, flop, disk, 4.0 * layer_weights(info))


def _of_objectives(
    task: TuningTask, settings: ObjectiveSettings, store: Store, counts: TokenCounts
) -> PricedStage:
    """Trained layers in each epoch, lower ones too where they are not shared, heads beside them."""
    info, heads = task.prepared.infos[task.config.model], settings.heads
    layer, below = layer_weights(info) / info.n_layers, task.unchanged_layers
    count = max(resolve_layer(k, info) for k in settings.read_layers) - below
    tokens, rows = _training_tokens(task, counts), sum(task._rows().values())
    columns = len(heads.delays) * info.width * len(settings.read_layers)
    targets = sum(brain.width for brain in task.brains)
    passes = settings.epochs * (1 + heads.before / settings.stretch)
    flop = 0.0
    if settings.reads_brains:
        lower = 0.0 if shares_states(task) else 2.0 * below
        flop += tokens * layer * (lower + 6.0 * count) * passes
        flop += settings.epochs * rows * 6.0 * heads.rank * (columns + targets)
        flop += 4.0 * rows * columns**2
    for loss in (settings.language, settings.anchor):
        if loss is not None and getattr(loss, "kind", "kl") == "kl":
            whole = 2.0 * layer_weights(info) + 4.0 * layer * (info.n_layers - below)
            whole += _head(info, settings.mask_rate)
            flop += settings.epochs * loss.share * tokens * whole
    disk = float(tuning_bytes(task, store))
    whole = 4.0 * (layer_weights(info) + _vocabulary(info) * info.width)
    per_batch = settings.stretches * (settings.stretch + heads.before) * tokens / max(rows, 1)
    memory = whole + 12.0 * layer * count + 64.0 * per_batch * count * info.width
    memory += 4.0 * rows * (targets + columns)
    done = store.has(task.recipe)
    return PricedStage("tuning", task.words, done, flop, disk, memory, settings.precision)
