"""One tuning in one subject with one seed, and all that the tuned model follows from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from brainaligner.aligner import AlignerSettings, ObjectiveSettings
from brainaligner.study._arms import ArmRun
from brainaligner.study._brain_check import check_brain
from brainaligner.study._brain_task import AlignerDivision, BrainTask
from brainaligner.study._features import TunedModel
from brainaligner.study._lineage import entries, lineage
from brainaligner.study._prepare import Prepared
from brainaligner.study._settings import plain
from brainaligner.study._store import Recipe, Store
from brainaligner.study._tuning_config import TuningConfig
from brainaligner.study._tuning_folds import aligner_divisions, training_stories
from brainaligner.text import RowText, resolve_layer, story_texts

HEAD_VERSION = 2
TUNING_VERSION = 1
MASKED_BRAIN_VERSION = 2  # hidden activity is drawn by subjects' names, once by their places
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
    brains : tuple of BrainTask
        Of all whose brains it is tuned on; empty: text alone.
    store : Store
    """

    prepared: Prepared
    name: str
    subject: str
    seed: int
    division: AlignerDivision
    brains: tuple[BrainTask, ...]
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
    def objectives(self) -> ObjectiveSettings | None:
        """The objectives' settings with this task's seed, where it has objectives."""
        found = self.config.objectives
        return None if found is None else replace(found, seed=self.seed)

    @property
    def is_joint(self) -> bool:
        """Whether all subjects share the model."""
        return self.config.subjects == "all"

    @property
    def whose(self) -> str:
        """For people: who the model is for."""
        return "all subjects" if self.is_joint else self.subject

    @property
    def words(self) -> str:
        """For people."""
        return f"{self.name}, {self.whose}, seed {self.seed}{self.division.place}"

    @property
    def needs_head(self) -> bool:
        """Whether hidden tokens are predicted, so that a checkpoint without a head learns one.

        Causal models are never given a head: where theirs is missing, they are refused.
        """
        reads_tokens = self.objectives is None or self.objectives.reads_tokens
        return reads_tokens and self.prepared.infos[self.config.model].kind == "encoder"

    @property
    def chosen_on(self) -> tuple[str, ...]:
        """Repeated stories that a selection looked at: they cannot be scored any more."""
        return tuple(sorted({story for brain in self.brains for story in brain.repeated}))

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
        model = {"model": self.prepared.infos[self.config.model].digest}
        inputs = {"head": self.head_recipe.key} if self.needs_head else model
        inputs |= {self._brain_place(brain): brain.recipe.key for brain in self.brains}
        settings: dict[str, Any] = {"aligner": plain(self.settings)}
        version = TUNING_VERSION
        if self.objectives is not None:
            settings = {"objectives": plain(self.objectives)}
            if self.objectives.masked_brain is not None:
                version = MASKED_BRAIN_VERSION
        words, of = inputs | self._words(), self._lineage()
        return Recipe("tuning", version, settings | self._text(), words, of)

    def _brain_place(self, brain: BrainTask) -> str:
        return "brain" if self.objectives is None else f"brain/{brain.subject}"

    def _lineage(self) -> Mapping[str, Any]:
        """Words alone: what of the brain came in stands in the brain's own recipe."""
        sides = (self.division.train, self.division.validation)
        fitted, chosen = (
            [one for s in side for one in entries(self.prepared, self._whose(s), [s], bold=False)]
            for side in sides
        )
        return lineage(fitted_on=fitted, chosen_on=chosen)

    def _text(self) -> dict[str, Any]:
        text = plain(self.config.text)
        if self.config.context_from == "sound":
            del text["context_from"]  # it came later: stores made before it stay good
        return {
            "text": text,
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
        dataset, most = self.prepared.dataset, self.prepared.division.stimuli.rows
        if self.config.subjects != "own":
            return {story: most[story] for story in self.division.stories}
        return {story: dataset.n_rows(self.subject, story) for story in self.division.stories}

    def _whose(self, story: str) -> str:
        """The subject whose rows of a story are read: the first that has most of them."""
        if self.config.subjects == "own":
            return self.subject
        splits, rows = self.prepared.division.splits, self.prepared.division.stimuli.rows
        return next(
            s
            for s, split in splits.items()
            if story in split.stories and self.prepared.dataset.n_rows(s, story) == rows[story]
        )

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
        name = f"{self.whose}, seed {self.seed}{self.division.place}"
        return TunedModel(name, self.recipe, folder, self.unchanged_layers)

    @property
    def unchanged_layers(self) -> int:
        """Layers, counted from the lowest, that stay as they are."""
        info, settings = self.prepared.infos[self.config.model], self.objectives or self.settings
        top = info.n_layers
        if isinstance(settings, ObjectiveSettings):
            top = max(resolve_layer(layer, info) for layer in settings.read_layers)
        return 0 if settings.trained_layers == "all" else max(top - settings.trained_layers, 0)


TuningKey = tuple[str, str, int, int | None]
"""Entry of ``tunings``, subject, seed, and fold (None in the plain protocol)."""

TuningTasks = Mapping[TuningKey, TuningTask]


def plan_tunings(
    prepared: Prepared, runs: Sequence[ArmRun], *, store: Store
) -> dict[TuningKey, TuningTask]:
    """Lay out the tunings that any arm reads, each with all its folds.

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
    return {
        (*key, None if division.fold is None else division.fold.number): _task(
            prepared, *key, division, store=store
        )
        for key in wanted
        for division in aligner_divisions(prepared, *key[:2])
    }


def _task(
    prepared: Prepared,
    name: str,
    subject: str,
    seed: int,
    division: AlignerDivision,
    *,
    store: Store,
) -> TuningTask:
    config = prepared.config.tunings[name]
    brains = []
    if config.brain is not None:
        for whose in config.participants(subject, tuple(prepared.division.splits)):
            heard = training_stories(prepared, whose)
            brains.append(BrainTask(prepared, config.brain, whose, division.of(heard), store))
            check_brain(brains[-1])
    return TuningTask(prepared, name, subject, seed, division, tuple(brains), store)


def tuning_bytes(task: TuningTask, store: Store) -> int:
    """Estimate what a tuning adds to the store: weights, their best, and vectors."""
    if store.has(task.recipe):
        return 0
    folder = task.prepared.infos[task.config.model].folder
    kinds = ("*.safetensors", "pytorch_model*.bin")  # where both are there, the first is read
    sizes = (sum(path.stat().st_size for path in folder.glob(kind)) for kind in kinds)
    weights = next((size for size in sizes if size), 0)
    rows = sum(task._rows().values())
    return 2 * weights + sum(4 * rows * brain.width for brain in task.brains)
