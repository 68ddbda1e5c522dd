"""The closed form of leaving a story out against refitting without it."""

from __future__ import annotations

import numpy as np
import pytest
from planted_ridge import left_out_table, planted_stories, stacked
from sklearn.linear_model import Ridge

from brainaligner.encoding import ArrayStories, RidgeSettings, fit_ridge

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
