"""One brain encoder in one subject: what it reads, and all that its vectors follow from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from brainaligner.brain import (
    BrainLMConfig,
    ParcelSeries,
    brainlm_info,
    vector_width,
)
from brainaligner.data import Dataset
from brainaligner.study._designs import ArmDesign, design_record
from brainaligner.study._features import FeatureSpace, feature_space
from brainaligner.study._lineage import entries, lineage
from brainaligner.study._parcels import ParcelFile, parcel_series, read_parcel_file
from brainaligner.study._prepare import Prepared
from brainaligner.study._settings import plain
from brainaligner.study._store import Recipe, Store
from brainaligner.study._tuning_config import BrainConfig

VERSION = 1
RANDOM_VERSION = 1
_UNSAID_TR = 2.0
"""Seconds between rows that recipes leave out: they came later, and stores made at it stay good."""


@dataclass(frozen=True, eq=False)
class SubjectRecording:
    """The responses of one subject, as brain encoders read them."""

    dataset: Dataset
    subject: str

    @property
    def n_targets(self) -> int:
        """Columns of the responses."""
        return self.dataset.space(self.subject).size

    @property
    def kind(self) -> str:
        """What the columns are."""
        return self.dataset.space(self.subject).kind

    def rows(self, story: str) -> int:
        """TRs of a story."""
        return self.dataset.n_rows(self.subject, story)

    def responses(self, story: str, targets: slice) -> Float[np.ndarray, "time target"]:
        """Responses to a story at a slice of targets; what is not finite is 0."""
        return self.dataset.responses(self.subject, story, targets).values

    def repeats(self, story: str, targets: slice) -> Float[np.ndarray, "repeat time target"] | None:
        """Single presentations of a story, None where there are none."""
        read = self.dataset.repeats(self.subject, story, targets)
        return None if read is None else read.repeats


@dataclass(frozen=True, eq=False)
class DesignsOfStories:
    """Designs of a plain model's features, by story."""

    designs: ArmDesign
    recording: SubjectRecording

    def design(self, story: str) -> Float[np.ndarray, "time feature"]:
        """Rows of one story."""
        return self.designs.story(story, self.recording.rows(story))


@dataclass(frozen=True)
class TuningFold:
    """Training stories of the ridge that one model of a cross-fitted tuning never sees.

    Parameters
    ----------
    number, of : int
        Which fold, counted from 1, of how many.
    held_out : tuple of str
        Its stories that the subject heard.
    """

    number: int
    of: int
    held_out: tuple[str, ...]

    @property
    def words(self) -> str:
        """For people."""
        return f"fold {self.number} of {self.of}"


@dataclass(frozen=True)
class AlignerDivision:
    """Training stories of the ridge, divided for the aligner.

    Parameters
    ----------
    train : tuple of str
        Stories that it learns from.
    validation : tuple of str
        Stories that it stops by.
    fold : TuningFold, optional
        None in the plain protocol, where the two are all training stories.
    """

    train: tuple[str, ...]
    validation: tuple[str, ...]
    fold: TuningFold | None = None

    @property
    def stories(self) -> tuple[str, ...]:
        """All of them."""
        return self.train + self.validation

    @property
    def held_out(self) -> tuple[str, ...]:
        """Training stories of the ridge that stay unseen."""
        return self.fold.held_out if self.fold is not None else ()

    def of(self, heard: set[str]) -> AlignerDivision:
        """The same of one subject, who may not have heard all stories."""
        train, validation = (
            tuple(story for story in side if story in heard)
            for side in (self.train, self.validation)
        )
        return AlignerDivision(train, validation, self.fold)

    @property
    def place(self) -> str:
        """The fold in words that follow others; nothing in the plain protocol."""
        return f", {self.fold.words}" if self.fold is not None else ""


