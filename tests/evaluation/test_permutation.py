"""Block permutation against a loop that moves blocks, unrelated series and planted signal."""

from __future__ import annotations

import math
from itertools import permutations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from brainaligner.core import InputError
from brainaligner.evaluation import block_length, block_permutation, fdr_bh, fdr_by, pearson_r
from brainaligner.evaluation._layout import (
    BlockLayout,
    draw_permutations,
    rungs,
    target_block_rows,
)
from brainaligner.evaluation._permuted_sums import block_pairs, count_reached

LENGTHS = (97, 15, 64, 41, 120)


def make_stories(ar1, lengths, n_targets=6, seed=0, gain=0.0, phi=(0.5, 0.75)):
    rng = np.random.default_rng(seed)
    predictions = [ar1(rng, rows, n_targets, phi[0]) + 0.3 for rows in lengths]
    noise = [ar1(rng, rows, n_targets, phi[1]) for rows in lengths]
    return predictions, [gain * p + n for p, n in zip(predictions, noise, strict=True)]


def moved_blocks(rows, order, least):
    """The prediction of one story with its blocks in another order, the plain way."""
    n_blocks = len(order)
    size = len(rows) // n_blocks
    edges = np.linspace(0, len(rows), n_blocks + 1).astype(int)
    assert size >= least or n_blocks == 1
    moved = rows.copy()
    for place, block in enumerate(order):
        taken = rows[edges[block] : edges[block] + size]
        moved[edges[place] : edges[place] + size] = taken
    return moved


def loop_p(predictions, responses, least, *, n_permutations, seed):
    """p by moving blocks of copies of the data, one permutation after the other."""
    layout = [BlockLayout(len(rows), least) for rows in predictions]
    draws = list(draw_permutations(layout, n_permutations=n_permutations, seed=seed))
    y = np.concatenate(responses)
    r = pearson_r(np.concatenate(predictions), y)
    b = np.zeros(len(r))
    for i in range(n_permutations):
        orders = [draw[i] for draw in draws]
        moved = [moved_blocks(p, o, least) for p, o in zip(predictions, orders, strict=True)]
        b += pearson_r(np.concatenate(moved), y) >= r - 1e-12
    return (b + 1) / (n_permutations + 1)


@pytest.mark.parametrize("lengths", [LENGTHS, (20,), (300, 19, 9)])
@pytest.mark.parametrize("gain", [0.0, 0.3])
def test_p_is_that_of_a_loop_that_moves_blocks(ar1, lengths, gain):
    sides = make_stories(ar1, lengths, gain=gain)
    found = block_permutation(*sides, n_permutations=60, seed=5, widen=False)
    np.testing.assert_allclose(found.r, pearson_r(*map(np.concatenate, sides)), atol=1e-12)
    for target in range(found.p.size):
        column = [[rows[:, target : target + 1] for rows in side] for side in sides]
        least = int(found.block_rows[target])
        expected = loop_p(*column, least, n_permutations=60, seed=5)
        assert found.p[target] == pytest.approx(expected[0])


def plain_count(pairs, cross, threshold):
    """Permuted sums that reach the threshold, added up one by one in exact arithmetic."""
    return [
        sum(
            math.fsum(
                float(c[i, v]) for story, c in zip(pairs, cross, strict=True) for i in story[k]
            )
            >= threshold[v]
            for k in range(len(pairs[0]))
        )
        for v in range(len(threshold))
    ]


@given(st.integers(0, 2**31), st.sampled_from([1e-9, 1e-8, 1e-7, 1e-3, 0.0]))
@settings(max_examples=25, deadline=None)
def test_sums_nearer_than_float32_can_tell_are_counted_as_in_float64(seed, gap):
    rng = np.random.default_rng(seed)
    orders = [np.stack([rng.permutation(n) for _ in range(40)]) for n in (6, 4)]
    pairs = [block_pairs(order) for order in orders]
    # multiples of 1/64: sums are exact, many are equal, and gaps put them just over or under
    cross = [rng.integers(-9, 10, (n * n, 5)) / 64 for n in (6, 4)]
    cross[0][rng.integers(36, size=4)] += gap
    threshold = np.array([0.0, gap / 2, -gap / 2, 1 / 64 + gap / 2, np.nan])
    found = count_reached(pairs, cross, threshold, device="cpu")
    assert found.tolist() == plain_count(pairs, cross, threshold)


