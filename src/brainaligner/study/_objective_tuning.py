"""Stage ``tuning`` with objectives: texts and brains of any number of subjects -> a plain model."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from brainaligner.aligner import (
    BrainAligner,
    ObjectiveSettings,
    StoryMaterial,
    TuningOptions,
    align,
    load_aligner,
    token_bits,
    token_floor,
)
from brainaligner.study._brain import ensure_brain
from brainaligner.study._disk import write_json
from brainaligner.study._options import RunOptions
from brainaligner.study._progress import Reporter
from brainaligner.study._store import Store
from brainaligner.study._tuning_language import similarity_facts
from brainaligner.study._tuning_task import BITS_SEED, CHECKPOINT, TuningTask
from brainaligner.study._witness import WitnessBook
from brainaligner.text import nuisance_columns


@dataclass(frozen=True)
class TuningSource:
    """Where a tuning starts.

    Parameters
    ----------
    model : str
        Name or folder.
    head_learned : bool
        Whether the head was learned first.
    """

    model: str
    head_learned: bool


def tune_on_objectives(
    target: Path,
    work: Path,
    task: TuningTask,
    source: TuningSource,
    at: tuple[Store, RunOptions, Reporter],
) -> None:
    """Tune, and write checkpoint, facts, history and witness."""
    store, options, reporter = at
    settings, witness = task.objectives, WitnessBook(0)
    assert settings is not None
    brains = {
        one.subject: ensure_brain(one, store=store, options=options, reporter=reporter).rows
        for one in sorted(task.brains, key=lambda one: one.subject)  # the key knows no order
    }
    before = load_aligner(source.model, brain_width=None, any_kind=True)
    train, validation = (
        _material(task, settings, side, brains)
        for side in (task.division.train, task.division.validation)
    )
    with store.shared_states.use() as states:
        done = align(
            before,
            train,
            validation,
            settings=settings,
            folder=work,
            options=replace(tuning_options(options), states=states),
            progress=reporter,
            witness=witness,
        )
    if options.rank:
        return  # the first rank writes
    witness.save(target)
    done.aligner.text_tower.save_pretrained(target / CHECKPOINT)
    facts = {
        "epochs": settings.epochs,
        "best_epoch": -(-done.best_step * settings.epochs // done.planned_steps),
        "moved": dict(done.moved),
        "bits": _bits(before, done.aligner, settings, (train, validation)),
        "head_learned": source.head_learned,
        "similarity": similarity_facts(before, done.aligner, validation.texts),
        "objectives": {
            "start": dict(done.start),
            "best": dict(done.best),
            "best_step": done.best_step,
            "steps": done.steps,
            "cached": done.cached,
        },
    }
    write_json(target / "facts.json", facts)
    keep_history(work, target)


def _material(
    task: TuningTask,
    settings: ObjectiveSettings,
    stories: Sequence[str],
    brains: Mapping[str, Mapping[str, np.ndarray]],
) -> StoryMaterial:
    texts = task.texts(stories)
    stimuli = task.prepared.division.stimuli
    nuisance = {
        story: nuisance_columns(
            stimuli.transcripts[story],
            stimuli.clock,
            len(rows),
            shift=task.config.text.shift,
            delays=settings.heads.delays,
        )
        for story, rows in texts.items()
    }
    responses = {
        subject: {story: rows[story] for story in stories if story in rows}
        for subject, rows in brains.items()
    }
    return StoryMaterial(texts, responses, nuisance)


def _bits(
    before: BrainAligner,
    after: BrainAligner,
    settings: ObjectiveSettings,
    sides: tuple[StoryMaterial, StoryMaterial],
) -> dict[str, float]:
    """Bits per token of the validation stories before and after; none without a head."""
    if not before.has_head:
        return {}
    texts = sides[1].texts
    bits = partial(token_bits, texts=texts, settings=settings.masking, seed=BITS_SEED)
    floor = token_floor(before, sides[0].texts, texts, settings=settings.masking, seed=BITS_SEED)
    return {"none": bits(after).bits, "plain": bits(before).bits, "unigram": floor.bits}


def objective_words(facts: Mapping[str, Any]) -> str:
    """What a tuning on objectives came to, in a line."""
    start, best = facts["start"], facts["best"]
    names = [name for name in best if name in start]
    changes = ", ".join(f"{name} {start[name]:.4f} -> {best[name]:.4f}" for name in names)
    return f"step {facts['best_step']} of {facts['steps']}, on its validation stories: {changes}"


def keep_history(work: Path, target: Path) -> None:
    """Keep what was logged; checkpoints go."""
    shutil.copy(work / "history.csv", target / "history.csv")
    if (work / "tensorboard").is_dir():
        shutil.copytree(work / "tensorboard", target / "tensorboard")


def tuning_options(options: RunOptions) -> TuningOptions:
    """GPUs of other numbers are chosen by CUDA_VISIBLE_DEVICES."""
    return TuningOptions(device="cuda" if options.device.startswith("cuda") else "cpu")