@dataclass(frozen=True, eq=False)
class BrainTask:
    """One brain encoder in one subject.

    Parameters
    ----------
    prepared : Prepared
    name : str
        Entry of the study's ``brains``.
    subject : str
        Whose aligner reads the vectors.
    division : AlignerDivision
    store : Store
    """

    prepared: Prepared
    name: str
    subject: str
    division: AlignerDivision
    store: Store

    @property
    def config(self) -> BrainConfig:
        """What the study file says."""
        return self.prepared.config.brains[self.name]

    @property
    def source(self) -> str:
        """Whose brain it is."""
        if self.config.subject == "own":
            return self.subject
        subjects = list(self.prepared.division.splits)
        return subjects[(subjects.index(self.subject) + 1) % len(subjects)]

    @property
    def recording(self) -> SubjectRecording:
        """Responses of the source."""
        return SubjectRecording(self.prepared.dataset, self.source)

    @cached_property
    def repeated(self) -> tuple[str, ...]:
        """Stories with single presentations that the encoder looks at."""
        if self.config.kind != "high_ev":
            return ()
        dataset, recording, first = self.prepared.dataset, self.recording, slice(0, 1)
        heard = [s for s in dataset.stories(self.source) if s not in self.division.held_out]
        several = [story for story in heard if dataset.presentations(story) > 1]
        return tuple(story for story in several if recording.repeats(story, first) is not None)

    @cached_property
    def features(self) -> FeatureSpace | None:
        """Features of the plain model, where the encoder selects by them."""
        name = self.config.features
        if name is None:
            return None
        feature, prepared = self.prepared.config.features[name], self.prepared
        info, stimuli = prepared.infos[feature.model], prepared.division.stimuli
        return feature_space(name, feature, info, stimuli, store=self.store)

    @cached_property
    def parcels(self) -> ParcelFile | None:
        """Parcels of voxels, for the fMRI foundation model."""
        if self.config.parcels is None:
            return None
        path = self.prepared.dataset.folder / Path(self.config.parcels).expanduser()
        return read_parcel_file(path, self.source)

    @property
    def width(self) -> int:
        """Numbers per TR at most: as many as there are targets, where none are chosen."""
        if self.config.brainlm is not None:
            return self.config.brainlm.width(self.brainlm_config())
        assert self.config.encoder is not None
        return vector_width(self.config.encoder, self.recording.n_targets)

    def operations(self, rows: int) -> float:
        """Estimate the floating-point operations that the encoder takes."""
        if self.config.brainlm is not None:
            config = self.brainlm_config()
            width, tokens = config.hidden_size, config.n_tokens + 1
            per_token = 24.0 * width**2 + 4.0 * tokens * width
            windows = rows / self.config.brainlm.hop
            return windows * config.num_hidden_layers * tokens * per_token
        if self.features is None:
            return 2.0 * rows * self.recording.n_targets
        columns = self.features.width * len(self.config.design.delays)
        fits = 5.0  # folds within the training stories
        return fits * (2.0 * rows * columns * (columns + 2 * self.recording.n_targets))

    @property
    def weight_bytes(self) -> float:
        """Estimate what the fMRI foundation model takes in float32: 12 width^2 in each layer."""
        if self.config.brainlm is None:
            return 0.0
        config = self.brainlm_config()
        return 4.0 * 12.0 * config.num_hidden_layers * config.hidden_size**2

    def brainlm_config(self) -> BrainLMConfig:
        """Geometry of the fMRI foundation model."""
        if self.config.random is not None:
            return self.config.random
        assert self.config.checkpoint is not None
        return brainlm_info(Path(self.config.checkpoint).expanduser()).config

    @cached_property
    def series(self) -> ParcelSeries | None:
        """Parcel means of the source."""
        return parcel_series(self.prepared.dataset, self.source, self.parcels)

    @cached_property
    def recipe(self) -> Recipe:
        """All that the vectors follow from: no response of a test story, but for repeats."""
        config = self.config
        settings = {
            "encoder": plain(config.encoder or config.brainlm),
            "kind": config.kind,
            "design": design_record(config.design) if config.features else None,
            "seed": config.seed,
            "fitted_on": list(self.division.train),
            "given": list(self.division.stories),
            "repeated": list(self.repeated),
            "rows": self.borrowed_rows,
        }
        resampled = self.config.brainlm is not None and self.config.brainlm.target_tr is not None
        tr = self.prepared.dataset.clock.tr
        if resampled and tr != _UNSAID_TR:
            settings["tr"] = tr
        if self._drawn_by_name:
            settings["subject"] = self.source
        return Recipe("brain", VERSION, settings, self._inputs(), self._lineage())

    @property
    def _drawn_by_name(self) -> bool:
        """Whether the subject's name seeds a draw."""
        encoder = self.config.encoder
        return encoder is not None and (encoder.kind == "noise" or encoder.shift)

    def _lineage(self) -> Mapping[str, Any]:
        """Encoders fit on the aligner's training stories, and some choose targets by repeats.

        Vectors are read off all stories that the aligner is given.
        """
        chosen = (*(self.division.train if self.features is not None else ()), *self.repeated)
        return lineage(
            fitted_on=entries(self.prepared, self.source, self.division.stories, text=False),
            chosen_on=entries(self.prepared, self.source, chosen, text=False),
        )

    @property
    def borrowed_rows(self) -> dict[str, int] | None:
        """Rows of each story in the subject, where another's vectors have to be cut to them.

        None where they fit as they are: vectors, and a model tuned on them, are then the other
        subject's own.
        """
        own, theirs = (
            {story: self.prepared.dataset.n_rows(whose, story) for story in self.division.stories}
            for whose in (self.subject, self.source)
        )
        return None if own == theirs else own

    def _inputs(self) -> dict[str, str]:
        stories = sorted({*self.division.stories, *self.repeated})
        inputs = {f"responses/{story}": self._digest(story) for story in stories}
        if self.features is not None:
            inputs["features"] = self.features.recipe.key
        if self.config.checkpoint is not None:
            inputs["checkpoint"] = self.prepared.checkpoints[self.config.checkpoint]
        if self.config.random is not None:
            inputs["checkpoint"] = random_recipe(self.config).key
        if self.parcels is not None:
            inputs["parcels"] = self.parcels.digest
        return inputs

    def _digest(self, story: str) -> str:
        known = self.prepared.digests[self.source]
        if story in known:
            return known[story]
        dataset = self.prepared.dataset
        return f"{dataset.reader}/{dataset.responses_digest(self.source, story)}"


def random_recipe(config: BrainConfig) -> Recipe:
    """Recipe of a checkpoint of random weights."""
    settings = {"config": plain(config.random), "seed": config.seed}
    return Recipe("random-brainlm", RANDOM_VERSION, settings, {})
