"""Intervals against derivatives, closed forms, and simulated coverage."""

from __future__ import annotations

import numpy as np
import pytest

from brainaligner.core import InputError
from brainaligner.evaluation import _rows as rows_module
from brainaligner.evaluation import (
    block_length,
    block_moments,
    correlation_from_moments,
    draw_weights,
    interval_from_moments,
    mean_and_influence,
    mean_interval,
    resampling_moments,
    story_moments,
)
from brainaligner.evaluation._intervals import standard_error

MEAN_GAIN, STORY_SD, TARGET_SD = 0.12, 0.06, 0.03


def make_stories(ar1, n_stories, seed=0, n_targets=5, rows=(120, 220), gains=None):
    """AR(1) series with common factors; the gain differs between stories and targets."""
    rng = np.random.default_rng(seed)
    predictions, responses = [], []
    for s in range(n_stories):
        n_rows = int(rng.integers(*rows))
        own = STORY_SD * rng.standard_normal() + TARGET_SD * rng.standard_normal(n_targets)
        gain = MEAN_GAIN + own if gains is None else gains[s]
        p = 0.7 * ar1(rng, n_rows, n_targets, 0.5) + 0.714 * ar1(rng, n_rows, 1, 0.5)
        noise = 0.8 * ar1(rng, n_rows, n_targets, 0.75) + 0.6 * ar1(rng, n_rows, 1, 0.75)
        predictions.append(p)
        responses.append(gain * p + noise)
    return predictions, responses


def test_means_are_those_of_the_correlations(ar1):
    moments = story_moments(*make_stories(ar1, 9))
    weights = draw_weights(moments, n_draws=30, seed=0)
    mean, _ = mean_and_influence(moments, weights)
    np.testing.assert_allclose(mean, correlation_from_moments(moments, weights).mean(axis=1))


@pytest.mark.parametrize("kind", ["story", "block"])
def test_influence_is_the_derivative_by_the_weights(ar1, kind):
    sides = make_stories(ar1, 4)
    moments = story_moments(*sides) if kind == "story" else block_moments(*sides, block_rows=40)
    weights = 0.5 + np.random.default_rng(1).random((3, moments.n_units))
    _, influence = mean_and_influence(moments, weights)
    step = 1e-5
    for i in range(moments.n_units):
        nudge = step * np.eye(moments.n_units)[i]
        ends = [
            correlation_from_moments(moments, weights + sign * nudge).mean(axis=1)
            for sign in (1, -1)
        ]
        np.testing.assert_allclose(influence[:, i], (ends[0] - ends[1]) / (2 * step), atol=1e-8)


def test_weighted_influences_add_up_to_zero(ar1):
    moments = story_moments(*make_stories(ar1, 9))
    weights = draw_weights(moments, n_draws=20, seed=3)
    _, influence = mean_and_influence(moments, weights)
    np.testing.assert_allclose((weights * influence).sum(axis=1), 0, atol=1e-12)


def test_standard_error_is_near_that_of_leaving_stories_out(ar1):
    moments = story_moments(*make_stories(ar1, 20))
    once = np.ones((1, 20))
    _, influence = mean_and_influence(moments, once)
    left_out, _ = mean_and_influence(moments, 1 - np.eye(20))
    jackknife = np.sqrt(19 / 20 * ((left_out - left_out.mean()) ** 2).sum())
    assert standard_error(moments, influence, once)[0] == pytest.approx(jackknife, rel=0.05)


def test_draws_keep_the_number_of_stories_and_blocks_stay_in_their_story(ar1):
    sides = make_stories(ar1, 3)
    stories, blocks = story_moments(*sides), block_moments(*sides, block_rows=15)
    np.testing.assert_array_equal(draw_weights(stories, n_draws=50, seed=0).sum(axis=1), 3)
    drawn = draw_weights(blocks, n_draws=50, seed=0)
    for story in range(3):
        inside = blocks.story == story
        np.testing.assert_array_equal(drawn[:, inside].sum(axis=1), inside.sum())
    assert drawn.std(axis=0).min() > 0.5


@pytest.mark.parametrize(
    ("n_stories", "method", "conditional"),
    [
        (8, "over stories", False),
        (14, "over stories", False),
        (7, "blocks", True),
        (1, "blocks", True),
    ],
)
def test_eight_stories_are_resampled_and_fewer_are_cut_into_blocks(
    ar1, n_stories, method, conditional
):
    interval = mean_interval(*make_stories(ar1, n_stories), seed=0, n_draws=200)
    assert method in interval.method
    assert interval.conditional is conditional
    assert ("conditional on these stories" in interval.method) is conditional
    assert interval.n_units == n_stories or conditional
    assert -1 < interval.low < interval.high < 1


