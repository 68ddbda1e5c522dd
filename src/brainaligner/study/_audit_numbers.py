"""Whether stored numbers follow from what entered: scores, penalties, predictions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from brainaligner.core import InputError, Piece
from brainaligner.encoding import BandedSettings, Decomposition, RidgeSettings
from brainaligner.evaluation import Fault, Unproven, pearson_r
from brainaligner.study._audit_arm import ArmAudit, tested_pieces
from brainaligner.study._audit_witness import Found, artifact
from brainaligner.study._designs import word_design
from brainaligner.study._disk import read_array, read_json, read_npz
from brainaligner.study._readout import ReadoutTask, decomposition_recipe, read_predictions
from brainaligner.study._replay import replay
from brainaligner.study._scoring import base_name
from brainaligner.study._witness import KEPT_TARGETS, sampled

_R_ROUNDING = 2e-5
_CHOICE_ROUNDING = 5e-3
_MOST_BYTES = 2**31


def number_faults(arm: ArmAudit, *, thorough: bool) -> Iterator[Found]:
    """Compute a sample of the stored numbers again.

    Parameters
    ----------
    arm : ArmAudit
    thorough : bool
        Also fit again where designs are larger than 2 GiB.
    """
    yield from _score_faults(arm)
    for i, task in enumerate(arm.tasks):
        folder = arm.readouts[i].folder
        if not arm.store.has(arm.readouts[i].recipe):
            continue
        yield from _choice_faults(task, read_npz(folder / "alpha.npz"), arm.where)
        if task.design.source is not task.design or word_design(task.design).crossed:
            yield Unproven("predictions", arm.where, "projections and folds are not fitted again")
            continue
        if task.design.arm.banded is not None:
            yield Unproven("predictions", arm.where, "banded ridge is not fitted again")
            continue
        size = 4 * sum(task.rows.values()) * task.design.n_feature_columns
        if size > _MOST_BYTES and not thorough:
            yield Unproven("predictions", arm.where, "not fitted again: brainaligner audit does")
            continue
        yield from _replay_faults(arm, i, task)


def _score_faults(arm: ArmAudit) -> Iterator[Found]:
    path = artifact(arm.store, arm.scores, "scores.npz")
    if path is None:
        return
    n_targets = arm.plan.prepared.dataset.n_columns(arm.subject)
    columns = sampled(n_targets, KEPT_TARGETS)
    predicted, scored = (
        {one.story: one.values for one in arm._score_entries(role)}
        for role in ("predicted", "score")
    )
    stored = _stored_predictions(arm, columns)
    truth = _tested_responses(arm)
    for group in arm.plan.groups_of(arm.run, arm.subject):
        for cut in arm.plan.prepared.config.evaluation.cuts:
            base = base_name(group.name, cut)
            where, r = f"{arm.where}, {base}", read_array(path, base)
            names = [f"{base}/{story}" for story in group.stories]
            if len(r) != n_targets:
                yield Fault(
                    "chosen-on-test",
                    where,
                    f"{len(r)} of {n_targets} targets",
                    "other targets were scored than the subject has",
                )
            elif scored and set(names) <= set(scored):
                again = _r(predicted, scored, names)
                yield from _r_faults(r[list(columns)], again, where)
                if set(group.stories) <= stored.keys() & truth.keys():
                    kept = list(group.stories)
                    again = _r(_cut(stored, cut), _cut(truth, cut), kept)
                    yield from _r_faults(r[list(columns)], again, where)
            elif scored:
                yield Fault(
                    "lineage-differs",
                    where,
                    f"{len(names)} stories",
                    "not the stories that were scored",
                )
    yield from _summary_faults(arm)


def _stored_predictions(arm: ArmAudit, columns: range) -> dict[str, np.ndarray]:
    """What the readouts left, at a sample of targets; all scored rows of each story."""
    rows: dict[Piece, np.ndarray] = {}
    for readout in arm.readouts:
        if not arm.store.has(readout.recipe):
            return {}
        rows |= {
            piece: values[:, list(columns)]
            for piece, values in read_predictions(readout)
            if values.shape[1] > columns[-1]
        }
    tested = tested_pieces(arm.readouts)
    return {
        story: np.concatenate([rows[piece] for piece in pieces])
        for story, pieces in tested.items()
        if all(piece in rows for piece in pieces)
    }


def _tested_responses(arm: ArmAudit) -> dict[str, np.ndarray]:
    """The dataset's responses to the same rows."""
    known = arm.truth.responses(arm.subject)
    return {
        story: np.concatenate([known[story][piece.rows] for piece in pieces])
        for story, pieces in tested_pieces(arm.readouts).items()
    }


def _cut(rows: Mapping[str, np.ndarray], cut: int) -> dict[str, np.ndarray]:
    return {story: values[cut : len(values) - cut] for story, values in rows.items()}


