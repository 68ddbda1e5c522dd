"""Scores and summaries of one group, against plain numpy on the same rows."""

from __future__ import annotations

import json
from dataclasses import asdict, replace

import numpy as np
import pytest
import scipy.stats

from brainaligner.core import InputError, Space, StoryGroup
from brainaligner.evaluation import (
    QUANTILES,
    EvaluationSettings,
    ScoreBase,
    mean_interval,
    pearson_r,
    score_group,
    share_above,
    shift_null,
)

SETTINGS = EvaluationSettings(n_bootstrap=100, n_shifts=100)
STORIES = tuple("abcdefghi")
ONCE = dict.fromkeys(STORIES, 1)


def make_base(stories=STORIES, cut=0, kind="single", size=30):
    group = StoryGroup("test", stories, kind)
    return ScoreBase("UTS01", group, Space("components", size), rows_cut=cut)


@pytest.fixture(scope="module")
def rows(ar1):
    rng = np.random.default_rng(0)
    gain = np.linspace(0, 0.8, 30) ** 2
    predictions = {s: ar1(rng, 60 + 7 * i, 30, 0.5) for i, s in enumerate(STORIES)}
    responses = {s: gain * p + ar1(rng, len(p), 30, 0.75) for s, p in predictions.items()}
    predictions["unused"] = np.full((3, 3), np.nan)
    return predictions, responses


@pytest.mark.parametrize("cut", [0, 10])
@pytest.mark.parametrize("stories", [STORIES, STORIES[:2], STORIES[::-1]])
def test_numbers_are_those_of_plain_numpy(rows, stories, cut):
    base = make_base(stories, cut)
    scores, summary = score_group(*rows, ONCE, arm="frozen", base=base, settings=SETTINGS)
    p, y = ([side[s][cut : len(side[s]) - cut] for s in stories] for side in rows)
    joined_p, joined_y = np.concatenate(p), np.concatenate(y)
    r = [scipy.stats.pearsonr(joined_p[:, v], joined_y[:, v])[0] for v in range(30)]
    np.testing.assert_allclose(scores.r, r, atol=1e-12)
    assert scores.n_rows == summary.n_rows == len(joined_p)
    assert (scores.rows_cut, summary.rows_cut) == (cut, cut)
    assert summary.mean == pytest.approx(np.mean(r))
    assert summary.median == pytest.approx(np.median(r))
    assert summary.skew == pytest.approx(scipy.stats.skew(r))
    assert summary.quantiles == pytest.approx(np.quantile(r, QUANTILES))
    assert summary.interval == mean_interval(p, y, seed=0, n_draws=100)
    null = shift_null(p, y, n_draws=100, seed=0)
    assert summary.share_above_null == share_above(scores.r, null.threshold) > 0.2
    assert summary.null_mean == pytest.approx(null.mean_r.mean())
    assert summary.null_sd == pytest.approx(null.mean_r.std())


def test_a_summary_says_what_it_is_of_and_survives_json(rows):
    base = replace(make_base(), label="within one story")
    scores, summary = score_group(*rows, ONCE, arm="frozen", base=base, settings=SETTINGS)
    again = json.loads(json.dumps(asdict(summary)))
    assert (again["arm"], again["subject"], again["group"]) == ("frozen", "UTS01", "test")
    assert (again["presentations"], again["space_kind"]) == ("single", "components")
    assert again["label"] == scores.label == "within one story"
    assert (again["n_stories"], again["n_targets"]) == (9, 30)
    assert again["interval"]["n_units"] == 9


def test_constant_targets_are_nan_and_left_out_of_every_mean(rows):
    predictions, responses = (dict(side) for side in rows)
    for story in STORIES:
        predictions[story] = predictions[story].copy()
        predictions[story][:, [0, 4]] = -2.0
    arguments = {"arm": "frozen", "base": make_base(), "settings": SETTINGS}
    scores, summary = score_group(predictions, responses, ONCE, **arguments)
    assert np.flatnonzero(np.isnan(scores.r)).tolist() == [0, 4]
    assert (summary.n_targets, summary.n_scored) == (30, 28)
    assert summary.mean == pytest.approx(np.nanmean(scores.r))
    assert np.isfinite([summary.null_mean, summary.interval.low, *summary.quantiles]).all()


