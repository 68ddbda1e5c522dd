"""Designs and responses of one arm in one subject, read one piece at a time."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from jaxtyping import Float, Float32

from brainaligner.core import Piece
from brainaligner.data import Dataset
from brainaligner.study._config import ArmConfig
from brainaligner.study._features import Stimuli, read_features
from brainaligner.text import design_bands, design_rows, nuisance_columns

_KEEP_BYTES = 2**30


@dataclass(frozen=True, eq=False)
class ArmDesign:
    """Design rows of one arm: features scaled within their story, delayed, with Z.

    Parameters
    ----------
    arm : ArmConfig
    folders : tuple of Path
        Features artifacts, in the order of ``arm.features``.
    stimuli : Stimuli
    shift : int
        Rows by which the clock of the arm's first features is moved; Z follows it.
    """

    arm: ArmConfig
    folders: tuple[Path, ...]
    stimuli: Stimuli
    shift: int
    _kept: OrderedDict[tuple[str, int], np.ndarray] = field(default_factory=OrderedDict)

    def story(self, story: str, n_rows: int) -> Float32[np.ndarray, "time feature"]:
        """All rows of one story; kept in memory while there is room."""
        place = (story, n_rows)
        if place not in self._kept:
            values = self._make(story, n_rows)
            if sum(kept.nbytes for kept in self._kept.values()) + values.nbytes > _KEEP_BYTES:
                return values
            self._kept[place] = values
        return self._kept[place]

    def _make(self, story: str, n_rows: int) -> Float32[np.ndarray, "time feature"]:
        design = self.arm.design
        bands = self._feature_rows(story, n_rows)
        nuisance = None
        if design.nuisance != "none":
            nuisance = nuisance_columns(
                self.stimuli.transcripts[story],
                self.stimuli.clock,
                n_rows,
                shift=self.shift,
                delays=design.delays,
            )
        return design_rows(bands, nuisance, settings=design)

    def _feature_rows(self, story: str, n_rows: int) -> list[np.ndarray]:
        if self.arm.design.nuisance == "alone":
            return []
        return [read_features(folder, story)[:n_rows] for folder in self.folders]

    def bands(self) -> tuple[slice, ...]:
        """Columns of each feature space, and of Z where it is in, for banded ridge."""
        story, n_rows = next(iter(self.stimuli.rows.items()))
        widths = [rows.shape[1] for rows in self._feature_rows(story, n_rows)]
        whole = self.story(story, n_rows).shape[1]
        n_delayed = sum(widths) * len(self.arm.design.delays)
        return design_bands(widths, whole - n_delayed, settings=self.arm.design)


@dataclass(frozen=True, eq=False)
class PieceDesigns:
    """Designs of pieces, in the form that the ridge reads them."""

    design_of: ArmDesign
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
    def replaced(self) -> int:
        """NaN and infinite values set to 0 in all that was read so far."""
        return sum(self._replaced.values())

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