def _r(
    predicted: Mapping[str, np.ndarray], scored: Mapping[str, np.ndarray], names: list[str]
) -> np.ndarray:
    p, y = (np.concatenate([side[name] for name in names]) for side in (predicted, scored))
    return pearson_r(p.astype(np.float64), y.astype(np.float64))


def _r_faults(r: np.ndarray, again: np.ndarray, where: str) -> Iterator[Found]:
    left_out = np.isnan(r) & ~np.isnan(again)
    if left_out.any():
        yield Fault(
            "chosen-on-test",
            where,
            f"{int(left_out.sum())} of {len(r)} sampled targets",
            "targets with an r were left out of the scores",
        )
    off = np.abs(np.where(left_out, again, r) - again)
    if np.nanmax(off, initial=0.0) > _R_ROUNDING:
        yield Fault(
            "scores-not-reproduced",
            where,
            f"r off by up to {np.nanmax(off):.3g}",
            "stored r are not those of the rows that were scored",
        )


def _summary_faults(arm: ArmAudit) -> Iterator[Found]:
    path = artifact(arm.store, arm.scores, "summary.json")
    scores = artifact(arm.store, arm.scores, "scores.npz")
    if path is None or scores is None:
        return
    for base, summary in read_json(path)["summaries"].items():
        mean = float(np.nanmean(read_array(scores, base))) if summary["n_scored"] else np.nan
        if abs(mean - summary["mean"]) > _R_ROUNDING:
            yield Fault(
                "scores-not-reproduced",
                f"{arm.where}, {base}",
                f"{summary['mean']:.4f}, not {mean:.4f}",
                "the stored mean is not that of the stored r",
            )


def _choice_faults(
    task: ReadoutTask, stored: Mapping[str, np.ndarray], where: str
) -> Iterator[Found]:
    settings: RidgeSettings | BandedSettings = task.design.arm.banded or task.design.arm.ridge
    if tuple(stored["alphas"].tolist()) != tuple(settings.alphas):
        yield Fault(
            "choice-not-reproduced",
            where,
            f"{len(stored['alphas'])} alphas",
            "the grid is not the one that the study names",
        )
        return
    r = stored["validation_r"].astype(np.float64)
    if isinstance(settings, BandedSettings) or len(settings.alphas) == 1 or np.isnan(r).all():
        return
    chosen = np.searchsorted(stored["alphas"], stored["alpha"])
    table = r.mean(axis=1, keepdims=True) if settings.alpha == "shared" else r
    index = chosen[:1] if settings.alpha == "shared" else chosen
    short = table.max(axis=0) - np.take_along_axis(table, index[None, :], axis=0)[0]
    if short.max() > 1e-6:
        yield Fault(
            "choice-not-reproduced",
            where,
            f"{short.max():.3g} below the best r",
            "another alpha is better on the validation stories",
        )


def _replay_faults(arm: ArmAudit, i: int, task: ReadoutTask) -> Iterator[Found]:
    """Fit a few targets again from the dataset and the stored features, and predict."""
    recipe = decomposition_recipe(task)
    folder, readout = arm.store.path(recipe), arm.readouts[i]
    if not arm.store.has(recipe):
        yield Unproven("predictions", arm.where, "the decomposition is not in the store")
        return
    stored = read_npz(readout.folder / "alpha.npz")
    n_targets = len(stored["alpha"])
    if n_targets != arm.plan.prepared.dataset.n_columns(arm.subject):
        return
    columns = sampled(n_targets, 8)
    alpha = float(stored["alpha"][0]) if task.design.arm.ridge.alpha == "shared" else None
    decomposition = Decomposition.from_arrays(read_npz(folder / "decomposition.npz"))
    try:
        again = replay(task, decomposition, columns, alpha, "cpu")
    except InputError as error:
        yield Fault(
            "features-not-reproduced",
            arm.where,
            "decomposition",
            f"training designs are not those that were decomposed ({error.got})",
        )
        return
    off = np.abs(again.validation_r - stored["validation_r"][:, list(columns)])
    if np.nanmax(off, initial=0.0) > _CHOICE_ROUNDING:
        yield Fault(
            "choice-not-reproduced",
            arm.where,
            f"r off by up to {np.nanmax(off):.3g}",
            "validation scores are not those of the validation stories",
        )
    yield from _prediction_faults(arm, i, np.array(columns), again.predictions)


def _prediction_faults(
    arm: ArmAudit, i: int, columns: np.ndarray, again: tuple[np.ndarray, ...]
) -> Iterator[Found]:
    pairs = read_predictions(arm.readouts[i])
    for (piece, stored), values in zip(pairs, again, strict=True):
        spread = values.std() + 1e-6
        off = float(np.abs(stored[:, columns] - values).max() / spread)
        if stored.shape[0] != values.shape[0] or off > 0.05:
            yield Fault(
                "predictions-not-reproduced",
                f"{arm.where}, {piece.story}",
                f"off by {off:.3g} standard deviations",
                "stored predictions do not follow from the data",
            )