def test_float32_alone_would_miscount():
    order = np.tile(np.arange(2), (30, 1))
    cross = [np.array([[0.5], [0.0], [0.0], [0.25]])]
    just_over, just_under = 0.75 + 1e-9, 0.75 - 1e-9
    for threshold, expected in ((just_over, 0), (just_under, 30), (0.75, 30)):
        assert np.float32(threshold) == np.float32(0.75)
        found = count_reached([block_pairs(order)], cross, np.array([threshold]), device="cpu")
        assert found.tolist() == [expected]


@pytest.mark.parametrize("scale", [1e-25, 1e25])
def test_scales_that_float32_does_not_hold_change_nothing(ar1, scale):
    predictions, responses = make_stories(ar1, (60, 45), n_targets=5)
    plain = block_permutation(predictions, responses, n_permutations=50, seed=1)
    scaled = [scale * rows for rows in responses], [scale * rows for rows in predictions]
    again = block_permutation(scaled[1], scaled[0], n_permutations=50, seed=1)
    np.testing.assert_array_equal(again.p, plain.p)


def test_torch_gets_its_threads_back(ar1):
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        block_permutation(*make_stories(ar1, (60, 45)), n_permutations=20, seed=1)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def widened_sums(p, y, layout, draws):
    """Permuted sums of one target in one story, spread by plain enumeration."""
    p, y = p[:, 0] - p.mean(), y[:, 0] - y.mean()
    rows = layout.rows

    def moved(order):
        return sum(float(p[rows[a]] @ y[rows[b]]) for b, a in enumerate(order))

    every = np.array([moved(order) for order in permutations(range(layout.n_blocks))])
    shifts = np.array([np.roll(p, k) @ y for k in range(len(p))])
    wide = max(1.0, shifts.std() * np.sqrt(rows.size / len(p)) / every.std())
    return every.mean() + wide * (np.array([moved(o) for o in draws]) - every.mean()), wide


@pytest.mark.parametrize(("phi", "seed"), [(0.2, 0), (0.9, 1), (0.97, 2), (0.97, 3)])
def test_widened_sums_have_the_spread_of_circular_shifts(ar1, phi, seed):
    (p,), (y,) = make_stories(ar1, (87,), n_targets=1, seed=seed, phi=(phi, phi))
    found = block_permutation([p], [y], n_permutations=400, seed=3)
    layout = BlockLayout(87, int(found.block_rows[0]))
    (draws,) = draw_permutations([layout], n_permutations=400, seed=3)
    sums, wide = widened_sums(p, y, layout, draws)
    observed = moved_product(p, y, layout)
    assert found.p[0] == pytest.approx(((sums >= observed - 1e-9).sum() + 1) / 401)
    assert wide >= 1


def moved_product(p, y, layout):
    rows = layout.rows.ravel()
    return float((p[rows, 0] - p.mean()) @ (y[rows, 0] - y.mean()))


@pytest.mark.parametrize("phi", [0.3, 0.6, 0.9])
def test_unrelated_series_pass_at_the_nominal_rate(ar1, phi):
    lengths = (210, 143, 187, 251, 166, 199)
    sides = make_stories(ar1, lengths, n_targets=1500, seed=int(10 * phi), phi=(phi, phi))
    found = block_permutation(*sides, n_permutations=299, seed=2)
    assert abs((found.p <= 0.05).mean() - 0.05) < 0.018  # three standard errors
    assert abs((found.p <= 0.5).mean() - 0.5) < 0.045


def test_plain_permutations_let_too_many_slow_series_pass(ar1):
    sides = make_stories(ar1, (210, 143, 187, 251), n_targets=1500, seed=3, phi=(0.9, 0.9))
    ours, plain = (
        (block_permutation(*sides, n_permutations=299, seed=2, widen=widen).p <= 0.05).mean()
        for widen in (True, False)
    )
    assert plain > 0.07 > ours


