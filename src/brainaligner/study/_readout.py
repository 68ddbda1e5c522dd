"""What the stages ``decomposition`` and ``readout`` are asked for, and what they left."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from jaxtyping import Float

from brainaligner.core import Fold, InputError, Piece
from brainaligner.study._designs import Design, PieceDesigns, PieceStories, design_record
from brainaligner.study._disk import npz_names, read_array
from brainaligner.study._lineage import entries, lineage
from brainaligner.study._prepare import Prepared
from brainaligner.study._settings import plain
from brainaligner.study._store import Recipe, Store
from brainaligner.study._witness import WitnessBook

DECOMPOSITION_VERSION = 1
READOUT_VERSION = 3
PREDICTIONS = "predictions.npz"


@dataclass(frozen=True, eq=False)
class Readout:
    """A finished readout: predictions on disk, and what was chosen.

    Parameters
    ----------
    recipe : Recipe
    folder : Path
    pieces : tuple of Piece
        What was predicted.
    alpha : str
        The chosen alpha in words.
    edge : str, optional
        Advice, where it lies at an end of the grid.
    replaced : mapping of story to int
        NaN and infinite responses that were set to 0.
    route : str, optional
        How the ridge was computed, in words.
    """

    recipe: Recipe
    folder: Path
    pieces: tuple[Piece, ...]
    alpha: str
    edge: str | None
    replaced: Mapping[str, int]
    route: str | None = None


@dataclass(frozen=True, eq=False)
class ReadoutTask:
    """One arm, one subject, one fold: all that its ridge needs.

    Parameters
    ----------
    prepared : Prepared
    design : ArmDesign
    subject : str
    fold : Fold
    """

    prepared: Prepared
    design: Design
    subject: str
    fold: Fold

    @cached_property
    def rows(self) -> dict[str, int]:
        """Rows of each story that this subject heard."""
        stories = self.prepared.division.splits[self.subject].stories
        return {story: self.prepared.dataset.n_rows(self.subject, story) for story in stories}

    @property
    def validation(self) -> tuple[Piece, ...]:
        """Pieces that choose alpha: none where training stories are left out in turn."""
        settings = self.design.arm.banded or self.design.arm.ridge
        return self.fold.validation if settings.selection == "validation" else ()

    def witness(self) -> WitnessBook:
        """A record for what will enter the fit."""
        sides = {"fit": self.fold.train, "choose": self.validation, "predict": self.fold.test}
        return WitnessBook(self.prepared.dataset.space(self.subject).size, sides)

    def designs(self, pieces: Sequence[Piece]) -> PieceDesigns:
        """Designs of some pieces."""
        return PieceDesigns(self.design, pieces, self.rows)

    def stories(self, pieces: Sequence[Piece]) -> PieceStories:
        """Designs and responses of some pieces."""
        return PieceStories(self.design, pieces, self.rows, self.prepared.dataset, self.subject)


def decomposition_recipe(task: ReadoutTask) -> Recipe:
    """Recipe of the decomposition; it knows no responses, so subjects share it."""
    ridge = task.design.arm.ridge
    settings = {
        "design": design_record(task.design.arm.design),
        "shift": task.design.shift,
        "intercept": ridge.intercept,
        "scaling": ridge.scaling,
        "form": ridge.form,
        "train": piece_rows(task, task.fold.train),
    } | task.design.cross_fit()
    fitted = entries(task.prepared, task.subject, task.fold.train, bold=False)
    inputs, of = task.design.inputs(), lineage(fitted_on=fitted)
    return Recipe("decomposition", DECOMPOSITION_VERSION, settings, inputs, of)


def readout_recipe(task: ReadoutTask) -> Recipe:
    """Recipe of the readout: test stories enter by their text alone, never by responses."""
    arm, fold = task.design.arm, task.fold
    settings = {
        "design": design_record(arm.design),
        "shift": task.design.shift,
        "ridge": plain(arm.ridge) if arm.banded is None else None,
        "banded": plain(arm.banded),
        "train": piece_rows(task, fold.train),
        "validation": piece_rows(task, task.validation),
        "test": piece_rows(task, fold.test),
    } | task.design.cross_fit()
    digests = task.prepared.digests[task.subject]
    heard = {piece.story for piece in (*fold.train, *task.validation)}
    responses = {f"responses/{story}": digests[story] for story in sorted(heard)}
    of = lineage(
        fitted_on=entries(task.prepared, task.subject, fold.train),
        chosen_on=entries(task.prepared, task.subject, task.validation),
    )
    return Recipe("readout", READOUT_VERSION, settings, task.design.inputs() | responses, of)


def piece_rows(task: ReadoutTask, pieces: Sequence[Piece]) -> list[list[str | int]]:
    """Story, first and last row of each piece, and rows of the story (designs see them all)."""
    places = [(piece, task.rows[piece.story]) for piece in pieces]
    return [[piece.story, *piece.rows.indices(rows)[:2], rows] for piece, rows in places]


def prediction_bytes(task: ReadoutTask) -> int:
    """What predictions take on the disk."""
    tested = sum(len(range(task.rows[piece.story])[piece.rows]) for piece in task.fold.test)
    return 4 * tested * task.prepared.dataset.space(task.subject).size


def block_name(piece: int, first_target: int) -> str:
    """Name of a piece's predictions at a block of targets."""
    return f"piece{piece}/from{first_target:09d}"


def stored_readout(task: ReadoutTask, store: Store, *, where: str) -> Readout:
    """Find a readout of a finished run; what it chose stays on disk.

    Raises
    ------
    InputError
        If the store does not hold it.
    """
    recipe = readout_recipe(task)
    if not store.has(recipe):
        raise InputError(
            where,
            got=f"no readout {recipe.key} in {store.folder}",
            wanted="the predictions that the study file and the data ask for",
            do="Run the study again: its data, models or version changed, or the store was "
            "emptied.",
        )
    return Readout(recipe, store.path(recipe), task.fold.test, "", None, {})


def read_predictions(readout: Readout) -> Iterator[tuple[Piece, Float[np.ndarray, "time target"]]]:
    """Read the predicted responses of each test piece."""
    path = readout.folder / PREDICTIONS
    names = sorted(npz_names(path))
    for i, piece in enumerate(readout.pieces):
        blocks = [name for name in names if name.startswith(f"piece{i}/")]
        yield piece, np.concatenate([read_array(path, name) for name in blocks], axis=1)
