"""Significance of targets against plain roads: permutation by hand, adjusted p by brute force."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from brainaligner.core import InputError
from brainaligner.evaluation import (
    SignificanceSettings,
    block_moments,
    block_permutation,
    count_discoveries,
    fdr_bh,
    fdr_by,
    fewest_at_the_floor,
    target_gain,
    target_significance,
    target_tests,
)

FEW = SignificanceSettings(permutations=99)


def sides(rng, n_stories, n_rows, gains):
    """Predictions, and responses that hold them with a gain for each target."""
    p = [rng.standard_normal((n_rows, len(gains))) for _ in range(n_stories)]
    return p, [gains * rows + rng.standard_normal(rows.shape) for rows in p]


def test_p_is_that_of_the_rows_that_are_left_after_the_cut():
    rng = np.random.default_rng(0)
    p, y = sides(rng, 3, 70, np.array([0.0, 0.1, 0.5]))
    found = target_significance(p, y, cut=10, settings=FEW, seed=4)
    cut = [[rows[10:60] for rows in side] for side in (p, y)]
    again = block_permutation(*cut, n_permutations=99, seed=4)
    np.testing.assert_array_equal(found.p, again.p)
    np.testing.assert_array_equal(found.block_rows, again.block_rows)
    joined = [np.concatenate(side) for side in cut]
    expected = [scipy.stats.pearsonr(joined[0][:, v], joined[1][:, v]).statistic for v in range(3)]
    np.testing.assert_allclose(found.r, expected, atol=1e-12)
    assert found.p[2] == pytest.approx(0.01)


def test_stories_too_short_for_two_blocks_leave_nothing_tested():
    rng = np.random.default_rng(1)
    p, y = sides(rng, 2, 25, np.ones(4))
    found = target_significance(p, y, cut=5, settings=FEW)
    assert np.isnan(found.p).all()
    assert (found.block_rows == 0).all()
    counts = count_discoveries(found.p, q=0.05)
    assert (counts.n_tested, counts.bh, counts.by) == (0, 0, 0)
    assert np.isfinite(target_significance(p, y, settings=FEW).p).all()


def by_hand(p, q, factor):
    """Step up over the sorted p: the largest k with p_(k) <= k q / (n factor)."""
    known = np.sort(p[np.isfinite(p)])
    under = [k for k, value in enumerate(known, 1) if value <= k * q / (len(known) * factor)]
    return max(under, default=0)


@given(
    p=st.lists(st.integers(1, 100), min_size=1, max_size=30),
    lacking=st.integers(0, 3),
    q=st.sampled_from([0.01, 0.05, 0.2]),
)
@settings(max_examples=80, deadline=None)
def test_discoveries_are_those_of_a_step_up_by_hand(p, lacking, q):
    values = np.array([*(np.array(p) / 101), *[np.nan] * lacking])
    found = count_discoveries(values, q=q)
    harmonic = sum(1 / i for i in range(1, len(p) + 1))
    assert found.n_tested == len(p)
    assert found.bh == by_hand(values, q, 1.0)
    assert found.by == by_hand(values, q, harmonic)
    assert found.by <= found.bh


@pytest.mark.parametrize("n_tested", [1, 7, 60, 300])
@pytest.mark.parametrize("permutations", [20, 99, 400])
def test_the_floor_is_where_the_smallest_p_becomes_significant(n_tested, permutations):
    chosen = SignificanceSettings(permutations=permutations, q=0.1)
    fewest = fewest_at_the_floor(n_tested, settings=chosen)
    for needed, adjust in ((fewest.bh, fdr_bh), (fewest.by, fdr_by)):
        for k in range(1, n_tested + 1):
            p = np.ones(n_tested)
            p[:k] = 1 / (permutations + 1)
            assert (adjust(p)[0] <= 0.1 + 1e-12) == (k >= needed), k


def test_a_gain_is_found_where_it_was_planted_and_nowhere_else():
    rng = np.random.default_rng(2)
    common = [rng.standard_normal((80, 40)) for _ in range(12)]
    own = [rng.standard_normal((80, 40)) for _ in range(12)]
    gains = np.where(np.arange(40) < 10, 0.6, 0.0)
    measured = [
        c + gains * o + rng.standard_normal(c.shape) for c, o in zip(common, own, strict=True)
    ]
    arm = [c + 0.6 * o for c, o in zip(common, own, strict=True)]
    found = target_gain(common, arm, measured)
    adjusted = fdr_bh(found.p)
    assert ((adjusted <= 0.05) & (found.difference > 0))[:10].sum() >= 9
    assert (found.difference[10:] < 0).mean() > 0.9  # what is added there is noise
    swapped = target_gain(arm, common, measured)
    np.testing.assert_allclose(swapped.difference, -found.difference, atol=1e-12)
    np.testing.assert_allclose(swapped.p, found.p, atol=1e-12)


@pytest.mark.parametrize("n_stories", [1, 3, 8])
def test_a_gain_does_not_depend_on_the_targets_beside_it(ar1, n_stories):
    rng = np.random.default_rng(6)
    first, second, y = ([ar1(rng, 291, 40, 0.9) for _ in range(n_stories)] for _ in range(3))
    whole = target_gain(first, second, y)
    for part in (slice(0, 4), slice(17, 18), slice(30, 40)):
        some = [[rows[:, part] for rows in side] for side in (first, second, y)]
        found = target_gain(*some)
        np.testing.assert_allclose(found.p, whole.p[part], rtol=1e-9)
        np.testing.assert_allclose(found.difference, whole.difference[part], atol=1e-12)


def test_a_gain_of_few_stories_is_tested_on_its_own_blocks(ar1):
    rng = np.random.default_rng(7)
    first, second, y = ([ar1(rng, 200, 6, 0.9) for _ in range(2)] for _ in range(3))
    arms = [block_permutation(p, y, n_permutations=20, seed=0) for p in (first, second)]
    longest = np.maximum(*(arm.block_rows for arm in arms))
    assert len(set(longest)) > 1
    found = target_gain(first, second, y)
    for v, rows in enumerate(longest):
        of_one = [[x[:, [v]] for x in side] for side in (first, second, y)]
        moments = [block_moments(p, of_one[2], block_rows=int(rows)) for p in of_one[:2]]
        assert found.p[v] == pytest.approx(target_tests(*([m] for m in moments)).p[0])


def test_blocks_of_a_gain_are_never_under_ten_rows():
    rng = np.random.default_rng(8)
    p, y = sides(rng, 7, 16, np.ones(3))  # seven blocks of ten rows or more, or fourteen of 8
    assert np.isnan(target_gain([-rows for rows in p], p, y).p).all()


def test_an_arm_has_no_gain_over_itself():
    rng = np.random.default_rng(3)
    p, y = sides(rng, 9, 60, np.full(5, 0.3))
    found = target_gain(p, p, y)
    np.testing.assert_allclose(found.difference, 0.0, atol=1e-12)
    assert (found.p == 1).all()


@pytest.mark.parametrize(
    ("name", "value"),
    [("permutations", 19), ("permutations", 0), ("permutations", True), ("permutations", -1),
     ("q", 0.0), ("q", 1.0), ("q", -0.05), ("q", float("inf")), ("q", float("nan"))],
)  # fmt: skip
def test_strange_settings_are_refused(name, value):
    with pytest.raises(InputError, match=name):
        SignificanceSettings(**{name: value})


@pytest.mark.parametrize("fault", ["stories", "targets", "nan", "cut"])
def test_sides_that_do_not_fit_are_refused(fault):
    rng = np.random.default_rng(5)
    p, y = sides(rng, 2, 40, np.ones(3))
    cut = 25 if fault == "cut" else 0
    if fault == "stories":
        y = y[:1]
    elif fault == "targets":
        y[1] = y[1][:, :2]
    elif fault == "nan":
        p[0][3, 1] = np.nan
    with pytest.raises(InputError):
        target_significance(p, y, cut=cut, settings=FEW)
    with pytest.raises(InputError):
        target_gain(p, p, y, cut=cut)
