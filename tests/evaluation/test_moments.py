"""Moments against numpy and scipy, on data that a formula could stumble over."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from brainaligner.core import InputError
from brainaligner.evaluation import (
    Moments,
    block_moments,
    correlation_from_moments,
    pearson_r,
    story_moments,
)
from brainaligner.evaluation import _rows as rows_module


def make_stories(seed=0, lengths=(40, 25, 61), n_targets=6, offset=0.0, dtype=np.float64):
    rng = np.random.default_rng(seed)
    predictions = [rng.standard_normal((rows, n_targets)) + offset for rows in lengths]
    responses = [0.4 * p + rng.standard_normal(p.shape) for p in predictions]
    return [p.astype(dtype) for p in predictions], [y.astype(dtype) for y in responses]


def scipy_r(p, y):
    return np.array([scipy.stats.pearsonr(p[:, v], y[:, v])[0] for v in range(p.shape[1])])


@pytest.mark.parametrize("cut", [0, 1, 7])
@pytest.mark.parametrize("build", ["story", "block of 1", "block of 9", "block of 500"])
def test_r_of_concatenated_rows_is_scipys(build, cut):
    predictions, responses = make_stories()
    if build == "story":
        moments = story_moments(predictions, responses, cut=cut)
    else:
        block_rows = int(build.split()[-1])
        moments = block_moments(predictions, responses, block_rows=block_rows, cut=cut)
    p, y = (
        np.concatenate([story[cut : len(story) - cut] for story in side])
        for side in (predictions, responses)
    )
    np.testing.assert_allclose(correlation_from_moments(moments), scipy_r(p, y), atol=1e-13)


def test_pearson_r_is_numpys():
    predictions, responses = make_stories(lengths=(50,))
    expected = [np.corrcoef(predictions[0][:, v], responses[0][:, v])[0, 1] for v in range(6)]
    np.testing.assert_allclose(pearson_r(predictions[0], responses[0]), expected, atol=1e-13)


@pytest.mark.parametrize("offset", [1e3, 1e5, -1e6])
def test_a_large_offset_costs_no_digits(offset):
    predictions, responses = make_stories(offset=offset)
    p, y = np.concatenate(predictions), np.concatenate(responses)
    expected = scipy_r(p - p.mean(axis=0), y - y.mean(axis=0))
    np.testing.assert_allclose(
        correlation_from_moments(story_moments(predictions, responses)), expected, atol=1e-9
    )


def test_float32_rows_are_summed_in_float64():
    predictions, responses = make_stories(offset=100.0, dtype=np.float32)
    p, y = (np.concatenate(side).astype(np.float64) for side in (predictions, responses))
    moments = story_moments(predictions, responses)
    assert moments.py.dtype == np.float64
    np.testing.assert_allclose(correlation_from_moments(moments), scipy_r(p, y), atol=1e-12)


@pytest.mark.parametrize("value", [0.0, 0.1, -3.7, 1e6])
@pytest.mark.parametrize("side", [0, 1])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_constant_series_gives_nan_and_touches_no_neighbour(value, side, dtype):
    sides = make_stories(dtype=dtype)
    plain = correlation_from_moments(story_moments(*sides))
    for story in sides[side]:
        story[:, 2] = value
    r = correlation_from_moments(story_moments(*sides))
    assert np.isnan(r[2])
    np.testing.assert_array_equal(np.delete(r, 2), np.delete(plain, 2))


def test_a_series_constant_up_to_float32_rounding_gives_nan():
    predictions, responses = make_stories(dtype=np.float32)
    for story in predictions:
        story[:, 0] = 5.0
        story[::2, 0] = np.nextafter(np.float32(5.0), np.float32(6.0))
    assert np.isnan(correlation_from_moments(story_moments(predictions, responses))[0])


def test_a_series_constant_in_the_drawn_stories_only_gives_nan_in_those_draws():
    predictions, responses = make_stories()
    predictions[0][:, 3] = 0.3
    weights = np.array([[2.0, 0, 0], [1, 1, 0], [0, 0, 1]])
    r = correlation_from_moments(story_moments(predictions, responses), weights)
    np.testing.assert_array_equal(np.isnan(r[:, 3]), [True, False, False])
    assert np.isfinite(np.delete(r, 3, axis=1)).all()


def test_weights_count_stories_as_often_as_copies_would():
    predictions, responses = make_stories()
    weights = np.array([[2.0, 0, 1], [1, 1, 1], [0, 3, 0]])
    r = correlation_from_moments(story_moments(predictions, responses), weights)
    for row, drawn in zip(r, [(0, 0, 2), (0, 1, 2), (1, 1, 1)], strict=True):
        copies = (np.concatenate([side[i] for i in drawn]) for side in (predictions, responses))
        np.testing.assert_allclose(row, scipy_r(*copies), atol=1e-13)
    one = correlation_from_moments(story_moments(predictions, responses), weights[0])
    np.testing.assert_array_equal(one, r[0])


def test_blocks_tile_each_story_and_cross_none():
    predictions, responses = make_stories(lengths=(40, 7, 61))
    moments = block_moments(predictions, responses, block_rows=10)
    assert moments.story.tolist() == [0] * 4 + [1] + [2] * 6
    np.testing.assert_array_equal(np.bincount(moments.story, moments.n), [40, 7, 61])
    assert moments.n[moments.story != 1].min() >= 10
    assert moments.n.max() - moments.n[moments.story == 0].min() <= 2


def test_narrow_target_blocks_change_nothing(monkeypatch):
    predictions, responses = make_stories(n_targets=11)
    whole = story_moments(predictions, responses)
    monkeypatch.setattr(rows_module, "_BLOCK_CELLS", 300)
    narrow = story_moments(predictions, responses)
    for name in ("n", "p", "y", "pp", "yy", "py"):
        np.testing.assert_allclose(getattr(narrow, name), getattr(whole, name), atol=1e-10)


def test_one_row_stories_of_prediction_equal_to_response_give_one():
    rows = [np.arange(10.0)[:, None], np.array([[3.0], [9.0], [-2.0]])]
    np.testing.assert_allclose(correlation_from_moments(story_moments(rows, rows)), 1.0)


def test_moments_are_read_only():
    moments = story_moments(*make_stories())
    with pytest.raises(ValueError, match="read-only"):
        moments.p[0, 0] = 1.0


@settings(max_examples=40, deadline=None)
@given(
    st.integers(0, 2**31),
    st.floats(-50, 50),
    st.floats(0.01, 100),
    st.booleans(),
)
def test_r_is_blind_to_shift_and_scale_and_odd_in_sign(seed, shift, scale, flip):
    predictions, responses = make_stories(seed=seed, lengths=(9, 14), n_targets=3)
    sign = -1.0 if flip else 1.0
    changed = [sign * scale * p + shift for p in predictions]
    r = correlation_from_moments(story_moments(predictions, responses))
    again = correlation_from_moments(story_moments(changed, responses))
    np.testing.assert_allclose(again, sign * r, atol=1e-9)
    swapped = correlation_from_moments(story_moments(responses, predictions))
    np.testing.assert_allclose(swapped, r, atol=1e-12)
    assert (np.abs(r) <= 1).all()


def bad_sides():
    p, y = make_stories()
    nan, inf = [rows.copy() for rows in p], [rows.copy() for rows in y]
    nan[1][3, 2], inf[2][0, 0] = np.nan, -np.inf
    narrow = [rows[:, :5] for rows in p]
    return {
        "no stories": ([], []),
        "a story missing": (p[:2], y),
        "a response missing": (p, y[1:]),
        "rows missing": ([p[0][:-1], *p[1:]], y),
        "targets missing": (narrow, y),
        "targets differ between stories": ([p[0], narrow[1]], [y[0], y[1][:, :5]]),
        "no targets": ([rows[:, :0] for rows in p], [rows[:, :0] for rows in y]),
        "NaN prediction": (nan, y),
        "infinite response": (p, inf),
        "one row": ([p[0][:1]], [y[0][:1]]),
        "no rows": ([p[0][:0]], [y[0][:0]]),
        "swapped order": (p[::-1], y),
    }


@pytest.mark.parametrize("case", bad_sides())
def test_sides_that_do_not_fit_are_refused(case):
    predictions, responses = bad_sides()[case]
    with pytest.raises(InputError, match="wanted"):
        story_moments(predictions, responses)
    with pytest.raises(InputError, match="wanted"):
        block_moments(predictions, responses, block_rows=5)


@pytest.mark.parametrize(
    "rows", [np.zeros(5), np.zeros((2, 3, 4)), np.ones((5, 2), dtype=int), np.float64(3)]
)
@pytest.mark.usefixtures("unchecked")
def test_what_is_no_matrix_of_floats_is_refused(rows):
    with pytest.raises(InputError, match=r"shape|int64"):
        story_moments([rows], [rows])


@pytest.mark.parametrize("cut", [-1, 12, 100])
def test_a_cut_that_leaves_too_little_is_refused(cut):
    with pytest.raises(InputError, match="cut"):
        story_moments(*make_stories(), cut=cut)


@pytest.mark.parametrize("block_rows", [0, -3])
def test_blocks_without_rows_are_refused(block_rows):
    with pytest.raises(InputError, match="block_rows"):
        block_moments(*make_stories(), block_rows=block_rows)


@pytest.mark.parametrize(
    "weights",
    [
        np.ones(2),
        np.ones((4, 2)),
        np.ones((1, 2, 3)),
        np.zeros(3),
        np.array([[1.0, 1, 1], [0, 0, 0]]),
        np.array([1.0, -1, 1]),
        np.array([1.0, np.nan, 1]),
        np.array([1.0, np.inf, 1]),
    ],
)
def test_weights_that_do_not_fit_are_refused(weights):
    with pytest.raises(InputError, match="weights"):
        correlation_from_moments(story_moments(*make_stories()), weights)


@pytest.mark.usefixtures("unchecked")
def test_moments_of_unequal_shapes_are_refused():
    m = story_moments(*make_stories())
    with pytest.raises(InputError, match="'yy'"):
        Moments("story", m.story, m.n, m.p, m.y, m.pp, m.yy[:, :2], m.py)
