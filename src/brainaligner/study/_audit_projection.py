"""Whether a reduced-rank projection, its choice and what follows are what the data give."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from brainaligner.evaluation import Fault, Unproven
from brainaligner.study._audit_arm import ArmAudit
from brainaligner.study._audit_projection_again import ProjectionAgain
from brainaligner.study._audit_rank import (
    apart,
)
from brainaligner.study._audit_refit_faults import prediction_faults
from brainaligner.study._audit_witness import Found
from brainaligner.study._disk import read_npz
from brainaligner.study._projected import ARRAYS, ProjectedDesign
from brainaligner.study._readout import ReadoutTask, decomposition_recipe, readout_recipe

_ROUNDING = 0.02
_CHOICE_ROUNDING = 2e-3
_PROBED_ROWS = 400


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
    wrong = False
    for one in arm.truth.findings(
        f"projection/{design.recipe.key}", lambda: _projection_found(again, thorough=thorough)
    ):
        wrong = wrong or isinstance(one, Fault)
        yield replace(one, where=arm.where)
    if again.task.settings.form == "one-stage" and not wrong:
        rows = again.one_stage(task, arm.subject, list(arm.columns)[::4])
        yield from prediction_faults(arm, i, rows)


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
