"""Curves of a finished study: r by layer and context, by delay and alpha; losses by epoch."""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from brainaligner.report import Curve, Line
from brainaligner.study._arm_config import FeatureConfig
from brainaligner.study._arms import ArmRun
from brainaligner.study._disk import read_npz
from brainaligner.study._fitted import Fit, Fitted
from brainaligner.study._judged import MOST_TARGETS
from brainaligner.study._lag_stage import OWN_DELAYS, lag_recipe, plain_arm, training_stories
from brainaligner.study._plan import Plan
from brainaligner.study._readout import Readout
from brainaligner.study._store import Store
from brainaligner.study._tuning_task import TuningTask

Place = Callable[[FeatureConfig], int | None]
"""Where on the axis of a curve an arm stands; None where it does not."""


def study_curves(plan: Plan, fitted: Fitted, store: Store) -> tuple[Curve, ...]:
    """All curves that a study has the arms and artifacts for."""
    return (
        *score_curves(plan, fitted),
        *_lag_curves(plan, store),
        *_alpha_curves(plan, fitted),
        *_training_curves(plan, store),
    )


def score_curves(plan: Plan, fitted: Fitted) -> Iterator[Curve]:
    """Mean r of arms that differ in the layer alone, or in the rows of left context alone."""
    for family in layer_families(plan):
        yield _score_curve(plan, fitted, family, "layer", "layer")
    for family in context_families(plan):
        yield _score_curve(plan, fitted, family, "context", "rows of left context (TRs)")


Family = Mapping[int, ArmRun]
"""Arms by their place on the axis, ascending."""


def layer_families(plan: Plan) -> list[Family]:
    """Arms of one feature each that are the same but for its layer; two layers at least.

    A layer counted from the end takes its place among those counted from the first.
    """
    infos = plan.prepared.infos

    def layer(feature: FeatureConfig) -> int:
        return feature.text.resolve_layer(infos[feature.model])

    def rest(feature: FeatureConfig) -> FeatureConfig:
        return replace(feature, text=replace(feature.text, layer=0))

    return _families(plan, layer, rest)


def context_families(plan: Plan) -> list[Family]:
    """Arms of one feature each that are the same but for its rows of left context.

    Without context nothing says where it begins: such an arm belongs to either kind.
    """
    found = []
    for start in ("sound", "first_row"):

        def rows(feature: FeatureConfig, start: str = start) -> int | None:
            n = feature.text.context_rows
            return n if n == 0 or feature.text.context_from == start else None

        def rest(feature: FeatureConfig) -> FeatureConfig:
            text = replace(feature.text, context_rows=0, context_from="sound")
            return replace(feature, text=text)

        found += [family for family in _families(plan, rows, rest) if family not in found]
    return found


def _families(
    plan: Plan, place: Place, rest: Callable[[FeatureConfig], FeatureConfig]
) -> list[Family]:
    features = plan.prepared.config.features
    groups: list[tuple[object, dict[int, ArmRun]]] = []
    for run in plan.runs:
        if len(run.arm.read) != 1:
            continue
        feature = features[run.arm.read[0]]
        at = place(feature)
        if at is None:
            continue
        same = (rest(feature), replace(run.arm, features=("",), reference={}), run.seed)
        own = next((members for key, members in groups if key == same), None)
        if own is None:
            groups.append((same, {at: run}))
        else:
            own.setdefault(at, run)
    return [dict(sorted(members.items())) for _, members in groups if len(members) > 1]


def _score_curve(plan: Plan, fitted: Fitted, family: Family, kind: str, x_name: str) -> Curve:
    first = next(iter(family.values()))
    lines, keys = [], []
    for subject in plan.prepared.division.splits:
        fits = {x: fitted.cells[run.name, subject] for x, run in family.items()}
        lines.append(_score_line(subject, fits))
        keys += [fit.scores.recipe.key for fit in fits.values()]
    source = _source(plan.prepared.config.features[first.arm.read[0]], first.seed)
    last = list(family.values())[-1]
    arms = ", ".join(run.name for run in family.values())
    return Curve(
        kind,
        f"Mean r by {x_name}, {source}, {first.name} to {last.name}",
        x_name,
        "mean r",
        tuple(lines),
        f"The arms {arms} differ in nothing else. Bars are the intervals of the table.",
        tuple(keys),
    )


