"""Whether a readout's penalties and predictions are what its data give, at a sample of targets."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from brainaligner.core import Piece
from brainaligner.evaluation import Fault, Unproven
from brainaligner.study._audit_arm import ArmAudit
from brainaligner.study._audit_refit import Basis, Refit, by_piece
from brainaligner.study._audit_truth import Truth
from brainaligner.study._audit_witness import Found
from brainaligner.study._readout import ReadoutTask, decomposition_recipe

REFITTED = slice(None, None, 4)
"""Which of the targets that witnesses keep are fitted again."""

_CHOICE_ROUNDING = 5e-3
_PREDICTION_ROUNDING = 0.05  # standard deviations
_FEWEST_ALPHAS = 4
_MOST_BYTES = 2**31


def refit_faults(arm: ArmAudit, i: int, task: ReadoutTask, *, thorough: bool) -> Iterator[Found]:
    """Fit a few targets again from the dataset and the stored features, choose and predict.

    Parameters
    ----------
    arm : ArmAudit
    i : int
        Number of the readout.
    task : ReadoutTask
        Of a ridge, on features or on a projection of them.
    thorough : bool
        Also where designs are larger than 2 GiB; and all alphas where stories are left out.
    """
    size = 4 * sum(task.rows.values()) * task.design.n_feature_columns
    if size > _MOST_BYTES and not thorough:
        yield Unproven("predictions", arm.where, "not fitted again: brainaligner audit does")
        return
    recipe, stored = decomposition_recipe(task), arm.fit(i)
    if not arm.store.has(recipe):
        yield Unproven("predictions", arm.where, "the decomposition is not in the store")
        return
    columns = list(arm.columns)[REFITTED]
    if len(stored["alpha"]) <= columns[-1]:
        return  # other targets: the scores say so
    decomposition = arm.truth.decomposition(arm.store.path(recipe))
    basis = Basis(decomposition, task.fold.train, lambda piece: design_rows(arm.truth, task, piece))
    flaw = arm.truth.remember(
        f"decomposition/{recipe.key}", lambda: basis.flaw(task.design.arm.ridge)
    )
    if flaw:
        yield Fault(
            "features-not-reproduced",
            arm.where,
            "decomposition",
            f"training designs are not those that were decomposed ({flaw})",
        )
        return
    responses = by_piece(arm.truth.responses(arm.subject), range(len(arm.columns))[REFITTED])
    refit = Refit(basis, *basis.project(responses))
    yield from _choice_faults(arm, i, task, refit, thorough=thorough)
    alpha = stored["alpha"][columns].astype(np.float64)
    yield from prediction_faults(arm, i, refit.predict(alpha, task.fold.test))


def design_rows(truth: Truth, task: ReadoutTask, piece: Piece) -> np.ndarray:
    """Design rows of a piece, made again."""
    return truth.again.rows(task.design, piece.story, task.rows[piece.story])[piece.rows]


def _choice_faults(
    arm: ArmAudit, i: int, task: ReadoutTask, refit: Refit, *, thorough: bool
) -> Iterator[Fault]:
    """Validation scores of the stored table, against scores computed again."""
    stored, settings = arm.fit(i), task.design.arm.ridge
    columns = list(arm.columns)[REFITTED]
    table = stored["validation_r"][:, columns].astype(np.float64)
    if len(settings.alphas) == 1 and np.isnan(table).all():
        return
    responses = by_piece(arm.truth.responses(arm.subject), range(len(arm.columns))[REFITTED])
    if settings.selection == "validation":
        used = list(range(len(settings.alphas)))
        again = refit.validation_r(settings.alphas, task.validation, responses)
    else:
        used = _some_alphas(stored["alphas"], stored["alpha"][columns], thorough)
        again = refit.left_out_r([settings.alphas[a] for a in used], responses)
    off = np.abs(again - table[used])
    if not np.nanmax(off, initial=0.0) <= _CHOICE_ROUNDING or np.isnan(off).any():
        yield Fault(
            "choice-not-reproduced",
            arm.where,
            f"r off by up to {np.nanmax(off, initial=0.0):.3g}",
            "validation scores are not those of the validation stories",
        )


def _some_alphas(alphas: np.ndarray, chosen: np.ndarray, thorough: bool) -> list[int]:
    """Places in the grid that are scored again: those chosen, and some beside."""
    if thorough:
        return list(range(len(alphas)))
    first = list(dict.fromkeys(np.searchsorted(alphas, chosen).tolist()))[:_FEWEST_ALPHAS]
    order = np.random.default_rng(len(alphas)).permutation(len(alphas)).tolist()
    return sorted([*first, *(a for a in order if a not in first)][:_FEWEST_ALPHAS])


def prediction_faults(arm: ArmAudit, i: int, again: tuple[np.ndarray, ...]) -> Iterator[Fault]:
    """Compare stored predictions with those made again, at the targets that are fitted again."""
    kept = arm.predicted[i]
    for piece, values in zip(arm.readouts[i].pieces, again, strict=True):
        stored = kept.get(piece)
        if stored is None or len(stored) != len(values):
            off = np.inf
        else:
            spread = float(values.std()) + 1e-6
            off = float(np.abs(stored[:, REFITTED] - values).max(initial=0.0)) / spread
        if not off <= _PREDICTION_ROUNDING:
            yield Fault(
                "predictions-not-reproduced",
                f"{arm.where}, {piece.story}",
                f"off by {off:.3g} standard deviations",
                "stored predictions do not follow from the data",
            )
