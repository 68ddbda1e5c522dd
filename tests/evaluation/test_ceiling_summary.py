"""Scores of a repeated story beside its ceilings, against plain numpy."""

from __future__ import annotations

import math

import numpy as np
import pytest

from brainaligner.core import InputError, Scores, Space, StoryGroup
from brainaligner.evaluation import ceiling_summary, noise_ceiling

REPEATED = StoryGroup("twice", ("twice",), "repeated")


@pytest.fixture(scope="module")
def ceiling():
    rng = np.random.default_rng(0)
    signal = rng.standard_normal((1, 200, 6)) * np.array([0, 0, 1, 2, 1, 0.5])
    return noise_ceiling(signal + rng.standard_normal((4, 200, 6)))


def scores(group=REPEATED, n_rows=200, size=6):
    r = np.array([0.1, -0.1, 0.5, np.nan, 0.2, 0.3])[:size]
    return Scores("frozen", "P1", group, Space("voxels", size), r, n_rows)


def test_only_targets_with_both_enter_the_ratio_of_sums(ceiling):
    found = ceiling_summary(scores(), ceiling)
    seen = [i for i in range(6) if math.isfinite(ceiling.cc_max[i])]
    assert {2, 3, 4, 5} <= set(seen)
    both = [i for i in seen if i != 3]
    above = sum(scores().r[i] for i in both)
    assert found.cc_norm == pytest.approx(above / sum(ceiling.cc_max[i] for i in both))
    assert found.cc_max == pytest.approx(sum(ceiling.cc_max[i] for i in seen) / len(seen))
    assert found.explainable_variance == pytest.approx(np.mean(ceiling.explainable_variance))
    assert (found.n_repeats, found.n_rows, found.n_targets) == (4, 200, 6)
    assert found.n_with_ceiling == len(seen)
    assert found.share == len(seen) / 6


def test_without_any_ceiling_there_is_no_ratio():
    found = ceiling_summary(scores(), noise_ceiling(np.zeros((2, 200, 6))))
    assert (found.n_with_ceiling, found.share) == (0, 0)
    for value in (found.cc_max, found.cc_norm, found.explainable_variance):
        assert math.isnan(value)


@pytest.mark.parametrize(
    "wrong",
    [
        scores(group=StoryGroup("test", ("once",))),
        scores(n_rows=180),
        scores(size=5),
    ],
    ids=["single presentations", "rows", "targets"],
)
def test_scores_of_anything_else_are_refused(ceiling, wrong):
    with pytest.raises(InputError, match="Measure the ceiling on the rows and targets"):
        ceiling_summary(wrong, ceiling)
