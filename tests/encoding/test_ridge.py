"""Ridge against scikit-learn, himalaya and plain loops."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from planted_ridge import StoriesAround, pearson, planted_stories, stacked, validation_table
from sklearn.linear_model import Ridge

from brainaligner.encoding import (
    AlphaChoice,
    ArrayStories,
    Decomposition,
    RidgeSettings,
    decompose,
    edge_warning,
    fit_ridge,
    join_choices,
    predict,
    stream_ridge,
)

GRID = (0.1, 3.0, 30.0, 300.0, 3000.0)
TRAIN, VALIDATION = (30, 41, 25), (28, 17)
FORMS = ("primal", "dual")


@pytest.mark.parametrize("intercept", [False, True])
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("n_features", [12, 150])
@pytest.mark.parametrize("alpha", [0.1, 50.0])
def test_weights_and_predictions_equal_scikit_learn(
    alpha: float, n_features: int, form: str, intercept: bool
) -> None:
    train = planted_stories(1, TRAIN, n_features=n_features, offset=3.0 * intercept)
    test = planted_stories(2, VALIDATION, n_features=n_features, offset=3.0 * intercept)
    wanted = Ridge(alpha=alpha, fit_intercept=intercept, solver="svd").fit(*stacked(train))
    fit = fit_ridge(train, settings=RidgeSettings(alphas=(alpha,), form=form, intercept=intercept))
    assert fit.weights.dtype == np.float32
    np.testing.assert_allclose(fit.weights, wanted.coef_.T, atol=3e-5)
    x, y = stacked(test)
    found = np.concatenate([predict(fit, design) for design in test.designs])
    np.testing.assert_allclose(pearson(found, y), pearson(wanted.predict(x), y), atol=1e-5)
    np.testing.assert_allclose(found, wanted.predict(x), atol=2e-4)


@pytest.mark.parametrize("intercept", [False, True])
@pytest.mark.parametrize("collinear", [False, True])
@pytest.mark.parametrize("n_features", [12, 150])
@pytest.mark.parametrize("form", FORMS)
def test_validation_r_equals_an_explicit_loop(
    form: str, n_features: int, collinear: bool, intercept: bool
) -> None:
    train = planted_stories(3, TRAIN, n_features=n_features, collinear=collinear)
    validation = planted_stories(4, VALIDATION, n_features=n_features, collinear=collinear)
    asked = RidgeSettings(alphas=GRID, form=form, intercept=intercept)
    fit = fit_ridge(train, validation, settings=asked)
    table = validation_table(train, validation, GRID, intercept=intercept)
    np.testing.assert_allclose(fit.validation_r, table, atol=1e-5)
    assert set(fit.alpha) == {GRID[int(table.mean(1).argmax())]}


def test_each_target_gets_the_alpha_of_an_explicit_loop() -> None:
    train, validation = planted_stories(5, TRAIN), planted_stories(6, VALIDATION)
    fit = fit_ridge(train, validation, settings=RidgeSettings(alphas=GRID, alpha="per_target"))
    table = validation_table(train, validation, GRID, intercept=False)
    np.testing.assert_array_equal(fit.alpha, np.array(GRID)[table.argmax(0)])
    assert len(set(fit.alpha)) > 1
    x, y = stacked(train)
    for t, alpha in enumerate(fit.alpha):
        wanted = Ridge(alpha=alpha, fit_intercept=False).fit(x, y[:, t])
        np.testing.assert_allclose(fit.weights[:, t], wanted.coef_, atol=3e-5)


@pytest.mark.parametrize("rule", ["shared", "per_target"])
def test_equals_himalaya_with_the_same_split(rule: str) -> None:
    from himalaya.ridge import RidgeCV
    from himalaya.scoring import correlation_score

    train, validation = planted_stories(7, TRAIN), planted_stories(8, VALIDATION)
    (x, y), (xv, yv) = stacked(train), stacked(validation)
    split = [(np.arange(len(x)), np.arange(len(x), len(x) + len(xv)))]
    solver = {"score_func": correlation_score, "local_alpha": rule == "per_target"}
    theirs = RidgeCV(alphas=np.array(GRID), cv=split, solver_params=solver)
    theirs.fit(np.r_[x, xv], np.r_[y, yv])
    fit = fit_ridge(train, validation, settings=RidgeSettings(alphas=GRID, alpha=rule))
    np.testing.assert_allclose(fit.alpha, theirs.best_alphas_)
    chosen = fit.validation_r.max(0)
    if rule == "per_target":
        np.testing.assert_allclose(chosen, theirs.cv_scores_, atol=1e-5)


@pytest.mark.parametrize("span", [1e2, 1e5])
def test_float32_products_keep_r_where_features_nearly_depend_on_each_other(span: float) -> None:
    rng = np.random.default_rng(0)
    turn = np.linalg.qr(rng.standard_normal((60, 60)))[0]
    mixing = turn * np.geomspace(span, 1.0, 60)[:, None] @ turn.T

    def stories(rows: tuple[int, ...]) -> ArrayStories:
        designs = [(rng.standard_normal((n, 60)) @ mixing).astype(np.float32) for n in rows]
        signal = [design @ np.linalg.inv(mixing)[:, :5] for design in designs]
        noise = [3 * rng.standard_normal(s.shape) for s in signal]
        return ArrayStories(
            designs, [(s + e).astype(np.float32) for s, e in zip(signal, noise, strict=True)]
        )

    train, validation = stories((120, 130, 110)), stories((90, 70))
    grid = tuple(10.0 ** np.arange(0, 8))
    fit = fit_ridge(train, validation, settings=RidgeSettings(alphas=grid))
    table = validation_table(train, validation, grid, intercept=False)
    np.testing.assert_allclose(fit.validation_r, table, atol=1e-5)


@pytest.mark.parametrize("rule", ["shared", "per_target"])
@pytest.mark.parametrize("selection", ["validation", "leave_story_out"])
@pytest.mark.parametrize("keep_bytes", [0, 1 << 20])
@pytest.mark.parametrize("target_block", [1, 3, 100])
def test_streaming_in_any_block_equals_one_block(
    target_block: int, keep_bytes: int, selection: str, rule: str
) -> None:
    train, test = planted_stories(9, TRAIN), planted_stories(11, VALIDATION)
    validation = planted_stories(10, VALIDATION) if selection == "validation" else None
    asked = RidgeSettings(alphas=GRID, alpha=rule, selection=selection, intercept=True)
    whole = fit_ridge(train, validation, settings=asked)
    blocks = list(
        stream_ridge(
            train,
            validation,
            test,
            settings=asked,
            target_block=target_block,
            keep_bytes=keep_bytes,
        )
    )
    choice = join_choices([block.choice for block in blocks])
    np.testing.assert_array_equal(choice.alpha, whole.alpha)
    np.testing.assert_allclose(choice.validation_r, whole.validation_r, atol=1e-6)
    assert [b.targets.start for b in blocks] == list(range(0, 7, target_block))
    for i, design in enumerate(test.designs):
        found = np.concatenate([block.predictions[i] for block in blocks], axis=1)
        np.testing.assert_allclose(found, predict(whole, design), atol=1e-5)


class CountedStories(StoriesAround):
    """Stories that count the reads of responses."""

    reads = 0

    def responses(self, i: int, targets: slice) -> np.ndarray:
        self.reads += targets.stop - targets.start > 1
        return super().responses(i, targets)


@pytest.mark.parametrize(("keep_bytes", "passes"), [(0, 2), (1 << 20, 1)])
def test_kept_products_spare_the_second_pass(keep_bytes: int, passes: int) -> None:
    train = CountedStories(planted_stories(12, TRAIN, n_targets=6))
    validation = planted_stories(13, VALIDATION, n_targets=6)
    asked = RidgeSettings(alphas=GRID)
    for _ in stream_ridge(
        train, validation, (), settings=asked, target_block=3, keep_bytes=keep_bytes
    ):
        pass
    once = 2 * (len(TRAIN) + 1)
    assert train.reads == passes * once


def test_two_threads_give_the_results_of_one() -> None:
    train = planted_stories(14, (200, 210), n_features=80)
    validation = planted_stories(15, (150,), n_features=80)
    fits = []
    for n_threads in (1, 2):
        torch.set_num_threads(n_threads)
        fits.append(fit_ridge(train, validation, settings=RidgeSettings(alphas=GRID)))
    torch.set_num_threads(1)
    np.testing.assert_allclose(fits[0].validation_r, fits[1].validation_r, atol=1e-6)
    np.testing.assert_allclose(fits[0].weights, fits[1].weights, atol=1e-6)


@pytest.mark.parametrize("selection", ["validation", "leave_story_out"])
@pytest.mark.parametrize("intercept", [False, True])
def test_constant_targets_count_as_zero_and_change_no_choice(
    intercept: bool, selection: str
) -> None:
    train, validation = planted_stories(16, TRAIN), planted_stories(17, VALIDATION)
    asked = RidgeSettings(alphas=GRID, selection=selection, intercept=intercept)
    held_out = validation if selection == "validation" else None
    alone = fit_ridge(train, held_out, settings=asked)

    def with_constants(stories: ArrayStories) -> ArrayStories:
        columns = [np.c_[y, np.full((len(y), 2), [0.1, 0.0])] for y in stories.matrices]
        return ArrayStories(stories.designs, [c.astype(np.float32) for c in columns])

    held_out = with_constants(validation) if held_out else None
    fit = fit_ridge(with_constants(train), held_out, settings=asked)
    np.testing.assert_array_equal(fit.validation_r[:, -2:], 0.0)
    np.testing.assert_allclose(fit.validation_r[:, :-2], alone.validation_r, atol=1e-6)
    assert set(fit.alpha) == set(alone.alpha)
    assert np.isfinite(fit.weights).all()
    np.testing.assert_array_equal(fit.weights[:, -1], 0.0)


def test_scaling_divides_by_training_deviations_and_reports_weights_of_the_given_features() -> None:
    train, test = planted_stories(18, TRAIN, offset=2.0), planted_stories(19, VALIDATION)
    factors = np.geomspace(0.01, 100, 12).astype(np.float32)
    stretched = ArrayStories([x * factors for x in train.designs], train.matrices)
    asked = RidgeSettings(alphas=(40.0,), intercept=True, scaling="training")
    fit, same = fit_ridge(train, settings=asked), fit_ridge(stretched, settings=asked)
    x, y = stacked(train)
    wanted = Ridge(alpha=40.0).fit((x - x.mean(0)) / x.std(0), y)
    np.testing.assert_allclose(fit.weights * x.std(0)[:, None], wanted.coef_.T, atol=1e-5)
    for design in test.designs:
        np.testing.assert_allclose(predict(fit, design), predict(same, design * factors), atol=1e-4)


def test_a_feature_that_is_constant_in_training_gets_no_weight_from_scaling() -> None:
    train = planted_stories(20, TRAIN)
    designs = [np.c_[x, np.full((len(x), 1), 5.0, np.float32)] for x in train.designs]
    asked = RidgeSettings(alphas=(1.0,), intercept=True, scaling="training")
    fit = fit_ridge(ArrayStories(designs, train.matrices), settings=asked)
    np.testing.assert_allclose(fit.weights[-1], 0.0, atol=1e-12)


def test_large_means_cost_no_digits() -> None:
    train, test = planted_stories(21, TRAIN, offset=1000.0), planted_stories(22, VALIDATION)
    test = ArrayStories([x + np.float32(1000.0) for x in test.designs], test.matrices)
    x, y = stacked(train)
    wanted = Ridge(alpha=10.0, solver="svd").fit(x, y).predict(stacked(test)[0])
    fit = fit_ridge(train, settings=RidgeSettings(alphas=(10.0,), intercept=True))
    found = np.concatenate([predict(fit, design) for design in test.designs])
    np.testing.assert_allclose(found, wanted, rtol=1e-6, atol=2e-3)
    np.testing.assert_allclose(pearson(found, wanted), 1.0, atol=1e-6)


@pytest.mark.parametrize("form", FORMS)
def test_a_stored_decomposition_gives_the_same_fit(form: str, tmp_path) -> None:
    train, validation = planted_stories(23, TRAIN), planted_stories(24, VALIDATION)
    asked = RidgeSettings(alphas=GRID, form=form, intercept=True)
    np.savez(tmp_path / "stored.npz", **decompose(train.designs, settings=asked).as_arrays())
    with np.load(tmp_path / "stored.npz", allow_pickle=False) as arrays:
        stored = Decomposition.from_arrays(dict(arrays))
    assert str(stored.basis.dtype) == "float64"
    fit = fit_ridge(train, validation, settings=asked, decomposition=stored)
    np.testing.assert_array_equal(fit.weights, fit_ridge(train, validation, settings=asked).weights)


@pytest.mark.parametrize("form", FORMS)
def test_the_decomposition_rebuilds_the_products_of_designs(form: str) -> None:
    train = planted_stories(30, (150, 170), n_features=300)
    found = decompose(train.designs, settings=RidgeSettings(form=form))
    x, _ = stacked(train)
    rebuilt = found.basis * found.eigenvalues @ found.basis.T
    np.testing.assert_allclose(rebuilt, x @ x.T if form == "dual" else x.T @ x, atol=1e-9)
    np.testing.assert_allclose(found.basis.T @ found.basis, np.eye(len(found.basis)), atol=1e-9)


@pytest.mark.parametrize(
    ("grid", "edge", "words"),
    [
        ((300.0, 30000.0), "low", "the smallest, 300"),
        ((0.1, 3.0), "high", "the largest, 3"),
        (GRID, "none", None),
    ],
)
def test_a_choice_at_the_edge_of_the_grid_is_said(
    grid: tuple[float, ...], edge: str, words: str | None
) -> None:
    train, validation = planted_stories(27, TRAIN), planted_stories(28, VALIDATION)
    fit = fit_ridge(train, validation, settings=RidgeSettings(alphas=grid))
    assert fit.edge == edge
    assert fit.n_edge == (0 if edge == "none" else 7)
    warning = edge_warning(fit)
    assert warning is None if words is None else words in warning and "7 of 7" in warning


def test_only_targets_with_a_score_count_at_the_edge() -> None:
    scores = np.array([[0.1, 0.0, 0.3], [0.2, 0.0, 0.1]], np.float32)
    choice = AlphaChoice((1.0, 10.0), np.array([10.0, 10.0, 1.0]), scores, shared=False)
    assert (choice.edge, choice.n_edge) == ("both", 2)
    assert "2 of 3" in (edge_warning(choice) or "")


def test_nothing_is_chosen_from_a_grid_of_one() -> None:
    fit = fit_ridge(planted_stories(27, TRAIN), settings=RidgeSettings(alphas=(5.0,)))
    assert np.isnan(fit.validation_r).all()
    assert (fit.edge, fit.n_edge, edge_warning(fit)) == ("none", 0, None)
    assert set(fit.alpha) == {5.0}


def test_progress_reaches_its_total() -> None:
    seen: dict[str, tuple[int, int]] = {}
    fit_ridge(
        planted_stories(28, TRAIN),
        planted_stories(29, VALIDATION),
        settings=RidgeSettings(alphas=GRID),
        target_block=2,
        progress=lambda what, done, total: seen.__setitem__(what, (done, total)),
    )
    assert seen["ridge weights"] == (4, 4)
    assert all(done == total for done, total in seen.values())


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 1000), factor=st.floats(0.01, 100.0))
def test_scaled_responses_scale_weights(seed: int, factor: float) -> None:
    train = planted_stories(seed, TRAIN)
    scaled = ArrayStories(train.designs, [y * np.float32(factor) for y in train.matrices])
    asked = RidgeSettings(alphas=(7.0,))
    plain, found = fit_ridge(train, settings=asked), fit_ridge(scaled, settings=asked)
    np.testing.assert_allclose(found.weights / factor, plain.weights, atol=1e-5)


@settings(max_examples=15, deadline=None)
@given(order=st.permutations(range(7)), seed=st.integers(0, 1000))
def test_permuted_targets_permute_results(order: list[int], seed: int) -> None:
    train, validation = planted_stories(seed, TRAIN), planted_stories(seed + 1, VALIDATION)
    asked = RidgeSettings(alphas=GRID, alpha="per_target")
    plain = fit_ridge(train, validation, settings=asked)
    turned = [
        ArrayStories(side.designs, [y[:, order] for y in side.matrices])
        for side in (train, validation)
    ]
    found = fit_ridge(*turned, settings=asked)
    np.testing.assert_array_equal(found.alpha, plain.alpha[order])
    np.testing.assert_allclose(found.weights, plain.weights[:, order], atol=1e-5)


@settings(max_examples=15, deadline=None)
@given(cut=st.integers(1, 95), form=st.sampled_from(FORMS), intercept=st.booleans())
def test_where_stories_are_cut_does_not_matter(cut: int, form: str, intercept: bool) -> None:
    train, validation = planted_stories(31, TRAIN), planted_stories(32, VALIDATION)
    x, y = np.concatenate(train.designs), np.concatenate(train.matrices)
    recut = ArrayStories([x[:cut], x[cut:]], [y[:cut], y[cut:]])
    asked = RidgeSettings(alphas=GRID, form=form, intercept=intercept)
    fits = [fit_ridge(side, validation, settings=asked) for side in (train, recut)]
    np.testing.assert_allclose(fits[0].validation_r, fits[1].validation_r, atol=2e-6)
    np.testing.assert_allclose(fits[0].weights, fits[1].weights, atol=5e-6)
