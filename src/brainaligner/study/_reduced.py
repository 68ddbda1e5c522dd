"""Features in few dimensions: what lag curves and null refits are made of, many times over."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import scipy.linalg
from jaxtyping import Float, Float32

from brainaligner.core import Fold, Piece, zscore
from brainaligner.encoding import (
    ArrayStories,
    Decomposition,
    RidgeSettings,
    decompose,
    stream_ridge,
)
from brainaligner.evaluation import join_pieces
from brainaligner.study._designs import ArmDesign
from brainaligner.study._disk import read_npz, write_npz
from brainaligner.study._judged import some_targets
from brainaligner.study._prepare import Prepared
from brainaligner.study._store import Recipe, Store
from brainaligner.text import DesignSettings, design_rows

VERSION = 1
N_COMPONENTS = 24
GRID = tuple(float(alpha) for alpha in np.logspace(1, 7, 7))
Series = Mapping[str, Float[np.ndarray, "_time _column"]]


def reduced_recipe(design: ArmDesign, train: Sequence[str]) -> Recipe:
    """Recipe of an arm's features in few dimensions; it knows no responses."""
    settings = {"components": N_COMPONENTS, "train": sorted(train)}
    return Recipe("reduced", VERSION, settings, design.inputs())


def ensure_reduced(
    design: ArmDesign, train: Sequence[str], *, store: Store
) -> dict[str, Float32[np.ndarray, "time component"]]:
    """Principal components of an arm's features, all rows of each story.

    Components are those of the training stories, features standardised within their story
    before and components after, so that all of them are of one size.

    Parameters
    ----------
    design : ArmDesign
    train : sequence of str
        Stories on which components are found.
    store : Store
    """
    made = store.ensure(reduced_recipe(design, train), lambda target: _write(target, design, train))
    return read_npz(made / "components.npz")


def _write(folder: Path, design: ArmDesign, train: Sequence[str]) -> None:
    values = {
        story: np.concatenate(
            [space.scaled(story, n_rows, within_story=True) for space in design.spaces], axis=1
        )
        for story, n_rows in design.stimuli.rows.items()
    }
    width = next(iter(values.values())).shape[1]
    gram = np.zeros((width, width))
    for story in train:
        rows = values[story].astype(np.float64)
        gram += rows.T @ rows
    first = max(width - N_COMPONENTS, 0)
    _, vectors = scipy.linalg.eigh(gram, subset_by_index=(first, width - 1))
    vectors *= np.sign(vectors[np.abs(vectors).argmax(axis=0), np.arange(vectors.shape[1])])
    write_npz(
        folder / "components.npz",
        {s: zscore((rows @ vectors[:, ::-1]).astype(np.float32)) for s, rows in values.items()},
    )


@dataclass(frozen=True, eq=False)
class Listener:
    """Responses of one subject to some stories at some targets, read once.

    Parameters
    ----------
    prepared : Prepared
    subject : str
    pieces : tuple of Piece
        Their stories are read, whole.
    """

    prepared: Prepared
    subject: str
    pieces: tuple[Piece, ...]

    @cached_property
    def responses(self) -> dict[str, Float[np.ndarray, "_time _target"]]:
        """Responses to every story."""
        targets = some_targets(self.prepared.dataset.space(self.subject).size)
        return {
            story: self.prepared.dataset.responses(self.subject, story).values[:, targets]
            for story in dict.fromkeys(piece.story for piece in self.pieces)
        }


Designs = dict[str, Float32[np.ndarray, "_time _column"]]


def small_designs(series: Series, delays: Sequence[int]) -> Designs:
    """Design rows of each story from a few components, without Z."""
    settings = DesignSettings(delays=tuple(delays), scaling="story")
    return {
        story: design_rows([rows], None, settings=settings).astype(np.float32)
        for story, rows in series.items()
    }


@dataclass(frozen=True, eq=False)
class SmallFit:
    """A ridge on few columns: chosen on validation pieces, many times over.

    Parameters
    ----------
    fold : Fold
    designs : dict of story to array
        At least as many rows as the responses have.
    rows : mapping of story to int
        Rows that the subject has.
    """

    fold: Fold
    designs: Designs
    rows: Mapping[str, int]

    @cached_property
    def decomposition(self) -> Decomposition:
        """Of the training pieces; good for all responses to them."""
        return decompose(self.pieces(self.fold.train), settings=RidgeSettings(alphas=GRID))

    def pieces(self, pieces: Sequence[Piece]) -> list[np.ndarray]:
        """Design rows of some pieces."""
        return [self.designs[p.story][: self.rows[p.story]][p.rows] for p in pieces]

    def predict(
        self, responses: Series, *, test: Sequence[Piece]
    ) -> tuple[list[np.ndarray], float]:
        """Fit these responses and predict some pieces; also mean r on the validation pieces."""
        (block,) = stream_ridge(
            self._stories(self.fold.train, responses),
            self._stories(self.fold.validation, responses),
            self.pieces(test),
            settings=RidgeSettings(alphas=GRID),
            decomposition=self.decomposition,
            target_block=1_000_000,
        )
        inner = float(block.choice.validation_r.mean(axis=1).max())
        return list(block.predictions), inner

    def _stories(self, pieces: Sequence[Piece], responses: Series) -> ArrayStories:
        return ArrayStories(self.pieces(pieces), [responses[p.story][p.rows] for p in pieces])


def joined(pieces: Sequence[Piece], rows: Sequence[np.ndarray]) -> dict[str, np.ndarray]:
    """Rows of the test pieces of every story, put together."""
    return join_pieces(list(pieces), list(rows))
