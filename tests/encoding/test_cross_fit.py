"""Cross-fitting and alignment against scipy, plain loops and planted answers."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import orthogonal_procrustes
from scipy.stats import ortho_group

from brainaligner.core import InputError, story_folds
from brainaligner.encoding import (
    ArrayDesigns,
    ArrayStories,
    CrossFit,
    RidgeSettings,
    StoryRows,
    align_models,
    cross_fit,
    fit_ridge,
    predict,
    procrustes_rotation,
)

WIDTH, N_ROWS, N_TARGETS = 5, 60, 4
TRAIN = tuple(f"story{i}" for i in range(6))
HELD_OUT = ("validation", "test")


def _stories(seed: int, width: int = WIDTH, n_rows: int = N_ROWS) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    mixing = rng.standard_normal((width, width))
    return {s: rng.standard_normal((n_rows, width)) @ mixing for s in (*TRAIN, *HELD_OUT)}


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**31), width=st.integers(1, 9), split=st.integers(1, 5))
def test_the_rotation_is_that_of_scipy(seed: int, width: int, split: int) -> None:
    rng = np.random.default_rng(seed)
    first, second = rng.standard_normal((2, 40, width))
    edges = np.sort(rng.choice(np.arange(1, 40), size=split, replace=False))
    pieces = [ArrayDesigns(np.split(values, edges)) for values in (first, second)]
    found = procrustes_rotation(*pieces)
    known, _ = orthogonal_procrustes(first, second)
    np.testing.assert_allclose(found, known, atol=1e-8)
    np.testing.assert_allclose(found.T @ found, np.eye(width), atol=1e-12)


def test_no_other_orthogonal_map_is_closer() -> None:
    rng = np.random.default_rng(0)
    first, second = rng.standard_normal((2, 30, 4))
    found = procrustes_rotation([first], [second])
    least = np.linalg.norm(first @ found - second)
    others = ortho_group.rvs(4, size=200, random_state=1)
    assert all(np.linalg.norm(first @ other - second) > least for other in others)


@pytest.mark.parametrize("reflected", [False, True])
def test_a_planted_rotation_is_undone(reflected: bool) -> None:
    rows = _stories(1)
    turn = ortho_group.rvs(WIDTH, random_state=2)
    turn[:, 0] *= -1 if (np.linalg.det(turn) > 0) == reflected else 1
    assert (np.linalg.det(turn) < 0) == reflected
    found = procrustes_rotation([rows[s] @ turn for s in TRAIN], [rows[s] for s in TRAIN])
    np.testing.assert_allclose(found, turn.T, atol=1e-10)
    np.testing.assert_allclose(rows["test"] @ turn @ found, rows["test"], atol=1e-10)


def test_what_the_rows_do_not_determine_stays_where_it_is() -> None:
    rng = np.random.default_rng(3)
    rows = np.zeros((20, 6))
    rows[:, :4] = rng.standard_normal((20, 4))  # two features are silent on these rows
    np.testing.assert_allclose(procrustes_rotation([rows], [rows]), np.eye(6), atol=1e-10)
    turn = np.eye(6)
    turn[:4, :4] = ortho_group.rvs(4, random_state=4)
    found = procrustes_rotation([rows @ turn], [rows])
    np.testing.assert_allclose(found, turn.T, atol=1e-10)
    few = rng.standard_normal((3, 6))  # fewer rows than features
    np.testing.assert_allclose(procrustes_rotation([few], [few]), np.eye(6), atol=1e-10)


BAD = {
    "no story": ([], []),
    "other stories": ([np.ones((3, 2))] * 2, [np.ones((3, 2))]),
    "other rows": ([np.ones((3, 2))], [np.ones((4, 2))]),
    "other features": ([np.ones((3, 2))], [np.ones((3, 3))]),
    "features that change": ([np.ones((3, 2)), np.ones((3, 3))], [np.ones((3, 2))] * 2),
    "NaN": ([np.full((3, 2), np.nan)], [np.ones((3, 2))]),
    "infinite": ([np.ones((3, 2))], [np.full((3, 2), np.inf)]),
    "a vector": ([np.ones(3)], [np.ones(3)]),
    "integers": ([np.ones((3, 2), dtype=int)], [np.ones((3, 2))]),
}


@pytest.mark.parametrize("kind", BAD)
def test_bad_rows_are_refused(kind: str) -> None:
    with pytest.raises(InputError):
        procrustes_rotation(*BAD[kind])


FOLDS = story_folds(TRAIN, 3)


def _constant(value: float) -> StoryRows:
    return lambda story: np.full((2, 1), value, dtype=np.float32)


BAD_FOLDS = {
    "one fold": ((TRAIN,), 1),
    "an empty fold": ((TRAIN, ()), 2),
    "a story twice": ((("a", "b"), ("b",)), 2),
    "a story twice in a fold": ((("a", "a"), ("b",)), 2),
    "a model too few": (FOLDS, 2),
    "a model too many": (FOLDS, 4),
}


@pytest.mark.parametrize("kind", BAD_FOLDS)
def test_bad_folds_are_refused(kind: str) -> None:
    folds, n_models = BAD_FOLDS[kind]
    with pytest.raises(InputError, match="cross-fitting"):
        CrossFit(folds, (_constant(0.0),) * n_models)


def test_no_row_comes_from_a_model_that_saw_its_story() -> None:
    seen: list[tuple[str, ...]] = []

    def fit(stories: tuple[str, ...]) -> StoryRows:
        seen.append(stories)
        return _constant(float(len(seen) - 1))

    made = cross_fit(FOLDS, fit)
    for story in TRAIN:
        (k,) = made.behind(story)
        assert story not in seen[k]
        assert set(seen[k]) == set(TRAIN) - set(FOLDS[k])
        assert made.rows(story).tolist() == [[k], [k]]
    for story in HELD_OUT:
        assert made.behind(story) == (0, 1, 2)
        assert made.rows(story).tolist() == [[1.0], [1.0]]
        assert made.rows(story).dtype == np.float32


def _ridge(made: CrossFit, responses: dict[str, np.ndarray], alphas: list[float], **more: str):
    sides = [TRAIN, ("validation",)]
    train, validation = (
        ArrayStories([made.rows(s) for s in side], [responses[s] for s in side]) for side in sides
    )
    chosen = RidgeSettings(alphas=tuple(alphas), products="float64", **more)
    left_out = chosen.selection == "leave_story_out"
    return fit_ridge(train, None if left_out else validation, settings=chosen)


def test_predictions_from_mean_rows_are_the_mean_of_predictions() -> None:
    rng = np.random.default_rng(5)
    models = tuple(_stories(seed).__getitem__ for seed in range(3))
    responses = {s: rng.standard_normal((N_ROWS, N_TARGETS)) for s in (*TRAIN, *HELD_OUT)}
    made = CrossFit(FOLDS, models)
    fit = _ridge(made, responses, [3.0, 30.0], intercept=True)
    each = [predict(fit, model("test")) for model in models]
    assert np.abs(each[0] - each[1]).max() > 0.01
    np.testing.assert_allclose(predict(fit, made.rows("test")), np.mean(each, axis=0), atol=1e-12)
    scored = []  # alpha is chosen by r of the mean of predictions on the validation story
    for alpha in (3.0, 30.0):
        one = _ridge(made, responses, [alpha])
        mean = np.mean([predict(one, model("validation")) for model in models], axis=0)
        r = [
            np.corrcoef(p, y)[0, 1] for p, y in zip(mean.T, responses["validation"].T, strict=True)
        ]
        scored.append(np.mean(r))
    plain = _ridge(made, responses, [3.0, 30.0])
    np.testing.assert_allclose(plain.validation_r.mean(axis=1), scored, atol=1e-6)
    assert plain.alpha[0] == (3.0, 30.0)[int(np.argmax(scored))]


@pytest.mark.parametrize("width", [WIDTH, 80])
def test_one_model_in_all_folds_is_the_plain_protocol(width: int) -> None:
    """Turned by any rotation, fold by fold, too: alignment brings it back."""
    rng = np.random.default_rng(6)
    frozen, tuned = _stories(7, width), _stories(8, width)
    responses = {s: rng.standard_normal((N_ROWS, N_TARGETS)) for s in (*TRAIN, *HELD_OUT)}
    turns = ortho_group.rvs(width, size=3, random_state=9)
    fold_models = [lambda s, turn=turn: tuned[s] @ turn for turn in turns]
    aligned = CrossFit(FOLDS, align_models(fold_models, frozen.__getitem__, TRAIN))
    plain = CrossFit(FOLDS, (tuned.__getitem__,) * 3)
    alphas = [1.0, 100.0, 1e4]
    fits = [_ridge(made, responses, alphas) for made in (plain, aligned)]
    predicted = [
        predict(fit, made.rows("test")) for fit, made in zip(fits, (plain, aligned), strict=True)
    ]
    np.testing.assert_allclose(predicted[1], predicted[0], atol=1e-9)
    unaligned = CrossFit(FOLDS, tuple(fold_models))
    other = predict(_ridge(unaligned, responses, alphas), unaligned.rows("test"))
    assert np.abs(other - predicted[0]).max() > 1e-3


def _memorising(
    signal: dict[str, np.ndarray], responses: dict[str, np.ndarray]
) -> Callable[[tuple[str, ...]], StoryRows]:
    """A tuning that learns by heart: responses of the stories it saw stand in its features."""

    def fit(stories: tuple[str, ...]) -> StoryRows:
        def rows(story: str) -> np.ndarray:
            seed = [ord(letter) for letter in story]
            noise = np.random.default_rng(seed).standard_normal(responses[story].shape)
            return np.hstack([signal[story], responses[story] if story in stories else noise])

        return rows

    return fit


def _mean_r(predicted: np.ndarray, measured: np.ndarray) -> float:
    pairs = zip(predicted.T, measured.T, strict=True)
    return float(np.mean([np.corrcoef(p, y)[0, 1] for p, y in pairs]))


def test_what_was_learned_by_heart_misleads_the_plain_protocol_alone() -> None:
    rng = np.random.default_rng(10)
    names, n_rows = (*TRAIN, *HELD_OUT), 200
    signal = {s: rng.standard_normal((n_rows, 3)) for s in names}
    weights = rng.standard_normal((3, N_TARGETS))
    noise = {s: 3 * rng.standard_normal((n_rows, N_TARGETS)) for s in names}
    responses = {s: signal[s] @ weights + noise[s] for s in names}
    fit = _memorising(signal, responses)
    crossed = cross_fit(FOLDS, fit)
    seen_by_all = fit(TRAIN)
    plain = CrossFit(FOLDS, (seen_by_all,) * 3)
    honest = CrossFit(FOLDS, (signal.__getitem__,) * 3)
    inner, test = {}, {}
    for name, made in {"plain": plain, "crossed": crossed, "honest": honest}.items():
        ridge = _ridge(made, responses, [1.0, 100.0], selection="leave_story_out")
        inner[name] = float(ridge.validation_r.mean(axis=1).max())
        test[name] = _mean_r(predict(ridge, made.rows("test")), responses["test"])
    assert inner["plain"] > 0.99  # "what stands in training stories is predicted almost perfectly"
    assert test["plain"] < 0.3 * test["honest"]  # and the true signal is drowned by it
    assert inner["crossed"] == pytest.approx(inner["honest"], abs=0.03)
    assert test["crossed"] == pytest.approx(test["honest"], abs=0.03)
    assert abs(inner["crossed"] - test["crossed"]) < 0.1
