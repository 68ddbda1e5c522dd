"""Stages ``head`` and ``tuning``: a plain masked language model -> one tuned for a subject."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from brainaligner.aligner import (
    LEAST_SHIFT,
    AlignerMaterial,
    BrainAligner,
    check_objectives,
    check_tuning,
    learn_head,
    load_aligner,
    masked_bits,
    tune,
    unigram_bits,
)
from brainaligner.study._brain import ensure_brain
from brainaligner.study._disk import read_json, reading_artifact, write_json
from brainaligner.study._objective_tuning import (
    TuningSource,
    keep_history,
    objective_words,
    tune_on_objectives,
    tuning_options,
)
from brainaligner.study._options import RunOptions
from brainaligner.study._progress import Reporter
from brainaligner.study._store import Store
from brainaligner.study._tuning_language import similarity_facts
from brainaligner.study._tuning_task import BITS_SEED, CHECKPOINT, TuningTask, TuningTasks
from brainaligner.study._witness import WitnessBook


@dataclass(frozen=True)
class TuningFacts:
    """What is known of a finished tuning.

    Parameters
    ----------
    tuning, subject : str
    seed : int
    brain : str
        Kind of brain encoder, or ``"none"``.
    fold : int, optional
        Of a cross-fitted tuning, counted from 1.
    epochs, best_epoch : int
    moved : mapping of str to float
        ``||w - w0|| / ||w0||`` of each trained group of weights.
    bits : mapping of str to float
        Bits per masked token on the aligner's validation stories: with the true brain, a
        shifted one (where each of these stories is long enough to be shifted), none; of the
        plain model; and of word frequencies alone.
    head_learned : bool
        Whether the checkpoint had no masked-LM head, so that one was learned first.
    model : str
        Folder of the tuned checkpoint, below the store.
    objectives : mapping
        Of a tuning on objectives: losses and r on its validation stories, at the ``"start"`` and
        at the ``"best"`` step, how many steps there were, and whether lower layers were cached.
    similarity : mapping of str to mapping of str to float
        Of each layer to that of the model before tuning, ``cka`` and ``rsa``, on the text of
        the aligner's validation stories. Tunings of earlier versions have none.
    """

    tuning: str
    subject: str
    seed: int
    brain: str
    fold: int | None
    epochs: int
    best_epoch: int
    moved: Mapping[str, float]
    bits: Mapping[str, float]
    head_learned: bool
    model: str
    objectives: Mapping[str, Any] = field(default_factory=dict)
    similarity: Mapping[str, Mapping[str, float]] = field(default_factory=dict)


def check_tunings(tasks: TuningTasks, *, store: Store, options: RunOptions) -> None:
    """Refuse tunings that their model or this machine cannot follow; finished ones pass.

    Raises
    ------
    InputError
    """
    loaded: dict[tuple[str, bool], BrainAligner] = {}
    for task in tasks.values():
        if store.has(task.recipe):
            continue
        model = task.config.model, task.objectives is not None
        if model not in loaded:
            loaded[model] = load_aligner(model[0], brain_width=None, any_kind=model[1])
        given = loaded[model]
        on = tuning_options(options)
        if task.objectives is not None:
            check_objectives(
                given, settings=task.objectives, options=on, head_comes=task.needs_head
            )
            continue
        check_tuning(given, settings=task.settings, with_brain=bool(task.brains), options=on)


def ensure_tuning(
    task: TuningTask, *, store: Store, options: RunOptions, reporter: Reporter
) -> TuningFacts:
    """Tune where that has not been done yet; a tuning that was killed goes on."""
    at = (store, options, reporter)
    source = ensure_head(task, store=store, options=options, reporter=reporter)
    make = _tune if task.objectives is None else tune_on_objectives
    folder = store.ensure_resumable(
        task.recipe, lambda target, work: make(target, work, task, source, at)
    )
    facts = read_tuning(task, folder)
    if facts.objectives and not options.rank:
        reporter.line(f"tuning {task.words}: {tuning_words(facts)}")
    return facts


def ensure_head(
    task: TuningTask, *, store: Store, options: RunOptions, reporter: Reporter
) -> TuningSource:
    """The model to start from: as it comes, or with a head that it learns first."""
    model = task.config.model
    if not task.needs_head:
        return TuningSource(model, head_learned=False)
    head = store.ensure_resumable(
        task.head_recipe, lambda target, work: _learn_head(target, work, task, options, reporter)
    )
    facts = read_json(head / "facts.json")
    with reading_artifact(head / "facts.json"):
        learned = facts["learned"]
    return TuningSource(str(head / CHECKPOINT) if learned else model, head_learned=learned)


def read_tuning(task: TuningTask, folder: Path) -> TuningFacts:
    """Read what a finished tuning says of itself."""
    facts = read_json(folder / "facts.json")
    kind = task.brains[0].config.kind if task.brains else "none"
    fold = None if task.division.fold is None else task.division.fold.number
    model = f"{task.recipe.stage}/{task.recipe.key}/{CHECKPOINT}"
    with reading_artifact(folder / "facts.json"):
        return TuningFacts(task.name, task.whose, task.seed, kind, fold, model=model, **facts)


def _learn_head(
    target: Path, work: Path, task: TuningTask, options: RunOptions, reporter: Reporter
) -> None:
    train, validation = (
        AlignerMaterial(task.texts(side))
        for side in (task.division.train, task.division.validation)
    )
    aligner, witness = load_aligner(task.config.model, brain_width=None), WitnessBook(0)
    found = learn_head(
        aligner,
        train,
        validation,
        folder=work,
        settings=task.config.head.settings,
        options=tuning_options(options),
        progress=reporter,
        witness=witness,
    )
    if options.rank:
        return  # the first rank writes
    if found.learned:
        found.aligner.text_tower.save_pretrained(target / CHECKPOINT)
        reporter.line(
            f"{task.config.model} has no masked-LM head: one was learned on the training stories, "
            f"all else frozen: {found.bits:.2f} bits per masked token, word frequencies alone "
            f"{found.unigram_bits:.2f}"
        )
    witness.save(target)
    facts = {"learned": found.learned, "bits": found.bits, "unigram_bits": found.unigram_bits}
    write_json(target / "facts.json", facts)


def _tune(
    target: Path,
    work: Path,
    task: TuningTask,
    source: TuningSource,
    at: tuple[Store, RunOptions, Reporter],
) -> None:
    store, options, reporter = at
    brain = None
    for one in task.brains:
        brain = ensure_brain(one, store=store, options=options, reporter=reporter).rows
    train, validation = (
        AlignerMaterial(task.texts(side), brain)
        for side in (task.division.train, task.division.validation)
    )
    width = None if brain is None else train.brain_width
    witness = WitnessBook(0)
    done = tune(
        load_aligner(source.model, brain_width=width, seed=task.seed),
        train,
        validation,
        folder=work,
        settings=task.settings,
        options=tuning_options(options),
        progress=reporter,
        witness=witness,
    )
    if options.rank:
        return  # the first rank writes
    witness.save(target)
    done.aligner.text_tower.save_pretrained(target / CHECKPOINT)
    plain_model = load_aligner(source.model, brain_width=None)
    facts = {
        "epochs": done.epochs,
        "best_epoch": done.best_epoch,
        "moved": dict(done.moved),
        "bits": _bits(done.aligner, plain_model, task, validation)
        | {"unigram": _unigram(done.aligner, task, train, validation)},
        "head_learned": source.head_learned,
        "similarity": similarity_facts(plain_model, done.aligner, validation.texts),
    }
    write_json(target / "facts.json", facts)
    keep_history(work, target)
    reporter.line(f"tuning {task.words}: {tuning_words(read_tuning(task, target))}")


def _bits(
    tuned: BrainAligner, plain_model: BrainAligner, task: TuningTask, validation: AlignerMaterial
) -> dict[str, float]:
    """Bits per masked token, the same tokens throughout: with each brain, and before tuning."""
    bits = partial(masked_bits, settings=task.settings, seed=BITS_SEED)
    found = {"none": bits(tuned, validation, brain="none")}
    if task.brains:
        found["true"] = bits(tuned, validation, brain="true")
        if min(len(rows) for rows in validation.texts.values()) >= 2 * LEAST_SHIFT:
            found["shifted"] = bits(tuned, validation, brain="shifted")
    found["plain"] = bits(plain_model, AlignerMaterial(validation.texts), brain="none")
    return {name: one.bits for name, one in found.items()}


def _unigram(
    aligner: BrainAligner, task: TuningTask, train: AlignerMaterial, validation: AlignerMaterial
) -> float:
    settings = task.settings
    return unigram_bits(aligner, train, validation, settings=settings, seed=BITS_SEED).bits


def tuning_words(facts: TuningFacts) -> str:
    """A finished tuning in a line."""
    bits = ", ".join(f"{name} {value:.3f}" for name, value in facts.bits.items())
    moved = max(facts.moved.values(), default=0.0)
    if facts.objectives:
        return f"{objective_words(facts.objectives)}, weights moved by up to {moved:.2%}"
    return (
        f"epoch {facts.best_epoch} of {facts.epochs}, weights moved by up to {moved:.2%}, "
        f"bits per masked token: {bits}"
    )