def test_interval_holds_the_mean_and_widens_with_the_level(ar1):
    sides = make_stories(ar1, 12)
    mean = correlation_from_moments(story_moments(*sides)).mean()
    wide, narrow = (mean_interval(*sides, seed=1, level=level) for level in (0.99, 0.5))
    assert wide.low < narrow.low < mean < narrow.high < wide.high
    assert wide.level == 0.99


def test_same_seed_same_interval(ar1):
    sides = make_stories(ar1, 9)
    first, again, other = (mean_interval(*sides, seed=seed, n_draws=100) for seed in (0, 0, 1))
    assert first == again
    assert first != other


def test_constant_targets_are_left_out(ar1):
    predictions, responses = make_stories(ar1, 9)
    plain = mean_interval([p[:, 1:] for p in predictions], [y[:, 1:] for y in responses], seed=0)
    for p in predictions:
        p[:, 0] = 2.5
    interval = mean_interval(predictions, responses, seed=0)
    assert (interval.low, interval.high) == pytest.approx((plain.low, plain.high), abs=1e-12)


def test_a_cut_is_the_same_as_shorter_stories(ar1):
    predictions, responses = make_stories(ar1, 9)
    shorter = [[rows[10:-10] for rows in side] for side in (predictions, responses)]
    cut = mean_interval(predictions, responses, seed=0, cut=10)
    assert cut == mean_interval(*shorter, seed=0)
    assert cut != mean_interval(predictions, responses, seed=0)


@pytest.mark.parametrize("lengths", [(2,), (30,), (79,), (50, 15), (12, 12, 12)])
def test_too_few_rows_give_nan_and_say_so(ar1, lengths):
    rng = np.random.default_rng(0)
    p, y = ([rng.standard_normal((rows, 3)) for rows in lengths] for _ in range(2))
    interval = mean_interval(p, y, seed=0)
    assert np.isnan([interval.low, interval.high]).all()
    assert interval.method == "too few rows"


def test_a_story_of_one_block_does_not_void_the_interval(ar1):
    gains = [0.05, 0.2, 0.1, 0.15, 0.1]
    predictions, responses = make_stories(ar1, 5, gains=gains, rows=(300, 301))
    whole = mean_interval(predictions[:4], responses[:4], seed=0)
    short = [[*side[:4], side[4][:25]] for side in (predictions, responses)]
    moments = block_moments(*short, block_rows=16)
    found = interval_from_moments(moments, seed=0)
    assert moments.n_units == 4 * 18 + 1
    assert found.high - found.low == pytest.approx(whole.high - whole.low, rel=0.15)
    weights = draw_weights(moments, n_draws=50, seed=0)
    assert weights[:, -1].std() > 0
    np.testing.assert_array_equal(weights[:, 18:72].reshape(50, 3, 18).sum(axis=2), 18)


def test_stories_of_one_block_are_drawn_for_each_other(ar1):
    predictions, responses = make_stories(ar1, 4, rows=(160, 161))
    short = [[side[0], *(rows[:15] for rows in side[1:])] for side in (predictions, responses)]
    moments = block_moments(*short, block_rows=16)
    weights = draw_weights(moments, n_draws=50, seed=0)
    np.testing.assert_array_equal(weights[:, 10:].sum(axis=1), 3)
    assert weights[:, 10:].std(axis=0).min() > 0.5
    assert np.isfinite(interval_from_moments(moments, seed=0).low)


def test_too_few_stories_give_nan_and_say_so(ar1):
    interval = interval_from_moments(story_moments(*make_stories(ar1, 7)), seed=0)
    assert np.isnan(interval.low)
    assert interval.method == "too few stories"


def test_nothing_that_varies_gives_nan():
    rows = [np.ones((50, 2))] * 9
    assert np.isnan(mean_interval(rows, rows, seed=0).high)


def test_narrow_target_blocks_change_nothing(ar1, monkeypatch):
    sides = make_stories(ar1, 9, n_targets=13)
    whole = mean_interval(*sides, seed=0)
    length = block_length(*sides)
    monkeypatch.setattr(rows_module, "_BLOCK_CELLS", 4000)
    narrow = mean_interval(*sides, seed=0)
    assert (narrow.low, narrow.high) == pytest.approx((whole.low, whole.high), abs=1e-9)
    assert block_length(*sides) == length


