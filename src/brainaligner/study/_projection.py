"""Stage ``projection``: a reduced-rank regression over all subjects' training responses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from brainaligner.core import Piece
from brainaligner.encoding import (
    Decomposition,
    RankChoice,
    ReducedRank,
    StackedStories,
    WitnessedStories,
    best_rank,
    fit_reduced_rank,
    fold_rotations,
    one_stage_r,
    second_stage_r,
)
from brainaligner.study._disk import write_json
from brainaligner.study._options import RunOptions
from brainaligner.study._progress import Reporter
from brainaligner.study._projected import (
    FACTS,
    ProjectedDesign,
    ProjectedRows,
    Projection,
    ProjectionFacts,
)
from brainaligner.study._projection_task import ProjectionTask
from brainaligner.study._readout_fits import ensure_decomposition
from brainaligner.study._store import Store
from brainaligner.study._witness import WitnessBook, joined_books


def ensure_projection(
    design: ProjectedDesign, *, store: Store, options: RunOptions, reporter: Reporter
) -> None:
    """Fit, choose and keep the projection where that has not been done yet."""
    maker = _Maker(design.task, store, options, reporter)
    store.ensure(design.recipe, maker.write)


@dataclass(frozen=True, eq=False)
class _Maker:
    task: ProjectionTask
    store: Store
    options: RunOptions
    reporter: Reporter
    _books: dict[str, WitnessBook] = field(default_factory=dict)

    def write(self, folder: Path) -> None:
        """Choose rank and alpha, and write what the readouts need."""
        task, settings = self.task, self.task.settings
        one_stage = settings.form == "one-stage"
        choice = best_rank(settings, self._one_stage_score if one_stage else self._score)
        a = settings.alpha.index(choice.alpha)
        projection = self._projection(a, choice.rank)
        projection.write(folder, {"validation_r": choice.validation_r} | self._frame(a, choice))
        left_out = sorted(set(task.trained) - {piece.story for piece in task.common})
        facts = ProjectionFacts(choice.rank, choice.alpha, choice.edge_warning, left_out)
        write_json(folder / FACTS, asdict(facts))
        joined_books(self._books).save(folder)
        task.design.forget()

    def _shown(
        self, subject: str, side: str, pieces: Sequence[Piece], fold: int | None = None
    ) -> WitnessedStories:
        """Stories of one subject whose responses are recorded as they are read."""
        task = self.task.readouts[subject]
        label = f"{subject}/{'all' if fold is None else f'fold{fold}'}"
        if side != "fit":
            label = f"{subject}/{side}"
        role = "choose" if side == "choose" else "fit"
        n_targets = task.prepared.dataset.space(subject).size
        book = self._books.setdefault(label, WitnessBook(n_targets, {role: pieces}))

        def show(kind: str, story: str | int, rows: np.ndarray, first: int) -> None:
            if kind.endswith("/responses"):  # designs differ from point to point of the grid
                book(kind, story, rows, first)

        return WitnessedStories(task.stories(pieces), role, show)

    def _frame(self, a: int, choice: RankChoice) -> dict[str, np.ndarray]:
        """What the one-stage form needs beside G."""
        if self.task.settings.form == "two-stage":
            return {}
        fit = self._fits[0][a]
        return {
            "frame": fit.frame[:, : choice.rank],
            "singular_values": fit.singular_values[: choice.rank],
            "deviations": fit.deviations[: choice.rank],
        }

    @cached_property
    def _fits(self) -> list[tuple[ReducedRank, ...]]:
        """For each fold (or once), one fit for each alpha."""
        task = self.task
        if not task.folds:
            return [self._fit(task.common, self._decomposition)]
        return [self._fit(task.without(fold), None, i) for i, fold in enumerate(task.folds)]

    def _fit(
        self,
        pieces: tuple[Piece, ...],
        decomposition: Decomposition | None,
        fold: int | None = None,
    ) -> tuple[ReducedRank, ...]:
        return fit_reduced_rank(
            StackedStories([self._shown(s, "fit", pieces, fold) for s in self.task.readouts]),
            settings=self.task.settings,
            ridge=self.task.design.arm.ridge,
            decomposition=decomposition,
            device=self.options.ridge_device,
            target_block=self.options.target_block,
            progress=self.reporter,
        )

    @cached_property
    def _decomposition(self) -> Decomposition:
        sharing = self.task.sharing(self.task.common)
        return ensure_decomposition(sharing, self.store, self.options, self.reporter)

    def _projection(self, a: int, rank: int) -> Projection:
        fits = [of_fold[a] for of_fold in self._fits]
        if not self.task.folds:
            scale = 1.0 if self.task.settings.form == "one-stage" else fits[0].scale(rank)
            return Projection(
                [fits[0].weights[:, :rank] / scale], [fits[0].constant[:rank] / scale]
            )
        rotations, centre = self._rotations(fits, rank)
        scale = float(np.mean([fit.scale(rank) for fit in fits]))
        weights = [
            fit.weights[:, :rank] @ rotation / scale
            for fit, rotation in zip(fits, rotations, strict=True)
        ]
        constants = [-centre @ values for values in weights]
        return Projection(weights, constants, self.task.folds)

    def _rotations(
        self, fits: Sequence[ReducedRank], rank: int
    ) -> tuple[tuple[np.ndarray, ...], np.ndarray]:
        """Into common coordinates, by the text of all common training stories alone."""
        designs = self.task.sharing(self.task.common).designs(self.task.common)
        rows = [designs.design(i) for i in range(len(designs))]
        centre = np.zeros(rows[0].shape[1])
        if self.task.design.arm.ridge.intercept:
            centre = np.concatenate(rows).mean(axis=0, dtype=np.float64)
        projected = [
            np.concatenate([(x - centre) @ fit.weights[:, :rank] for x in rows]) for fit in fits
        ]
        return fold_rotations(projected), centre

    def _score(self, a: int, k: int) -> float:
        """Mean over subjects of validation r of the ridge on G."""
        rank = self.task.settings.rank[k]
        rows = ProjectedRows(self.task.design, self._projection(a, rank))
        found = [self._second_stage(subject, rows) for subject in self.task.readouts]
        done = a * len(self.task.settings.rank) + k + 1
        self.reporter("ranks and alphas", done, self.task.settings.n_choices)
        return float(np.mean(found))

    def _second_stage(self, subject: str, rows: ProjectedRows) -> float:
        task = self.task.readouts[subject]
        sides = {"second": task.fold.train, "choose": task.validation}
        train, validation = (
            replace(shown, designs=replace(task.stories(pieces), design_of=rows))
            for side, pieces in sides.items()
            for shown in [self._shown(subject, side, pieces)]
        )
        return second_stage_r(
            train,
            validation if task.validation else None,
            settings=self.task.design.arm.ridge,
            device=self.options.ridge_device,
            target_block=self.options.target_block,
        )

    def _one_stage_score(self, a: int, k: int) -> float:
        return self._one_stage_scores[a][k]

    @cached_property
    def _one_stage_scores(self) -> list[list[float]]:
        return [
            np.mean(
                [self._one_stage(subject, fit) for subject in self.task.readouts], axis=0
            ).tolist()
            for fit in self._fits[0]
        ]

    def _one_stage(self, subject: str, fit: ReducedRank) -> list[float]:
        task = self.task.readouts[subject]
        return one_stage_r(
            task.stories(self.task.common),
            self._shown(subject, "choose", task.validation),
            fit,
            ranks=self.task.settings.rank,
            ridge=self.task.design.arm.ridge,
            decomposition=self._decomposition,
            target_block=self.options.target_block,
        )
