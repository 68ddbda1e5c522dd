"""Stage ``lag_curve``: at which delay the features of a study predict the validation stories."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np

from brainaligner.evaluation import lag_diagnostic
from brainaligner.study._designs import word_design
from brainaligner.study._disk import read_npz, write_npz
from brainaligner.study._judged import MOST_TARGETS, Judged, judged, one_thread
from brainaligner.study._plan import Plan
from brainaligner.study._readout import ReadoutTask
from brainaligner.study._reduced import (
    GRID,
    Listener,
    Series,
    SmallFit,
    ensure_reduced,
    reduced_recipe,
    small_designs,
)
from brainaligner.study._store import Recipe, Store

VERSION = 1
OWN_DELAYS = tuple(range(-4, 9))
"""Delays in rows, on the row's own clock."""


def plain_arm(plan: Plan) -> str | None:
    """Name of the first arm that reads language models as they come, trained."""
    features = plan.prepared.config.features
    for run in plan.runs:
        read = [features[name] for name in run.arm.read]
        if read and all(one.tuning is None and one.seed is None for one in read):
            return run.name
    return None


def training_stories(plan: Plan) -> tuple[str, ...]:
    """Stories that train any subject, each once."""
    splits = plan.prepared.division.splits.values()
    pieces = (piece for split in splits for fold in split.folds for piece in fold.train)
    return tuple(sorted({piece.story for piece in pieces}))


def judge_lags(plan: Plan, store: Store) -> Iterator[Judged]:
    """Number 10, for the first plain arm and each subject, on validation stories alone."""
    arm = plain_arm(plan)
    if arm is None:
        return
    for subject in plan.prepared.division.splits:
        task = plan.tasks[arm, subject][0]
        recipe = lag_recipe(task, training_stories(plan))
        made = store.ensure(recipe, partial(_write, task=task, plan=plan, store=store))
        r = read_npz(made / "curve.npz")["r"]
        tr = plan.prepared.dataset.clock.tr
        yield judged(lag_diagnostic(f"{arm}, {subject}", OWN_DELAYS, r, tr=tr), [recipe])


def lag_recipe(task: ReadoutTask, train: tuple[str, ...]) -> Recipe:
    """Recipe of a lag curve: training and validation responses of one subject."""
    digests = task.prepared.digests[task.subject]
    pieces = (*task.fold.train, *task.fold.validation)
    responses = {f"responses/{p.story}": digests[p.story] for p in pieces}
    settings = {
        "delays": OWN_DELAYS,
        "shift": task.design.shift,
        "alphas": GRID,
        "targets": MOST_TARGETS,
        "train": [str(piece) for piece in task.fold.train],
        "validation": [str(piece) for piece in task.fold.validation],
    }
    inputs = {"reduced": reduced_recipe(word_design(task.design), train).key}
    return Recipe("lag_curve", VERSION, settings, inputs | responses)


def _write(folder: Path, task: ReadoutTask, plan: Plan, store: Store) -> None:
    series = ensure_reduced(word_design(task.design), training_stories(plan), store=store)
    pieces = (*task.fold.train, *task.fold.validation)
    responses = Listener(task.prepared, task.subject, pieces).responses
    with one_thread():
        r = [_r_at(delay, series, task, responses) for delay in OWN_DELAYS]
    write_npz(folder / "curve.npz", {"r": np.array(r), "delays": np.array(OWN_DELAYS)})


def _r_at(delay: int, series: Series, task: ReadoutTask, responses: Series) -> float:
    """Best mean r over the grid, on validation pieces, of one delay on the row's own clock."""
    used = {story: series[story] for story in responses}
    designs = small_designs(used, [delay + task.design.shift])
    return SmallFit(task.fold, designs, task.rows).predict(responses, test=())[1]
