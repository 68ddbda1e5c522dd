"""Banded ridge."""

from __future__ import annotations

from contextlib import suppress

import numpy as np
import pytest
import torch
from planted_ridge import pearson, plain_ridge, planted_stories, stacked

from brainaligner.encoding import (
    ArrayStories,
    BandedSettings,
    RidgeSettings,
    edge_warning,
    fit_banded,
    fit_ridge,
    predict,
)
from brainaligner.encoding import _banded_search as search

GRID = (1.0, 30.0, 1000.0, 30000.0)
BANDS = [slice(0, 5), slice(5, 12)]
TRAIN, VALIDATION = planted_stories(1, (40, 50)), planted_stories(2, (45,))


def banded_loop(fit, train, validation, *, intercept: bool) -> np.ndarray:
    """r on validation rows of the penalties that were chosen, solved target by target."""
    (x, y), (xv, yv) = stacked(train), stacked(validation)
    widths = [band.stop - band.start for band in BANDS]
    found = []
    for t in range(y.shape[1]):
        factors = np.exp(np.repeat(fit.deltas[:, t], widths) / 2)
        weights, constant = plain_ridge(x * factors, y[:, t : t + 1], 1.0, intercept=intercept)
        np.testing.assert_allclose(fit.weights[:, t], weights[:, 0] * factors, atol=1e-5)
        found.append(pearson((xv * factors) @ weights + constant, yv[:, t : t + 1])[0])
    return np.array(found)


@pytest.mark.parametrize("intercept", [False, True])
def test_weights_solve_the_penalties_that_were_chosen(intercept: bool) -> None:
    asked = BandedSettings(GRID, n_iter=6, intercept=intercept)
    fit = fit_banded(TRAIN, VALIDATION, BANDS, settings=asked)
    r = banded_loop(fit, TRAIN, VALIDATION, intercept=intercept)
    np.testing.assert_allclose(fit.validation_r.max(0), r, atol=1e-5)
    assert fit.deltas.shape == (2, 7)
    assert predict(fit, VALIDATION.designs[0]).shape == (45, 7)


@pytest.mark.parametrize("intercept", [False, True])
def test_one_band_is_plain_ridge(intercept: bool) -> None:
    asked = BandedSettings(GRID, n_iter=1, intercept=intercept)
    fit = fit_banded(TRAIN, VALIDATION, [slice(0, 12)], settings=asked)
    plain = fit_ridge(
        TRAIN,
        VALIDATION,
        settings=RidgeSettings(GRID, alpha="per_target", intercept=intercept),
    )
    np.testing.assert_array_equal(fit.alpha, plain.alpha)
    np.testing.assert_allclose(fit.weights, plain.weights, atol=1e-5)
    np.testing.assert_allclose(fit.intercept, plain.intercept, atol=1e-5)
    np.testing.assert_allclose(fit.validation_r[0], plain.validation_r.max(0), atol=1e-5)


def test_a_band_of_noise_is_penalised_more() -> None:
    rng = np.random.default_rng(0)

    def with_noise(stories: ArrayStories) -> ArrayStories:
        extra = [rng.standard_normal((len(x), 60)).astype(np.float32) for x in stories.designs]
        designs = [np.c_[x, e] for x, e in zip(stories.designs, extra, strict=True)]
        return ArrayStories(designs, stories.matrices)

    train, validation = with_noise(TRAIN), with_noise(VALIDATION)
    bands = [slice(0, 12), slice(12, 72)]
    fit = fit_banded(train, validation, bands, settings=BandedSettings(GRID))
    assert np.median(fit.deltas[0] - fit.deltas[1]) > 1.0
    plain = fit_ridge(train, validation, settings=RidgeSettings(GRID, alpha="per_target"))
    assert (fit.validation_r.max(0) >= plain.validation_r.max(0) - 0.02).all()


@pytest.mark.parametrize("intercept", [False, True])
def test_kernels_and_features_agree(intercept: bool) -> None:
    asked = BandedSettings(GRID, n_iter=4, intercept=intercept)
    sides = TRAIN, VALIDATION
    shares = search.candidate_shares(2, asked)
    wide = [np.c_[x, np.zeros((len(x), 100), np.float32)] for side in sides for x in side.designs]
    padded = (ArrayStories(wide[:2], TRAIN.matrices), ArrayStories(wide[2:], VALIDATION.matrices))

    cpu = torch.device("cpu")
    few = search.search_penalties(sides, BANDS, shares, asked, cpu)
    many = search.search_penalties(padded, [slice(0, 5), slice(5, 112)], shares, asked, cpu)
    for a, b in zip(few, many, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)


def test_stories_can_be_left_out() -> None:
    asked = BandedSettings(GRID, n_iter=3, selection="leave_story_out")
    fit = fit_banded(TRAIN, None, BANDS, settings=asked)
    (xa, xb), (ya, yb) = TRAIN.designs, TRAIN.matrices
    t = int(fit.validation_r.max(0).argmax())
    factors = np.exp(np.repeat(fit.deltas[:, t], [5, 7]) / 2)
    r = []
    for x, y, xo, yo in ((xa, ya, xb, yb), (xb, yb, xa, ya)):
        weights, _ = plain_ridge(x * factors, y.astype(float), 1.0, intercept=False)
        r.append(pearson((xo * factors) @ weights, yo)[t])
    assert fit.validation_r[:, t].max() == pytest.approx(np.mean(r), abs=1e-5)


def test_himalaya_gets_its_backend_back_even_after_an_error() -> None:
    from himalaya.backend import get_backend, set_backend

    set_backend("numpy")
    fit_banded(TRAIN, VALIDATION, BANDS, settings=BandedSettings(GRID, n_iter=2))
    assert get_backend().name == "numpy"
    with suppress(ZeroDivisionError), search.himalaya_backend(torch.device("cpu")) as backend:
        assert backend.name == "torch"
        raise ZeroDivisionError
    assert get_backend().name == "numpy"


def test_the_seed_fixes_the_fit_and_the_edge_is_said() -> None:
    asked = BandedSettings((1e5, 1e6), n_iter=5, seed=3)
    fits = [fit_banded(TRAIN, VALIDATION, BANDS, settings=asked) for _ in range(2)]
    np.testing.assert_array_equal(fits[0].weights, fits[1].weights)
    assert fits[0].edge in ("low", "both")
    assert fits[0].n_edge == 7
    assert "7 of 7" in (edge_warning(fits[0]) or "")


def test_a_constant_target_is_fitted_without_nan() -> None:
    sides = [
        ArrayStories(s.designs, [np.c_[y[:, :2], 0 * y[:, :1]] for y in s.matrices])
        for s in (TRAIN, VALIDATION)
    ]
    fit = fit_banded(*sides, BANDS, settings=BandedSettings(GRID, n_iter=3))
    assert np.isfinite(fit.weights).all()
    np.testing.assert_array_equal(fit.weights[:, 2], 0.0)
    np.testing.assert_allclose(fit.validation_r[:, 2], 0.0, atol=1e-6)
