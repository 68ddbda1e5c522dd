"""Whether brain vectors are what their encoder gives, and at the time that it should."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from brainaligner.brain import borrow
from brainaligner.evaluation import Fault, Unproven, pearson_r
from brainaligner.study._audit_arm import ArmAudit
from brainaligner.study._audit_witness import Found, artifact
from brainaligner.study._brain import _vectors
from brainaligner.study._brain_task import BrainTask
from brainaligner.study._disk import read_json, read_npz
from brainaligner.study._options import RunOptions
from brainaligner.study._progress import SilentReporter
from brainaligner.study._witness import KEPT_TARGETS, WitnessBook, sampled

_SAME_TIME = 0.9
_ROUNDING = 1e-3
_MOST_BYTES = 2**30


def encoder_faults(
    arm: ArmAudit, task: BrainTask, where: str, *, thorough: bool
) -> Iterator[Found]:
    """Compare stored vectors with the responses' own time, and with vectors made again.

    Parameters
    ----------
    arm : ArmAudit
    task : BrainTask
    where : str
    thorough : bool
        Also make vectors again where that takes long.
    """
    path = artifact(arm.store, task.recipe, "vectors.npz")
    if path is None:
        return
    stored = read_npz(path)
    yield from _time_faults(arm, task, stored, where)
    slow = task.config.encoder is None or task.features is not None
    large = sum(values.nbytes for values in stored.values()) > _MOST_BYTES
    if (slow or large) and not thorough:
        yield Unproven("brain-vectors", where, "not made again: brainaligner audit does")
        return
    yield from _value_faults(task, stored, RunOptions(arm.store.folder.parent), where)


def _time_faults(
    arm: ArmAudit, task: BrainTask, stored: Mapping[str, np.ndarray], where: str
) -> Iterator[Fault]:
    """Vectors that a shift should have moved must not run along the responses of their rows."""
    settings = task.config.encoder
    facts = read_json(arm.store.path(task.recipe) / "provenance.json")
    if settings is None or not settings.shift or not facts["columns"]:
        return
    places = {column: place for place, column in enumerate(facts["columns"])}
    known = list(sampled(task.recording.n_targets, KEPT_TARGETS))
    shown = [(place, places[column]) for place, column in enumerate(known) if column in places]
    responses = arm.truth.responses(task.source) if shown else {}
    for story in sorted(stored.keys() & responses.keys()):
        n = min(len(stored[story]), len(responses[story]))
        theirs = responses[story][:n, [a for a, _ in shown]].astype(np.float64)
        ours = stored[story][:n, [b for _, b in shown]].astype(np.float64)
        r = pearson_r(ours, theirs)
        if np.isfinite(r).any() and np.nanmedian(r) > _SAME_TIME:
            yield Fault(
                "lineage-differs",
                f"{where}, {story}",
                f"r {np.nanmedian(r):.2f} at lag 0",
                "brain vectors that should be moved in time are not",
            )


def _value_faults(
    task: BrainTask, stored: Mapping[str, np.ndarray], options: RunOptions, where: str
) -> Iterator[Fault]:
    again = _vectors(task, options, SilentReporter(), WitnessBook(task.recording.n_targets))
    if task.borrowed_rows is not None:
        again = borrow(again, task.borrowed_rows, task.subject)
    for story, values in again.rows.items():
        found = stored.get(story)
        if found is None or found.shape != values.shape or not _close(found, values):
            yield Fault(
                "lineage-differs",
                f"{where}, {story}",
                "brain vectors",
                "vectors are not what the encoder gives for the responses",
            )


def _close(stored: np.ndarray, values: np.ndarray) -> bool:
    spread = float(values.std()) + 1e-9
    return bool(np.abs(stored - values).max(initial=0.0) <= _ROUNDING * spread * 10)
