"""Partialling out against least squares, partial correlation's formula and bad input."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from brainaligner.core import InputError
from brainaligner.evaluation import block_permutation, partial_out


def drawn(seed, *shape):
    return np.random.default_rng(seed).standard_normal(shape)


def test_residuals_are_those_of_least_squares_with_a_constant():
    stories, known = [drawn(0, 40, 3), drawn(1, 25, 3)], [drawn(2, 40, 4), drawn(3, 25, 4)]
    for rows, columns, left in zip(stories, known, partial_out(stories, known), strict=True):
        design = np.column_stack([np.ones(len(rows)), columns])
        fit = np.linalg.lstsq(design, rows, rcond=None)[0]
        np.testing.assert_allclose(left, rows - design @ fit, atol=1e-12)


def test_r_of_what_is_left_is_the_partial_correlation_of_the_formula():
    x, y, z = drawn(4, 3, 500)
    x, y = x + z, y - 0.5 * z + 0.3 * x
    left = [partial_out([side[:, None]], [z[:, None]])[0][:, 0] for side in (x, y)]
    r = np.corrcoef([x, y, z])
    wanted = (r[0, 1] - r[0, 2] * r[1, 2]) / np.sqrt((1 - r[0, 2] ** 2) * (1 - r[1, 2] ** 2))
    assert np.corrcoef(*left)[0, 1] == pytest.approx(wanted, abs=1e-12)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**31), st.integers(1, 5), st.floats(1e-6, 1e6))
def test_nothing_of_the_columns_is_left_at_any_scale_and_rank(seed, n_columns, scale):
    known = drawn(seed, 30, n_columns) * scale
    known = np.column_stack(
        [known, known[:, :1] * 3 + 7 * scale, np.full(30, scale)]
    )  # dependent, constant
    (left,) = partial_out([drawn(seed + 1, 30, 2)], [known])
    unit = known / np.abs(known).max(axis=0)
    np.testing.assert_allclose(unit.T @ left, 0, atol=1e-9)
    np.testing.assert_allclose(partial_out([left], [known])[0], left, atol=1e-10)


def test_a_shared_onset_alone_no_longer_passes_the_permutation_test():
    lengths = [120, 150, 90, 140] * 4
    place = [np.exp(-np.arange(n) / 5)[:, None] for n in lengths]
    p = [drawn(10 + i, n, 60) + 4 * z for i, (n, z) in enumerate(zip(lengths, place, strict=True))]
    y = [drawn(90 + i, n, 60) + 4 * z for i, (n, z) in enumerate(zip(lengths, place, strict=True))]
    plain = block_permutation(p, y, n_permutations=199, seed=0).p
    beyond = block_permutation(
        partial_out(p, place), partial_out(y, place), n_permutations=199, seed=0
    ).p
    assert (plain <= 0.05).mean() == 1
    assert (beyond <= 0.05).mean() < 0.15


@pytest.mark.parametrize(
    ("stories", "columns", "words"),
    [
        ([], [], "0 and 0 stories"),
        ([np.ones((9, 1))], [], "1 and 0 stories"),
        ([np.ones((9, 1))], [np.ones((8, 1))], "Cut both sides alike"),
        ([np.ones((4, 1))], [np.ones((4, 3))], "4 rows and 3 columns"),
        ([np.full((9, 1), np.nan)], [np.ones((9, 1))], "not finite"),
        ([np.ones((9, 1))], [np.full((9, 1), np.inf)], "not finite"),
    ],
)
def test_bad_input_is_refused(stories, columns, words):
    with pytest.raises(InputError, match=words):
        partial_out(stories, columns)
