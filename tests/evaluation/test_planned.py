"""What test stories can show, against simulation and plain loops."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from brainaligner.core import InputError
from brainaligner.evaluation import (
    ComparisonSettings,
    detectable_difference,
    equivalence_margin,
    planned_difference,
    story_means,
)

STORIES = tuple(f"s{i}" for i in range(8))


def scores(seed: int, mean: float = 0.1) -> dict[str, float]:
    rng = np.random.default_rng(seed)
    return dict(zip(STORIES, (mean + 0.01 * rng.standard_normal(8)).tolist(), strict=True))


def test_story_means_equal_numpy_story_by_story() -> None:
    rng = np.random.default_rng(0)
    y = [rng.standard_normal((n, 5)) for n in (30, 41)]
    p = [0.3 * rows + rng.standard_normal(rows.shape) for rows in y]
    p[1][:, 2] = 1.0  # no variance: no r
    wanted = [
        np.mean([np.corrcoef(a[3:-3, k], b[3:-3, k])[0, 1] for k in targets])
        for a, b, targets in ((p[0], y[0], range(5)), (p[1], y[1], (0, 1, 3, 4)))
    ]
    np.testing.assert_allclose(story_means(p, y, cut=3), wanted, atol=1e-12)


def test_the_smallest_difference_is_found_as_often_as_it_says() -> None:
    settings = ComparisonSettings(power=0.9, alpha=0.01)
    found = planned_difference(scores(1), scores(2), 14, settings=settings)
    d = np.array([scores(1)[s] - scores(2)[s] for s in STORIES])
    assert found.sd == pytest.approx(d.std(ddof=1))
    assert found.difference == pytest.approx(d.mean())
    drawn = np.random.default_rng(5).normal(found.detectable, found.sd, (20_000, 14))
    assert (stats.ttest_1samp(drawn, 0, axis=1).pvalue < 0.01).mean() == pytest.approx(
        0.9, abs=0.01
    )
    assert found.detectable / found.sd == pytest.approx(found.low / found.sd_low)
    assert found.low < found.detectable < found.high


def test_the_interval_of_a_spread_covers_it() -> None:
    rng = np.random.default_rng(3)
    inside = 0
    for _ in range(400):
        d = dict(zip(STORIES, rng.standard_normal(8).tolist(), strict=True))
        found = planned_difference(d, dict.fromkeys(STORIES, 0.0), 14)
        inside += found.sd_low <= 1.0 <= found.sd_high
    assert stats.binomtest(inside, 400, 0.95).pvalue > 0.001


@pytest.mark.parametrize("n", [5, 14])
def test_equality_is_shown_within_the_margin_as_often_as_it_says(n: int) -> None:
    margin = equivalence_margin(0.02, n, power=0.8, alpha=0.05)
    d = 0.02 * np.random.default_rng(4).standard_normal((20_000, n))
    error = d.std(axis=1, ddof=1) / math.sqrt(n)
    reach = stats.t.isf(0.05, n - 1) * error
    assert (np.abs(d.mean(axis=1)) + reach < margin).mean() == pytest.approx(0.8, abs=0.01)


def test_a_margin_is_resolved_where_equality_can_be_shown_within_it() -> None:
    base = {s: 0.1 + 0.001 * i for i, s in enumerate(STORIES)}
    near = {s: r + 1e-4 * (-1) ** i for i, (s, r) in enumerate(base.items())}
    assert planned_difference(near, base, 14).resolves_margin
    assert not planned_difference(scores(1), base, 14).resolves_margin
    below = planned_difference(near, {s: -r for s, r in base.items()}, 14)
    assert math.isnan(below.margin)
    assert not below.resolves_margin


def test_more_stories_show_smaller_differences() -> None:
    few, many = (planned_difference(scores(1), scores(2), n) for n in (4, 40))
    assert many.detectable < few.detectable
    assert many.shown_margin < few.shown_margin


def test_stories_without_a_score_are_left_out() -> None:
    arm = scores(1) | {"s0": math.nan}
    assert planned_difference(arm, scores(2), 14).n_seen == 7
    with pytest.raises(InputError, match="1 stories with scores of both arms"):
        planned_difference({"a": 0.1, "b": math.nan}, {"a": 0.2, "b": 0.1}, 14)


@pytest.mark.parametrize(("sd", "n", "power"), [(-1.0, 5, 0.8), (0.1, 1, 0.8), (0.1, 5, 0.04)])
def test_impossible_designs_are_refused(sd: float, n: int, power: float) -> None:
    with pytest.raises(InputError, match="smallest detectable difference"):
        equivalence_margin(sd, n, power=power)


@pytest.mark.parametrize("n", [2, 3, 4])
def test_few_stories_are_no_obstacle(n: int) -> None:
    found = detectable_difference(1.0, n)
    drawn = np.random.default_rng(6).normal(found, 1.0, (40_000, n))
    assert (stats.ttest_1samp(drawn, 0, axis=1).pvalue < 0.05).mean() == pytest.approx(
        0.8, abs=0.01
    )
