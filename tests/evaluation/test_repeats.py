"""Signal power and noise ceiling: against plain loops, and calibrated on planted signals."""

from __future__ import annotations

import numpy as np
import pytest

from brainaligner.core import InputError
from brainaligner.evaluation import (
    NoiseCeiling,
    join_ceilings,
    noise_ceiling,
    normalised_correlation,
    pearson_r,
    split_half_reliability,
)
from brainaligner.evaluation import _rows as rows_module

N_REPEATS, N_ROWS, N_TARGETS = 10, 291, 600
LEVELS = (0.0, 0.02, 0.05, 0.1, 0.3, 0.7)


@pytest.fixture(scope="module")
def planted(ar1):
    """Repeats of a story as wheretheressmoke is: power level -> (repeats, signal)."""
    rng = np.random.default_rng(5)

    def draw(power):
        signal = ar1(rng, N_ROWS, N_TARGETS, 0.7)
        signal = (signal - signal.mean(0)) / signal.std(0)
        noise = np.stack([ar1(rng, N_ROWS, N_TARGETS, 0.5) for _ in range(N_REPEATS)])
        noise -= noise.mean(1, keepdims=True)
        noise /= np.sqrt((noise**2).mean())  # so that power is the share within the story
        signal *= np.sqrt(power)
        return (signal + np.sqrt(1 - power) * noise).astype(np.float32), signal

    return {power: draw(power) for power in LEVELS}


@pytest.fixture(scope="module")
def ceilings(planted):
    return {power: noise_ceiling(repeats) for power, (repeats, _) in planted.items()}


def plain(repeats):
    """Every number by its definition, one target, one repeat at a time."""
    n = len(repeats)
    rows = []
    for v in range(repeats.shape[2]):
        r = [repeats[i, :, v].astype(float) for i in range(n)]
        y = sum(r) / n
        total = sum(np.var(x) for x in r) / n
        signal = (n * np.var(y) - total) / (n - 1)
        z = [(x - x.mean()) / x.std() for x in r]
        zy = sum(z) / n
        raw = 1 - sum(np.var(x - zy) for x in z) / n
        rows.append((raw - (1 - raw) / (n - 1), signal, total, n))
    return np.array(rows).T


def test_powers_are_those_of_a_plain_loop():
    rng = np.random.default_rng(0)
    shared = rng.standard_normal((60, 7))
    repeats = 3 + 2 * shared + rng.standard_normal((4, 60, 7)) * rng.uniform(1, 3, (4, 1, 7))
    found = noise_ceiling(repeats)
    variance, signal, total, n = plain(repeats)
    np.testing.assert_allclose(found.explainable_variance, variance, rtol=1e-10)
    np.testing.assert_allclose(found.signal_power, signal, rtol=1e-10)
    np.testing.assert_allclose(found.total_power, total, rtol=1e-10)
    ceiling = (1 + (total / signal - 1) / n) ** -0.5
    np.testing.assert_allclose(
        found.cc_max[found.has_signal], ceiling[found.has_signal], rtol=1e-10
    )
    assert found.has_signal.sum() > 3


def test_explainable_variance_is_the_mean_r_of_pairs_of_repeats():
    rng = np.random.default_rng(1)
    repeats = 0.5 * rng.standard_normal((80, 5)) + rng.standard_normal((6, 80, 5))
    pairs = [pearson_r(repeats[i], repeats[j]) for i in range(6) for j in range(i)]
    np.testing.assert_allclose(
        noise_ceiling(repeats).explainable_variance, np.mean(pairs, axis=0), rtol=1e-10
    )


@pytest.mark.parametrize("power", LEVELS)
def test_explainable_variance_is_unbiased_at_every_level(ceilings, power):
    found = ceilings[power].explainable_variance
    assert abs(found.mean() - power) < 0.005
    assert ceilings[power].signal_power.mean() == pytest.approx(power, abs=0.005)


@pytest.mark.parametrize("power", [level for level in LEVELS if level >= 0.05])
def test_ceiling_is_unbiased_where_there_is_signal(ceilings, power):
    true = np.sqrt(power / (power + (1 - power) / N_REPEATS))
    assert abs(np.nanmean(ceilings[power].cc_max) - true) < 0.02
    assert ceilings[power].has_signal.mean() > 0.85


def test_ceiling_is_nan_where_there_is_no_signal(ceilings):
    none = ceilings[0.0]
    assert 0.95 < np.isnan(none.cc_max).mean() < 1.0
    within = none.signal_power <= 2 * none.signal_power_se
    np.testing.assert_array_equal(np.isnan(none.cc_max), within)
    np.testing.assert_array_equal(np.isnan(none.cc_max_se), within)


@pytest.mark.parametrize("power", [0.0, 0.05])
def test_standard_error_is_the_spread_over_draws(ceilings, power):
    found = ceilings[power]
    error = np.sqrt((found.signal_power_se**2).mean())
    assert error == pytest.approx(found.signal_power.std(), rel=0.15)


def test_ceiling_is_what_the_true_signal_scores(planted, ceilings):
    for power in (0.1, 0.3, 0.7):
        repeats, signal = planted[power]
        reached = pearson_r(signal, repeats.mean(0).astype(float))
        assert reached.mean() == pytest.approx(np.nanmean(ceilings[power].cc_max), abs=0.01)
        assert normalised_correlation(reached, ceilings[power]) == pytest.approx(1, abs=0.015)


