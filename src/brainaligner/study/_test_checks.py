"""Stage ``test_checks``: what finished predictions score under nulls and without story starts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float64

from brainaligner.core import StoryGroup
from brainaligner.evaluation import (
    NULL_KINDS,
    lag_one_autocorrelation,
    mean_correlation,
    null_scores,
    pearson_r,
)
from brainaligner.study._disk import read_json, read_npz, write_json, write_npz
from brainaligner.study._judged import MOST_TARGETS, some_targets
from brainaligner.study._null_stage import MORE_DRAWS, NullDraws, read_draws
from brainaligner.study._prepare import Prepared
from brainaligner.study._readout import Readout
from brainaligner.study._scoring import Groups, test_rows
from brainaligner.study._store import Recipe, Store

VERSION = 1
LEFT_OUT = (0, 10, 50)
AGAIN_SEED = 1
_FEWEST_ROWS = 30


@dataclass(frozen=True, eq=False)
class TestChecks:
    """What was looked at in one arm and subject.

    Parameters
    ----------
    recipe : Recipe
    nulls : mapping of group to mapping of kind to draws
        Mean r of null features through the readout as it is fitted.
    without_start : mapping of group to mapping of int to float
        Mean r with that many first rows of each story left out.
    r, autocorrelation : mappings of group to float64 array, shape (target,)
        Of the targets that were looked at.
    """

    __test__ = False  # pytest collects classes of this name

    recipe: Recipe
    nulls: NullDraws
    without_start: Mapping[str, Mapping[int, float]]
    r: Mapping[str, Float64[np.ndarray, "target"]]
    autocorrelation: Mapping[str, Float64[np.ndarray, "target"]]


def ensure_test_checks(
    prepared: Prepared, subject: str, groups: Groups, readouts: Sequence[Readout], *, store: Store
) -> TestChecks:
    """Look at the predictions of one arm in one subject where that has not been done yet."""
    recipe = checks_recipe(prepared, subject, groups, readouts)
    made = store.ensure(recipe, lambda target: _write(target, prepared, subject, groups, readouts))
    starts = read_json(made / "without_start.json")
    series = read_npz(made / "series.npz")
    return TestChecks(
        recipe,
        read_draws(made / "nulls.npz"),
        {group: {int(n): r for n, r in found.items()} for group, found in starts.items()},
        *(
            {group.name: series[f"{group.name}/{what}"] for group in groups}
            for what in ("r", "autocorrelation")
        ),
    )


def ensure_more_nulls(
    prepared: Prepared,
    subject: str,
    groups: Groups,
    readouts: Sequence[Readout],
    *,
    kinds: tuple[str, ...],
    store: Store,
) -> tuple[NullDraws, Recipe]:
    """Draw some kinds of null again, more often, where that has not been done yet."""
    first = checks_recipe(prepared, subject, groups, readouts)
    draws = MORE_DRAWS * prepared.config.null_draws
    settings = {**first.settings, "kinds": kinds, "draws": draws, "seed": AGAIN_SEED}
    recipe = Recipe("null_again", VERSION, settings, first.inputs)

    def write(folder: Path) -> None:
        sides = _sides(prepared, subject, groups, readouts)
        nulls = _nulls(prepared, groups, sides, draws=draws, seed=AGAIN_SEED, kinds=kinds)
        write_npz(folder / "nulls.npz", nulls)

    return read_draws(store.ensure(recipe, write) / "nulls.npz"), recipe


def checks_recipe(
    prepared: Prepared, subject: str, groups: Groups, readouts: Sequence[Readout]
) -> Recipe:
    """Recipe of what is looked at in one arm and subject."""
    settings = {
        "draws": prepared.config.null_draws,
        "targets": MOST_TARGETS,
        "left_out": LEFT_OUT,
        "groups": [[group.name, *group.stories] for group in groups],
    }
    inputs = {f"readout/{i}": readout.recipe.key for i, readout in enumerate(readouts)}
    digests = prepared.digests[subject]
    stories = sorted({story for group in groups for story in group.stories})
    responses = {f"responses/{story}": digests[story] for story in stories}
    return Recipe("test_checks", VERSION, settings, inputs | responses)


Sides = tuple[dict[str, np.ndarray], dict[str, np.ndarray]]


def _sides(prepared: Prepared, subject: str, groups: Groups, readouts: Sequence[Readout]) -> Sides:
    """Predictions and responses of all scored stories, at the targets that are looked at."""
    scored = {story for group in groups for story in group.stories}
    targets = some_targets(prepared.dataset.space(subject).size)
    whole, measured, _ = test_rows(prepared, subject, scored, readouts)
    predictions = {story: rows[:, targets] for story, rows in whole.items()}
    return predictions, {story: rows[:, targets] for story, rows in measured.items()}


def _nulls(
    prepared: Prepared,
    groups: Groups,
    sides: Sides,
    *,
    draws: int,
    seed: int = 0,
    kinds: tuple[str, ...] = NULL_KINDS,
) -> dict[str, np.ndarray]:
    transcripts = prepared.division.stimuli.transcripts
    nulls: dict[str, np.ndarray] = {}
    for group in groups:
        p, y = ({story: side[story] for story in group.stories} for side in sides)
        names = {story: transcripts[story].digest() for story in group.stories}
        found = null_scores(p, y, n_draws=draws, seed=seed, names=names, kinds=kinds)
        nulls |= {f"{group.name}/{kind}": values for kind, values in found.items()}
    return nulls


def _write(
    folder: Path, prepared: Prepared, subject: str, groups: Groups, readouts: Sequence[Readout]
) -> None:
    sides = _sides(prepared, subject, groups, readouts)
    starts: dict[str, dict[int, float]] = {}
    series: dict[str, np.ndarray] = {}
    for group in groups:
        p, y = ({story: side[story] for story in group.stories} for side in sides)
        starts[group.name] = _without_start(group, p, y)
        rows = [np.concatenate(list(side.values())) for side in (p, y)]
        series[f"{group.name}/r"] = pearson_r(*rows)
        series[f"{group.name}/autocorrelation"] = lag_one_autocorrelation(list(y.values()))
    nulls = _nulls(prepared, groups, sides, draws=prepared.config.null_draws)
    write_npz(folder / "nulls.npz", nulls)
    write_npz(folder / "series.npz", series)
    write_json(folder / "without_start.json", starts)


def _without_start(
    group: StoryGroup, predictions: Mapping[str, np.ndarray], responses: Mapping[str, np.ndarray]
) -> dict[int, float]:
    """Mean r without the first rows, for as many as every story can spare."""
    shortest = min(len(predictions[story]) for story in group.stories)
    return {
        n: mean_correlation(
            [predictions[story][n:] for story in group.stories],
            [responses[story][n:] for story in group.stories],
        )
        for n in LEFT_OUT
        if n == 0 or shortest - n >= _FEWEST_ROWS
    }
