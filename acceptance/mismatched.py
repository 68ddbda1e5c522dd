"""Real predictions against real responses to other stories: a null that needs no simulation."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from acceptance.runs import DATA, run_command
from brainaligner.evaluation import block_permutation, partial_out
from brainaligner.study._arms import ArmRun
from brainaligner.study._compare import StoredRows
from brainaligner.study._plan import Plan
from brainaligner.study._progress import reporting
from brainaligner.study._reopened import reopen_run
from brainaligner.study._store import Store
from brainaligner.text import nuisance_columns

Result = dict[str, Any]
Stories = list[np.ndarray]

LEVEL = 0.05
NOT_NULL = ("with-nuisance, 0 rows cut", "with-nuisance, 10 rows cut")
"""Shown, not judged: Z predicts the onset of whatever story, so that something here is true."""
STUDY = """
name: calibration
dataset: {reader: lebel2023-pcs}
split: {file: split.json}
features: {layer4: {model: embedded, text: {layer: 4, clock: previous}}}
controls: []
null_draws: 2
defaults: {design: {delays: [1, 2, 3, 4]}}
arms: {layer4: {features: [layer4]}, with-nuisance: {features: [layer4], design: {nuisance: with}}}
evaluation: {n_bootstrap: 1000, n_shifts: 20, cuts: [0]}
"""


def mismatched_stories(scratch: Path) -> Result:
    """Share of p at most .05 for each arm, with and without Z taken out, and each cut."""
    study = scratch / "calibration.yaml"
    study.write_text(STUDY, encoding="utf-8")
    run = ("run", str(study), "--data", DATA, "--out", str(scratch / "runs"))
    run_command(*run, "--threads", "1", log=scratch / "log.txt")
    with reporting() as reporter:
        folder = scratch / "runs" / "calibration"
        plan, store = reopen_run(folder, data=DATA, out=None, reporter=reporter)
    return {
        f"{run.name}{', beyond Z' if beyond else ''}, {cut} rows cut": _share_found(
            [_Mismatched(plan, store, run, subject, beyond) for subject in _subjects(plan)], cut
        )
        for run in plan.runs
        for beyond in (False, True)
        for cut in (0, 10)
    }


def _subjects(plan: Plan) -> tuple[str, ...]:
    return tuple(plan.prepared.division.splits)


@dataclass(frozen=True, eq=False)
class _Mismatched:
    """Test stories of one subject; with `beyond`, each side loses the Z of its own story."""

    plan: Plan
    store: Store
    run: ArmRun
    subject: str
    beyond: bool

    def pairings(self, cut: int) -> Iterator[tuple[Stories, Stories]]:
        """Each story's prediction and the responses to the story k places on, k = 1, 3, 5 ..."""
        predicted, measured = StoredRows(self.plan, self.store, self.subject, "test").sides(
            self.run
        )
        z = [self._nuisance(s, len(p)) for s, p in zip(self._stories(), predicted, strict=True)]
        for k in range(1, len(predicted), 2):
            pairs = zip(predicted, _moved(measured, k), z, _moved(z, k), strict=True)
            alike = [_cut_alike(pair, cut) for pair in pairs]
            p, y, z_p, z_y = (list(side) for side in zip(*alike, strict=True))
            yield (partial_out(p, z_p), partial_out(y, z_y)) if self.beyond else (p, y)

    def _stories(self) -> tuple[str, ...]:
        (group,) = [g for g in self.plan.groups_of(self.run, self.subject) if g.name == "test"]
        return group.stories

    def _nuisance(self, story: str, n_rows: int) -> np.ndarray:
        dataset = self.plan.prepared.dataset
        return nuisance_columns(
            dataset.transcript(story), dataset.clock, n_rows, shift=1, delays=(1, 2, 3, 4)
        )


def _share_found(subjects: Sequence[_Mismatched], cut: int) -> Result:
    by_pairing: list[np.ndarray] = []
    for subject in subjects:
        for k, sides in enumerate(subject.pairings(cut)):
            found = block_permutation(*sides, n_permutations=999, seed=2 * k + 1)
            by_pairing.append(np.stack([found.p <= LEVEL, found.r]))
    passed, r = np.moveaxis(np.array(by_pairing), 1, 0)
    share = passed.mean(axis=1)
    return {
        "false_positives": float(share.mean()),
        "false_positives_se": float(share.std() / np.sqrt(len(share))),
        "n_tests": int(passed.size),
        "mean_r": float(r.mean()),
    }


def _moved(stories: Stories, places: int) -> Stories:
    return stories[places:] + stories[:places]


def _cut_alike(pair: Sequence[np.ndarray], cut: int) -> list[np.ndarray]:
    rows = min(len(one) for one in pair) - cut
    return [one[cut:rows] for one in pair]