@pytest.mark.parametrize("power", LEVELS)
def test_split_halves_agree_by_their_own_road(planted, ceilings, power):
    reliability = split_half_reliability(planted[power][0], n_splits=4)
    true = power / (power + (1 - power) / N_REPEATS)
    assert reliability.mean() == pytest.approx(true, abs=0.02)
    seen = ceilings[power].has_signal & (ceilings[power].signal_power > 0.05)
    if power >= 0.1:
        halves = np.sqrt(reliability[seen])
        assert np.abs(halves - ceilings[power].cc_max[seen]).mean() < 0.02
        assert halves.mean() == pytest.approx(ceilings[power].cc_max[seen].mean(), abs=0.01)


@pytest.mark.parametrize("n_repeats", [2, 3, 5])
def test_few_repeats_and_odd_halves(ar1, n_repeats):
    rng = np.random.default_rng(2)
    signal = ar1(rng, 300, 400, 0.7)
    repeats = signal + np.stack([ar1(rng, 300, 400, 0.3) for _ in range(n_repeats)])
    found = noise_ceiling(repeats)
    true = np.sqrt(0.5 / (0.5 + 0.5 / n_repeats))
    assert np.nanmean(found.cc_max) == pytest.approx(true, abs=0.02)
    halves = split_half_reliability(repeats, n_splits=6)
    assert np.sqrt(halves.mean()) == pytest.approx(true, abs=0.02)


def test_constant_targets_have_neither_variance_nor_ceiling():
    repeats = np.random.default_rng(3).standard_normal((3, 50, 4)).astype(np.float32)
    repeats[:, :, 1] = 1e6 + 0.1
    found = noise_ceiling(repeats)
    assert np.isnan(found.explainable_variance[1])
    assert np.isnan(found.cc_max[1])
    assert found.total_power[1] == found.signal_power[1] == 0
    assert np.isfinite(found.explainable_variance[[0, 2, 3]]).all()


def test_blocks_of_targets_change_nothing(planted, monkeypatch):
    repeats = planted[0.1][0][:, :, :40]
    whole, halves = noise_ceiling(repeats), split_half_reliability(repeats)
    monkeypatch.setattr(rows_module, "_BLOCK_CELLS", 7 * N_REPEATS * N_ROWS)
    cut = noise_ceiling(repeats)
    np.testing.assert_allclose(cut.cc_max, whole.cc_max, rtol=1e-12)
    np.testing.assert_allclose(cut.signal_power_se, whole.signal_power_se, rtol=1e-12)
    np.testing.assert_allclose(split_half_reliability(repeats), halves, rtol=1e-12)


def test_slices_joined_are_the_whole(planted):
    repeats = planted[0.3][0][:, :, :30]
    joined = join_ceilings([noise_ceiling(repeats[:, :, :11]), noise_ceiling(repeats[:, :, 11:])])
    whole = noise_ceiling(repeats)
    assert joined.n_targets == 30
    np.testing.assert_array_equal(joined.cc_max, whole.cc_max)
    np.testing.assert_array_equal(joined.explainable_variance, whole.explainable_variance)
    with pytest.raises(ValueError, match="read-only"):
        joined.cc_max[0] = 0


def test_normalised_correlation_is_a_ratio_of_sums():
    ones = np.ones(4)
    ceiling = NoiseCeiling(2, 50, ones, ones, ones, ones, np.array([0.5, 0.25, np.nan, 1.0]), ones)
    r = np.array([0.4, 0.05, 0.9, np.nan])
    assert normalised_correlation(r, ceiling) == pytest.approx((0.4 + 0.05) / (0.5 + 0.25))
    assert np.isnan(normalised_correlation(np.full(4, np.nan), ceiling))
    with pytest.raises(InputError, match="one for each target"):
        normalised_correlation(r[:3], ceiling)


GOOD = np.random.default_rng(4).standard_normal((3, 50, 2))


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("repeats", "said"),
    [
        (GOOD[0], "not their mean"),
        (GOOD[:1], "2 repeats"),
        (GOOD[:, :39], "40 rows or more"),
        (GOOD[:, :, :0], "2 repeats"),
        (GOOD.astype(int), "finite floating-point"),
        (np.where(GOOD > 2, np.nan, GOOD), "finite floating-point"),
        (np.where(GOOD > 2, np.inf, GOOD), "finite floating-point"),
    ],
)
def test_bad_repeats_are_refused(repeats, said):
    with pytest.raises(InputError, match=said):
        noise_ceiling(repeats)


@pytest.mark.usefixtures("unchecked")
def test_bad_settings_and_parts_are_refused():
    with pytest.raises(InputError, match="block_rows"):
        noise_ceiling(GOOD, block_rows=0)
    with pytest.raises(InputError, match="n_splits"):
        split_half_reliability(GOOD, n_splits=0)
    with pytest.raises(InputError, match="at least one"):
        join_ceilings([])
    with pytest.raises(InputError, match="same repeats"):
        join_ceilings([noise_ceiling(GOOD), noise_ceiling(GOOD[:2])])
    ones = np.ones(3)
    with pytest.raises(InputError, match="'cc_max'"):
        NoiseCeiling(2, 50, ones, ones, ones, ones, ones[:2], ones)