def test_planted_signal_is_found_and_its_opposite_is_not(ar1):
    predictions, responses = make_stories(ar1, (200, 180, 220), n_targets=40, gain=0.4)
    found = block_permutation(predictions, responses, n_permutations=500, seed=0)
    assert (found.p < 0.01).mean() > 0.95
    opposite = block_permutation(predictions, [-y for y in responses], n_permutations=500, seed=0)
    assert opposite.p.min() > 0.9


def test_discoveries_among_planted_and_unrelated_targets(ar1):
    predictions, noise = make_stories(ar1, (200, 180, 220, 240), n_targets=400, seed=4)
    gain = np.where(np.arange(400) < 100, 0.4, 0.0)
    responses = [p * gain + y for p, y in zip(predictions, noise, strict=True)]
    found = block_permutation(predictions, responses, n_permutations=999, seed=0)
    chosen = fdr_bh(found.p) <= 0.05
    assert chosen[:100].mean() > 0.95
    assert chosen[100:].sum() <= 0.12 * chosen.sum()


def test_block_length_of_one_target_is_that_of_block_length_rounded_up(ar1):
    for phi in (0.3, 0.9, 0.97):
        predictions, responses = make_stories(ar1, (300, 260), n_targets=1, phi=(phi, phi))
        exact = block_length(predictions, responses)
        steps = rungs(300)
        assert target_block_rows(predictions, responses)[0] == steps[steps >= exact][0]


@pytest.mark.parametrize(
    ("longest", "expected"),
    [
        (20, [10]),
        (30, [10, 14, 15]),
        (83, [10, 14, 20, 28, 40, 41]),
        (160, [10, 14, 20, 28, 40, 57, 80]),
    ],
)
def test_rungs_go_to_half_the_longest_story(longest, expected):
    assert rungs(longest).tolist() == expected


@given(st.integers(1, 900), st.integers(10, 200))
@settings(max_examples=80, deadline=None)
def test_blocks_are_equal_disjoint_and_leave_less_than_a_row_each(n_rows, least):
    layout = BlockLayout(n_rows, least)
    rows = layout.rows
    assert rows.min() == 0
    assert rows.max() < n_rows
    assert np.unique(rows).size == rows.size
    assert (np.diff(rows, axis=1) == 1).all()
    assert rows.shape[1] >= min(least, n_rows)
    assert n_rows - rows.size < layout.n_blocks


def test_targets_do_not_see_their_neighbours_nor_the_memory_they_are_given(ar1):
    sides = make_stories(ar1, LENGTHS, n_targets=9, phi=(0.9, 0.8))
    whole = block_permutation(*sides, n_permutations=80, seed=1)
    narrow = block_permutation(*sides, n_permutations=80, seed=1, block_bytes=1)
    np.testing.assert_array_equal(whole.p, narrow.p)
    for part in (slice(0, 4), slice(4, 9)):
        cut = [[rows[:, part] for rows in side] for side in sides]
        alone = block_permutation(*cut, n_permutations=80, seed=1)
        np.testing.assert_array_equal(alone.p, whole.p[part])


@given(st.floats(-50, 50), st.floats(0.1, 20), st.integers(0, 2**31))
@settings(max_examples=15, deadline=None)
def test_p_does_not_see_offset_nor_scale(ar1, offset, scale, seed):
    predictions, responses = make_stories(ar1, (60, 45), n_targets=3, seed=seed)
    plain = block_permutation(predictions, responses, n_permutations=40, seed=1)
    moved = [scale * p + offset for p in predictions]
    np.testing.assert_allclose(
        block_permutation(moved, responses, n_permutations=40, seed=1).p, plain.p, atol=1e-12
    )


