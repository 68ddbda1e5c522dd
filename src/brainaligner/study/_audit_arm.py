"""One arm in one subject, as it lies in the store."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from brainaligner.core import Piece, WithinStorySplit
from brainaligner.evaluation import (
    Entered,
)
from brainaligner.study._arms import ArmRun
from brainaligner.study._audit_truth import Truth
from brainaligner.study._disk import npz_names, read_array, read_npz
from brainaligner.study._plan import Plan
from brainaligner.study._readout import PREDICTIONS, Readout, ReadoutTask, readout_recipe
from brainaligner.study._scoring import score_recipe
from brainaligner.study._store import Recipe, Store
from brainaligner.study._witness import KEPT_TARGETS, sampled


@dataclass(frozen=True, eq=False)
class ArmAudit:
    """One arm in one subject, as it lies in the store.

    Parameters
    ----------
    plan : Plan
    run : ArmRun
    subject : str
    store : Store
    truth : Truth
    """

    plan: Plan
    run: ArmRun
    subject: str
    store: Store
    truth: Truth

    @property
    def where(self) -> str:
        """For people."""
        return f"{self.run.name}, {self.subject}"

    @property
    def tasks(self) -> tuple[ReadoutTask, ...]:
        """One for each fold."""
        return self.plan.tasks[self.run.name, self.subject]

    @property
    def within(self) -> bool:
        """Whether the study divides one story."""
        return isinstance(self.plan.prepared.division.splits[self.subject], WithinStorySplit)

    @cached_property
    def readouts(self) -> tuple[Readout, ...]:
        """Where the readouts lie."""
        recipes = [readout_recipe(task) for task in self.tasks]
        return tuple(
            Readout(recipe, self.store.path(recipe), task.fold.test, "", None, {})
            for recipe, task in zip(recipes, self.tasks, strict=True)
        )

    @cached_property
    def scores(self) -> Recipe:
        """The recipe of the scores."""
        groups = self.plan.groups_of(self.run, self.subject)
        return score_recipe(self.plan.prepared, self.subject, groups, self.readouts)

    @cached_property
    def scored(self) -> tuple[Entered, ...]:
        """Responses as they were scored, longest rows of each story, cut or not."""
        kept: dict[str, Entered] = {}
        for one in self._score_entries("score"):
            story = one.story.split("/cut")[0] + one.story.rpartition("/")[2]
            if story not in kept or len(one.values) > len(kept[story].values):
                kept[story] = replace(one, story=one.story.rpartition("/")[2], start=_cut(one))
        return tuple(kept.values())

    def scored_of(self, readout: Readout) -> tuple[Entered, ...]:
        """The same, of the rows that one readout predicted."""
        tested, found = tested_pieces(self.readouts), []
        for one in self.scored:
            first = 0
            for piece in tested.get(one.story, ()):
                rows = self.truth.responses(self.subject)[one.story][piece.rows]
                last = first + len(rows)
                inside = slice(max(0, first - one.start), max(0, last - one.start))
                if piece in readout.pieces:
                    found.append(replace(one, values=one.values[inside]))
                first = last
        return tuple(one for one in found if len(one.values))

    @property
    def columns(self) -> range:
        """Targets that witnesses keep."""
        return sampled(self.plan.prepared.dataset.n_columns(self.subject), KEPT_TARGETS)

    def fit(self, i: int) -> dict[str, np.ndarray]:
        """Penalties of a readout, and what chose them."""
        return read_npz(self.readouts[i].folder / "alpha.npz")

    @cached_property
    def predicted(self) -> tuple[dict[Piece, np.ndarray], ...]:
        """What each readout left, at `columns`; pieces that have fewer columns are left out."""
        return tuple(
            sampled_predictions(readout, self.columns) if self.store.has(readout.recipe) else {}
            for readout in self.readouts
        )

    def forget(self) -> None:
        """Give back the memory."""
        for name in ("predicted", "scored"):
            self.__dict__.pop(name, None)

    def _score_entries(self, role: str) -> list[Entered]:
        seen = self.truth.witness(self.store.path(self.scores))
        return [one for one in (seen[0] if seen else ()) if one.role == f"{role}/responses"]


def _cut(one: Entered) -> int:
    """Rows cut at each end, as the place of a witness's entry says: ``group/cut5/story``."""
    return int(one.story.rsplit("/", 2)[-2].removeprefix("cut"))


def is_one_stage(task: ReadoutTask) -> bool:
    """Whether an arm predicts by a reduced-rank regression alone."""
    reduced = task.design.arm.reduced_rank
    return reduced is not None and reduced.form == "one-stage"


def tested_pieces(readouts: Sequence[Readout]) -> dict[str, list[Piece]]:
    """All pieces that readouts predict, by story, in the order of their rows."""
    pieces: dict[str, list[Piece]] = {}
    for readout in readouts:
        for piece in readout.pieces:
            pieces.setdefault(piece.story, []).append(piece)
    return {story: sorted(found, key=lambda p: p.start) for story, found in pieces.items()}


def sampled_predictions(readout: Readout, columns: range) -> dict[Piece, np.ndarray]:
    """Stored predictions of each piece at some targets, one block of targets at a time."""
    path, found = readout.folder / PREDICTIONS, {}
    names = sorted(npz_names(path))
    for i, piece in enumerate(readout.pieces):
        blocks, first = [], 0
        for name in (name for name in names if name.startswith(f"piece{i}/")):
            values = read_array(path, name)
            inside = [c - first for c in columns if first <= c < first + values.shape[1]]
            blocks.append(values[:, inside])
            first += values.shape[1]
        if blocks and first > columns[-1]:
            found[piece] = np.concatenate(blocks, axis=1)
    return found
