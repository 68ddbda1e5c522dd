"""Comparisons of arms against plain loops, statsmodels and planted differences."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from scipy.stats import false_discovery_control

from brainaligner.core import InputError
from brainaligner.evaluation import (
    ComparisonSettings,
    EvaluationSettings,
    Moments,
    block_length,
    compare_arms,
    detectable_difference,
    draw_weights,
    paired_moments,
    replication,
    story_moments,
    target_tests,
)
from brainaligner.evaluation._compare import tost_p
from brainaligner.evaluation._intervals import Studentised

DRAWS = EvaluationSettings(n_bootstrap=200, seed=5)


def make_arms(ar1, n_stories, *, gain=0.0, n_targets=5, seed=0, rows=(60, 100)):
    """Responses, and predictions of two arms; the second sees `gain` more of them."""
    rng = np.random.default_rng(seed)
    first, second, measured = [], [], []
    for _ in range(n_stories):
        n = int(rng.integers(*rows))
        y = ar1(rng, n, n_targets, 0.5)
        measured.append(y)
        first.append(0.3 * y + ar1(rng, n, n_targets, 0.5))
        second.append((0.3 + gain) * y + ar1(rng, n, n_targets, 0.5))
    return first, second, measured


def both(first, second, measured, cut=0):
    made = paired_moments([lambda: (first, measured), lambda: (second, measured)], cut=cut)
    return {"a": [made[0]], "b": [made[1]]}


def concatenated_r(predictions, responses, stories):
    p = np.concatenate([predictions[s] for s in stories])
    y = np.concatenate([responses[s] for s in stories])
    return np.array([np.corrcoef(p[:, v], y[:, v])[0, 1] for v in range(p.shape[1])])


def stories_of(weights):
    return [s for s, count in enumerate(weights) for _ in range(int(count))]


def spread_by_loop(first, second, measured, stories):
    """Infinitesimal jackknife by numerical derivatives: rows of a story weighted a bit more."""
    step, slopes = 1e-4, []
    n = len(stories)

    def weighted(predictions, which, by):
        rows = [np.full(len(measured[s]), 1.0 + by * (i == which)) for i, s in enumerate(stories)]
        w = np.concatenate(rows)
        p = np.concatenate([predictions[s] for s in stories])
        y = np.concatenate([measured[s] for s in stories])
        return np.mean(
            [
                c[0, 1] / np.sqrt(c[0, 0] * c[1, 1])
                for c in (np.cov(p[:, v], y[:, v], aweights=w) for v in range(p.shape[1]))
            ]
        )

    for which in range(n):
        ends = [weighted(second, which, d) - weighted(first, which, d) for d in (step, -step)]
        slopes.append((ends[0] - ends[1]) / (2 * step))
    slopes = np.array(slopes)
    return np.sqrt(n / (n - 1) * ((slopes - slopes.mean()) ** 2).sum())


def test_difference_and_interval_are_those_of_a_plain_bootstrap_loop(ar1):
    first, second, measured = make_arms(ar1, 8, gain=0.1, n_targets=2, rows=(30, 50))
    arms = both(first, second, measured)
    settings = EvaluationSettings(n_bootstrap=25, seed=3)
    (found,) = compare_arms(arms, evaluation=settings)

    def gap(stories):
        return np.mean(
            concatenated_r(second, measured, stories) - concatenated_r(first, measured, stories)
        )

    whole = list(range(8))
    estimate, error = gap(whole), spread_by_loop(first, second, measured, whole)
    draws = [stories_of(w) for w in draw_weights(arms["a"][0], n_draws=25, seed=3)]
    t = [
        (gap(drawn) - estimate) / spread_by_loop(first, second, measured, drawn) for drawn in draws
    ]
    low, high = np.quantile(t, [0.025, 0.975])
    assert found.difference == pytest.approx(estimate, abs=1e-12)
    assert found.standard_error == pytest.approx(error, rel=1e-5)
    ends = (found.interval.low, found.interval.high)
    assert ends == pytest.approx((estimate - high * error, estimate - low * error), rel=1e-4)
    assert found.interval.method == "studentised bootstrap over stories"


def test_all_arms_share_their_draws_and_the_reference_does_not_depend_on_others(ar1):
    first, second, measured = make_arms(ar1, 9, gain=0.2)
    arms = both(first, second, measured)
    (alone,) = compare_arms(arms, evaluation=DRAWS)
    again, _ = compare_arms(arms | {"c": arms["a"]}, evaluation=DRAWS)
    assert again.interval == alone.interval
    assert again.equivalence == alone.equivalence


def test_an_arm_against_itself_is_equivalent_without_any_spread(ar1):
    first, _, measured = make_arms(ar1, 9)
    (found,) = compare_arms(both(first, first, measured), evaluation=DRAWS)
    assert found.difference == found.interval.low == found.interval.high == 0
    assert found.equivalence.verdict == "equivalent"
    assert found.equivalence.p == 0
    assert found.direction == "undecided"
    np.testing.assert_array_equal(found.targets.p, 1)
    assert found.detectable == 0


@pytest.mark.parametrize("n_stories", [3, 10])
def test_a_planted_difference_is_found_in_both_directions(ar1, n_stories):
    first, second, measured = make_arms(ar1, n_stories, gain=0.4)
    (more,) = compare_arms(both(first, second, measured), evaluation=DRAWS)
    (less,) = compare_arms(both(second, first, measured), evaluation=DRAWS)
    assert (more.direction, less.direction) == ("better", "worse")
    assert less.difference == pytest.approx(-more.difference)
    assert more.targets.shares(0.05)[0] > 0.5
    assert less.targets.shares(0.05)[1] == more.targets.shares(0.05)[0]
    assert more.equivalence.verdict == "not shown"
    assert more.interval.conditional == (n_stories < 8)


def test_few_stories_are_cut_into_the_longest_blocks_that_any_arm_asks_for(ar1):
    rng = np.random.default_rng(0)
    measured = [ar1(rng, 200, 3, 0.9) for _ in range(3)]
    quick = [ar1(rng, 200, 3, 0.1) for _ in range(3)]
    slow = [ar1(rng, 200, 3, 0.97) for _ in range(3)]
    longest = block_length(slow, measured)
    assert longest > block_length(quick, measured)
    for sides in ((quick, slow), (slow, quick)):
        made = paired_moments([lambda p=p: (p, measured) for p in sides])
        assert {moments.kind for moments in made} == {"block"}
        for moments in made:
            assert moments.n_units == 3 * (200 // longest)


def test_too_few_rows_give_means_but_no_test(ar1):
    first, second, measured = make_arms(ar1, 2, rows=(30, 31))
    (found,) = compare_arms(both(first, second, measured), evaluation=DRAWS)
    assert np.isfinite(found.difference)
    assert np.isnan([found.interval.low, found.detectable, found.equivalence.p]).all()
    assert found.interval.method == "too few rows"
    assert found.equivalence.verdict == "not tested"
    assert np.isnan(found.targets.p).all()
    assert np.isnan(found.targets.shares(0.05)).all()


def test_a_reference_below_zero_has_no_margin(ar1):
    first, second, measured = make_arms(ar1, 9)
    (found,) = compare_arms(both([-p for p in first], second, measured), evaluation=DRAWS)
    assert found.equivalence.verdict == "not tested"
    assert found.direction == "better"


def test_seeds_are_averaged_and_their_spread_stands_apart(ar1):
    first, second, measured = make_arms(ar1, 9, gain=0.1)
    _, third, _ = make_arms(ar1, 9, gain=0.3)
    a, b, c = (story_moments(p, measured) for p in (first, second, third))
    (found,) = compare_arms({"a": [a], "b": [b, c]}, evaluation=DRAWS)
    ones = [compare_arms({"a": [a], "b": [m]}, evaluation=DRAWS)[0] for m in (b, c)]
    assert found.seed_means == pytest.approx([one.mean for one in ones])
    assert found.difference == pytest.approx(np.mean([one.difference for one in ones]))
    np.testing.assert_allclose(
        found.targets.difference, np.mean([one.targets.difference for one in ones], axis=0)
    )
    assert found.reference_seed_means == (found.reference_mean,)


def test_targets_without_r_in_one_arm_are_left_out_of_both(ar1):
    first, second, measured = make_arms(ar1, 9)
    constant = [p.copy() for p in second]
    for p in constant:
        p[:, 2] = 1.0
    (found,) = compare_arms(both(first, constant, measured), evaluation=DRAWS)
    kept = [0, 1, 3, 4]
    fewer = [[p[:, kept] for p in side] for side in (first, second, measured)]
    (without,) = compare_arms(both(*fewer), evaluation=DRAWS)
    assert (found.n_targets, found.n_left_out) == (4, 1)
    assert found.reference_mean == pytest.approx(without.reference_mean)
    assert found.interval.low == pytest.approx(without.interval.low)
    assert np.isnan(found.targets.p[2])
    np.testing.assert_allclose(found.targets.q_bh[kept], without.targets.q_bh)


def test_target_tests_of_equal_stories_are_nearly_paired_t_tests(ar1):
    """With unit variance in every story, r is the mean over stories of products."""
    rng = np.random.default_rng(1)
    measured, first, second = ([] for _ in range(3))
    for _ in range(12):
        y = stats.zscore(ar1(rng, 400, 6, 0.3))
        measured.append(y)
        first.append(stats.zscore(0.2 * y + ar1(rng, 400, 6, 0.3)))
        second.append(stats.zscore((0.2 + 0.1 * rng.random()) * y + ar1(rng, 400, 6, 0.3)))
    found = target_tests([story_moments(first, measured)], [story_moments(second, measured)])
    each = [
        [(p * y).mean(axis=0) for p, y in zip(arm, measured, strict=True)]
        for arm in (first, second)
    ]
    wanted = stats.ttest_rel(each[1], each[0])
    np.testing.assert_allclose(found.p, wanted.pvalue, rtol=0.15, atol=0.01)
    np.testing.assert_allclose(found.q_bh, false_discovery_control(found.p, method="bh"))
    np.testing.assert_allclose(found.q_by, false_discovery_control(found.p, method="by"))


@pytest.mark.parametrize("n_stories", [3, 9])
def test_errors_of_targets_agree_with_the_mean_over_one_target(ar1, n_stories):
    first, second, measured = make_arms(ar1, n_stories, n_targets=1, gain=0.1)
    (found,) = compare_arms(both(first, second, measured), evaluation=DRAWS)
    units = found.interval.n_units
    df = units - (1 if n_stories >= 8 else n_stories)
    wanted = 2 * stats.t.sf(abs(found.difference) / found.standard_error, df)
    assert found.targets.p[0] == pytest.approx(wanted)
    assert found.unit_sd == pytest.approx(found.standard_error * np.sqrt(units))


def test_two_one_sided_tests_agree_with_those_of_student():
    rng = np.random.default_rng(2)
    n, margin = 40, 0.02
    for shift in (0.0, 0.01, 0.018, 0.03):
        new, old = rng.normal(0.1 + shift, 0.05, n), rng.normal(0.1, 0.05, n)
        d = new - old
        wanted = max(
            stats.ttest_1samp(d, -margin, alternative="greater").pvalue,
            stats.ttest_1samp(d, margin, alternative="less").pvalue,
        )
        draws = d[rng.integers(n, size=(20_000, n))]
        t = (draws.mean(axis=1) - d.mean()) / (draws.std(axis=1, ddof=1) / np.sqrt(n))
        found = Studentised(float(d.mean()), float(d.std(ddof=1) / np.sqrt(n)), t)
        assert tost_p(found, margin) == pytest.approx(wanted, abs=0.02)


@pytest.mark.parametrize("gain", [0.0, 0.01, 0.05, 0.2])
def test_equivalent_means_that_the_ninety_percent_interval_lies_within_the_margin(ar1, gain):
    first, second, measured = make_arms(ar1, 12, gain=gain)
    evaluation = EvaluationSettings(n_bootstrap=1000, level=0.9)
    settings = ComparisonSettings(margin=0.15)
    (found,) = compare_arms(both(first, second, measured), settings=settings, evaluation=evaluation)
    margin = 0.15 * found.reference_mean
    inside = -margin < found.interval.low and found.interval.high < margin
    assert found.equivalence.margin == pytest.approx(margin)
    assert (found.equivalence.verdict == "equivalent") == inside


@pytest.mark.parametrize(("n", "power", "alpha"), [(8, 0.8, 0.05), (14, 0.9, 0.01), (3, 0.5, 0.1)])
def test_a_difference_of_the_detectable_size_is_found_as_often_as_wanted(n, power, alpha):
    rng = np.random.default_rng(3)
    size = detectable_difference(0.03, n, power=power, alpha=alpha)
    p = stats.ttest_1samp(rng.normal(size, 0.03, (20_000, n)), 0, axis=1).pvalue
    assert (p <= alpha).mean() == pytest.approx(power, abs=0.015)


def test_replication_counts_subjects(ar1):
    found = []
    for seed, gain in enumerate((0.4, 0.4, -0.25)):
        sides = make_arms(ar1, 10, gain=gain, seed=seed)
        found += compare_arms(both(*sides), evaluation=DRAWS)
    counts = replication(found)
    assert (counts.n_subjects, counts.n_better, counts.n_worse, counts.n_above) == (3, 2, 1, 2)
    assert counts.n_equivalent == 0


def test_replication_of_different_arms_is_refused(ar1):
    first, second, measured = make_arms(ar1, 8)
    arms = both(first, second, measured)
    found = compare_arms(arms | {"c": arms["b"]}, evaluation=DRAWS)
    for wrong in (found, []):
        with pytest.raises(InputError, match="replication"):
            replication(wrong)


@pytest.mark.parametrize("name", ["margin", "alpha", "power"])
@pytest.mark.parametrize("value", [0.0, 1.0, -0.1, 2, "0.5", True, float("nan")])
@pytest.mark.usefixtures("unchecked")
def test_settings_out_of_range_are_refused(name, value):
    with pytest.raises(InputError, match=name):
        ComparisonSettings(**{name: value})


def test_a_power_below_the_level_is_refused():
    with pytest.raises(InputError, match="power"):
        ComparisonSettings(alpha=0.5, power=0.4)


@pytest.mark.parametrize(
    "numbers",
    [(float("nan"), 8, 0.8, 0.05), (-1.0, 8, 0.8, 0.05), (1.0, 1, 0.8, 0.05), (1.0, 8, 0.05, 0.8)],
)
def test_detectable_difference_refuses_what_has_none(numbers):
    spread, n, power, alpha = numbers
    with pytest.raises(InputError, match="detectable"):
        detectable_difference(spread, n, power=power, alpha=alpha)


def test_arms_on_different_rows_are_refused(ar1):
    first, second, measured = make_arms(ar1, 9)
    a = story_moments(first, measured)
    others = [
        story_moments(second, [y + 0.1 * y**2 for y in measured]),
        story_moments(second, measured, cut=3),
        story_moments(second[:8], measured[:8]),
        story_moments([p[:, :2] for p in second], [y[:, :2] for y in measured]),
        paired_moments([lambda: (second[:3], measured[:3])])[0],
    ]
    for other in others:
        assert isinstance(other, Moments)
        with pytest.raises(InputError, match="arms to compare"):
            compare_arms({"a": [a], "b": [other]})


def test_less_than_two_arms_are_refused(ar1):
    first, _, measured = make_arms(ar1, 8)
    moments = story_moments(first, measured)
    for wrong in ({}, {"a": [moments]}, {"a": [moments], "b": []}):
        with pytest.raises(InputError, match="arms to compare"):
            compare_arms(wrong)
    with pytest.raises(InputError, match="arms to compare"):
        paired_moments([])
