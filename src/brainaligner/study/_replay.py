"""A readout fitted again on a few targets, straight from the dataset and stored features."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float, Float32

from brainaligner.core import Piece
from brainaligner.data import Dataset
from brainaligner.encoding import Decomposition, stream_ridge
from brainaligner.study._designs import ArmDesign
from brainaligner.study._disk import read_array
from brainaligner.study._readout import ReadoutTask
from brainaligner.text import design_rows, nuisance_columns


@dataclass(frozen=True, eq=False)
class ReplayDesigns:
    """Designs of pieces, made from stored features and words each time they are read."""

    made_of: ArmDesign
    pieces: Sequence[Piece]
    rows: Mapping[str, int]

    def __len__(self) -> int:
        return len(self.pieces)

    def design(self, i: int) -> Float[np.ndarray, "time feature"]:
        """Features of piece `i`."""
        piece, design = self.pieces[i], self.made_of
        n_rows, settings = self.rows[piece.story], design.arm.design
        bands = [
            read_array(space.folder / "features.npz", piece.story)[:n_rows]
            for space in design.single
        ]
        z = None
        if settings.nuisance != "none":
            words, clock = design.stimuli.transcripts[piece.story], design.stimuli.clock
            z = nuisance_columns(
                words,
                clock,
                n_rows,
                shift=design.shift,
                delays=settings.delays,
                with_word_length=settings.word_length,
            )
        return design_rows(bands, z, settings=settings)[piece.rows]


@dataclass(frozen=True, eq=False)
class ReplayStories(ReplayDesigns):
    """The same with responses at a few columns."""

    dataset: Dataset
    subject: str
    columns: range

    @property
    def n_targets(self) -> int:
        """Number of targets that are fitted again."""
        return len(self.columns)

    def responses(self, i: int, targets: slice) -> Float[np.ndarray, "time target"]:
        """Responses to piece `i`."""
        step = slice(self.columns.start, self.columns.stop, self.columns.step)
        piece = self.pieces[i]
        whole = self.dataset.responses(self.subject, piece.story, step).values
        return whole[piece.rows, targets]


@dataclass(frozen=True, eq=False)
class Replay:
    """What a fit gives on a few targets.

    Parameters
    ----------
    validation_r : float32 array, shape (alpha, target)
    predictions : tuple of float32 arrays, shape (time, target)
        One for each test piece, at the alphas that were stored.
    """

    validation_r: Float32[np.ndarray, "alpha target"]
    predictions: tuple[Float[np.ndarray, "_time target"], ...]


def replay(
    task: ReadoutTask,
    decomposition: Decomposition,
    columns: range,
    alpha: float | None,
    device: str,
) -> Replay:
    """Fit and predict a few targets of a readout again.

    Parameters
    ----------
    task : ReadoutTask
    decomposition : Decomposition
        As stored; refused where training designs are not those it was made of.
    columns : range
        Targets.
    alpha : float, optional
        Of all targets, where one serves all.
    device : str

    Raises
    ------
    InputError
        If the decomposition is of other designs.
    """
    made_of = task.design.source
    assert made_of is not None
    train, validation = (
        ReplayStories(made_of, p, task.rows, task.prepared.dataset, task.subject, columns)
        for p in (task.fold.train, task.validation)
    )
    test = ReplayDesigns(made_of, task.fold.test, task.rows)
    settings = replace(task.design.arm.ridge, alpha="per_target")
    (chosen,) = stream_ridge(
        train,
        validation if task.validation else None,
        test if alpha is None else [],
        settings=settings,
        decomposition=decomposition,
        device=device,
    )
    if alpha is None:
        return Replay(chosen.choice.validation_r, chosen.predictions)
    (fitted,) = stream_ridge(
        train,
        None,
        test,
        settings=replace(settings, alphas=(alpha,), selection="validation"),
        decomposition=decomposition,
        device=device,
    )
    return Replay(chosen.choice.validation_r, fitted.predictions)