def test_seed_decides_and_p_is_never_zero(ar1):
    sides = make_stories(ar1, (90, 80), gain=3.0)
    first, again = (block_permutation(*sides, n_permutations=50, seed=1) for _ in range(2))
    np.testing.assert_array_equal(first.p, again.p)
    assert first.p.min() == pytest.approx(1 / 51)
    null = make_stories(ar1, (90, 80))
    ps = [block_permutation(*null, n_permutations=50, seed=seed).p for seed in (1, 2)]
    assert (ps[0] != ps[1]).any()


def test_a_side_without_variance_has_no_p(ar1):
    predictions, responses = make_stories(ar1, (60, 50), n_targets=3)
    for rows in predictions:
        rows[:, 0] = 0.1
    for rows in responses:
        rows[:, 2] = -7.0
    found = block_permutation(predictions, responses, n_permutations=30, seed=0)
    np.testing.assert_array_equal(np.isnan(found.p), [True, False, True])
    np.testing.assert_array_equal(np.isnan(found.r), [True, False, True])


def test_a_story_of_one_block_changes_nothing(ar1):
    predictions, responses = make_stories(ar1, (60, 50), n_targets=3)
    with_short = [*predictions, np.zeros((7, 3))], [*responses, np.zeros((7, 3))]
    p = block_permutation(*with_short, n_permutations=30, seed=0).p
    assert p.shape == (3,)
    assert np.isfinite(p).all()


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"n_permutations": 19}, "at least 20 permutations"),
        ({"seed": -1}, "seed of 0 or more"),
        ({"block_bytes": 0}, "at least one byte"),
        ({"predictions": []}, "the same stories"),
        ({"predictions": [np.zeros((40, 3))]}, "same stories on both sides"),
        ({"predictions": [np.zeros((40, 2)), np.zeros((30, 2))]}, "same .time, 3. on both"),
        ({"predictions": [np.full((40, 3), np.nan), np.zeros((30, 3))]}, "finite"),
        ({"predictions": [np.zeros((40, 3), int), np.zeros((30, 3))]}, "floating"),
    ],
)
def test_bad_input_is_refused(change, said):
    rng = np.random.default_rng(0)
    good = {
        "predictions": [rng.standard_normal((rows, 3)) for rows in (40, 30)],
        "responses": [rng.standard_normal((rows, 3)) for rows in (40, 30)],
        "n_permutations": 20,
        "seed": 0,
    }
    arguments = good | change
    with pytest.raises(InputError, match=said):
        block_permutation(arguments.pop("predictions"), arguments.pop("responses"), **arguments)


def test_stories_without_two_blocks_are_refused():
    with pytest.raises(InputError, match="two blocks that change places"):
        block_permutation([np.ones((19, 1))], [np.ones((19, 1))], seed=0)


def plain_adjusted(p, factor):
    """Step-up by the definition: the least of n/j p_(j) over all that rank no lower."""
    n = len(p)
    order = np.argsort(p)
    scaled = [factor * n / (j + 1) * p[order[j]] for j in range(n)]
    adjusted = np.empty(n)
    for i in range(n):
        adjusted[order[i]] = min(1.0, *scaled[i:], 1.0)
    return adjusted


@given(st.lists(st.floats(0, 1), min_size=1, max_size=40))
@settings(max_examples=60, deadline=None)
def test_adjusted_p_are_those_of_the_definition(values):
    p = np.array(values)
    np.testing.assert_allclose(fdr_bh(p), plain_adjusted(p, 1.0), atol=1e-12)
    harmonic = sum(1 / (i + 1) for i in range(len(p)))
    np.testing.assert_allclose(fdr_by(p), plain_adjusted(p, harmonic), atol=1e-12)


def test_untested_targets_do_not_count_among_the_tests():
    p = np.array([0.01, np.nan, 0.04, np.nan])
    np.testing.assert_allclose(fdr_bh(p), [0.02, np.nan, 0.04, np.nan])
    assert np.isnan(fdr_by(np.full(3, np.nan))).all()


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("adjust", [fdr_bh, fdr_by])
@pytest.mark.parametrize("p", [[-0.1, 0.5], [0.2, 1.1], [[0.1]], [np.inf]])
def test_values_that_are_no_p_are_refused(adjust, p):
    with pytest.raises(InputError, match="within"):
        adjust(np.array(p))
