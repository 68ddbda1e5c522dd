"""The shift null against a plain loop with np.roll, and against unrelated series."""

from __future__ import annotations

import numpy as np
import pytest

from brainaligner.core import InputError
from brainaligner.evaluation import _rows as rows_module
from brainaligner.evaluation import pearson_r, share_above, shift_null
from brainaligner.evaluation._shift_null import draw_shifts, smallest_shift


def make_stories(ar1, lengths, n_targets=4, seed=0, gain=0.0):
    rng = np.random.default_rng(seed)
    predictions = [ar1(rng, rows, n_targets, 0.5) + 0.3 for rows in lengths]
    return predictions, [gain * p + ar1(rng, len(p), n_targets, 0.75) for p in predictions]


def loop_null(predictions, responses, *, n_draws, min_shift, seed):
    """The same null by rolling copies of the data, one draw after the other."""
    mean_p, mean_y = (np.concatenate(side).mean(axis=0) for side in (predictions, responses))
    lengths = [len(rows) for rows in predictions]
    tables = []
    for p, y in zip(predictions, responses, strict=True):
        products = np.array(
            [((np.roll(p, k, axis=0) - mean_p) * (y - mean_y)).sum(axis=0) for k in range(len(p))]
        )
        least = smallest_shift(len(p), min_shift)
        kept = products[least : len(p) - least + 1]
        standard = (products - kept.mean(axis=0)) / kept.std(axis=0)
        tables.append(standard * products.std(axis=0) + products.mean(axis=0))
    shifts = draw_shifts(lengths, n_draws=n_draws, min_shift=min_shift, seed=seed)
    sums = [sum(table[k] for table, k in zip(tables, draw, strict=True)) for draw in shifts]
    p, y = np.concatenate(predictions), np.concatenate(responses)
    return np.array(sums) / (len(p) * p.std(axis=0) * y.std(axis=0))


@pytest.mark.parametrize(
    ("lengths", "min_shift"), [((90, 71, 120), 30), ((40,), 30), ((97, 15, 3, 64), 20)]
)
def test_draws_are_those_of_a_loop_with_roll(ar1, lengths, min_shift):
    predictions, responses = make_stories(ar1, lengths)
    expected = loop_null(predictions, responses, n_draws=60, min_shift=min_shift, seed=3)
    null = shift_null(predictions, responses, n_draws=60, min_shift=min_shift, seed=3)
    np.testing.assert_allclose(null.mean_r, expected.mean(axis=1), atol=1e-12)
    centre = expected.mean(axis=0)
    both_tails = np.quantile(np.abs(expected - centre), 0.9, axis=0)
    np.testing.assert_allclose(null.threshold, centre + both_tails, atol=1e-12)


def test_a_draw_is_the_r_of_rolled_predictions_but_for_its_standardisation(ar1):
    predictions, responses = make_stories(ar1, (2000,), n_targets=2)
    null = shift_null(predictions, responses, n_draws=40, min_shift=30, seed=1)
    shifts = draw_shifts([2000], n_draws=40, min_shift=30, seed=1)
    rolled = [pearson_r(np.roll(predictions[0], k, axis=0), responses[0]) for k in shifts[:, 0]]
    np.testing.assert_allclose(null.mean_r, np.mean(rolled, axis=1), atol=0.004)
    assert np.std(null.mean_r) > 0.01


@pytest.mark.parametrize(
    ("rows", "min_shift", "least"),
    [(70, 30, 30), (69, 30, 23), (300, 30, 30), (12, 30, 4), (3, 30, 1), (3, 1, 1), (12, 1, 1)],
)
def test_smallest_shift_of_short_stories_is_a_third(rows, min_shift, least):
    assert smallest_shift(rows, min_shift) == least


def test_shifts_reach_all_allowed_rows_and_no_others():
    shifts = draw_shifts((80, 60), n_draws=3000, min_shift=30, seed=0)
    assert set(shifts[:, 0]) == set(range(30, 51))
    assert set(shifts[:, 1]) == set(range(20, 41))
    assert abs(np.corrcoef(shifts.T)[0, 1]) < 0.08


