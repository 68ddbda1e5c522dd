"""Whether significance, noise ceilings and summaries in the store follow from what they say."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from brainaligner.evaluation import Fault, Unproven, noise_ceiling
from brainaligner.study._audit_arm import ArmAudit
from brainaligner.study._audit_witness import Found, artifact
from brainaligner.study._ceiling_stage import CeilingTask, ceiling_recipe
from brainaligner.study._ceilings import MEASURES
from brainaligner.study._disk import read_json, read_npz
from brainaligner.study._options import RunOptions
from brainaligner.study._plan import Plan
from brainaligner.study._significance import ARRAYS, SignificanceTask, significance_tasks, tested
from brainaligner.study._store import Store

_TARGETS = slice(0, 16)
_ODD = 1 / 8
"""Which targets are computed again, and the share of them that may come out otherwise."""
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
        again = dict(tested(task, _some(task), store, RunOptions(store.folder.parent)))
        yield from _differing(read_npz(path), again, where)


def _some(task: SignificanceTask) -> slice:
    size = task.plan.prepared.dataset.space(task.subject).size
    return slice(0, min(_TARGETS.stop, size))


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
        yield from _differing(read_npz(path), _measured(plan, task), where)


def _measured(plan: Plan, task: CeilingTask) -> dict[str, np.ndarray]:
    read = plan.prepared.dataset.repeats(task.subject, task.story, _TARGETS)
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
        kept = stored.get(name, np.zeros(0))[: len(values)]
        alike = kept.shape == values.shape
        if alike:  # rounding may tip the odd target over a bound, such as its block
            off = ~np.isclose(kept, values, rtol=room, atol=room, equal_nan=True)
            alike = bool(off.sum() <= _ODD * off.size)
        if not alike:
            yield _fault(where, name, "computed again, it comes out otherwise")


def _fault(where: str, figure: str, said: str) -> Fault:
    return Fault("scores-not-reproduced", where, figure, said)
