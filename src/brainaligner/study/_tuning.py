"""Stages ``head`` and ``tuning``: a plain masked language model -> one tuned for a subject."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from brainaligner.aligner import (
    LEAST_SHIFT,
    AlignerMaterial,
    BrainAligner,
    TuningOptions,
    check_tuning,
    learn_head,
    load_aligner,
    masked_bits,
    tune,
    unigram_bits,
)
from brainaligner.study._brain import ensure_brain
from brainaligner.study._disk import read_json, reading_artifact, write_json
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
    similarity: Mapping[str, Mapping[str, float]] = field(default_factory=dict)


def check_tunings(tasks: TuningTasks, *, store: Store, options: RunOptions) -> None:
    """Refuse tunings that their model or this machine cannot follow; finished ones pass.

    Raises
    ------
    InputError
    """
    loaded: dict[str, BrainAligner] = {}
    for task in tasks.values():
        if store.has(task.recipe):
            continue
        model = task.config.model
        if model not in loaded:
            loaded[model] = load_aligner(model, brain_width=None)
        check_tuning(
            loaded[model],
            settings=task.settings,
            with_brain=task.brain is not None,
            options=_tuning_options(options),
        )


def ensure_tuning(
    task: TuningTask, *, store: Store, options: RunOptions, reporter: Reporter
) -> TuningFacts:
    """Tune where that has not been done yet; a tuning that was killed goes on."""
    at = (store, options, reporter)
    head = store.ensure_resumable(
        task.head_recipe, lambda target, work: _learn_head(target, work, task, options, reporter)
    )
    folder = store.ensure_resumable(
        task.recipe, lambda target, work: _tune(target, work, task, head, at)
    )
    return read_tuning(task, folder)


def read_tuning(task: TuningTask, folder: Path) -> TuningFacts:
    """Read what a finished tuning says of itself."""
    facts = read_json(folder / "facts.json")
    kind = "none" if task.brain is None else task.brain.config.kind
    fold = None if task.division.fold is None else task.division.fold.number
    model = f"{task.recipe.stage}/{task.recipe.key}/{CHECKPOINT}"
    with reading_artifact(folder / "facts.json"):
        return TuningFacts(task.name, task.subject, task.seed, kind, fold, model=model, **facts)


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
        options=_tuning_options(options),
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
    head: Path,
    at: tuple[Store, RunOptions, Reporter],
) -> None:
    store, options, reporter = at
    head_facts = read_json(head / "facts.json")
    with reading_artifact(head / "facts.json"):
        source = str(head / CHECKPOINT) if head_facts["learned"] else task.config.model
    brain = None
    if task.brain is not None:
        vectors = ensure_brain(task.brain, store=store, options=options, reporter=reporter)
        brain = vectors.rows
    train, validation = (
        AlignerMaterial(task.texts(side), brain)
        for side in (task.division.train, task.division.validation)
    )
    width = None if brain is None else train.brain_width
    witness = WitnessBook(0)
    done = tune(
        load_aligner(source, brain_width=width, seed=task.seed),
        train,
        validation,
        folder=work,
        settings=task.settings,
        options=_tuning_options(options),
        progress=reporter,
        witness=witness,
    )
    if options.rank:
        return  # the first rank writes
    witness.save(target)
    done.aligner.text_tower.save_pretrained(target / CHECKPOINT)
    plain_model = load_aligner(source, brain_width=None)
    facts = {
        "epochs": done.epochs,
        "best_epoch": done.best_epoch,
        "moved": dict(done.moved),
        "bits": _bits(done.aligner, plain_model, task, validation)
        | {"unigram": _unigram(done.aligner, task, train, validation)},
        "head_learned": head_facts["learned"],
        "similarity": similarity_facts(plain_model, done.aligner, validation.texts),
    }
    write_json(target / "facts.json", facts)
    _keep_history(work, target)
    reporter.line(f"tuning {task.words}: {tuning_words(read_tuning(task, target))}")


def _bits(
    tuned: BrainAligner, plain_model: BrainAligner, task: TuningTask, validation: AlignerMaterial
) -> dict[str, float]:
    """Bits per masked token, the same tokens throughout: with each brain, and before tuning."""
    bits = partial(masked_bits, settings=task.settings, seed=BITS_SEED)
    found = {"none": bits(tuned, validation, brain="none")}
    if task.brain is not None:
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


def _keep_history(work: Path, target: Path) -> None:
    """Keep what was logged; checkpoints go."""
    shutil.copy(work / "history.csv", target / "history.csv")
    if (work / "tensorboard").is_dir():
        shutil.copytree(work / "tensorboard", target / "tensorboard")


def tuning_words(facts: TuningFacts) -> str:
    """A finished tuning in a line."""
    bits = ", ".join(f"{name} {value:.3f}" for name, value in facts.bits.items())
    moved = max(facts.moved.values(), default=0.0)
    return (
        f"epoch {facts.best_epoch} of {facts.epochs}, weights moved by up to {moved:.2%}, "
        f"bits per masked token: {bits}"
    )


def _tuning_options(options: RunOptions) -> TuningOptions:
    """GPUs of other numbers are chosen by CUDA_VISIBLE_DEVICES."""
    return TuningOptions(device="cuda" if options.device.startswith("cuda") else "cpu")