def test_seed_decides_the_draws(ar1):
    sides = make_stories(ar1, (90, 80))
    first, again, other = (shift_null(*sides, n_draws=50, seed=seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.mean_r, again.mean_r)
    assert (first.mean_r != other.mean_r).any()


@pytest.mark.parametrize("rows", [100, 300])
def test_unrelated_series_pass_the_threshold_at_its_level(ar1, rows):
    sides = make_stories(ar1, [rows] * 14, n_targets=1500, seed=rows)
    null = shift_null(*sides, n_draws=400, seed=0)
    share = share_above(pearson_r(*map(np.concatenate, sides)), null.threshold)
    assert 0.033 < share < 0.070


def test_related_series_pass_it(ar1):
    sides = make_stories(ar1, [150] * 8, n_targets=40, gain=0.3)
    null = shift_null(*sides, n_draws=300, seed=0)
    assert share_above(pearson_r(*map(np.concatenate, sides)), null.threshold) == 1.0
    assert abs(null.mean_r.mean()) < 0.02


def test_a_constant_target_has_no_threshold_and_leaves_the_mean_alone(ar1):
    predictions, responses = make_stories(ar1, (90, 80), n_targets=4)
    plain = shift_null([p[:, 1:] for p in predictions], [y[:, 1:] for y in responses], seed=5)
    for y in responses:
        y[:, 0] = 0.1
    null = shift_null(predictions, responses, seed=5)
    assert np.isnan(null.threshold[0])
    np.testing.assert_allclose(null.threshold[1:], plain.threshold)
    np.testing.assert_allclose(null.mean_r, plain.mean_r)


def test_nothing_that_varies_gives_nan_everywhere():
    null = shift_null([np.ones((50, 2))], [np.ones((50, 2))], n_draws=20, seed=0)
    assert np.isnan(null.threshold).all()
    assert np.isnan(null.mean_r).all()


def test_narrow_target_blocks_change_nothing(ar1, monkeypatch):
    sides = make_stories(ar1, (90, 80), n_targets=9)
    whole = shift_null(*sides, n_draws=50, seed=0)
    monkeypatch.setattr(rows_module, "_BLOCK_CELLS", 400)
    narrow = shift_null(*sides, n_draws=50, seed=0)
    np.testing.assert_allclose(narrow.threshold, whole.threshold)
    np.testing.assert_allclose(narrow.mean_r, whole.mean_r)


def test_share_above_counts_finite_targets_only():
    r = np.array([0.2, 0.1, np.nan, 0.3, 0.3])
    assert share_above(r, np.array([0.1, 0.1, 0.1, 0.4, np.nan])) == pytest.approx(1 / 3)
    assert np.isnan(share_above(np.full(2, np.nan), np.zeros(2)))


@pytest.mark.parametrize("size", [0, 1, 4])
def test_share_above_refuses_a_threshold_of_other_targets(size):
    with pytest.raises(InputError, match="threshold"):
        share_above(np.zeros(3), np.zeros(size))


@pytest.mark.parametrize(
    "bad", [{"n_draws": 0}, {"n_draws": -5}, {"min_shift": 0}, {"min_shift": -30}]
)
def test_numbers_out_of_range_are_refused(ar1, bad):
    with pytest.raises(InputError, match="circular shifts"):
        shift_null(*make_stories(ar1, (90,)), seed=0, **bad)


@pytest.mark.parametrize("lengths", [(2,), (90, 2)])
def test_a_story_too_short_to_shift_is_refused(ar1, lengths):
    with pytest.raises(InputError, match="three rows"):
        shift_null(*make_stories(ar1, lengths), seed=0)


def test_sides_that_do_not_fit_are_refused(ar1):
    predictions, responses = make_stories(ar1, (90, 80))
    with pytest.raises(InputError, match="stories"):
        shift_null(predictions[:1], responses, seed=0)
