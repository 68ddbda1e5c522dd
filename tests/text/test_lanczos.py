"""The Lanczos filter against a double loop, and how far ahead it looks."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest

from brainaligner.core import Clock, InputError, Transcript
from brainaligner.text import (
    LanguageModel,
    TextSettings,
    lanczos_matrix,
    row_states,
    rows_from_states,
    story_texts,
)

RNG = np.random.default_rng(5)
LANCZOS = TextSettings(resample="lanczos")


def sinc(x: float) -> float:
    return 1.0 if x == 0 else math.sin(math.pi * x) / (math.pi * x)


@pytest.mark.parametrize(("lobes", "cutoff"), [(3, None), (3, 0.25), (2, 0.1), (1, 0.5)])
def test_matrix_equals_a_double_loop(lobes: int, cutoff: float | None) -> None:
    words, rows = np.sort(RNG.uniform(0, 40, 60)), 11.0 + 2.0 * np.arange(12)
    words[10] = rows[3]
    got = lanczos_matrix(words, rows, lobes=lobes, cutoff=cutoff)
    for i, row in enumerate(rows):
        for j, word in enumerate(words):
            # The Huth-lab number, twice the edge of the pass band: 1 / TR by default.
            u = (1 / 2.0 if cutoff is None else 2 * cutoff) * (row - word)
            wanted = sinc(u) * sinc(u / lobes) if abs(u) <= lobes else 0.0
            assert got[i, j] == pytest.approx(wanted, abs=1e-12)


def test_a_slow_wave_passes_and_a_fast_one_does_not() -> None:
    words, rows = np.arange(0, 200, 0.1), 20.0 + 2.0 * np.arange(80)
    matrix = lanczos_matrix(words, rows) * 0.1 / 2.0  # words stand 0.1 s apart
    slow = matrix @ np.cos(2 * np.pi * 0.05 * words)
    np.testing.assert_allclose(slow, np.cos(2 * np.pi * 0.05 * rows), atol=0.05)
    assert np.abs(matrix @ np.cos(2 * np.pi * 1.05 * words)).max() < 0.02


@pytest.mark.parametrize(("lobes", "cutoff", "ahead"), [(3, None, 6.0), (2, 0.5, 2.0)])
def test_look_ahead_is_lobes_over_twice_the_cutoff(
    lobes: int, cutoff: float | None, ahead: float
) -> None:
    words, rows = np.arange(0, 60, 0.01), np.array([20.0, 22.0, 24.0])
    used = words[lanczos_matrix(words, rows, lobes=lobes, cutoff=cutoff)[0] != 0]
    assert used.max() == pytest.approx(20.0 + ahead, abs=0.02)
    assert used.min() == pytest.approx(20.0 - ahead, abs=0.02)


def test_states_of_words_reach_rows_no_more_than_six_seconds_ahead(
    tiny: Callable[[str], LanguageModel], story: Transcript, clock: Clock
) -> None:
    horizon = 18.0
    words = tuple(
        word if onset < horizon else "well"
        for word, onset in zip(story.words, story.onsets, strict=True)
    )
    changed = Transcript("tale", words, story.onsets, story.offsets)
    one, two = (_lanczos_rows(tiny("bert"), tale, clock, 14) for tale in (story, changed))
    untouched = clock.centres(14) <= horizon - 6.0
    assert 0 < untouched.sum() < 14
    np.testing.assert_allclose(one[untouched], two[untouched], atol=1e-5)
    ahead = ~untouched & (clock.centres(14) < horizon)
    assert np.abs(one[ahead] - two[ahead]).max() > 1e-3


def _lanczos_rows(model: LanguageModel, tale: Transcript, clock: Clock, n_rows: int) -> np.ndarray:
    texts = story_texts(tale, clock, n_rows, settings=LANCZOS)
    states = row_states(model, {"tale": texts}, (3,), settings=LANCZOS)[3]["tale"]
    return rows_from_states(states, tale, clock, n_rows, settings=LANCZOS)


def test_previous_clock_moves_rows_by_one(story: Transcript, clock: Clock) -> None:
    states = RNG.standard_normal((len(story), 4)).astype(np.float32)
    previous = TextSettings(resample="lanczos", clock="previous")
    own = rows_from_states(states, story, clock, 14, settings=LANCZOS)
    moved = rows_from_states(states, story, clock, 14, settings=previous)
    np.testing.assert_allclose(moved[1:], own[:-1], atol=1e-5)
    one_row = rows_from_states(states, story, clock, 1, settings=LANCZOS)
    np.testing.assert_allclose(one_row, own[:1], atol=1e-6)


def test_states_of_rows_come_back_as_they_are(story: Transcript, clock: Clock) -> None:
    states = RNG.standard_normal((14, 4)).astype(np.float32)
    got = rows_from_states(states, story, clock, 14, settings=TextSettings())
    np.testing.assert_array_equal(got, states)


@pytest.mark.parametrize("chosen", [LANCZOS, TextSettings()])
def test_states_of_another_length_are_refused(
    chosen: TextSettings, story: Transcript, clock: Clock
) -> None:
    with pytest.raises(InputError, match="one for each text"):
        rows_from_states(np.zeros((3, 4), np.float32), story, clock, 14, settings=chosen)


@pytest.mark.parametrize(
    ("rows", "lobes", "cutoff"),
    [(5, 0, None), (5, 3, 0.0), (5, 3, -0.25), (5, 3, float("nan")), (1, 3, None), (0, 3, None)],
)
def test_meaningless_filters_are_refused(rows: int, lobes: int, cutoff: float | None) -> None:
    with pytest.raises(InputError, match="Lanczos filter"):
        lanczos_matrix(np.arange(4.0), 2.0 * np.arange(rows), lobes=lobes, cutoff=cutoff)
