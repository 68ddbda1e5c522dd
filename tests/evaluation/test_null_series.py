"""Null series against plain roads, and the leaks that they have to find."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from brainaligner.core import InputError, Space, StoryGroup
from brainaligner.evaluation import (
    NULL_KINDS,
    EvaluationSettings,
    ScoreBase,
    kernel_alignment,
    lag_one_autocorrelation,
    mean_correlation,
    null_diagnostic,
    null_scores,
    null_series,
    pearson_r,
    possible_nulls,
    score_group,
    shape_diagnostics,
    shift_null,
    story_likeness,
    story_twin_diagnostic,
)


def ar(rng, n_rows, n_columns, coefficient):
    """Plain loop: x_t = a x_(t-1) + e_t, of variance 1."""
    values = rng.standard_normal((n_rows, n_columns))
    for t in range(1, n_rows):
        values[t] = coefficient * values[t - 1] + np.sqrt(1 - coefficient**2) * values[t]
    return values


STORIES = {
    name: ar(np.random.default_rng(i), rows, 3, 0.8)
    for i, (name, rows) in enumerate({"a": 120, "b": 85, "c": 33}.items())
}


@pytest.mark.parametrize("kind", NULL_KINDS)
def test_nulls_keep_shapes_follow_seeds_and_differ_by_draw(kind):
    first, again, other = (null_series(STORIES, kind, draw=draw) for draw in (0, 0, 1))
    for story, values in STORIES.items():
        assert first[story].shape == values.shape
        assert first[story].dtype == values.dtype
        np.testing.assert_array_equal(first[story], again[story])
        assert np.abs(first[story] - other[story]).max() > 0.1


def test_shifted_rows_are_the_same_rows_far_away():
    for draw in range(30):
        for story, values in null_series(STORIES, "shifted", draw=draw).items():
            original, n_rows = STORIES[story], len(values)
            least = 30 if n_rows >= 70 else n_rows // 3
            allowed = range(least, n_rows - least + 1)
            every = np.mean([np.roll(original, k, 0) for k in allowed], axis=0)  # a plain loop
            moved = values + every - original.mean(axis=0)
            (k,) = [
                k for k in range(n_rows) if np.allclose(np.roll(original, k, 0), moved, atol=1e-9)
            ]
            assert k in allowed


def test_shifts_that_may_be_drawn_are_together_the_mean_of_the_story():
    draws = {}
    for draw in range(400):  # 61 shifts of story "a"
        values = null_series(STORIES, "shifted", draw=draw)["a"]
        draws[values.tobytes()] = values
    assert len(draws) == 61
    expected = np.broadcast_to(STORIES["a"].mean(axis=0), (120, 3))
    np.testing.assert_allclose(np.mean(list(draws.values()), axis=0), expected, atol=1e-9)


def test_what_is_fitted_on_shifted_series_scores_nothing_in_short_stories_either():
    rng = np.random.default_rng(3)
    features = {f"s{i}": ar(rng, 90, 8, 0.9) for i in range(16)}
    weights = rng.standard_normal((8, 30)) / np.sqrt(8)
    responses = {s: x @ weights + ar(rng, 90, 30, 0.6) for s, x in features.items()}
    train, test = list(features)[:12], list(features)[12:]
    kept = [responses[s] - responses[s].mean(axis=0) for s in test]

    def score(moved):
        x, y = (np.concatenate([side[s] for s in train]) for side in (moved, responses))
        w = ridge(x, y, 100.0)
        return mean_correlation([moved[s] @ w - (moved[s] @ w).mean(axis=0) for s in test], kept)

    draws = np.array([score(null_series(features, "shifted", draw=d)) for d in range(100)])
    error = draws.std(ddof=1) / 10
    assert error < 0.004
    assert abs(draws.mean()) < 3 * error
    plain = []  # rows that are merely moved by 30 or more
    for draw in range(100):
        moves = np.random.default_rng(draw).integers(30, 61, len(features))
        moved = zip(features.items(), moves, strict=True)
        plain.append(score({s: np.roll(x, k, axis=0) for (s, x), k in moved}))
    assert abs(np.mean(plain)) > 5 * np.std(plain) / 10


def test_reversed_rows_are_the_same_rows_backwards():
    values = null_series(STORIES, "reversed", draw=0)["a"]
    assert any(np.array_equal(np.roll(STORIES["a"][::-1], k, 0), values) for k in range(120))


def test_rows_of_another_story_are_in_its_order():
    values = null_series(STORIES, "other story", draw=0)["c"]
    others = [np.tile(STORIES[name], (2, 1)) for name in ("a", "b")]
    assert any(
        np.array_equal(rows[k : k + 33], values) for rows in others for k in range(len(rows) - 33)
    )


@given(rows=st.integers(5, 60), seed=st.integers(0, 99))
@settings(max_examples=40, deadline=None)
def test_noise_keeps_every_autocorrelation_and_cross_correlation(rows, seed):
    values = np.random.default_rng(seed).standard_normal((rows, 2))
    noise = null_series({"a": values}, "noise", draw=seed)["a"]
    for k in range(rows):  # circular, by a plain loop
        for i, j in ((0, 0), (1, 1), (0, 1)):
            before = np.dot(values[:, i], np.roll(values[:, j], k))
            after = np.dot(noise[:, i], np.roll(noise[:, j], k))
            assert after == pytest.approx(before, abs=1e-8)


def test_one_text_under_two_names_gets_one_null():
    twice = {"a": STORIES["a"], "copy": STORIES["a"]}
    for kind in ("shifted", "reversed", "noise"):
        same = null_series(twice, kind, draw=0, names={"a": "digest", "copy": "digest"})
        apart = null_series(twice, kind, draw=0)
        np.testing.assert_array_equal(same["a"], same["copy"])
        assert not np.array_equal(apart["a"], apart["copy"])


def test_strange_kinds_and_a_single_story_are_refused():
    with pytest.raises(InputError, match="shifted"):
        null_series(STORIES, "shifty", draw=0)
    with pytest.raises(InputError, match="one story"):
        null_series({"a": STORIES["a"]}, "other story", draw=0)
    assert "other story" not in possible_nulls(1)
    assert possible_nulls(2) == NULL_KINDS


def test_a_true_prediction_scores_and_its_nulls_do_not():
    rng = np.random.default_rng(3)
    signal = {f"s{i}": ar(rng, 200, 40, 0.8) for i in range(6)}
    measured = {s: v + 2 * ar(rng, 200, 40, 0.5) for s, v in signal.items()}
    assert mean_correlation(list(signal.values()), list(measured.values())) > 0.4
    draws = null_scores(signal, measured)
    assert set(draws) == set(NULL_KINDS)
    assert all(values.shape == (20,) for values in draws.values())
    assert null_diagnostic("honest", draws, strict=True).verdict == "PASS"


def test_levels_of_stories_which_outlive_every_null_do_not_count():
    rng = np.random.default_rng(4)
    level = rng.standard_normal((8, 30))
    p = {f"s{i}": level[i] + 0.1 * rng.standard_normal((90, 30)) for i in range(8)}
    y = {f"s{i}": level[i] + rng.standard_normal((90, 30)) for i in range(8)}
    assert null_diagnostic("levels", null_scores(p, y), strict=True).verdict == "PASS"


def test_shifted_nulls_are_those_of_the_shift_null():
    rng = np.random.default_rng(12)
    p, y = ({s: rng.standard_normal((90, 4)) for s in "ab"} for _ in range(2))
    centred = [[v - v.mean(0) for v in side.values()] for side in (p, y)]
    expected = shift_null(*centred, n_draws=20, min_shift=30, seed=0).mean_r
    np.testing.assert_allclose(null_scores(p, y)["shifted"], expected, atol=1e-12)


def test_null_scores_pair_stories_by_name():
    rng = np.random.default_rng(13)
    p, y = ({s: rng.standard_normal((90, 4)) for s in "abc"} for _ in range(2))
    expected = null_scores(p, y)
    found = null_scores(p, {s: y[s] for s in "cab"})
    for kind, values in expected.items():
        np.testing.assert_array_equal(found[kind], values)
    with pytest.raises(InputError, match="same stories"):
        null_scores(p, {"a": y["a"], "b": y["b"], "d": y["c"]})


def test_mean_correlation_is_the_mean_of_pearson_r():
    rng = np.random.default_rng(5)
    p, y = rng.standard_normal((50, 7)), rng.standard_normal((50, 7))
    y[:, 2] = 1.0
    expected = np.nanmean(pearson_r(p, y))
    assert mean_correlation([p[:20], p[20:]], [y[:20], y[20:]]) == pytest.approx(expected, abs=1e-6)


def test_lag_one_autocorrelation_of_ar_series():
    rng = np.random.default_rng(6)
    stories = [ar(rng, 2000, 5, 0.7), ar(rng, 1000, 5, 0.7)]
    np.testing.assert_allclose(lag_one_autocorrelation(stories), 0.7, atol=0.05)
    assert np.isnan(lag_one_autocorrelation([np.ones((9, 1))])).all()


def test_kernel_alignment_sees_one_person_through_any_rotation():
    rng = np.random.default_rng(7)
    one, other = ar(rng, 150, 20, 0.5), ar(rng, 150, 30, 0.5)
    rotation = np.linalg.qr(rng.standard_normal((20, 20)))[0]
    assert kernel_alignment(one, one @ rotation) == pytest.approx(1.0)
    assert kernel_alignment(one, -one[:, ::-1]) == pytest.approx(1.0)
    assert kernel_alignment(one, other) < 0.5
    assert np.isnan(kernel_alignment(one, np.ones((150, 2))))


def test_kernel_alignment_sees_one_person_moved_in_time():
    rng = np.random.default_rng(4)
    one, other = rng.standard_normal((2, 90, 6))
    turn, _ = np.linalg.qr(rng.standard_normal((6, 6)))
    later, earlier = one[3:] @ turn, one[:-3]
    k, n = (v - v.mean(axis=0) for v in (later[:-3], earlier[3:]))
    by_hand = np.linalg.norm(k.T @ n) ** 2 / np.linalg.norm(k.T @ k) / np.linalg.norm(n.T @ n)
    assert kernel_alignment(later, earlier, furthest=3) == pytest.approx(by_hand)
    assert by_hand == pytest.approx(1.0)
    assert kernel_alignment(later, earlier, furthest=2) < 0.5
    assert kernel_alignment(one, other, furthest=5) < 0.5


def test_two_people_of_many_noisy_voxels_are_no_one_person():
    rng = np.random.default_rng(5)
    one, other = ar(rng, 250, 12_000, 0.6), ar(rng, 250, 12_000, 0.6)
    assert kernel_alignment(one, other) > 0.97  # what stays of the noise is its autocorrelation
    assert kernel_alignment(one, other, strip=0.2) < 0.1
    heard = ar(rng, 250, 20, 0.5)
    one, other = (v + 0.1 * heard @ rng.standard_normal((20, 12_000)) for v in (one, other))
    assert kernel_alignment(one, other) > 0.97  # a sixth of the variance is what both heard
    assert kernel_alignment(one, other, strip=0.2) < 0.5


@pytest.mark.parametrize("n_targets", [6, 20, 400])
def test_one_person_twice_outlasts_stripping(n_targets: int):
    rng = np.random.default_rng(n_targets)
    one = ar(rng, 100, n_targets, 0.5)
    turn, _ = np.linalg.qr(rng.standard_normal((n_targets, n_targets)))
    assert kernel_alignment(one, one @ turn, strip=0.2) == pytest.approx(1.0)
    moved = kernel_alignment(one[2:], one[:-2] @ turn, furthest=3, strip=0.2)
    assert moved > 0.97


def plain_likeness(x, y):
    """Largest correlation at any alignment, by a plain loop over rows moved."""
    x, y = ((v - v.mean(0)) / v.std(0) for v in (x, y))
    size = np.sqrt((x**2).sum() * (y**2).sum())
    found = {}
    for lag in range(-len(y) + 1, len(x)):
        pairs = [(t, t - lag) for t in range(len(x)) if 0 <= t - lag < len(y)]
        found[lag] = sum(float(x[i] @ y[j]) for i, j in pairs) / size
    return max(found.items(), key=lambda item: item[1])


def test_likeness_is_the_best_of_a_plain_loop():
    rng = np.random.default_rng(10)
    tested, trained = rng.standard_normal((20, 3)), rng.standard_normal((27, 3))
    lag, r = plain_likeness(tested, trained)
    found = story_likeness({"x": tested}, {"y": trained})
    assert (found.tested, found.trained, found.lag) == ("x", "y", lag)
    assert found.r == pytest.approx(r, abs=1e-5)


def test_copies_of_stories_are_found_whole_in_part_and_with_noise():
    rng = np.random.default_rng(8)
    stories = {f"s{i}": ar(rng, 150, 40, 0.75) for i in range(6)}
    tested = {"s0": stories.pop("s0")}
    own = tested["s0"]
    assert story_twin_diagnostic("a", story_likeness(tested, stories)).verdict == "PASS"
    copies = {
        "whole": own,
        "noisy": own + ar(rng, 150, 40, 0.75),
        "half": np.concatenate([ar(rng, 60, 40, 0.75), own[:75]]),
    }
    for name, copy in copies.items():
        found = story_likeness(tested, {**stories, name: copy})
        assert found.trained == name
        assert found.lag == (-60 if name == "half" else 0)
        assert story_twin_diagnostic("a", found).verdict == "FAIL", name


def ridge(x, y, alpha):
    return np.linalg.solve(x.T @ x + alpha * np.eye(x.shape[1]), x.T @ y)


def shuffled_scores(rng, y, train, test, n_features=300):
    """Noise features, slow as the responses, fitted and tested on rows of the same recording."""
    x = ar(rng, len(y), n_features, 0.5)
    return x[test] @ ridge(x[train], y[train], 300.0)


def test_noise_under_a_shuffled_split_looks_alike_in_all_and_its_nulls_fail():
    """The known accident: autocorrelated noise, rows shuffled, gives mean = median near .2."""
    rng = np.random.default_rng(9)
    order = rng.permutation(1200)
    train, test = order[:900], order[900:]
    summaries, draws = [], []
    for subject in ("A", "B", "C"):
        y = ar(rng, 1200, 3000, 0.5)
        base = ScoreBase(subject, StoryGroup("test", ("s",)), Space("voxels", 3000))
        _, summary = score_group(
            {"s": shuffled_scores(rng, y, train, test)}, {"s": y[test]}, {"s": 1},
            arm="noise", base=base, settings=EvaluationSettings(n_shifts=20, n_bootstrap=20),
        )  # fmt: skip
        summaries.append(summary)
        if subject == "A":
            draws = [
                mean_correlation([shuffled_scores(rng, y[:, :50], train, test)], [y[test][:, :50]])
                for _ in range(6)
            ]
    assert all(0.15 < summary.mean < 0.25 for summary in summaries)
    (shape,) = shape_diagnostics(summaries)
    assert shape.verdict == "WARN", shape.figure
    assert null_diagnostic("noise", {"noise": np.array(draws)}, strict=True).verdict == "FAIL"
