"""What a reduced-rank projection is fitted to and chosen on, for all subjects at once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from brainaligner.core import Fold, InputError, Piece, WithinStorySplit, story_folds
from brainaligner.encoding import ReducedRankSettings
from brainaligner.study._designs import ArmDesign
from brainaligner.study._lineage import entries, lineage
from brainaligner.study._prepare import Prepared
from brainaligner.study._readout import ReadoutTask, piece_rows
from brainaligner.study._settings import plain
from brainaligner.study._store import Recipe

PROJECTION_VERSION = 1


@dataclass(frozen=True, eq=False)
class ProjectionTask:
    """One arm and one fold of the division: the projection that all subjects share.

    It is fitted to the training stories that every subject heard, with as many rows in each. Other
    training stories still pass it: it needs their text alone.

    Parameters
    ----------
    prepared : Prepared
    design : ArmDesign
        The arm's plain design, Z in it.
    number : int
        Of the fold.

    Raises
    ------
    InputError
        If fewer than two training stories (one, where parts of one story are divided) are common
        to all subjects, or fewer than the folds ask for.
    """

    prepared: Prepared
    design: ArmDesign
    number: int

    def __post_init__(self) -> None:
        within = any(
            isinstance(s, WithinStorySplit) for s in self.prepared.division.splits.values()
        )
        wanted = 1 if within else max(2, self.settings.cross_fit or 0)
        if within and self.settings.cross_fit is not None:
            raise _refusal("cross_fit, and parts of one story", "stories", "Leave it out.")
        if len(self.common) < wanted:
            raise _refusal(
                f"{len(self.common)} training stories that all of "
                f"{', '.join(self.readouts)} heard alike",
                f"{wanted} or more",
                "Leave subjects out with dataset.subjects, or use a plain ridge.",
            )
        if any(not self.without(fold) for fold in self.folds):
            raise _refusal(
                "a fold that holds all stories that every subject heard",
                "some of them outside each fold",
                "Use more folds, or leave subjects out with dataset.subjects.",
            )

    @property
    def settings(self) -> ReducedRankSettings:
        """Of the arm."""
        found = self.design.arm.reduced_rank
        assert found is not None
        return found

    @cached_property
    def readouts(self) -> Mapping[str, ReadoutTask]:
        """By subject: the plain design with its responses, training and validation pieces."""
        return {
            subject: ReadoutTask(self.prepared, self.design, subject, split.folds[self.number])
            for subject, split in self.prepared.division.splits.items()
        }

    @cached_property
    def common(self) -> tuple[Piece, ...]:
        """Training pieces that every subject has, with as many rows in each."""
        tasks = list(self.readouts.values())
        return tuple(
            piece
            for piece in tasks[0].fold.train
            if all(
                piece in task.fold.train and task.rows[piece.story] == tasks[0].rows[piece.story]
                for task in tasks
            )
        )

    @cached_property
    def trained(self) -> tuple[str, ...]:
        """Training stories of any subject."""
        stories = {piece.story for task in self.readouts.values() for piece in task.fold.train}
        return tuple(sorted(stories))

    @cached_property
    def folds(self) -> tuple[tuple[str, ...], ...]:
        """Folds of training stories; none where the projection is not cross-fitted."""
        if self.settings.cross_fit is None:
            return ()
        return story_folds(self.trained, self.settings.cross_fit, seed=self.settings.seed)

    def without(self, fold: tuple[str, ...]) -> tuple[Piece, ...]:
        """Common training pieces outside a fold."""
        return tuple(piece for piece in self.common if piece.story not in fold)

    def sharing(self, pieces: tuple[Piece, ...]) -> ReadoutTask:
        """The task whose decomposition these pieces have: equal to a plain arm's, if it is."""
        first = next(iter(self.readouts.values()))
        return ReadoutTask(self.prepared, self.design, first.subject, Fold(pieces, (), ()))

    @property
    def chooses(self) -> bool:
        """Whether validation responses enter."""
        return self.settings.n_choices > 1

    @cached_property
    def recipe(self) -> Recipe:
        """All that it follows from: every response that it was fitted to or chosen on."""
        ridge = self.design.arm.ridge
        settings = {
            "design": plain(self.design.arm.design),
            "shift": self.design.shift,
            "ridge": plain(ridge),
            "reduced_rank": plain(self.settings),
            "common": piece_rows(next(iter(self.readouts.values())), self.common),
            "folds": [list(fold) for fold in self.folds],
            "chosen_on": {s: self._chosen_on(task) for s, task in self.readouts.items()},
        }
        inputs = self.design.inputs()
        for subject, task in self.readouts.items():
            digests = self.prepared.digests[subject]
            for story in self._read(task):
                inputs[f"responses/{subject}/{story}"] = digests[story]
        return Recipe("projection", PROJECTION_VERSION, settings, inputs, self._lineage())

    def _lineage(self) -> Mapping[str, Any]:
        """Whose which stories fitted it, and which chose rank and alpha."""
        fitted, chosen = [], []
        for subject, task in self.readouts.items():
            pieces = [*self.common, *(task.fold.train if self.chooses else ())]
            fitted += entries(self.prepared, subject, dict.fromkeys(pieces))
            if self.chooses:
                chosen += entries(self.prepared, subject, task.validation)
        return lineage(fitted_on=fitted, chosen_on=chosen)

    def _chosen_on(self, task: ReadoutTask) -> dict[str, object]:
        if not self.chooses:
            return {}
        return {
            "train": piece_rows(task, task.fold.train),
            "validation": piece_rows(task, task.validation),
        }

    def _read(self, task: ReadoutTask) -> list[str]:
        pieces = list(self.common)
        if self.chooses:
            pieces += [*task.fold.train, *task.validation]
        return sorted({piece.story for piece in pieces})


def _refusal(got: str, wanted: str, do: str) -> InputError:
    return InputError("reduced_rank", got=got, wanted=wanted, do=do)
