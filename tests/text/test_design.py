"""Delays, nuisance columns and design rows against plain loops and formulas."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from brainaligner.core import Clock, InputError, Transcript
from brainaligner.text import (
    DesignSettings,
    TextSettings,
    add_delays,
    design_bands,
    design_rows,
    nuisance_columns,
    row_texts,
    word_length,
    word_rate,
)

MATRICES = arrays(
    np.float32, st.tuples(st.integers(1, 9), st.integers(1, 4)), elements=st.integers(-9, 9)
)
DELAYS = st.lists(st.integers(-12, 12), min_size=1, max_size=5)


def values(rows: int = 30, width: int = 4, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((rows, width)).astype(np.float32)


def standardised(column: list[float]) -> list[float]:
    mean = sum(column) / len(column)
    deviation = math.sqrt(sum((x - mean) ** 2 for x in column) / len(column))
    return [(x - mean) / deviation if deviation > 1e-12 else 0.0 for x in column]


@given(MATRICES, DELAYS)
def test_delays_equal_a_plain_loop(matrix: np.ndarray, delays: list[int]) -> None:
    got = add_delays(matrix, delays)
    n_rows, width = matrix.shape
    assert got.shape == (n_rows, len(delays) * width)
    assert got.dtype == matrix.dtype
    for block, delay in enumerate(delays):
        for t in range(n_rows):
            source = t - delay
            wanted = matrix[source] if 0 <= source < n_rows else np.zeros(width)
            np.testing.assert_array_equal(got[t, block * width : (block + 1) * width], wanted)


@given(MATRICES, st.integers(0, 12))
def test_delaying_there_and_back_only_loses_the_edge(matrix: np.ndarray, delay: int) -> None:
    back = add_delays(add_delays(matrix, [delay]), [-delay])
    kept = max(len(matrix) - delay, 0)
    np.testing.assert_array_equal(back[:kept], matrix[:kept])
    assert not back[kept:].any()


def test_word_rate_counts_the_words_of_each_row(story: Transcript, clock: Clock) -> None:
    for name, shift in (("own", 0), ("previous", -1)):
        rows = row_texts(story, clock, 14, settings=TextSettings(clock=name))
        got = word_rate(story, clock, 14, shift=shift)
        np.testing.assert_array_equal(got, [len(row.own) for row in rows])


def test_word_rate_without_words_is_zero(clock: Clock) -> None:
    onsets = np.array([0.5, 700.0])
    tale = Transcript("tale", ("early", "late"), onsets, onsets + 0.1)
    assert not word_rate(tale, clock, 10, shift=0).any()
    assert np.isfinite(nuisance_columns(tale, clock, 10, shift=0, delays=(1, 2))).all()


def test_nuisance_follows_its_formulas(story: Transcript, clock: Clock) -> None:
    n, delays = 16, (1, 3)
    rate = word_rate(story, clock, n, shift=-1)
    columns = [[float(rate[t - d]) if t >= d else 0.0 for t in range(n)] for d in delays]
    columns += [
        [float(t) for t in range(n)],
        [math.exp(-t / 5) for t in range(n)],
        [math.exp(-(n - 1 - t) / 5) for t in range(n)],
    ]
    got = nuisance_columns(story, clock, n, shift=-1, delays=delays)
    np.testing.assert_allclose(got.T, [standardised(column) for column in columns], atol=1e-9)


@pytest.mark.parametrize("scaling", ["story", "none"])
@pytest.mark.parametrize("nuisance", ["none", "with", "alone"])
def test_design_is_bands_then_nuisance(scaling: str, nuisance: str) -> None:
    bands, z = [values(seed=1), values(width=2, seed=2)], values(width=3, seed=3)
    weight = {} if nuisance == "none" else {"nuisance_scale": 10.0}
    chosen = DesignSettings(delays=(0, 2), scaling=scaling, nuisance=nuisance, **weight)
    got = design_rows(bands, z, settings=chosen)
    blocks = []
    for band in bands if nuisance != "alone" else []:
        scaled = band
        if scaling == "story":
            scaled = (band - band.mean(0)) / band.std(0)
        blocks += [scaled, np.vstack([np.zeros((2, band.shape[1])), scaled[:-2]])]
    blocks += [] if nuisance == "none" else [10.0 * z]
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, np.hstack(blocks), atol=1e-5)
    places = design_bands([4, 2], 3, settings=chosen)
    assert len(places) == {"none": 2, "with": 3, "alone": 1}[nuisance]
    assert [p.start for p in places] == [0, *(p.stop for p in places[:-1])]
    assert places[-1].stop == got.shape[1]
    if nuisance != "none":
        np.testing.assert_allclose(got[:, places[-1]], 10.0 * z, atol=1e-5)


def test_rows_of_zeros_enter_the_standardisation() -> None:
    band = values()
    band[5:9] = 0
    got = design_rows([band], None, settings=DesignSettings(delays=(0,)))
    np.testing.assert_allclose(got.mean(0), 0, atol=1e-6)
    np.testing.assert_allclose(got.std(0), 1, atol=1e-5)
    assert not np.allclose(got[5:9], 0)


def test_float64_features_become_float32() -> None:
    got = design_rows([values().astype(np.float64)], None, settings=DesignSettings())
    assert got.dtype == np.float32


@pytest.mark.parametrize(
    ("bands", "z", "nuisance"),
    [
        ([], None, "none"),
        ([values()], None, "with"),
        ([values()], None, "alone"),
        ([values(30), values(29)], None, "none"),
        ([values(30)], values(29), "with"),
    ],
)
def test_designs_that_cannot_be_built_are_refused(
    bands: list[np.ndarray], z: np.ndarray | None, nuisance: str
) -> None:
    with pytest.raises(InputError, match="design"):
        design_rows(bands, z, settings=DesignSettings(nuisance=nuisance))


def test_word_length_is_the_mean_of_each_rows_words(story: Transcript, clock: Clock) -> None:
    for name, shift in (("own", 0), ("previous", -1)):
        rows = row_texts(story, clock, 14, settings=TextSettings(clock=name))
        wanted = [
            sum(len(word) for word in row.own) / len(row.own) if row.own else 0.0 for row in rows
        ]
        np.testing.assert_allclose(word_length(story, clock, 14, shift=shift), wanted)
    assert 0.0 in wanted


def test_word_length_stands_behind_the_other_columns(story: Transcript, clock: Clock) -> None:
    n, delays = 16, (1, 3)
    plain = nuisance_columns(story, clock, n, shift=-1, delays=delays)
    more = nuisance_columns(story, clock, n, shift=-1, delays=delays, with_word_length=True)
    np.testing.assert_array_equal(more[:, : plain.shape[1]], plain)
    length = word_length(story, clock, n, shift=-1)
    columns = [[float(length[t - d]) if t >= d else 0.0 for t in range(n)] for d in delays]
    wanted = [standardised(column) for column in columns]
    np.testing.assert_allclose(more[:, plain.shape[1] :].T, wanted, atol=1e-9)


def test_word_length_without_words_is_zero(clock: Clock) -> None:
    onsets = np.array([0.5, 700.0])
    tale = Transcript("tale", ("early", "late"), onsets, onsets + 0.1)
    assert not word_length(tale, clock, 10, shift=0).any()


def test_word_length_without_z_is_refused() -> None:
    with pytest.raises(InputError, match="word length without the nuisance columns"):
        DesignSettings(word_length=True)
