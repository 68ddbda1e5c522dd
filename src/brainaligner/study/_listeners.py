"""The other-listener reference: what the brains of others tell of one subject's responses."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from jaxtyping import Float, Float32

from brainaligner.brain import BrainMaterial, BrainSettings, brain_vectors
from brainaligner.core import Fold, Piece, WithinStorySplit
from brainaligner.study._arm_config import ArmConfig
from brainaligner.study._prepare import Prepared
from brainaligner.study._readout import ReadoutTask
from brainaligner.text import DesignSettings

LISTENERS = "other listeners"
_DESIGN = DesignSettings(delays=(0,), scaling="none")


@dataclass(frozen=True, eq=False)
class ListenerDesign:
    """Responses of the other listeners, side by side, row for row: a design like any other.

    Each listener's columns are divided by their root mean square over the training rows.
    Test rows of the OTHER listeners are read: this is a reference, not a model of the text.

    Parameters
    ----------
    prepared : Prepared
    others : tuple of str
    fold : Fold
        Its pieces, which all of them and the predicted subject have.
    """

    prepared: Prepared
    others: tuple[str, ...]
    fold: Fold
    shift: int = 0
    _kept: dict[str, np.ndarray] = field(default_factory=dict)

    @property
    def arm(self) -> ArmConfig:
        """Stands where an arm would: its ridge, without delays."""
        ridge = self.prepared.config.other_listeners.ridge
        return ArmConfig((LISTENERS,), _DESIGN, ridge)

    @property
    def source(self) -> None:
        """No words are read."""
        return None

    @property
    def pieces(self) -> tuple[Piece, ...]:
        """Training pieces first."""
        return (*self.fold.train, *self.fold.validation, *self.fold.test)

    @property
    def n_feature_columns(self) -> int:
        """Numbers per row."""
        return sum(self._width(other) for other in self.others)

    def _width(self, other: str) -> int:
        most = self.prepared.config.other_listeners.components
        return min(most, self.prepared.dataset.space(other).size)

    def story(self, story: str, n_rows: int) -> Float32[np.ndarray, "time feature"]:
        """All rows of one story; zeros where no piece lies."""
        if not self._kept:
            self._kept.update(self._stories())
        return self._kept[story][:n_rows]

    def forget(self) -> None:
        """Give back the memory of all stories."""
        self._kept.clear()

    def inputs(self) -> dict[str, str]:
        """Responses of the other listeners; those to test stories are among them."""
        digests = self.prepared.digests
        stories = sorted({piece.story for piece in self.pieces})
        found = {f"other-listener/{o}/{s}": digests[o][s] for o in self.others for s in stories}
        return found | {"components": str(self.prepared.config.other_listeners.components)}

    def cross_fit(self) -> dict[str, Any]:
        """No tuned model is read."""
        return {}

    def _stories(self) -> dict[str, np.ndarray]:
        columns = [self._columns(other) for other in self.others]
        rows = self.prepared.dataset.n_rows
        stories = {
            piece.story: np.zeros(
                (rows(self.others[0], piece.story), self.n_feature_columns), np.float32
            )
            for piece in self.pieces
        }
        for i, piece in enumerate(self.pieces):
            found = [values[str(i)] for values in columns]
            stories[piece.story][piece.rows] = np.concatenate(found, axis=1)
        return stories

    def _columns(self, other: str) -> Mapping[str, Float[np.ndarray, "time column"]]:
        recording = PieceRecording(self.prepared, other, self.pieces)
        names = tuple(str(i) for i in range(len(self.pieces)))
        fitted = names[: len(self.fold.train)]
        width = self._width(other)
        rows: Mapping[str, np.ndarray]
        if width == recording.n_targets:
            rows = {name: recording.responses(name, slice(0, width)) for name in names}
        else:
            settings = BrainSettings("pca", width=width, standardise="none")
            material = BrainMaterial(other, recording, fitted_on=fitted, given=names)
            rows = brain_vectors(material, settings=settings, seed=0).rows
        squares = np.concatenate([rows[name] for name in fitted]).astype(np.float64) ** 2
        scale = max(float(np.sqrt(squares.mean())), np.finfo(np.float32).tiny)
        return {name: values / scale for name, values in rows.items()}


@dataclass(frozen=True, eq=False)
class PieceRecording:
    """Responses of one subject to numbered pieces, as principal components read them."""

    prepared: Prepared
    subject: str
    pieces: tuple[Piece, ...]

    @property
    def n_targets(self) -> int:
        """Columns of the responses."""
        return self.prepared.dataset.space(self.subject).size

    @property
    def kind(self) -> str:
        """What the columns are."""
        return self.prepared.dataset.space(self.subject).kind

    def rows(self, story: str) -> int:
        """TRs of a piece."""
        piece = self.pieces[int(story)]
        return len(range(self.prepared.dataset.n_rows(self.subject, piece.story))[piece.rows])

    def responses(self, story: str, targets: slice) -> Float[np.ndarray, "time target"]:
        """Responses to a piece at a slice of targets; what is not finite is 0."""
        piece = self.pieces[int(story)]
        read = self.prepared.dataset.responses(self.subject, piece.story, targets)
        return read.values[piece.rows]

    def repeats(self, story: str, targets: slice) -> None:
        """None: single presentations are not looked at."""


def listener_tasks(prepared: Prepared) -> dict[str, tuple[ReadoutTask, ...]]:
    """The reference of each subject that can have one; one task for each fold.

    The listeners are those who heard all test stories of the subject, with as many rows; it is
    fitted and its alpha chosen on the training and validation stories that all of them share.
    """
    config = prepared.config.other_listeners
    splits = prepared.division.splits
    if not config.shown or len(splits) < 2:
        return {}
    found = {subject: tuple(_tasks(prepared, subject)) for subject in splits}
    return {s: tasks for s, tasks in found.items() if len(tasks) == len(splits[s].folds)}


def _tasks(prepared: Prepared, subject: str) -> Iterator[ReadoutTask]:
    heard = _Heard(prepared, subject)
    for fold in prepared.division.splits[subject].folds:
        others = tuple(o for o in heard.others if all(heard.alike(o, p) for p in fold.test))
        train, validation = (
            tuple(piece for piece in side if all(heard.alike(o, piece) for o in others))
            for side in (fold.train, fold.validation)
        )
        shared = Fold(train, validation, fold.test)
        if others and train and validation:
            yield ReadoutTask(prepared, ListenerDesign(prepared, others, shared), subject, shared)


@dataclass(frozen=True, eq=False)
class _Heard:
    prepared: Prepared
    subject: str

    @cached_property
    def others(self) -> tuple[str, ...]:
        return tuple(s for s in self.prepared.division.splits if s != self.subject)

    def alike(self, other: str, piece: Piece) -> bool:
        """Whether another listener has this piece too, with as many rows in its story."""
        split, dataset = self.prepared.division.splits[other], self.prepared.dataset
        if isinstance(split, WithinStorySplit):
            return True
        return piece.story in split.stories and dataset.n_rows(
            other, piece.story
        ) == dataset.n_rows(self.subject, piece.story)
