"""The closed form of leaving a story out against refitting without it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from planted_ridge import StoriesAround, left_out_table, planted_stories, stacked
from sklearn.linear_model import Ridge

from brainaligner.encoding import (
    ArrayStories,
    RidgeSettings,
    Scratch,
    fit_ridge,
    stream_ridge,
)

GRID = (0.1, 10.0, 100.0, 1000.0, 1e5)
ROWS = (20, 31, 8, 25)


@pytest.mark.parametrize("intercept", [False, True])
@pytest.mark.parametrize("form", ["primal", "dual"])
@pytest.mark.parametrize("n_features", [10, 79, 200])
def test_r_equals_a_loop_of_refits(n_features: int, form: str, intercept: bool) -> None:
    train = planted_stories(1, ROWS, n_features=n_features, offset=0.5 * intercept)
    asked = RidgeSettings(alphas=GRID, selection="leave_story_out", form=form, intercept=intercept)
    fit = fit_ridge(train, settings=asked)
    table = left_out_table(train, GRID, intercept=intercept)
    np.testing.assert_allclose(fit.validation_r, table, atol=1e-5)
    assert set(fit.alpha) == {GRID[int(table.mean(1).argmax())]}


def test_scaling_statistics_are_those_of_all_training_stories() -> None:
    train = planted_stories(2, ROWS, offset=1.0)
    asked = RidgeSettings(
        alphas=GRID, selection="leave_story_out", intercept=True, scaling="training"
    )
    x, _ = stacked(train)
    scaled = [((d - x.mean(0)) / x.std(0)).astype(np.float32) for d in train.designs]
    table = left_out_table(ArrayStories(scaled, train.matrices), GRID, intercept=True)
    fit = fit_ridge(train, settings=asked)
    np.testing.assert_allclose(fit.validation_r, table, atol=1e-5)


def test_the_chosen_fit_is_trained_on_all_stories() -> None:
    train = planted_stories(3, ROWS)
    asked = RidgeSettings(alphas=GRID, alpha="per_target", selection="leave_story_out")
    fit = fit_ridge(train, settings=asked)
    np.testing.assert_array_equal(
        fit.alpha, np.array(GRID)[left_out_table(train, GRID, intercept=False).argmax(0)]
    )
    x, y = stacked(train)
    for t, alpha in enumerate(fit.alpha):
        wanted = Ridge(alpha=alpha, fit_intercept=False).fit(x, y[:, t]).coef_
        np.testing.assert_allclose(fit.weights[:, t], wanted, atol=3e-5)


@given(
    seed=st.integers(0, 100),
    smallest=st.floats(-3.0, 3.0),
    intercept=st.booleans(),
    collinear=st.booleans(),
    long=st.booleans(),
    target_block=st.integers(5, 31),
)
@settings(max_examples=40, deadline=None)
def test_more_targets_than_directions_equal_a_loop_of_refits(
    seed: int, smallest: float, intercept: bool, collinear: bool, long: bool, target_block: int
) -> None:
    grid = tuple(10.0 ** (smallest + step) for step in range(4))
    train = planted_stories(
        seed, (60, 90, 40) if long else (9, 6, 12, 8), n_targets=30, collinear=collinear
    )
    asked = RidgeSettings(alphas=grid, selection="leave_story_out", intercept=intercept)
    fit = fit_ridge(train, settings=asked, target_block=target_block)
    table = left_out_table(train, grid, intercept=intercept)
    np.testing.assert_allclose(fit.validation_r, table, atol=1e-5)


class CountedDesigns(StoriesAround):
    """Stories that count how often a design is read."""

    reads = 0

    def design(self, i: int) -> np.ndarray:
        self.reads += 1
        return super().design(i)


def fitted(train: ArrayStories, alphas: tuple[float, ...], **options: Any) -> tuple[Any, int]:
    """r and weights of three blocks of ten targets, and how often designs were read."""
    counted = CountedDesigns(train)
    asked = RidgeSettings(alphas=alphas, alpha="per_target", selection="leave_story_out")
    blocks = list(stream_ridge(counted, None, (), settings=asked, target_block=10, **options))
    joined = [np.concatenate([block.choice.validation_r for block in blocks], axis=1)]
    joined.append(np.concatenate([block.weights for block in blocks], axis=1))
    return joined, counted.reads


def test_what_a_story_needs_is_made_once_for_all_blocks(tmp_path: Path) -> None:
    train = planted_stories(4, (200, 150, 180), n_targets=30)
    grid = (100.0, 1e4)
    kept, reads = fitted(train, grid)
    spilt, as_many = fitted(train, grid, keep_bytes=0, scratch=Scratch(tmp_path))
    again, more = fitted(train, grid, keep_bytes=0)
    assert reads == as_many == more - 2 * len(train)
    for one, *others in zip(kept, spilt, again, strict=True):
        for other in others:
            np.testing.assert_array_equal(one, other)
    assert list(tmp_path.iterdir()) == []


def test_a_fit_that_a_story_decides_is_made_in_float64_throughout(tmp_path: Path) -> None:
    train = planted_stories(4, (200, 150, 180), n_targets=30)
    alone = np.zeros((530, 1), np.float32)
    alone[3] = 1e3  # a feature of one row of one story
    train = ArrayStories(
        [
            np.hstack([design, part])
            for design, part in zip(train.designs, np.split(alone, [200, 350]), strict=True)
        ],
        train.matrices,
    )
    grid = (1e-2, 1e4)
    found, reads = fitted(train, grid)
    _, as_many = fitted(train, grid, keep_bytes=0)
    assert reads == as_many  # nothing of float32 is kept
    np.testing.assert_allclose(found[0], left_out_table(train, grid, intercept=False), atol=1e-5)


def noisy(seed: int = 0, *, mean: float = 0.0, n_features: int = 5) -> ArrayStories:
    """Four stories of 60 rows, twenty targets."""
    rng = np.random.default_rng(seed)
    weights = 0.3 * rng.standard_normal((n_features, 20))
    designs = [rng.standard_normal((60, n_features)).astype(np.float32) for _ in range(4)]
    responses = [
        (x @ weights + rng.standard_normal((60, 20)) + mean).astype(np.float32) for x in designs
    ]
    return ArrayStories(designs, responses)


def furthest(train: ArrayStories, grid: tuple[float, ...], *, intercept: bool = False) -> float:
    """Largest difference in r from a loop of refits."""
    asked = RidgeSettings(alphas=grid, selection="leave_story_out", intercept=intercept)
    fit = fit_ridge(train, settings=asked)
    return float(np.abs(fit.validation_r - left_out_table(train, grid, intercept=intercept)).max())


@pytest.mark.parametrize("mean", [30.0, 1e2, 1e3, 1e4])
@pytest.mark.parametrize("intercept", [False, True])
def test_responses_around_a_large_mean_cost_no_digits(mean: float, intercept: bool) -> None:
    assert furthest(noisy(mean=mean), (10.0, 100.0, 1000.0), intercept=intercept) < 1e-5


@pytest.mark.parametrize("gain", [2.0, 3.0, 5.0, 20.0])
@pytest.mark.parametrize("seed", range(3))
def test_a_feature_of_one_story_that_drives_its_responses_costs_no_digits(
    gain: float, seed: int
) -> None:
    train = noisy(seed)
    own = np.random.default_rng(seed + 50).standard_normal((60, 1))
    designs = [np.hstack([x, own * (i == 0)]) for i, x in enumerate(train.designs)]
    responses = [y + gain * own * (i == 0) for i, y in enumerate(train.matrices)]
    train = ArrayStories(
        [x.astype(np.float32) for x in designs], [y.astype(np.float32) for y in responses]
    )
    assert furthest(train, (3.0, 30.0), intercept=True) < 1e-5


@pytest.mark.parametrize("value", [0.0, 1.0, 0.1, 12345.678])
@pytest.mark.parametrize("intercept", [False, True])
def test_r_of_responses_that_do_not_vary_is_zero(value: float, intercept: bool) -> None:
    train = noisy()
    for responses in train.matrices:
        responses[:, 3] = value
    asked = RidgeSettings(alphas=GRID, selection="leave_story_out", intercept=intercept)
    r = fit_ridge(train, settings=asked).validation_r
    assert not r[:, 3].any()
    assert r[:, 4].all()


@pytest.mark.parametrize("n_features", [5, 40])
def test_very_large_alphas_cost_no_digits(n_features: int) -> None:
    assert furthest(noisy(n_features=n_features), (1e12, 1e16, 1e20)) < 1e-5


@pytest.mark.parametrize("scale", [1e-18, 1e-10, 1e10, 1e19])
def test_very_small_and_very_large_responses_cost_no_digits(scale: float) -> None:
    train = noisy()
    scaled = ArrayStories(train.designs, [(scale * y).astype(np.float32) for y in train.matrices])
    assert furthest(scaled, (10.0, 1e5)) < 1e-5
