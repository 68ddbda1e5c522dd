"""Reduced-rank regression against scikit-learn, singular values of fitted values, planted ranks."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import orthogonal_procrustes
from sklearn.linear_model import Ridge
from sklearn.preprocessing import StandardScaler

from brainaligner.core import InputError
from brainaligner.encoding import (
    ArrayStories,
    ReducedRank,
    ReducedRankSettings,
    RidgeSettings,
    StackedStories,
    best_rank,
    decompose,
    fit_reduced_rank,
    fold_rotations,
    one_stage_blocks,
    one_stage_r,
    second_stage_r,
)

EXACT = {"products": "float64"}


def stories(n_features: int, n_targets: int, *, rank: int | None = None, seed: int = 0) -> Any:
    """Three stories with responses that features drive, through `rank` directions if given."""
    rng = np.random.default_rng(seed)
    designs = [rng.standard_normal((n, n_features)) + 0.5 for n in (30, 24, 20)]
    inner = rank or min(n_features, n_targets)
    truth = rng.standard_normal((n_features, inner)) @ rng.standard_normal((inner, n_targets))
    noise = 0.02 if rank else 3.0
    matrices = [x @ truth + noise * rng.standard_normal((len(x), n_targets)) for x in designs]
    return ArrayStories(designs, matrices)


def plain_fit(given: ArrayStories, alpha: float, ridge: RidgeSettings) -> tuple[Any, Any, Any]:
    """Fitted values by scikit-learn, their mean, and their singular value decomposition."""
    x, y = np.concatenate(given.designs), np.concatenate(given.matrices)
    if ridge.scaling == "training":
        x = StandardScaler().fit_transform(x)
    model = Ridge(alpha=alpha, fit_intercept=ridge.intercept, solver="svd").fit(x, y)
    fitted = model.predict(x)
    mean = y.mean(axis=0) if ridge.intercept else np.zeros(y.shape[1])
    return fitted - mean, mean, np.linalg.svd(fitted - mean, full_matrices=False)


CASES = [
    ({}, 12, 7),
    ({}, 12, 40),
    ({}, 100, 9),
    ({}, 100, 90),
    ({"intercept": True}, 12, 20),
    ({"intercept": True, "form": "dual"}, 12, 7),
    ({"intercept": True, "scaling": "training"}, 90, 7),
    ({"intercept": True, "scaling": "training", "form": "primal"}, 12, 30),
]


@pytest.mark.parametrize(("options", "n_features", "n_targets"), CASES)
@pytest.mark.parametrize("target_block", [4, 4096])
def test_it_is_the_svd_of_the_ridges_fitted_values(
    options: dict[str, Any], n_features: int, n_targets: int, target_block: int
) -> None:
    given = stories(n_features, n_targets)
    ridge = RidgeSettings(**options, **EXACT)
    asked = ReducedRankSettings(rank=(2, 5), alpha=(3.0, 300.0))
    fits = fit_reduced_rank(given, settings=asked, ridge=ridge, target_block=target_block)
    assert [fit.alpha for fit in fits] == [3.0, 300.0]
    for fit in fits:
        fitted, mean, (u, s, vt) = plain_fit(given, fit.alpha, ridge)
        np.testing.assert_allclose(fit.singular_values, s[:5], rtol=1e-7)
        reduced = np.concatenate(given.designs) @ fit.weights + fit.constant
        signs = np.sign((reduced * u[:, :5]).sum(axis=0))
        np.testing.assert_allclose(reduced * signs, fitted @ vt[:5].T, atol=1e-6 * s[0])
        np.testing.assert_allclose(fit.deviations, reduced.std(axis=0), rtol=1e-6)
        for rank in (2, 5):
            rows = np.concatenate([fit.rows(x, rank=rank) for x in given.designs])
            assert rows.shape[1] == rank
            assert rows.std(axis=0).mean() == pytest.approx(1.0, rel=1e-5)
            one = _one_stage(given, fit, ridge, rank)
            np.testing.assert_allclose(one, fitted @ vt[:rank].T @ vt[:rank] + mean, atol=1e-5)


def _one_stage(given: ArrayStories, fit: ReducedRank, ridge: RidgeSettings, rank: int) -> Any:
    blocks = one_stage_blocks(
        given, fit, ridge=ridge, decomposition=decompose(given, settings=ridge), target_block=3
    )
    reduced = np.concatenate(given.designs) @ fit.weights[:, :rank] + fit.constant[:rank]
    return np.concatenate(
        [reduced @ loadings[:rank] + mean for _, loadings, mean in blocks], axis=1
    )


def test_float32_products_change_little() -> None:
    given = stories(12, 40)
    asked = ReducedRankSettings(rank=(3,), alpha=(10.0,))
    (exact,) = fit_reduced_rank(given, settings=asked, ridge=RidgeSettings(**EXACT))
    (rounded,) = fit_reduced_rank(given, settings=asked, ridge=RidgeSettings())
    np.testing.assert_allclose(rounded.weights, exact.weights, atol=1e-4)


def test_a_planted_rank_is_found_and_chosen() -> None:
    given = stories(20, 30, rank=3)
    asked = ReducedRankSettings(rank=(1, 2, 3, 6, 12), alpha=(1e-3,))
    ridge = RidgeSettings(**EXACT)
    (fit,) = fit_reduced_rank(given, settings=asked, ridge=ridge)
    assert fit.singular_values[2] > 30 * fit.singular_values[3]
    held_out = stories(20, 30, rank=3)
    rng = np.random.default_rng(1)
    designs = [rng.standard_normal((40, 20))]
    truth = np.linalg.lstsq(
        np.concatenate(held_out.designs), np.concatenate(held_out.matrices), rcond=None
    )[0]
    check = ArrayStories(designs, [designs[0] @ truth + 0.5 * rng.standard_normal((40, 30))])
    scores = one_stage_r(
        given,
        check,
        fit,
        ranks=asked.rank,
        ridge=ridge,
        decomposition=decompose(given, settings=ridge),
    )
    by_hand = []
    for rank in asked.rank:
        blocks = one_stage_blocks(
            given, fit, ridge=ridge, decomposition=decompose(given, settings=ridge)
        )
        ((_, loadings, _),) = blocks
        predicted = designs[0] @ fit.weights[:, :rank] @ loadings[:rank]
        r = [np.corrcoef(p, y)[0, 1] for p, y in zip(predicted.T, check.matrices[0].T, strict=True)]
        by_hand.append(np.mean(r))
    np.testing.assert_allclose(scores, by_hand, atol=1e-9)
    assert scores[2] > scores[1] > scores[0]


def test_stacked_subjects_are_one_matrix_side_by_side() -> None:
    given = stories(8, 10)
    parts = [
        ArrayStories(given.designs, [y[:, columns] for y in given.matrices])
        for columns in (slice(0, 3), slice(3, 4), slice(4, 10))
    ]
    stacked = StackedStories(parts)
    assert stacked.n_targets == 10
    assert stacked.targets_of(2) == slice(4, 10)
    for start, stop in ((0, 10), (2, 5), (3, 4), (9, 10)):
        columns = slice(start, stop)
        np.testing.assert_array_equal(stacked.responses(1, columns), given.responses(1, columns))
    asked = ReducedRankSettings(rank=(3,), alpha=(10.0,))
    (one,) = fit_reduced_rank(given, settings=asked, ridge=RidgeSettings(), target_block=3)
    (other,) = fit_reduced_rank(stacked, settings=asked, ridge=RidgeSettings(), target_block=3)
    np.testing.assert_array_equal(one.weights, other.weights)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_turning_the_targets_changes_nothing(seed: int) -> None:
    given = stories(9, 6, seed=seed)
    turn = np.linalg.qr(np.random.default_rng(seed).standard_normal((6, 6)))[0]
    turned = ArrayStories(given.designs, [y @ turn for y in given.matrices])
    asked = ReducedRankSettings(rank=(2,), alpha=(5.0,))
    (one,) = fit_reduced_rank(given, settings=asked, ridge=RidgeSettings(**EXACT))
    (other,) = fit_reduced_rank(turned, settings=asked, ridge=RidgeSettings(**EXACT))
    np.testing.assert_allclose(
        one.weights @ one.weights.T, other.weights @ other.weights.T, atol=1e-6
    )


def test_directions_that_explain_nothing_are_zeros() -> None:
    rng = np.random.default_rng(0)
    designs = [rng.standard_normal((30, 5))]
    given = ArrayStories(designs, [designs[0][:, :1] * np.ones((1, 4))])
    asked = ReducedRankSettings(rank=(3,), alpha=(1.0,))
    (fit,) = fit_reduced_rank(given, settings=asked, ridge=RidgeSettings(**EXACT))
    assert fit.singular_values[0] > 0
    assert not fit.singular_values[1:].any()
    assert not fit.weights[:, 1:].any()


def test_the_choice_is_the_best_score_and_ties_are_cautious() -> None:
    asked = ReducedRankSettings(rank=(1, 2, 3), alpha=(1.0, 10.0))
    table = np.array([[0.1, 0.3, 0.2], [0.1, 0.2, 0.3]])
    choice = best_rank(asked, lambda a, k: table[a, k])
    assert (choice.rank, choice.alpha) == (3, 10.0)
    np.testing.assert_array_equal(choice.validation_r, table)
    assert choice.edge_warning is not None
    flat = best_rank(asked, lambda _a, _k: 0.5)
    assert (flat.rank, flat.alpha) == (1, 10.0)
    inner = best_rank(ReducedRankSettings(rank=(1, 2, 3), alpha=(1.0,)), lambda _a, k: -abs(k - 1))
    assert inner.rank == 2
    assert inner.edge_warning is None


def test_one_choice_is_not_scored() -> None:
    def score(a: int, k: int) -> float:
        raise AssertionError((a, k))

    choice = best_rank(ReducedRankSettings(rank=(4,), alpha=(7.0,)), score)
    assert (choice.rank, choice.alpha) == (4, 7.0)
    assert np.isnan(choice.validation_r).all()


def test_second_stage_r_is_the_mean_r_of_the_best_alpha() -> None:
    train, check = stories(6, 5), stories(6, 5, seed=1)
    grid = (1.0, 50.0, 2000.0)
    x, y = np.concatenate(train.designs), np.concatenate(train.matrices)
    means = []
    for alpha in grid:
        model = Ridge(alpha=alpha, fit_intercept=False, solver="svd").fit(x, y)
        predicted = model.predict(np.concatenate(check.designs))
        measured = np.concatenate(check.matrices)
        means.append(
            np.mean([np.corrcoef(p, m)[0, 1] for p, m in zip(predicted.T, measured.T, strict=True)])
        )
    found = second_stage_r(train, check, settings=RidgeSettings(alphas=grid), target_block=2)
    assert found == pytest.approx(max(means), abs=1e-6)


def folds(seed: int = 0) -> tuple[Any, list[Any]]:
    """Rows of text, and the same rows through three projections of nearly one subspace."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((80, 12)) @ np.diag(np.linspace(0.5, 3, 12))
    shared = rng.standard_normal((12, 4))
    return x, [x @ (shared + 0.2 * rng.standard_normal((12, 4))) for _ in range(3)]


