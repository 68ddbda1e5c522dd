"""Stages of the diagnostics that need no scores: are subjects, rows and readouts sound?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from itertools import combinations
from pathlib import Path

import numpy as np

from brainaligner.core import Split
from brainaligner.encoding import ArrayStories, RidgeSettings, fit_banded, fit_ridge, predict
from brainaligner.evaluation import (
    ALIKE_WARN,
    DS003020_VOXELS,
    Diagnostic,
    SimulationCheck,
    StoryLikeness,
    kernel_alignment,
    pearson_r,
    share_above,
    shift_null,
    simulation_diagnostic,
    story_likeness,
    story_twin_diagnostic,
    subjects_diagnostic,
    voxel_count_diagnostic,
)
from brainaligner.study._arm_config import ArmConfig
from brainaligner.study._disk import read_json, write_json
from brainaligner.study._judged import MOST_TARGETS, Judged, judged, one_thread, some_targets
from brainaligner.study._prepare import Prepared
from brainaligner.study._settings import plain
from brainaligner.study._store import Recipe, Store
from brainaligner.text import add_delays

VERSION = 1
_SUBJECTS_VERSION = 3
_COMPARED = 2  # stories in which two subjects are compared
_FURTHEST = 5  # rows by which one may be moved against the other
_STRIP = 0.2  # share of the dimensions in which all who heard a story may be alike
_STORY_ROWS = 120
_N_STORIES = {"train": 10, "validation": 2, "test": 4}
_N_FEATURES, _N_PLANTED, _N_NULL = 10, 60, 60
_SIGNAL = 0.25  # share of the variance of a planted response


def judge_subjects(prepared: Prepared, store: Store) -> Iterator[Judged]:
    """Number 5: whether subjects are as many people."""
    subjects = tuple(prepared.division.splits)
    pairs = list(combinations(subjects, 2))
    if pairs:
        stories = {pair: _shared_stories(prepared, pair) for pair in pairs}
        recipe = _subjects_recipe(prepared, stories)
        made = store.ensure(recipe, lambda target: _write_likeness(target, prepared, stories))
        yield judged(_most_alike(prepared, read_json(made / "likeness.json")), [recipe])
    else:
        advice = subjects_diagnostic(subjects[0], likeness=0.0, shared=0, compared=0)
        yield judged(advice)
    for subject in subjects:
        space = prepared.dataset.space(subject)
        of_ds003020 = prepared.config.dataset.reader == "lebel2023" and space.kind == "voxels"
        if of_ds003020 and subject in DS003020_VOXELS:
            yield judged(voxel_count_diagnostic(subject, space.size))


def _shared_stories(prepared: Prepared, pair: tuple[str, str]) -> tuple[str, ...]:
    """Stories that both heard in the same rows, those of the training side first."""
    splits = [prepared.division.splits[subject] for subject in pair]
    heard = [split.train + split.validation if isinstance(split, Split) else split.stories
             for split in splits]  # fmt: skip
    rows = prepared.dataset.n_rows
    return tuple(
        story
        for story in heard[0]
        if story in heard[1] and rows(pair[0], story) == rows(pair[1], story)
    )


Pairs = Mapping[tuple[str, str], tuple[str, ...]]


def _subjects_recipe(prepared: Prepared, stories: Pairs) -> Recipe:
    used = {(subject, story) for pair, names in stories.items() for subject in pair
            for story in names[:_COMPARED]}  # fmt: skip
    inputs = {f"responses/{s}/{story}": prepared.digests[s][story] for s, story in sorted(used)}
    settings = {"stories": _COMPARED, "furthest": _FURTHEST, "strip": _STRIP}
    return Recipe("subject_likeness", _SUBJECTS_VERSION, settings, inputs)


def _write_likeness(folder: Path, prepared: Prepared, stories: Pairs) -> None:
    likeness = {}
    for pair, names in stories.items():
        found = [
            _likeness(*(prepared.dataset.responses(s, story).values for s in pair))
            for story in names[:_COMPARED]
        ]
        known = [value for value in found if np.isfinite(value)]
        likeness[" and ".join(pair)] = float(np.mean(known)) if known else 0.0
    write_json(folder / "likeness.json", likeness)


def _likeness(first: np.ndarray, second: np.ndarray) -> float:
    """Alignment of two subjects; one that looks like one person has to outlast stripping."""
    plain_one = kernel_alignment(first, second, furthest=_FURTHEST)
    if not plain_one > ALIKE_WARN:
        return plain_one
    return min(plain_one, kernel_alignment(first, second, furthest=_FURTHEST, strip=_STRIP))


def _most_alike(prepared: Prepared, likeness: Mapping[str, float]) -> Diagnostic:
    """The verdict on the pair that looks most like one person."""
    pairs = list(combinations(prepared.division.splits, 2))
    shared = {pair: _equal_stories(prepared, pair) for pair in pairs}
    worst = max(pairs, key=lambda pair: (shared[pair], likeness[" and ".join(pair)]))
    where = " and ".join(worst)
    measured = shared[worst] or _shared_stories(prepared, worst)
    if len(pairs) > 1:
        where += f", the most alike of {len(pairs)} pairs"
    return subjects_diagnostic(
        where,
        likeness=likeness[" and ".join(worst)],
        shared=shared[worst],
        compared=len(_heard_by_both(prepared, worst)) if measured else 0,
    )


def _equal_stories(prepared: Prepared, pair: tuple[str, str]) -> int:
    first, second = (prepared.digests[subject] for subject in pair)
    return sum(first[story] == second[story] for story in _heard_by_both(prepared, pair))


def _heard_by_both(prepared: Prepared, pair: tuple[str, str]) -> tuple[str, ...]:
    """Stories of all sides, in whatever rows: all of them are compared byte by byte."""
    first, second = (prepared.digests[subject] for subject in pair)
    return tuple(story for story in first if story in second)


def judge_stories(prepared: Prepared, store: Store) -> Iterator[Judged]:
    """Number 1, by content: whether a test story's responses run along a training story's."""
    for subject, recipe in story_recipes(prepared):
        split = prepared.division.splits[subject]
        assert isinstance(split, Split)
        write = partial(
            _write_story_likeness, prepared=prepared, subject=subject, sides=_story_sides(split)
        )
        made = store.ensure(recipe, write)
        found = StoryLikeness(**read_json(made / "likeness.json"))
        yield judged(story_twin_diagnostic(subject, found), [recipe])


def story_recipes(prepared: Prepared) -> Iterator[tuple[str, Recipe]]:
    """Subjects whose stories stand on sides, each with the recipe of their comparison."""
    for subject, split in prepared.division.splits.items():
        if isinstance(split, Split):
            digests = prepared.digests[subject]
            inputs = {
                f"responses/{side}/{story}": digests[story]
                for side, stories in _story_sides(split).items()
                for story in stories
            }
            yield subject, Recipe("story_likeness", VERSION, {"targets": MOST_TARGETS}, inputs)


def _story_sides(split: Split) -> dict[str, tuple[str, ...]]:
    return {
        "test": split.test + split.test_repeated,
        "train": split.train + split.validation,
    }


def _write_story_likeness(
    folder: Path, prepared: Prepared, subject: str, sides: Mapping[str, tuple[str, ...]]
) -> None:
    targets = some_targets(prepared.dataset.space(subject).size)
    tested, trained = (
        {s: prepared.dataset.responses(subject, s).values[:, targets] for s in sides[side]}
        for side in ("test", "train")
    )
    write_json(folder / "likeness.json", plain(story_likeness(tested, trained)))


def judge_readouts(prepared: Prepared, store: Store) -> Iterator[Judged]:
    """Number 13: each way of reading out that the study has, on responses with a known truth."""
    ways: dict[str, tuple[Recipe, list[str], ArmConfig]] = {}
    for name, arm in prepared.config.arms.items():
        recipe = simulation_recipe(arm)
        ways.setdefault(recipe.key, (recipe, [], arm))[1].append(name)
    for recipe, names, arm in ways.values():
        made = store.ensure(recipe, partial(_write_simulation, arm=arm))
        check = SimulationCheck(**read_json(made / "check.json"))
        where = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if names[3:] else "")
        yield judged(simulation_diagnostic(where, check), [recipe])


def simulation_recipe(arm: ArmConfig) -> Recipe:
    """Recipe of one way of reading out, on responses with a known truth."""
    settings = {
        "ridge": plain(arm.ridge) if arm.banded is None else None,
        "banded": plain(arm.banded),
        "delays": plain(arm.design.delays),
    }
    return Recipe("simulation_check", VERSION, settings, {})


def _write_simulation(folder: Path, arm: ArmConfig) -> None:
    rng = np.random.default_rng(13)
    weights = rng.standard_normal((_N_FEATURES * len(arm.design.delays), _N_PLANTED))
    sides = {side: [_simulated_story(rng, arm, weights) for _ in range(n)]
             for side, n in _N_STORIES.items()}  # fmt: skip
    stories = {
        side: ArrayStories([x for x, _, _ in made], [y for _, y, _ in made])
        for side, made in sides.items()
    }
    with one_thread():
        predictions = _predicted(arm, stories)
    write_json(folder / "check.json", plain(_simulation_check(predictions, sides["test"])))


Simulated = tuple[np.ndarray, np.ndarray, np.ndarray]


def _simulated_story(rng: np.random.Generator, arm: ArmConfig, weights: np.ndarray) -> Simulated:
    """Design, responses (planted ones first) and the noiseless planted signal of one story."""
    features = rng.standard_normal((_STORY_ROWS, _N_FEATURES))
    design = add_delays(features, arm.design.delays)
    signal = design @ weights / np.sqrt(weights.shape[0])
    noise = rng.standard_normal((_STORY_ROWS, _N_PLANTED + _N_NULL))
    for t in range(1, _STORY_ROWS):
        noise[t] = 0.5 * noise[t - 1] + np.sqrt(0.75) * noise[t]
    responses = noise.copy()
    responses[:, :_N_PLANTED] *= np.sqrt(1 - _SIGNAL)
    responses[:, :_N_PLANTED] += np.sqrt(_SIGNAL) * signal
    return design.astype(np.float32), responses.astype(np.float32), signal


def _predicted(arm: ArmConfig, stories: Mapping[str, ArrayStories]) -> list[np.ndarray]:
    train, validation, test = (stories[side] for side in _N_STORIES)
    settings = arm.banded or arm.ridge
    chosen_on = validation if settings.selection == "validation" else None
    if arm.banded is not None:
        bands = (slice(0, train.design(0).shape[1]),)
        banded = fit_banded(train, chosen_on, bands, settings=arm.banded)
        return [predict(banded, test.design(i)) for i in range(len(test))]
    ridge: RidgeSettings = arm.ridge
    fit = fit_ridge(train, chosen_on, settings=ridge)
    return [predict(fit, test.design(i)) for i in range(len(test))]


def _simulation_check(predictions: list[np.ndarray], test: list[Simulated]) -> SimulationCheck:
    measured = [responses for _, responses, _ in test]
    r = pearson_r(np.concatenate(predictions), np.concatenate(measured))
    ideal = pearson_r(
        np.concatenate([signal for _, _, signal in test]),
        np.concatenate([responses[:, :_N_PLANTED] for responses in measured]).astype(np.float64),
    )
    null = np.nan_to_num(r[_N_PLANTED:])
    threshold = shift_null(predictions, measured, n_draws=200, seed=0).threshold
    share = share_above(r[_N_PLANTED:], threshold[_N_PLANTED:])
    return SimulationCheck(
        planted=float(ideal.mean()),
        recovered=float(np.nan_to_num(r[:_N_PLANTED]).mean()),
        null_mean=float(null.mean()),
        null_error=float(null.std(ddof=1) / np.sqrt(null.size)),
        null_share=share if np.isfinite(share) else 0.0,
    )
