"""Whether stored numbers follow from what entered: scores, penalties, predictions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from brainaligner.encoding import BandedSettings, RidgeSettings
from brainaligner.evaluation import Fault, pearson_r
from brainaligner.study._audit_arm import ArmAudit, is_one_stage, tested_pieces
from brainaligner.study._audit_banded import banded_faults
from brainaligner.study._audit_projection import projection_faults
from brainaligner.study._audit_refit_faults import refit_faults
from brainaligner.study._audit_witness import Found, artifact
from brainaligner.study._disk import read_array, read_json
from brainaligner.study._readout import ReadoutTask
from brainaligner.study._scoring import base_name

_R_ROUNDING = 2e-5


def number_faults(arm: ArmAudit, *, thorough: bool) -> Iterator[Found]:
    """Compute a sample of the stored numbers again.

    Parameters
    ----------
    arm : ArmAudit
    thorough : bool
        Also fit again where that takes long.
    """
    yield from _score_faults(arm)
    for i, task in enumerate(arm.tasks):
        if arm.store.has(arm.readouts[i].recipe):
            yield from _readout_faults(arm, i, task, thorough=thorough)


def _readout_faults(arm: ArmAudit, i: int, task: ReadoutTask, *, thorough: bool) -> Iterator[Found]:
    reduced = task.design.arm.reduced_rank
    if reduced is not None:
        yield from projection_faults(arm, i, task, thorough=thorough)
    if is_one_stage(task):
        return
    yield from _choice_faults(task, arm.fit(i), arm.where)
    if task.design.arm.banded is not None:
        yield from banded_faults(arm, i, task, thorough=thorough)
    else:
        yield from refit_faults(arm, i, task, thorough=thorough)


def _score_faults(arm: ArmAudit) -> Iterator[Found]:
    path = artifact(arm.store, arm.scores, "scores.npz")
    if path is None:
        return
    n_targets = arm.plan.prepared.dataset.n_columns(arm.subject)
    columns = arm.columns
    predicted, scored = (
        {one.story: one.values for one in arm._score_entries(role)}
        for role in ("predicted", "score")
    )
    stored = _stored_predictions(arm)
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


def _stored_predictions(arm: ArmAudit) -> dict[str, np.ndarray]:
    """What the readouts left, at a sample of targets; all scored rows of each story."""
    rows = {piece: values for kept in arm.predicted for piece, values in kept.items()}
    return {
        story: np.concatenate([rows[piece] for piece in pieces])
        for story, pieces in tested_pieces(arm.readouts).items()
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
    invented = np.isfinite(r) & np.isnan(again)
    if invented.any():
        yield Fault(
            "scores-not-reproduced",
            where,
            f"{int(invented.sum())} of {len(r)} sampled targets",
            "stored r are not those of the rows that were scored",
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
    r, chosen = stored["validation_r"].astype(np.float64), stored["alpha"]
    shared = isinstance(settings, RidgeSettings) and settings.alpha == "shared"
    if not np.isin(chosen, stored["alphas"]).all() or (shared and np.ptp(chosen) > 0):
        yield Fault(
            "choice-not-reproduced",
            where,
            f"{len(np.unique(chosen))} alphas",
            "alphas are not in the grid, or differ where one should serve all targets",
        )
        return
    if isinstance(settings, BandedSettings) or (len(settings.alphas) == 1 and np.isnan(r).all()):
        return
    places = np.searchsorted(stored["alphas"], chosen)
    table = r.mean(axis=1, keepdims=True) if settings.alpha == "shared" else r
    index = places[:1] if settings.alpha == "shared" else places
    short = table.max(axis=0) - np.take_along_axis(table, index[None, :], axis=0)[0]
    if not short.max() <= 1e-6:
        yield Fault(
            "choice-not-reproduced",
            where,
            f"{short.max():.3g} below the best r",
            "another alpha is better on the validation stories",
        )
