"""A reduced-rank projection made again, from the dataset and stored features."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from brainaligner.core import Piece
from brainaligner.encoding import RidgeSettings, decompose
from brainaligner.study._audit_rank import (
    ByGram,
    BySpectrum,
    Leading,
    Sums,
    fold_weights,
    piece_sums,
)
from brainaligner.study._audit_refit import Basis, Refit, Rows, correlation
from brainaligner.study._audit_truth import Truth
from brainaligner.study._projected import ProjectedDesign
from brainaligner.study._projection_task import ProjectionTask
from brainaligner.study._readout import ReadoutTask, decomposition_recipe

_MOST_TARGETS = 6000
_MOST_BYTES = 2**31
_MOST_OPERATIONS = 2e11

Again = tuple[list[np.ndarray], list[np.ndarray]]
"""Weights and constants of each fold."""


@dataclass(frozen=True, eq=False)
class ProjectionAgain:
    """One projection, to be made again from the dataset and stored features.

    Parameters
    ----------
    truth : Truth
    design : ProjectedDesign
    """

    truth: Truth
    design: ProjectedDesign
    _leading: dict[float, tuple[Leading, ...]] = field(default_factory=dict)

    @property
    def task(self) -> ProjectionTask:
        """What it is fitted to and chosen on."""
        return self.design.task

    @property
    def ridge(self) -> RidgeSettings:
        """Of the arm."""
        return self.design.arm.ridge

    @cached_property
    def sizes(self) -> dict[str, int]:
        """Targets of each subject, in the order in which they are stacked."""
        dataset = self.task.prepared.dataset
        return {subject: dataset.space(subject).size for subject in self.task.readouts}

    def too_large(self, *, thorough: bool) -> str:
        """Why it is not made again; empty where it is."""
        rows = next(iter(self.task.readouts.values())).rows
        n, width = sum(rows.values()), self.task.design.n_feature_columns + 16
        n_targets = sum(self.sizes.values())
        if n_targets > _MOST_TARGETS or 8 * width * n_targets > _MOST_BYTES:
            return "the projection is not fitted again: too many targets"
        folds = len(self.task.folds)
        if 8 * folds * width**2 > 2 * _MOST_BYTES:
            return "the projection is not fitted again: too many features"
        heavy = (
            4 * n * width > _MOST_BYTES
            or folds * 10.0 * width**3 + (2.0 * n * width * (width if folds else n_targets))
            > _MOST_OPERATIONS
        )
        return "not fitted again: brainaligner audit does" if heavy and not thorough else ""

    def rows(self, piece: Piece) -> np.ndarray:
        """Design rows before the projection."""
        first = next(iter(self.task.readouts.values()))
        return self.truth.again.rows(self.task.design, piece.story, first.rows[piece.story])[
            piece.rows
        ]

    @cached_property
    def responses(self) -> Rows:
        """Responses of all subjects side by side, read again."""
        dataset = self.task.prepared.dataset
        kept: dict[Piece, np.ndarray] = {}

        def read(piece: Piece) -> np.ndarray:
            if piece not in kept:
                whole = [dataset.responses(s, piece.story).values for s in self.sizes]
                kept[piece] = np.concatenate([v[piece.rows] for v in whole], axis=1)
            return kept[piece]

        return read

    @cached_property
    def fits(self) -> tuple[BySpectrum, ...] | tuple[ByGram, ...]:
        """One for each fold, or a single one."""
        task = self.task
        if not task.folds:
            return (BySpectrum(self.basis, self.responses),)
        return tuple(
            ByGram(self.total.less(piece_sums(own, self.rows, self.responses)), self.ridge)
            if (own := [p for p in task.common if p.story in fold])
            else ByGram(self.total, self.ridge)
            for fold in task.folds
        )

    @cached_property
    def total(self) -> Sums:
        """Sums over all common pieces."""
        return piece_sums(self.task.common, self.rows, self.responses)

    @cached_property
    def basis(self) -> Basis:
        """The stored decomposition of the common pieces; `flaw` says whether it is theirs."""
        sharing = self.task.sharing(self.task.common)
        folder = self.design.store.path(decomposition_recipe(sharing))
        return Basis(self.truth.decomposition(folder), self.task.common, self.rows)

    def leading(self, alpha: float) -> tuple[Leading, ...]:
        """Directions of each fold at one alpha."""
        rank = self.task.settings.rank[-1]
        if alpha not in self._leading:
            self._leading[alpha] = tuple(fit.leading(alpha, rank) for fit in self.fits)
        return self._leading[alpha]

    def again(self, alpha: float, rank: int) -> Again:
        """The projection at one point of the grid."""
        found = self.leading(alpha)
        if self.task.folds:
            square = self.total.centred if self.ridge.intercept else self.total.xx
            weights = fold_weights(found, rank, square)
            centre = self.total.x / self.total.n if self.ridge.intercept else 0 * self.total.x
        else:
            two_stage = self.task.settings.form == "two-stage"
            scale = found[0].scale(rank) if two_stage else 1.0
            weights = [found[0].weights[:, :rank] / scale]
            centre = self.basis.decomposition.centre
        return weights, [-centre @ values for values in weights]

    def one_stage(
        self, task: ReadoutTask, subject: str, columns: list[int]
    ) -> tuple[np.ndarray, ...]:
        """Predictions ``X W V V'`` of the test pieces at some targets of a subject."""
        facts, fit = self.design.facts, self.fits[0]
        assert isinstance(fit, BySpectrum)
        (weights,), (constant,) = self.again(facts.alpha, facts.rank)
        own = self.own_columns(subject)[columns]
        loadings = self.leading(facts.alpha)[0].loadings[: facts.rank, own]
        rows = [
            self.truth.again.rows(self.task.design, p.story, task.rows[p.story])[p.rows]
            for p in task.fold.test
        ]
        return tuple((x @ weights + constant) @ loadings + fit.means[own] for x in rows)

    def own_columns(self, subject: str) -> np.ndarray:
        """Places of a subject's targets among those of all."""
        sizes = list(self.sizes.values())
        first = sum(sizes[: list(self.sizes).index(subject)])
        return np.arange(first, first + self.sizes[subject])

    def score(self, alpha: float, rank: int) -> float:
        """Mean over subjects of validation r of the ridge on G, or of ``X W V V'``."""
        weights, constants = self.again(alpha, rank)
        found = [
            self._one_stage_r(task, s, weights[0], constants[0], self.leading(alpha)[0])
            if self.task.settings.form == "one-stage"
            else self._second_stage_r(task, s, weights, constants)
            for s, task in self.task.readouts.items()
        ]
        return float(np.mean(found))

    def _own(self, task: ReadoutTask, subject: str) -> Rows:
        dataset = self.task.prepared.dataset
        return lambda piece: dataset.responses(subject, piece.story).values[piece.rows]

    def _one_stage_r(
        self,
        task: ReadoutTask,
        subject: str,
        weights: np.ndarray,
        constant: np.ndarray,
        leading: Leading,
    ) -> float:
        loadings = leading.loadings[: weights.shape[1], self.own_columns(subject)]
        plain = [self._plain(task, piece) for piece in task.validation]
        predicted = (np.concatenate(plain) @ weights + constant) @ loadings
        measured = np.concatenate([self._own(task, subject)(p) for p in task.validation])
        return float(correlation(predicted, measured.astype(np.float64)).mean())

    def _plain(self, task: ReadoutTask, piece: Piece) -> np.ndarray:
        return self.truth.again.rows(self.task.design, piece.story, task.rows[piece.story])[
            piece.rows
        ]

    def _second_stage_r(
        self,
        task: ReadoutTask,
        subject: str,
        weights: list[np.ndarray],
        constants: list[np.ndarray],
    ) -> float:
        folds, first = self.task.folds, self.task.design.n_feature_columns

        def rows(piece: Piece) -> np.ndarray:
            plain = self._plain(task, piece)
            used = [i for i, fold in enumerate(folds) if piece.story in fold]
            made = [plain @ weights[i] + constants[i] for i in used or range(len(weights))]
            return np.concatenate([np.mean(made, axis=0), plain[:, first:]], axis=1)

        train, responses = task.fold.train, self._own(task, subject)
        own = decompose([rows(piece) for piece in train], settings=self.ridge)
        basis = Basis(own, train, rows)
        refit = Refit(basis, *basis.project(responses))
        if task.validation:
            table = refit.validation_r(self.ridge.alphas, task.validation, responses)
        else:
            table = refit.left_out_r(self.ridge.alphas, responses)
        best = table.mean(axis=1).max() if self.ridge.alpha == "shared" else table.max(0).mean()
        return float(best)