def test_fold_rotations_are_procrustes_to_whitened_features() -> None:
    x, projected = folds()
    whitened = np.linalg.svd(x, full_matrices=False)[0]
    rotations = fold_rotations(projected)
    plain = []
    for values in projected:
        padded = np.pad(values, ((0, 0), (0, whitened.shape[1] - values.shape[1])))
        turn, _ = orthogonal_procrustes(padded, whitened)
        plain.append((padded @ turn, values))
    for (a, own_a), turn_a in zip(plain, rotations, strict=True):
        np.testing.assert_allclose(turn_a @ turn_a.T, np.eye(4), atol=1e-9)
        for (b, own_b), turn_b in zip(plain, rotations, strict=True):
            np.testing.assert_allclose((own_a @ turn_a) @ (own_b @ turn_b).T, a @ b.T, atol=1e-7)


def test_turned_projections_of_one_fit_coincide() -> None:
    _, projected = folds()
    rng = np.random.default_rng(5)
    turned = [projected[0] @ np.linalg.qr(rng.standard_normal((4, 4)))[0] for _ in range(3)]
    first, *others = (
        values @ turn for values, turn in zip(turned, fold_rotations(turned), strict=True)
    )
    assert first.shape[1] == 4
    for other in others:
        np.testing.assert_allclose(other, first, atol=1e-8)