def test_predictions_without_any_variance_give_nan_not_a_crash(rows):
    zeros = {story: np.zeros_like(y) for story, y in rows[1].items()}
    base = make_base()
    _, summary = score_group(zeros, rows[1], ONCE, arm="zero", base=base, settings=SETTINGS)
    assert summary.n_scored == 0
    numbers = [summary.mean, summary.median, summary.share_above_null, summary.interval.low]
    assert np.isnan([*numbers, *summary.quantiles]).all()


@pytest.mark.parametrize(
    ("stories", "kind", "counts"),
    [
        (STORIES, "single", {**ONCE, "c": 2}),
        (STORIES, "single", {**ONCE, "i": 10}),
        (("a",), "repeated", ONCE),
        (("a", "b"), "repeated", {**ONCE, "a": 2}),
        (("a",), "single", {"a": 5}),
        (STORIES, "single", {}),
        (STORIES, "single", {**ONCE, "a": 0}),
    ],
)
def test_single_and_repeated_stories_are_never_mixed(rows, stories, kind, counts):
    base = make_base(stories, kind=kind)
    with pytest.raises(InputError, match="presentations"):
        score_group(*rows, counts, arm="frozen", base=base, settings=SETTINGS)


def broken_rows(predictions, responses):
    a, nan = predictions["a"], predictions["a"].copy()
    nan[5, 5] = np.nan
    return {
        "prediction missing": ({**predictions, "a": None}, responses, "a"),
        "response missing": (predictions, {**responses, "a": None}, "a"),
        "rows differ": ({**predictions, "a": a[1:]}, responses, "shape"),
        "targets differ": ({**predictions, "a": a[:, 1:]}, responses, "30"),
        "both narrower than the space": (
            {s: p[:, :9] for s, p in predictions.items()},
            {s: y[:, :9] for s, y in responses.items()},
            "30",
        ),
        "NaN": ({**predictions, "a": nan}, responses, "finite"),
        "story too short for the cut": (
            {**predictions, "a": a[:20]},
            {**responses, "a": responses["a"][:20]},
            "20 rows",
        ),
        "no rows": ({**predictions, "a": a[:0]}, {**responses, "a": responses["a"][:0]}, "0 rows"),
    }


@pytest.mark.parametrize("case", broken_rows({"a": np.zeros((9, 9))}, {"a": np.zeros((9, 9))}))
def test_rows_that_do_not_fit_are_refused(rows, case):
    predictions, responses, message = broken_rows(*rows)[case]
    sides = [{s: v for s, v in side.items() if v is not None} for side in (predictions, responses)]
    with pytest.raises(InputError, match=message):
        score_group(*sides, ONCE, arm="frozen", base=make_base(cut=10), settings=SETTINGS)


@pytest.mark.parametrize(
    "bad",
    [
        {"cuts": ()},
        {"cuts": (-1,)},
        {"cuts": (0, 0)},
        {"cuts": (0.5,)},
        {"cuts": (True,)},
        {"cuts": {0, 10}},
        {"cuts": 10},
        {"n_bootstrap": 0},
        {"n_bootstrap": 19},
        {"n_bootstrap": 1e3},
        {"n_bootstrap": "1000"},
        {"n_shifts": 5},
        {"n_shifts": None},
        {"min_shift": 0},
        {"min_shift": -30},
        {"min_shift": True},
        {"level": 95},
        {"level": 0.0},
        {"level": 1.0},
        {"level": float("nan")},
        {"level": "0.95"},
        {"seed": -1},
        {"seed": 0.5},
        {"seed": None},
    ],
)
@pytest.mark.usefixtures("unchecked")
def test_settings_out_of_range_are_refused(bad):
    with pytest.raises(InputError, match=next(iter(bad))):
        EvaluationSettings(**bad)


def test_default_settings_are_the_ones_of_the_docs():
    assert asdict(EvaluationSettings()) == {
        "cuts": (0, 10), "n_bootstrap": 1000, "n_shifts": 1000,
        "min_shift": 30, "level": 0.95, "seed": 0,
    }  # fmt: skip


@pytest.mark.usefixtures("unchecked")
def test_lists_of_numbers_are_refused_in_words() -> None:
    rows = [[0.1, 0.2], [0.3, 0.4], [0.5, 0.1]]
    with pytest.raises(InputError, match="got a list among the stories"):
        pearson_r([rows], [rows])
