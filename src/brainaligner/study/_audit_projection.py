"""Whether a reduced-rank projection, its choice and what follows are what the data give."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from brainaligner.core import Piece
from brainaligner.encoding import RidgeSettings, decompose
from brainaligner.evaluation import Fault, Unproven
from brainaligner.study._audit_arm import ArmAudit
from brainaligner.study._audit_rank import (
    ByGram,
    BySpectrum,
    Leading,
    Sums,
    apart,
    fold_weights,
    piece_sums,
)
from brainaligner.study._audit_refit import Basis, Refit, Rows, correlation
from brainaligner.study._audit_refit_faults import prediction_faults
from brainaligner.study._audit_truth import Truth
from brainaligner.study._audit_witness import Found
from brainaligner.study._disk import read_npz
from brainaligner.study._projected import ARRAYS, ProjectedDesign
from brainaligner.study._projection_task import ProjectionTask
from brainaligner.study._readout import ReadoutTask, decomposition_recipe, readout_recipe

_ROUNDING = 0.02
_CHOICE_ROUNDING = 2e-3
_MOST_TARGETS = 6000
_MOST_BYTES = 2**31
_MOST_OPERATIONS = 2e11
_PROBED_ROWS = 400

Again = tuple[list[np.ndarray], list[np.ndarray]]
"""Weights and constants of each fold."""


def projection_faults(
    arm: ArmAudit, i: int, task: ReadoutTask, *, thorough: bool
) -> Iterator[Found]:
    """Judge the projection of an arm's fold, once for all subjects; then what it predicts.

    Parameters
    ----------
    arm : ArmAudit
    i : int
        Number of the readout.
    task : ReadoutTask
    thorough : bool
        Also where that takes long; and all ranks and alphas of the grid.
    """
    design = task.design
    assert isinstance(design, ProjectedDesign)
    if not arm.store.has(design.recipe):
        yield Fault(
            "lineage-differs", f"{arm.where}: projection", design.recipe.key, "is not in the store"
        )
        return
    again = arm.truth.last(
        "projection", design.recipe.key, lambda: ProjectionAgain(arm.truth, design)
    )
    reason = again.too_large(thorough=thorough)
    if reason:
        yield Unproven("predictions", arm.where, reason)
        return
    found = arm.truth.remember(
        f"projection/{design.recipe.key}",
        lambda: tuple(_projection_found(again, thorough=thorough)),
    )
    yield from (replace(one, where=arm.where) for one in found)
    if again.task.settings.form == "one-stage" and not found:
        rows = again.one_stage(task, arm.subject, list(arm.columns)[::4])
        yield from prediction_faults(arm, i, rows)


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


def _projection_found(again: ProjectionAgain, *, thorough: bool) -> Iterator[Found]:
    facts, settings = again.design.facts, again.task.settings
    if facts.rank not in settings.rank or facts.alpha not in settings.alpha:
        yield _choice(f"rank {facts.rank}, alpha {facts.alpha:g}", "is not in the study's grid")
        return
    sharing = again.task.sharing(again.task.common)
    if not again.task.folds:
        if not again.design.store.has(decomposition_recipe(sharing)):
            yield Unproven("predictions", "", "the projection's decomposition is not in the store")
            return
        flaw = again.basis.flaw(again.ridge)
        if flaw:
            yield Fault("features-not-reproduced", "", "decomposition of the projection", flaw)
            return
    stored = read_npz(again.design.folder / ARRAYS)
    weights, constants = again.again(facts.alpha, facts.rank)
    kept = sum(name.startswith("weights/") for name in stored)
    rows = _probed_rows(again)
    made = [
        [rows @ w + c for w, c in zip(*pair, strict=True)]
        for pair in (
            (
                [stored[f"weights/{i}"] for i in range(kept)],
                [stored[f"constant/{i}"] for i in range(kept)],
            ),
            (weights, constants),
        )
    ]
    off = apart(*made)
    if not off <= _ROUNDING:
        yield Fault(
            "predictions-not-reproduced",
            "",
            f"off by {off:.2g}",
            "the projection is not what the training responses give",
        )
        return
    yield from _choice_found(again, stored["validation_r"], thorough=thorough)


def _probed_rows(again: ProjectionAgain) -> np.ndarray:
    rows: list[np.ndarray] = []
    for piece in again.task.common:
        rows.append(again.rows(piece).astype(np.float64))
        if sum(map(len, rows)) >= _PROBED_ROWS:
            break
    return np.concatenate(rows)


def _choice_found(again: ProjectionAgain, table: np.ndarray, *, thorough: bool) -> Iterator[Found]:
    """Whether rank and alpha are the best of the table, and the table what validation gives."""
    facts, settings = again.design.facts, again.task.settings
    if settings.n_choices == 1:
        return
    a, k = settings.alpha.index(facts.alpha), settings.rank.index(facts.rank)
    if np.isnan(table).any() or table[a, k] < table.max() - 1e-9:
        yield _choice(
            f"r {table[a, k]:.4f}", "another rank or alpha is better on validation stories"
        )
        return
    points = [(a, k)] if not thorough else list(np.ndindex(table.shape))
    for point in points:
        if point == (a, k) and not thorough and settings.form == "two-stage":
            found = _kept_score(again)
        else:
            found = again.score(settings.alpha[point[0]], settings.rank[point[1]])
        if not abs(found - table[point]) <= _CHOICE_ROUNDING:
            yield _choice(
                f"r {table[point]:.4f}, not {found:.4f}",
                "validation scores of ranks and alphas are not those of the validation stories",
            )
            return
    if not thorough:
        yield Unproven("choice", "", "other ranks and alphas are scored by brainaligner audit")


def _kept_score(again: ProjectionAgain) -> float:
    """The chosen point's score as the readouts have it, which are fitted again themselves."""
    found = []
    for task in again.task.readouts.values():
        folder = again.design.store.path(readout_recipe(replace(task, design=again.design)))
        stored = read_npz(folder / "alpha.npz")
        places = np.searchsorted(stored["alphas"], stored["alpha"])
        found.append(stored["validation_r"][places, np.arange(len(places))].mean(dtype=np.float64))
    return float(np.mean(found))


def _choice(figure: str, said: str) -> Fault:
    return Fault("choice-not-reproduced", "", figure, said)