@pytest.mark.parametrize(
    "wrong",
    [
        {"rank": ()},
        {"rank": (0,)},
        {"rank": (2, 2)},
        {"rank": (3, 2)},
        {"rank": (True,)},
        {"alpha": ()},
        {"alpha": (0.0,)},
        {"alpha": (2.0, 1.0)},
        {"alpha": (float("inf"),)},
        {"form": "three-stage"},
        {"cross_fit": 1},
        {"cross_fit": 3, "form": "one-stage"},
        {"seed": 1},
        {"seed": -1, "cross_fit": 3},
    ],
)
def test_settings_refuse(wrong: dict[str, Any], unchecked: None) -> None:
    with pytest.raises(InputError):
        ReducedRankSettings(**wrong)


@pytest.mark.parametrize(("n_features", "n_targets"), [(3, 9), (9, 3)])
def test_a_rank_beyond_features_or_targets_is_refused(n_features: int, n_targets: int) -> None:
    with pytest.raises(InputError, match="at most 3"):
        fit_reduced_rank(
            stories(n_features, n_targets),
            settings=ReducedRankSettings(rank=(4,), alpha=(1.0,)),
            ridge=RidgeSettings(),
        )


def test_subjects_that_do_not_fit_together_are_refused() -> None:
    given = stories(4, 5)
    with pytest.raises(InputError, match="at least one"):
        StackedStories([])
    fewer = ArrayStories(given.designs[:2], given.matrices[:2])
    with pytest.raises(InputError, match="same stories"):
        StackedStories([given, fewer])
    other = ArrayStories(given.designs[::-1], given.matrices[::-1])
    with pytest.raises(InputError, match="as many rows"):
        StackedStories([given, other]).responses(0, slice(0, 10))


def test_projections_that_differ_are_refused() -> None:
    _, projected = folds()
    for wrong in ([], [projected[0], projected[1][:, :2]], [projected[0], projected[1][:7]]):
        with pytest.raises(InputError, match="same rows"):
            fold_rotations(wrong)


def test_several_choices_without_validation_are_refused() -> None:
    with pytest.raises(InputError, match="nothing that scores"):
        second_stage_r(stories(4, 5), None, settings=RidgeSettings(alphas=(1.0,)))
