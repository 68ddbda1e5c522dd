"""Stages ``head`` and ``tuning``: a plain masked language model -> one tuned for a subject."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np

from brainaligner.aligner import (
    AlignerMaterial,
    AlignerSettings,
    BrainAligner,
    TuningOptions,
    learn_head,
    load_aligner,
    masked_bits,
    tune,
    unigram_bits,
)
from brainaligner.core import InputError
from brainaligner.study._arms import ArmRun
from brainaligner.study._brain import AlignerDivision, BrainTask, ensure_brain
from brainaligner.study._disk import read_json, write_json
from brainaligner.study._features import TunedModel
from brainaligner.study._options import RunOptions
from brainaligner.study._prepare import Prepared
from brainaligner.study._progress import Reporter
from brainaligner.study._settings import plain
from brainaligner.study._store import Recipe, Store
from brainaligner.study._tuning_config import TuningConfig
from brainaligner.text import RowText, story_texts

HEAD_VERSION = 1
TUNING_VERSION = 1
CHECKPOINT = "model"
_BITS_SEED = 0


@dataclass(frozen=True, eq=False)
class TuningTask:
    """One tuning in one subject with one seed.

    Parameters
    ----------
    prepared : Prepared
    name : str
        Entry of the study's ``tunings``.
    subject : str
    seed : int
    division : AlignerDivision
    brain : BrainTask, optional
        None: text alone.
    store : Store
    """

    prepared: Prepared
    name: str
    subject: str
    seed: int
    division: AlignerDivision
    brain: BrainTask | None
    store: Store

    @property
    def config(self) -> TuningConfig:
        """What the study file says."""
        return self.prepared.config.tunings[self.name]

    @property
    def settings(self) -> AlignerSettings:
        """The aligner's settings with this task's seed."""
        return replace(self.config.aligner, seed=self.seed)

    @property
    def words(self) -> str:
        """For people."""
        return f"{self.name}, {self.subject}, seed {self.seed}"

    @property
    def chosen_on(self) -> tuple[str, ...]:
        """Repeated stories that a selection looked at: they cannot be scored any more."""
        return self.brain.repeated if self.brain is not None else ()

    @cached_property
    def head_recipe(self) -> Recipe:
        """Recipe of the masked-LM head; it knows no brain, so subjects and arms share it."""
        settings = {"head": plain(self.config.head.settings)}
        model = {"model": self.prepared.infos[self.config.model].digest}
        return Recipe("head", HEAD_VERSION, settings | self._text(), model | self._words())

    @cached_property
    def recipe(self) -> Recipe:
        """All that the tuned model follows from."""
        inputs = {"head": self.head_recipe.key}
        if self.brain is not None:
            inputs["brain"] = self.brain.recipe.key
        settings = {"aligner": plain(self.settings)}
        return Recipe("tuning", TUNING_VERSION, settings | self._text(), inputs | self._words())

    def _text(self) -> dict[str, Any]:
        return {
            "text": plain(self.config.text),
            "train": list(self.division.train),
            "validation": list(self.division.validation),
        }

    def _words(self) -> dict[str, str]:
        """Digests of the stories that the aligner reads: no test story is among them."""
        stimuli, rows = self.prepared.division.stimuli, self._rows()
        clock = f"{stimuli.clock.tr}/{stimuli.clock.first}"
        return {
            f"text/{story}": f"{stimuli.transcripts[story].digest()}/{n_rows}/{clock}"
            for story, n_rows in sorted(rows.items())
        }

    def _rows(self) -> dict[str, int]:
        dataset = self.prepared.dataset
        return {story: dataset.n_rows(self.subject, story) for story in self.division.stories}

    def texts(self, stories: Sequence[str]) -> dict[str, tuple[RowText, ...]]:
        """Texts of each row of some stories."""
        stimuli, rows = self.prepared.division.stimuli, self._rows()
        return {
            story: story_texts(
                stimuli.transcripts[story],
                stimuli.clock,
                rows[story],
                settings=self.config.text,
            )
            for story in stories
        }

    def tuned_model(self, store: Store) -> TunedModel:
        """The model that the tuning leaves."""
        folder = store.path(self.recipe) / CHECKPOINT
        return TunedModel(f"{self.subject}, seed {self.seed}", self.recipe, folder)


TuningTasks = Mapping[tuple[str, str, int], TuningTask]


@dataclass(frozen=True)
class TuningFacts:
    """What is known of a finished tuning.

    Parameters
    ----------
    tuning, subject : str
    seed : int
    brain : str
        Kind of brain encoder, or ``"none"``.
    epochs, best_epoch : int
    moved : mapping of str to float
        ``||w - w0|| / ||w0||`` of each trained group of weights.
    bits : mapping of str to float
        Bits per masked token on the aligner's validation stories: with the true brain, a
        shifted one, none; of the plain model; and of word frequencies alone.
    head_learned : bool
        Whether the checkpoint had no masked-LM head, so that one was learned first.
    """

    tuning: str
    subject: str
    seed: int
    brain: str
    epochs: int
    best_epoch: int
    moved: Mapping[str, float]
    bits: Mapping[str, float]
    head_learned: bool


def plan_tunings(
    prepared: Prepared, runs: Sequence[ArmRun], *, store: Store
) -> dict[tuple[str, str, int], TuningTask]:
    """Lay out the tunings that any arm reads.

    Raises
    ------
    InputError
        If a subject has too few training stories, or the dataset lacks what a brain encoder
        needs.
    """
    features = prepared.config.features
    wanted = {
        (tuning, subject, run.seed): None
        for run in runs
        for name in run.arm.read
        for tuning in [features[name].tuning]
        if tuning is not None and run.seed is not None
        for subject in prepared.division.splits
    }
    return {key: _task(prepared, *key, store=store) for key in wanted}


def _task(prepared: Prepared, name: str, subject: str, seed: int, *, store: Store) -> TuningTask:
    config = prepared.config.tunings[name]
    division = aligner_division(prepared, name, subject)
    brain = None
    if config.brain is not None:
        brain = BrainTask(prepared, config.brain, subject, division, store)
        brain.check()
    return TuningTask(prepared, name, subject, seed, division, brain, store)


def aligner_division(prepared: Prepared, name: str, subject: str) -> AlignerDivision:
    """Draw the aligner's validation stories from a subject's training stories."""
    config = prepared.config.tunings[name]
    folds = prepared.division.splits[subject].folds
    stories = sorted({piece.story for fold in folds for piece in fold.train})
    tested = {piece.story for fold in folds for piece in (*fold.validation, *fold.test)}
    if tested & set(stories) or len(stories) <= config.validation_stories:
        raise InputError(
            f"tunings.{name}, subject {subject}",
            got=f"{len(stories)} training stories"
            + (", of which some rows are tested" if tested & set(stories) else ""),
            wanted=f"more than validation_stories ({config.validation_stories}), apart from "
            "those that are tested",
            do="Lower validation_stories; a dataset of one story cannot tune a model.",
        )
    order = np.random.default_rng(config.division_seed).permutation(len(stories))
    validation = {stories[i] for i in order[: config.validation_stories]}
    return AlignerDivision(
        tuple(story for story in stories if story not in validation),
        tuple(story for story in stories if story in validation),
    )


def tuning_bytes(task: TuningTask, store: Store) -> int:
    """Estimate what a tuning adds to the store: weights, their best, and vectors."""
    if store.has(task.recipe):
        return 0
    folder = task.prepared.infos[task.config.model].folder
    weights = sum(path.stat().st_size for path in folder.glob("*.safetensors"))
    rows = sum(task._rows().values())
    return 2 * weights + 4 * rows * (task.brain.width if task.brain is not None else 0)


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
    return TuningFacts(task.name, task.subject, task.seed, kind, **facts)


def _learn_head(
    target: Path, work: Path, task: TuningTask, options: RunOptions, reporter: Reporter
) -> None:
    train, validation = (
        AlignerMaterial(task.texts(side))
        for side in (task.division.train, task.division.validation)
    )
    aligner = load_aligner(task.config.model, brain_width=None)
    found = learn_head(
        aligner,
        train,
        validation,
        folder=work,
        settings=task.config.head.settings,
        options=_tuning_options(options),
        progress=reporter,
    )
    if found.learned:
        found.aligner.text_tower.save_pretrained(target / CHECKPOINT)
        reporter.line(
            f"{task.config.model} has no masked-LM head: one was learned on the training stories, "
            f"all else frozen: {found.bits:.2f} bits per masked token, word frequencies alone "
            f"{found.unigram_bits:.2f}"
        )
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
    done = tune(
        load_aligner(source, brain_width=width, seed=task.seed),
        train,
        validation,
        folder=work,
        settings=task.settings,
        options=_tuning_options(options),
        progress=reporter,
    )
    done.aligner.text_tower.save_pretrained(target / CHECKPOINT)
    facts = {
        "epochs": done.epochs,
        "best_epoch": done.best_epoch,
        "moved": dict(done.moved),
        "bits": _bits(done.aligner, load_aligner(source, brain_width=None), task, validation)
        | {"unigram": _unigram(done.aligner, task, train, validation)},
        "head_learned": head_facts["learned"],
    }
    write_json(target / "facts.json", facts)
    _keep_history(work, target)
    reporter.line(f"tuning {task.words}: {tuning_words(read_tuning(task, target))}")


def _bits(
    tuned: BrainAligner, plain_model: BrainAligner, task: TuningTask, validation: AlignerMaterial
) -> dict[str, float]:
    """Bits per masked token, the same tokens throughout: with each brain, and before tuning."""
    bits = partial(masked_bits, settings=task.settings, seed=_BITS_SEED)
    found = {"none": bits(tuned, validation, brain="none")}
    if task.brain is not None:
        found["true"] = bits(tuned, validation, brain="true")
        found["shifted"] = bits(tuned, validation, brain="shifted")
    found["plain"] = bits(plain_model, AlignerMaterial(validation.texts), brain="none")
    return {name: one.bits for name, one in found.items()}


def _unigram(
    aligner: BrainAligner, task: TuningTask, train: AlignerMaterial, validation: AlignerMaterial
) -> float:
    settings = task.settings
    return unigram_bits(aligner, train, validation, settings=settings, seed=_BITS_SEED).bits


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
