"""Features of an arm after a reduced-rank projection: what its ridges read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Float32, Float64

from brainaligner.study._arm_config import ArmConfig
from brainaligner.study._designs import ArmDesign
from brainaligner.study._disk import read_json, read_npz, reading_artifact, write_npz
from brainaligner.study._projection_task import ProjectionTask
from brainaligner.study._readout import ReadoutTask, decomposition_recipe
from brainaligner.study._store import Recipe, Store

ARRAYS = "projection.npz"
FACTS = "choice.json"


@dataclass(frozen=True, eq=False)
class Projection:
    """``G = X @ weights + constant``, by the fold that a story is in.

    Parameters
    ----------
    weights : sequence of float64 arrays, each (feature, column)
        One for each fold, or a single one.
    constants : sequence of float64 arrays, each (column,)
    folds : tuple of tuple of str
        Training stories whose responses each projection does not know; none where it is single.
    """

    weights: Sequence[Float64[np.ndarray, "feature column"]]
    constants: Sequence[Float64[np.ndarray, "column"]]
    folds: tuple[tuple[str, ...], ...] = ()

    def rows(
        self, story: str, design: Float[np.ndarray, "time feature"]
    ) -> Float32[np.ndarray, "time column"]:
        """G of a story: by the projection that does not know it, else the mean over all.

        A readout is linear in G: the mean of G over folds gives the mean of their predictions.
        """
        for fold, weights, constant in zip(self.folds, self.weights, self.constants, strict=False):
            if story in fold:
                return (design @ weights + constant).astype(np.float32)
        return (design @ self._mean[0] + self._mean[1]).astype(np.float32)

    @cached_property
    def _mean(self) -> tuple[np.ndarray, np.ndarray]:
        return np.mean(self.weights, axis=0), np.mean(self.constants, axis=0)

    def write(self, folder: Path, more: Mapping[str, np.ndarray]) -> None:
        """Put the numbers into an artifact, with further arrays."""
        arrays = {f"weights/{i}": values for i, values in enumerate(self.weights)}
        arrays |= {f"constant/{i}": values for i, values in enumerate(self.constants)}
        write_npz(folder / ARRAYS, arrays | dict(more))


@dataclass(frozen=True)
class ProjectionFacts:
    """What was chosen, as it is kept beside the projection.

    Parameters
    ----------
    rank : int
    alpha : float
        Of the regression before its rank is reduced.
    edge : str, optional
        Advice where the choice lies at an end of its grid.
    left_out : sequence of str
        Training stories that only some subjects heard: they were not fitted to.
    """

    rank: int
    alpha: float
    edge: str | None
    left_out: Sequence[str]

    @property
    def words(self) -> str:
        """The choice in words."""
        return f"rank {self.rank}, first alpha {self.alpha:.3g}"


@dataclass(frozen=True, eq=False)
class ProjectedRows:
    """G of each story with the columns of Z beside it; kept in memory.

    Parameters
    ----------
    plain : ArmDesign
    projection : Projection
    """

    plain: ArmDesign
    projection: Projection
    _kept: dict[tuple[str, int], np.ndarray] = field(default_factory=dict)

    def story(self, story: str, n_rows: int) -> Float32[np.ndarray, "time feature"]:
        """All rows of one story: G, then the columns of Z."""
        place = (story, n_rows)
        if place not in self._kept:
            design = self.plain.story(story, n_rows)
            beside = design[:, self.plain.n_feature_columns :]
            rows = [self.projection.rows(story, design), beside]
            self._kept[place] = np.concatenate(rows, axis=1)
        return self._kept[place]

    def forget(self) -> None:
        """Give back the memory of all stories."""
        self._kept.clear()


@dataclass(frozen=True, eq=False)
class ProjectedDesign:
    """Design rows of a reduced-rank arm: G, and Z beside it where the arm has it.

    Parameters
    ----------
    task : ProjectionTask
    store : Store
        Holds the projection once it has been made.
    """

    task: ProjectionTask
    store: Store

    @property
    def arm(self) -> ArmConfig:
        """The arm."""
        return self.task.design.arm

    @property
    def shift(self) -> int:
        """Rows by which the clock of the arm's first features is moved."""
        return self.task.design.shift

    @property
    def source(self) -> ArmDesign:
        """The features before the projection."""
        return self.task.design

    @property
    def recipe(self) -> Recipe:
        """Of the projection."""
        return self.task.recipe

    @property
    def folder(self) -> Path:
        """Where the projection lies."""
        return self.store.path(self.recipe)

    def story(self, story: str, n_rows: int) -> Float32[np.ndarray, "time feature"]:
        """All rows of one story: G, then the columns of Z."""
        return self._rows.story(story, n_rows)

    def forget(self) -> None:
        """Give back the memory of all stories."""
        self.source.forget()
        if "_rows" in self.__dict__:
            self._rows.forget()

    def inputs(self) -> dict[str, str]:
        """All that the rows follow from: the projection, the features and the words."""
        return {"projection": self.recipe.key} | self.source.inputs()

    def cross_fit(self) -> dict[str, Any]:
        """What each fold's tuned models saw, for recipes."""
        return self.source.cross_fit()

    @property
    def n_feature_columns(self) -> int:
        """Columns of G at most, known before it is made."""
        settings = self.task.settings
        return settings.rank[-1] * (settings.cross_fit or 1)

    @property
    def n_bytes(self) -> int:
        """Estimate what the projection adds to the store: nothing where it is there already."""
        if self.store.has(self.recipe):
            return 0
        columns = self.source.n_feature_columns + 16
        folds = self.task.settings.cross_fit or 1
        decomposition = 0 if self.store.has(decomposition_recipe(self._shared)) else columns
        return 8 * columns * (decomposition + folds * self.n_feature_columns)

    @property
    def _shared(self) -> ReadoutTask:
        return self.task.sharing(self.task.common)

    @cached_property
    def _rows(self) -> ProjectedRows:
        arrays = read_npz(self.folder / ARRAYS)
        n = sum(name.startswith("weights/") for name in arrays)
        projection = Projection(
            [arrays[f"weights/{i}"] for i in range(n)],
            [arrays[f"constant/{i}"] for i in range(n)],
            self.task.folds,
        )
        return ProjectedRows(self.source, projection)

    @cached_property
    def facts(self) -> ProjectionFacts:
        """What was chosen."""
        with reading_artifact(self.folder / FACTS):
            return ProjectionFacts(**read_json(self.folder / FACTS))