def test_story_intervals_cover_the_mean_over_all_stories(ar1):
    truth = MEAN_GAIN / np.sqrt(MEAN_GAIN**2 + STORY_SD**2 + TARGET_SD**2 + 1)
    intervals = [
        mean_interval(*make_stories(ar1, 10, seed=seed), seed=seed, n_draws=300)
        for seed in range(120)
    ]
    covered = np.mean([i.low <= truth <= i.high for i in intervals])
    assert 0.89 <= covered <= 0.995
    assert np.median([i.high - i.low for i in intervals]) < 0.2


def test_block_intervals_cover_the_mean_of_their_own_stories(ar1):
    gains = np.array([0.05, 0.2])[:, None] + np.linspace(-0.05, 0.05, 5)
    truth = np.mean(gains.mean(axis=0) / np.sqrt((gains**2).mean(axis=0) + 1))
    covered = []
    for seed in range(120):
        sides = make_stories(ar1, 2, seed=seed, rows=(250, 251), gains=gains)
        interval = mean_interval(*sides, seed=seed, n_draws=300)
        covered.append(interval.low <= truth <= interval.high)
    assert 0.87 <= np.mean(covered) <= 0.99


def test_block_intervals_with_a_story_of_one_block_cover_as_well(ar1):
    gains, rows = np.array([0.05, 0.2, 0.1]), np.array([150, 150, 15])
    share = rows / rows.sum()
    truth = share @ gains / np.sqrt(share @ gains**2 + 1)
    covered = []
    for seed in range(120):
        sides = make_stories(ar1, 3, seed=seed, rows=(150, 151), gains=gains)
        short = [[*side[:2], side[2][:15]] for side in sides]
        interval = mean_interval(*short, seed=seed, n_draws=300)
        covered.append(interval.low <= truth <= interval.high)
    assert 0.87 <= np.mean(covered) <= 0.99


@pytest.mark.parametrize(("phi", "expected"), [(0.3, 10), (0.95, 29)])
def test_block_length_is_where_the_product_of_autocorrelations_dies(ar1, phi, expected):
    # phi**(2 * lag) < .05 at the expected lag, or sooner than the shortest block
    rng = np.random.default_rng(0)
    sides = ([ar1(rng, 4000, 30, phi) for _ in range(3)] for _ in range(2))
    assert block_length(*sides) == pytest.approx(expected, abs=2)


def test_block_length_agrees_with_a_plain_loop(ar1):
    rng = np.random.default_rng(2)
    p, y = ([ar1(rng, rows, 4, 0.9) for rows in (150, 90)] for _ in range(2))

    def acf(stories, v, lag):
        centred = [story[:, v] - story[:, v].mean() for story in stories]
        return sum(x[: len(x) - lag] @ x[lag:] for x in centred) / sum(x @ x for x in centred)

    products = [np.mean([acf(p, v, k) * acf(y, v, k) for v in range(4)]) for k in range(60)]
    assert block_length(p, y) == max(10, int(np.argmax(np.array(products) < 0.05)))


def test_block_length_of_what_never_forgets_or_never_varies_is_bounded():
    ramp = [np.linspace(-1, 1, 100)[:, None] ** 3]
    assert 10 <= block_length(ramp, ramp) <= 50
    assert block_length([np.ones((100, 1))], ramp) == 10


@pytest.mark.parametrize(
    "bad",
    [
        {"n_draws": 0},
        {"n_draws": 19},
        {"level": 0.0},
        {"level": 1.0},
        {"level": 95.0},
        {"level": -0.5},
        {"level": float("nan")},
    ],
)
def test_settings_out_of_range_are_refused(ar1, bad):
    sides = make_stories(ar1, 8)
    with pytest.raises(InputError, match="interval"):
        mean_interval(*sides, seed=0, **bad)


@pytest.mark.parametrize("function", [mean_interval, resampling_moments, block_length])
def test_sides_that_do_not_fit_are_refused(ar1, function):
    predictions, responses = make_stories(ar1, 9)
    settings = {"seed": 0} if function is mean_interval else {}
    with pytest.raises(InputError, match="stories"):
        function(predictions[1:], responses, **settings)
    with pytest.raises(InputError, match="cut"):
        function(predictions, responses, cut=110, **settings)
