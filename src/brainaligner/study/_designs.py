"""Designs and responses of one arm in one subject, read one piece at a time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, Float32

from brainaligner.core import Piece
from brainaligner.data import Dataset
from brainaligner.study._arm_config import ArmConfig
from brainaligner.study._features import FeatureSpace, Stimuli
from brainaligner.study._fold_features import CrossFittedSpace
from brainaligner.study._settings import plain
from brainaligner.text import DesignSettings, design_bands, design_rows, nuisance_columns

_KEEP_BYTES = 2**30


@runtime_checkable
class StoryRows(Protocol):
    """Anything that has the design rows of a story."""

    def story(self, story: str, n_rows: int) -> Float32[np.ndarray, "time feature"]:
        """All rows of one story."""
        ...


@runtime_checkable
class Design(StoryRows, Protocol):
    """What a readout reads: an arm's features, or what a projection makes of them."""

    @property
    def arm(self) -> ArmConfig:
        """The arm."""
        ...

    @property
    def shift(self) -> int:
        """Rows by which the clock of the arm's first features is moved."""
        ...

    @property
    def source(self) -> ArmDesign | None:
        """The features before any projection; None where no words are read."""
        ...

    @property
    def n_feature_columns(self) -> int:
        """Columns without Z; at most that many."""
        ...

    def forget(self) -> None:
        """Give back the memory of all stories."""
        ...

    def inputs(self) -> dict[str, str]:
        """All that the design follows from, for recipes."""
        ...

    def cross_fit(self) -> dict[str, Any]:
        """What each fold's models saw and did not see, for recipes; empty where none is."""
        ...


def word_design(design: Design) -> ArmDesign:
    """Return the features before any projection, of a design that reads words."""
    assert design.source is not None
    return design.source


def design_record(design: DesignSettings) -> dict[str, Any]:
    """Settings of a design for recipes; word length stands there where it is in."""
    record: dict[str, Any] = plain(design)
    if not design.word_length:  # so that keys stay those of designs that never had it
        del record["word_length"]
    return record


@dataclass(frozen=True, eq=False)
class ArmDesign:
    """Design rows of one arm: features scaled within their story, delayed, with Z.

    Parameters
    ----------
    arm : ArmConfig
    spaces : tuple of FeatureSpace or CrossFittedSpace
        In the order of ``arm.read``.
    stimuli : Stimuli
    shift : int
        Rows by which the clock of the arm's first features is moved; Z follows it.
    """

    arm: ArmConfig
    spaces: tuple[FeatureSpace | CrossFittedSpace, ...]
    stimuli: Stimuli
    shift: int
    _kept: dict[tuple[str, int], np.ndarray] = field(default_factory=dict)

    def story(self, story: str, n_rows: int) -> Float32[np.ndarray, "time feature"]:
        """All rows of one story; kept in memory while there is room."""
        place = (story, n_rows)
        if place not in self._kept:
            values = self._make(story, n_rows)
            if sum(kept.nbytes for kept in self._kept.values()) + values.nbytes > _KEEP_BYTES:
                return values
            self._kept[place] = values
        return self._kept[place]

    def forget(self) -> None:
        """Give back the memory of all stories."""
        self._kept.clear()

    def _make(self, story: str, n_rows: int) -> Float32[np.ndarray, "time feature"]:
        design = self.arm.design
        within_story = design.scaling == "story"
        bands = [space.scaled(story, n_rows, within_story=within_story) for space in self.spaces]
        nuisance = None
        if design.nuisance != "none":
            nuisance = nuisance_columns(
                self.stimuli.transcripts[story],
                self.stimuli.clock,
                n_rows,
                shift=self.shift,
                delays=design.delays,
                with_word_length=design.word_length,
            )
        return design_rows(bands, nuisance, settings=replace(design, scaling="none"))

    @property
    def source(self) -> ArmDesign:
        """Itself: no projection."""
        return self

    def inputs(self) -> dict[str, str]:
        """All that the design follows from, for recipes."""
        features = {
            f"features/{i}{part}": key
            for i, space in enumerate(self.spaces)
            for part, key in space.parts().items()
        }
        return features | self.stimuli.digests()

    def cross_fit(self) -> dict[str, Any]:
        """What each fold's models saw and did not see, for recipes; empty where none is."""
        crossed = {
            f"features/{i}": [model.seen for model in space.models]
            for i, space in enumerate(self.spaces)
            if isinstance(space, CrossFittedSpace)
        }
        return {"cross_fit": crossed} if crossed else {}

    @property
    def single(self) -> tuple[FeatureSpace, ...]:
        """Feature spaces that are not cross-fitted."""
        return tuple(space for space in self.spaces if isinstance(space, FeatureSpace))

    @property
    def crossed(self) -> tuple[CrossFittedSpace, ...]:
        """Feature spaces that are cross-fitted."""
        return tuple(space for space in self.spaces if isinstance(space, CrossFittedSpace))

    @property
    def n_feature_columns(self) -> int:
        """Columns of the design without Z."""
        return sum(space.width for space in self.spaces) * len(self.arm.design.delays)

    def bands(self) -> tuple[slice, ...]:
        """Columns of each feature space, and of Z where it is in, for banded ridge."""
        n_columns = self.story(*next(iter(self.stimuli.rows.items()))).shape[1]
        widths = [space.width for space in self.spaces]
        n_nuisance = n_columns - self.n_feature_columns
        return design_bands(widths, n_nuisance, settings=self.arm.design)


@dataclass(frozen=True, eq=False)
class PieceDesigns:
    """Designs of pieces, in the form that the ridge reads them."""

    design_of: StoryRows
    pieces: Sequence[Piece]
    rows: Mapping[str, int]

    def __len__(self) -> int:
        return len(self.pieces)

    def design(self, i: int) -> Float[np.ndarray, "time feature"]:
        """Features of piece `i`."""
        piece = self.pieces[i]
        return self.design_of.story(piece.story, self.rows[piece.story])[piece.rows]


@dataclass(frozen=True, eq=False)
class PieceStories(PieceDesigns):
    """Designs with the responses of one subject."""

    dataset: Dataset
    subject: str
    _replaced: dict[tuple[str, int], int] = field(default_factory=dict)

    @property
    def replaced(self) -> dict[str, int]:
        """NaN and infinite values set to 0 in each story that was read, where there were any."""
        counts: dict[str, int] = {}
        for (story, _), count in self._replaced.items():
            if count:
                counts[story] = counts.get(story, 0) + count
        return counts

    @property
    def n_targets(self) -> int:
        """Number of targets."""
        return self.dataset.space(self.subject).size

    def responses(self, i: int, targets: slice) -> Float[np.ndarray, "time target"]:
        """Responses to piece `i` at a slice of targets."""
        piece = self.pieces[i]
        read = self.dataset.responses(self.subject, piece.story, targets)
        self._replaced[piece.story, targets.start or 0] = read.replaced
        return read.values[piece.rows]
