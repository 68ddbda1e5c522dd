"""One tuning in one subject with one seed, and all that the tuned model follows from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from brainaligner.aligner import AlignerSettings
from brainaligner.core import InputError
from brainaligner.study._arms import ArmRun
from brainaligner.study._brain_check import check_brain
from brainaligner.study._brain_task import AlignerDivision, BrainTask
from brainaligner.study._features import TunedModel
from brainaligner.study._lineage import entries, lineage
from brainaligner.study._prepare import Prepared
from brainaligner.study._settings import plain
from brainaligner.study._store import Recipe, Store
from brainaligner.study._tuning_config import TuningConfig
from brainaligner.text import RowText, story_texts

HEAD_VERSION = 2
TUNING_VERSION = 1
CHECKPOINT = "model"
BITS_SEED = 0


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
        words, of = model | self._words(), self._lineage()
        return Recipe("head", HEAD_VERSION, settings | self._text(), words, of)

    @cached_property
    def recipe(self) -> Recipe:
        """All that the tuned model follows from."""
        inputs = {"head": self.head_recipe.key}
        if self.brain is not None:
            inputs["brain"] = self.brain.recipe.key
        settings = {"aligner": plain(self.settings)}
        words, of = inputs | self._words(), self._lineage()
        return Recipe("tuning", TUNING_VERSION, settings | self._text(), words, of)

    def _lineage(self) -> Mapping[str, Any]:
        """Words alone: what of the brain came in stands in the brain's own recipe."""
        sides = (self.division.train, self.division.validation)
        fitted, chosen = (entries(self.prepared, self.subject, s, bold=False) for s in sides)
        return lineage(fitted_on=fitted, chosen_on=chosen)

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
        check_brain(brain)
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
