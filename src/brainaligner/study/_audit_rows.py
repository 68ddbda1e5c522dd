"""Design rows made again, whole: from stored features, rotations, projections and words.

Nothing here goes through the code that the stages go through: arrays are read from the store,
standardised, turned, delayed and put side by side.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float, Float32

from brainaligner.core import zscore
from brainaligner.study._designs import ArmDesign, Design
from brainaligner.study._disk import read_array, read_npz
from brainaligner.study._features import FeatureSpace
from brainaligner.study._fold_features import CrossFittedSpace
from brainaligner.study._projected import ARRAYS, ProjectedDesign
from brainaligner.text import nuisance_columns

_KEEP_BYTES = 2**30
_FEATURES = "features.npz"

Rows = Float[np.ndarray, "time column"]


@dataclass(frozen=True, eq=False)
class RowsAgain:
    """Rows of designs, kept while there is room: arms and subjects share them.

    Parameters
    ----------
    keep_bytes : int
        For features and for designs, each.
    """

    keep_bytes: int = _KEEP_BYTES
    _designs: dict[tuple[str, str, int], np.ndarray] = field(default_factory=dict)
    _stored: dict[tuple[str, str, int], np.ndarray] = field(default_factory=dict)
    _projections: dict[str, dict[str, np.ndarray]] = field(default_factory=dict)

    def rows(
        self, design: Design, story: str, n_rows: int, *, scaled: bool = True
    ) -> Float32[np.ndarray, "time column"]:
        """One story's design; where `scaled` is false, features stand as they are stored.

        Raises
        ------
        BrainAlignerError, OSError
            If something that it is made of is not in the store, or damaged.
        """
        place = (f"{_name(design)}/{scaled}", story, n_rows)
        if place not in self._designs:
            self._keep(self._designs, place, self._make(design, story, n_rows, scaled))
        return self._designs[place]

    def _make(self, design: Design, story: str, n_rows: int, scaled: bool) -> np.ndarray:
        if isinstance(design, ProjectedDesign):
            return self._projected(design, story, n_rows)
        assert isinstance(design, ArmDesign)
        settings = design.arm.design
        blocks: list[np.ndarray] = []
        for space in design.spaces if settings.nuisance != "alone" else ():
            values = self._space(space, story, n_rows, scaled and settings.scaling == "story")
            blocks += [_delayed(values, delay) for delay in settings.delays]
        if settings.nuisance != "none":
            blocks.append(_nuisance(design, story, n_rows) * settings.nuisance_scale)
        return np.concatenate(blocks, axis=1).astype(np.float32, copy=False)

    def _space(
        self, space: FeatureSpace | CrossFittedSpace, story: str, n_rows: int, scaled: bool
    ) -> np.ndarray:
        """Rows before delays: of one model, or of the fold models that never saw the story."""
        if isinstance(space, FeatureSpace):
            return self.features(space, story, n_rows, scaled=scaled)
        unseen = [model for model in space.models if story in model.held_out]
        turned = [
            self.features(model.space, story, n_rows, scaled=scaled).astype(np.float64)
            @ read_array(space.store.path(space.alignment(model)) / "rotation.npz", "rotation")
            for model in unseen or space.models
        ]
        return (sum(turned[1:], turned[0]) / len(turned)).astype(np.float32)

    def features(self, space: FeatureSpace, story: str, n_rows: int, *, scaled: bool) -> np.ndarray:
        """Stored features of one story, standardised within it where asked for."""
        place = (f"{space.recipe.key}/{scaled}", story, n_rows)
        if place not in self._stored:
            values = read_array(space.folder / _FEATURES, story)[:n_rows]
            self._keep(self._stored, place, zscore(values) if scaled else values)
        return self._stored[place]

    def _projected(self, design: ProjectedDesign, story: str, n_rows: int) -> np.ndarray:
        """G by the projection of the fold that a story is in, else by the mean of all; then Z."""
        plain, key = self.rows(design.source, story, n_rows), design.recipe.key
        if key not in self._projections:
            self._projections.clear()
            self._projections[key] = read_npz(design.folder / ARRAYS)
        arrays = self._projections[key]
        folds = design.task.folds
        own = [i for i, fold in enumerate(folds) if story in fold]
        used = own or range(max(1, len(folds)))
        weights, constant = (
            np.mean([arrays[f"{kind}/{i}"] for i in used], axis=0)
            for kind in ("weights", "constant")
        )
        projected = (plain.astype(np.float64) @ weights + constant).astype(np.float32)
        return np.concatenate([projected, plain[:, design.source.n_feature_columns :]], axis=1)

    def _keep(
        self,
        kept: dict[tuple[str, str, int], np.ndarray],
        place: tuple[str, str, int],
        values: np.ndarray,
    ) -> None:
        if sum(one.nbytes for one in kept.values()) + values.nbytes > self.keep_bytes:
            kept.clear()
        kept[place] = values


def _name(design: Design) -> str:
    """What the rows of a design follow from, in one word."""
    source = design.source
    assert source is not None
    keys = "+".join(key for space in source.spaces for key in space.parts().values())
    projection = design.recipe.key if isinstance(design, ProjectedDesign) else ""
    return f"{keys}/{source.arm.design}/{source.shift}/{projection}"


def _delayed(rows: Rows, delay: int) -> Rows:
    """Row t holds row ``t - delay`` of the same story, zeros where there is none."""
    moved = np.zeros_like(rows)
    if 0 <= delay < len(rows):
        moved[delay:] = rows[: len(rows) - delay]
    elif -len(rows) < delay < 0:
        moved[:delay] = rows[-delay:]
    return moved


def _nuisance(design: ArmDesign, story: str, n_rows: int) -> Rows:
    return nuisance_columns(
        design.stimuli.transcripts[story],
        design.stimuli.clock,
        n_rows,
        shift=design.shift,
        delays=design.arm.design.delays,
        with_word_length=design.arm.design.word_length,
    )
