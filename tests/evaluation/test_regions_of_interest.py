"""Scores per region, against plain numpy on the region's columns alone."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from brainaligner.core import InputError, Space, StoryGroup
from brainaligner.evaluation import (
    EvaluationSettings,
    ScoreBase,
    mean_interval,
    region_scores,
    score_group,
)

SETTINGS = EvaluationSettings(n_bootstrap=100, n_shifts=20)
STORIES = tuple("abcdefghi")
REGIONS = {
    "V1": np.array([7, 1, 3]),
    "A1": np.array([0, 2]),
    "none": np.array([], dtype=int),
    "constant": np.array([4]),
    "all": np.arange(8),
}


@pytest.fixture(scope="module")
def rows(ar1):
    rng = np.random.default_rng(1)
    predictions = {s: ar1(rng, 60 + 5 * i, 8, 0.5) for i, s in enumerate(STORIES)}
    gain = np.linspace(0, 0.8, 8)
    responses = {s: gain * p + ar1(rng, len(p), 8, 0.7) for s, p in predictions.items()}
    for values in responses.values():
        values[:, 4] = 1.0
    return predictions, responses


def scored(rows, stories, cut):
    base = ScoreBase("P1", StoryGroup("test", stories), Space("voxels", 8), rows_cut=cut)
    once = dict.fromkeys(stories, 1)
    return score_group(*rows, once, arm="frozen", base=base, settings=SETTINGS)


@pytest.mark.parametrize("cut", [0, 10])
@pytest.mark.parametrize("stories", [STORIES, STORIES[:3]])
def test_a_region_scores_what_its_columns_score(rows, stories, cut):
    scores, summary = scored(rows, stories, cut)
    found = region_scores(*rows, REGIONS, scores=scores, settings=SETTINGS)
    assert [one.region for one in found] == list(REGIONS)
    assert [one.n_targets for one in found] == [3, 2, 0, 1, 8]
    assert [one.n_scored for one in found] == [3, 2, 0, 0, 7]
    assert found[0].mean == pytest.approx(np.mean([scores.r[i] for i in (1, 3, 7)]))
    assert found[0].median == pytest.approx(sorted(scores.r[i] for i in (1, 3, 7))[1])
    for blank in found[2:4]:
        assert math.isnan(blank.mean)
        assert math.isnan(blank.median)
        assert math.isnan(blank.interval.low)
        assert blank.interval.method == "no scored target"
    whole = found[4]
    assert (whole.mean, whole.median) == (summary.mean, summary.median)
    assert whole.interval.low == pytest.approx(summary.interval.low, abs=1e-12)
    assert replace(whole.interval, low=0.0, high=0.0) == replace(
        summary.interval, low=0.0, high=0.0
    )


def test_the_interval_is_that_of_the_region_alone(rows):
    scores, _ = scored(rows, STORIES, 0)
    found = region_scores(*rows, REGIONS, scores=scores, settings=SETTINGS)[0]
    p, y = ([side[s][:, [1, 3, 7]] for s in STORIES] for side in rows)
    alone = mean_interval(p, y, seed=0, n_draws=100)
    assert (found.interval.low, found.interval.high) == pytest.approx((alone.low, alone.high))
    assert found.interval.low < found.mean < found.interval.high


@pytest.mark.parametrize(
    ("columns", "said"), [([0, 8], "column 8"), ([-1], "column -1"), ([1, 1], "stands twice")]
)
def test_columns_that_are_no_targets_are_refused(rows, columns, said):
    scores, _ = scored(rows, STORIES[:3], 0)
    with pytest.raises(InputError, match=said):
        region_scores(*rows, {"V1": np.array(columns)}, scores=scores, settings=SETTINGS)
