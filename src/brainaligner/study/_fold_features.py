"""Features of a cross-fitted tuning: each story's from the model that never saw it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Float32

from brainaligner.encoding import CrossFit, StoryRows, procrustes_rotation
from brainaligner.study._disk import read_array, write_json, write_npz
from brainaligner.study._features import FeatureSpace
from brainaligner.study._store import Recipe, Store

ALIGNMENT_VERSION = 1
_ROTATION = "rotation.npz"


@dataclass(frozen=True, eq=False)
class FoldModel:
    """Features of one fold's model.

    Parameters
    ----------
    space : FeatureSpace
    held_out : tuple of str
        Training stories that it never saw.
    seen : mapping
        For recipes: what it saw and did not see, stories and digests of responses.
    """

    space: FeatureSpace
    held_out: tuple[str, ...]
    seen: Mapping[str, Any]


@dataclass(frozen=True, eq=False)
class CrossFittedSpace:
    """Features of the models of all folds, brought to the coordinates of the frozen model.

    Parameters
    ----------
    frozen : FeatureSpace
        The same features of the model before tuning.
    models : tuple of FoldModel
    train : mapping of story to int
        Training stories of the ridge, and the subject's rows of each: their text decides how
        models are aligned.
    within_story : bool
        Whether features are standardised within their story before they are aligned.
    store : Store
        Where alignments lie.
    """

    frozen: FeatureSpace
    models: tuple[FoldModel, ...]
    train: Mapping[str, int]
    within_story: bool
    store: Store

    @property
    def width(self) -> int:
        """Features per row, before delays."""
        return self.frozen.width

    def parts(self) -> dict[str, str]:
        """Keys of all that the rows follow from."""
        found = {}
        for model in self.models:
            place = f"/fold{model.seen['fold']}"
            found[place] = model.space.recipe.key
            found[f"{place}/alignment"] = self.alignment(model).key
        return found

    def alignment(self, model: FoldModel) -> Recipe:
        """Recipe of one model's alignment; it knows features, no responses."""
        settings = {"within_story": self.within_story, "train": [*map(list, self.train.items())]}
        inputs = {"features": model.space.recipe.key, "common": self.frozen.recipe.key}
        return Recipe("alignment", ALIGNMENT_VERSION, settings, inputs)

    def scaled(
        self, story: str, n_rows: int, *, within_story: bool
    ) -> Float32[np.ndarray, "time feature"]:
        """One story's rows: of the model that never saw it, or the mean over all models.

        Delays come afterwards: they are linear, so that the mean of delayed rows is the same.
        """
        folds = tuple(model.held_out for model in self.models)
        rows = tuple(self._aligned(model, n_rows, within_story) for model in self.models)
        return CrossFit(folds, rows).rows(story).astype(np.float32)

    def _aligned(self, model: FoldModel, n_rows: int, within_story: bool) -> StoryRows:
        path = self.store.path(self.alignment(model)) / _ROTATION

        def rows(story: str) -> Float[np.ndarray, "time feature"]:
            scaled = model.space.scaled(story, n_rows, within_story=within_story)
            return scaled @ read_array(path, "rotation")

        return rows

    def ensure_alignments(self) -> None:
        """Align each model where that has not been done yet."""
        for model in self.models:
            self.store.ensure(self.alignment(model), partial(self._align, model=model))

    def _align(self, folder: Path, *, model: FoldModel) -> None:
        moved, common = self._training_rows(model.space), self._training_rows(self.frozen)
        rotation = procrustes_rotation(moved, common)
        aligned = [rows @ rotation for rows in moved]
        write_npz(folder / _ROTATION, {"rotation": rotation})
        distances = {"before": _distance(moved, common), "after": _distance(aligned, common)}
        write_json(folder / "facts.json", distances)

    def _training_rows(self, space: FeatureSpace) -> list[Float[np.ndarray, "time feature"]]:
        return [
            space.scaled(story, n_rows, within_story=self.within_story)
            for story, n_rows in self.train.items()
        ]


def _distance(
    rows: list[Float[np.ndarray, "time feature"]], common: list[Float[np.ndarray, "time feature"]]
) -> float:
    """``||A - B||_F / ||B||_F``."""
    squares = [
        (float(np.square(a.astype(np.float64) - b).sum()), float(np.square(b, dtype=float).sum()))
        for a, b in zip(rows, common, strict=True)
    ]
    apart, size = (sum(column) for column in zip(*squares, strict=True))
    return float((apart / size) ** 0.5) if size else 0.0