def _score_line(subject: str, fits: Mapping[int, Fit]) -> Line:
    """The first group and the fewest rows cut, as the other figures show."""
    shown = [
        min(
            (summary for _, summary in fit.scores.results),
            key=lambda summary: (summary.presentations != "single", summary.rows_cut),
        )
        for fit in fits.values()
    ]
    return Line(
        subject,
        tuple(map(float, fits)),
        tuple(one.mean for one in shown),
        tuple(one.interval.low for one in shown),
        tuple(one.interval.high for one in shown),
    )


def _source(feature: FeatureConfig, seed: int | None) -> str:
    if feature.tuning is not None:
        return f"{feature.model} after the tuning {feature.tuning}, seed {seed}"
    return f"{feature.model}{', untrained' * (feature.seed is not None)}"


def _lag_curves(plan: Plan, store: Store) -> Iterator[Curve]:
    """What the diagnostic of lags has found, where it was made."""
    arm, lines, keys = plain_arm(plan), [], []
    for subject in plan.prepared.division.splits if arm else ():
        recipe = lag_recipe(plan.tasks[str(arm), subject][0], training_stories(plan))
        if store.has(recipe):
            r = read_npz(store.path(recipe) / "curve.npz")["r"]
            lines.append(Line(subject, tuple(map(float, OWN_DELAYS)), tuple(map(float, r))))
            keys.append(recipe.key)
    if lines:
        yield Curve(
            "lag",
            f"Mean r by delay, {arm}",
            "delay in rows, on the row's own clock",
            "mean r, validation stories",
            tuple(lines),
            f"Each delay by itself, at its best alpha of the grid; {MOST_TARGETS} targets at most.",
            tuple(keys),
        )


def _alpha_curves(plan: Plan, fitted: Fitted) -> Iterator[Curve]:
    """Mean validation r of each alpha, in each arm."""
    for subject in plan.prepared.division.splits:
        lines, keys = [], []
        for run in plan.runs:
            readouts = fitted.cells[run.name, subject].readouts
            made = _alpha_line(run.name, readouts)
            if made is not None:
                lines.append(made)
                keys += [readout.recipe.key for readout in readouts]
        if lines:
            yield Curve(
                "alpha",
                f"Mean r by alpha, {subject}",
                "alpha, the penalty being alpha ||W||^2",
                "mean r where alpha was chosen",
                tuple(lines),
                "Mean over targets. Where targets share an alpha, a ring is around it.",
                tuple(keys),
                logarithmic=True,
            )


def _alpha_line(name: str, readouts: Sequence[Readout]) -> Line | None:
    """The mean over folds; None where r was not measured for each alpha."""
    kept = [read_npz(readout.folder / "alpha.npz") for readout in readouts]
    grids = [found.get("alphas", np.zeros(0)) for found in kept]
    same = all(np.array_equal(grid, grids[0]) for grid in grids)
    fits = all("validation_r" in f and len(f["validation_r"]) == len(grids[0]) for f in kept)
    if not same or not fits or len(grids[0]) < 2 or min(grids[0]) <= 0:
        return None
    r = np.mean([[_known_mean(row) for row in found["validation_r"]] for found in kept], axis=0)
    chosen = {float(alpha) for found in kept for alpha in found["alpha"]}
    return Line(
        name,
        tuple(map(float, grids[0])),
        tuple(map(float, r)),
        marked=chosen.pop() if len(chosen) == 1 else None,
    )


def _known_mean(values: np.ndarray) -> float:
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) else math.nan


def _training_curves(plan: Plan, store: Store) -> Iterator[Curve]:
    """Losses of each tuning as it went; models of its folds look alike."""
    by_name: dict[tuple[str, str], dict[str, TuningTask]] = {}
    for task in plan.tunings.values():
        if store.has(task.recipe):
            by_name.setdefault((task.name, task.whose), {}).setdefault(task.recipe.key, task)
    for (name, whose), tasks in by_name.items():
        lines = [line for task in tasks.values() for line in _losses(task, store)]
        if lines:
            yield Curve(
                "training",
                f"Loss by epoch, tuning {name}, {whose}",
                "epoch",
                "loss",
                tuple(lines),
                "On the aligner's own validation stories, and dashed on its training batches. "
                "Every line is a model; those of one seed look alike.",
                tuple(tasks),
            )


def _losses(task: TuningTask, store: Store) -> Iterator[Line]:
    rows = _history(store.path(task.recipe) / "history.csv")
    for column, faint in (("eval_loss", False), ("loss", True)):
        points = [(float(row["epoch"]), float(row[column])) for row in rows if row.get(column)]
        if points:
            x, y = zip(*points, strict=True)
            yield Line(f"seed {task.seed}", x, y, faint=faint)


def _history(path: Path) -> list[dict[str, str]]:
    if not path.is_file():
        return []
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))
