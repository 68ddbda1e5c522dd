"""Whether significance, contrasts, ceilings and summaries in the store follow from the rest."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from brainaligner.evaluation import Fault, Unproven, noise_ceiling
from brainaligner.report import Difference
from brainaligner.study._audit_arm import ArmAudit
from brainaligner.study._audit_witness import Found, artifact
from brainaligner.study._ceiling_stage import CeilingTask, ceiling_recipe
from brainaligner.study._ceilings import MEASURES
from brainaligner.study._contrasts import contrast_tasks, read_contrast, write_contrast
from brainaligner.study._disk import read_json, read_npz
from brainaligner.study._foresight import stored_reference
from brainaligner.study._options import RunOptions
from brainaligner.study._plan import Plan
from brainaligner.study._scoring import base_name
from brainaligner.study._significance import ARRAYS, significance_tasks, tested
from brainaligner.study._store import Store

_PLACES, _AT_EACH = 4, 4
_ODD = 1 / 8
"""Where and how many targets are computed again, and the share that may come out otherwise."""
_P_ROOM, _ROOM = 1e-3, 1e-4
"""How far p and other figures may be off: another processor adds in another order."""


def significance_faults(plan: Plan, store: Store) -> Iterator[Found]:
    """Test some targets of every arm again, with the same draws."""
    for task in significance_tasks(plan):
        where = f"{task.run.name}, {task.subject}: significance"
        path = artifact(store, task.recipe, ARRAYS)
        if path is None:
            yield Unproven("significance", where, "its tests are not in the store")
            continue
        options = RunOptions(store.folder.parent)
        parts = _some(plan, task.subject)
        again = [dict(tested(task, part, store, options)) for part in parts]
        yield from _differing(_sampled(read_npz(path), parts), _joined(again), where)


def _some(plan: Plan, subject: str) -> list[slice]:
    """A few targets at a few places, from the first to the last."""
    size = plan.prepared.dataset.space(subject).size
    if size <= _PLACES * _AT_EACH:
        return [slice(0, size)]
    starts = np.linspace(0, size - _AT_EACH, _PLACES).astype(int)
    return [slice(int(start), int(start) + _AT_EACH) for start in starts]


def _sampled(stored: Mapping[str, np.ndarray], parts: Sequence[slice]) -> dict[str, np.ndarray]:
    return {
        name: np.concatenate([values[part] for part in parts])
        for name, values in stored.items()
        if values.ndim
    }


def _joined(parts: Sequence[Mapping[str, np.ndarray]]) -> dict[str, np.ndarray]:
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def contrast_faults(
    plan: Plan, store: Store, arms: Sequence[ArmAudit], *, thorough: bool
) -> Iterator[Found]:
    """Differences that a verdict rests on, against r of both arms; made again where thorough."""
    scores = {(arm.run.name, arm.subject): arm.scores for arm in arms}
    for task in contrast_tasks(plan, stored_reference(plan, store)):
        where = f"{task.run.name}, {task.subject}: contrast"
        if not store.has(task.recipe):
            yield Unproven("contrast", where, "they are not in the store")
            continue
        found = read_contrast(store.path(task.recipe), task)
        base = base_name(task.group.name, task.cut)
        paths = [
            artifact(store, scores[run.name, task.subject], "scores.npz")
            for run in (task.run, task.reference)
        ]
        if None not in paths:
            arm, reference = (read_npz(path)[base] for path in paths if path is not None)
            yield from _differing({"r": found.values}, {"r": arm - reference}, where)
        known = found.values[np.isfinite(found.values)]
        if len(known) and not abs(found.mean - known.mean()) <= _ROOM:
            figure = f"mean {found.mean}, not {known.mean():.4f}"
            yield _fault(where, figure, "the mean is not that of the scores")
        if thorough:
            with TemporaryDirectory() as folder:
                write_contrast(Path(folder), task, store)
                again = read_contrast(Path(folder), task)
            yield from _differing(_ends(found), _ends(again), where)


def _ends(one: Difference) -> dict[str, np.ndarray]:
    return {"interval": np.array([one.interval.low, one.interval.high]), "q/p": one.q}


def ceiling_faults(plan: Plan, store: Store) -> Iterator[Found]:
    """Measure the noise ceilings of some targets again."""
    for task in plan.prepared.ceilings:
        recipe = ceiling_recipe(task, plan.prepared.digests[task.subject][task.story])
        where = f"{task.subject}, {task.story}: noise ceiling"
        path = artifact(store, recipe, "ceilings.npz")
        if path is None:
            if task.cuts:
                yield Unproven("ceilings", where, "they are not in the store")
            continue
        parts = _some(plan, task.subject)
        again = [_measured(plan, task, part) for part in parts]
        yield from _differing(_sampled(read_npz(path), parts), _joined(again), where)


def _measured(plan: Plan, task: CeilingTask, part: slice) -> dict[str, np.ndarray]:
    read = plan.prepared.dataset.repeats(task.subject, task.story, part)
    assert read is not None
    assert read.repeats is not None
    found = {cut: noise_ceiling(read.repeats[:, task.rows(cut)]) for cut in task.cuts}
    return {f"cut{cut}/{m}": getattr(one, m) for cut, one in found.items() for m in MEASURES}


def summary_faults(arm: ArmAudit) -> Iterator[Found]:
    """Mean and median of each summary, from the r beside it."""
    path = artifact(arm.store, arm.scores, "scores.npz")
    if path is None:
        return
    summaries = read_json(path.with_name("summary.json"))["summaries"]
    for name, r in read_npz(path).items():
        known = r[np.isfinite(r)]
        for figure, made in (("mean", np.mean), ("median", np.median)):
            stated = summaries[name][figure]
            if len(known) and (stated is None or not abs(stated - made(known)) <= _ROOM):
                said = f"{figure} {stated}, not {made(known):.4f}"
                yield _fault(f"{arm.where}: {name}", said, "the summary is not that of the scores")


def _differing(
    stored: Mapping[str, np.ndarray], again: Mapping[str, np.ndarray], where: str
) -> Iterator[Fault]:
    for name, values in again.items():
        room = _P_ROOM if name.endswith("/p") else _ROOM
        kept = stored.get(name, np.zeros(0))
        alike = kept.shape == values.shape
        if alike:  # rounding may tip the odd target over a bound, such as its block
            off = ~np.isclose(kept, values, rtol=room, atol=room, equal_nan=True)
            alike = bool(off.sum() <= _ODD * off.size)
        if not alike:
            yield _fault(where, name, "computed again, it comes out otherwise")


def _fault(where: str, figure: str, said: str) -> Fault:
    return Fault("scores-not-reproduced", where, figure, said)
