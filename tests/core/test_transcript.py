"""Transcripts refuse words that are out of order or out of time."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from brainaligner.core import InputError, Transcript

WORDS = ("once", "upon", "a", "time")
ONSETS = np.array([0.0, 0.4, 0.9, 1.0])
OFFSETS = np.array([0.4, 0.8, 1.0, 1.5])


def changed(array, i, value):
    copy = array.copy()
    copy[i] = value
    return copy


def test_a_transcript_knows_its_length_and_midpoints():
    transcript = Transcript("s", WORDS, ONSETS, OFFSETS)
    assert len(transcript) == 4
    np.testing.assert_allclose(transcript.midpoints, [0.2, 0.6, 0.95, 1.25])


def test_times_are_copied_and_read_only():
    onsets = ONSETS.copy()
    transcript = Transcript("s", WORDS, onsets, OFFSETS)
    onsets[0] = 99.0
    assert transcript.onsets[0] == 0.0
    with pytest.raises(ValueError, match="read-only"):
        transcript.onsets[0] = 1.0


def test_digest_sees_words_and_times_and_not_the_name():
    digest = Transcript("s", WORDS, ONSETS, OFFSETS).digest()
    assert digest == Transcript("other", WORDS, ONSETS, OFFSETS).digest()
    assert digest != Transcript("s", ("twice", *WORDS[1:]), ONSETS, OFFSETS).digest()
    assert digest != Transcript("s", WORDS, changed(ONSETS, 0, 0.1), OFFSETS).digest()
    assert digest != Transcript("s", WORDS, ONSETS, changed(OFFSETS, 3, 1.6)).digest()
    joined = Transcript("s", ("once upon", "a", "time"), ONSETS[:3], OFFSETS[:3])
    parted = Transcript("s", ("once", "upon a", "time"), ONSETS[:3], OFFSETS[:3])
    assert joined.digest() != parted.digest()


def test_words_of_no_length_and_words_that_overlap_are_allowed():
    transcript = Transcript("s", WORDS, np.zeros(4), np.array([0.0, 1.0, 2.0, 3.0]))
    assert len(transcript) == 4


@given(st.lists(st.tuples(st.floats(0, 9), st.floats(0.01, 2)), min_size=1, max_size=20))
def test_sorted_distinct_words_are_accepted_and_reversed_ones_refused(spans):
    spans = sorted({round(onset, 2): length for onset, length in spans}.items())
    onsets = np.array([onset for onset, _ in spans])
    offsets = onsets + [length for _, length in spans]
    words = tuple(f"word{i}" for i in range(len(spans)))
    assert len(Transcript("s", words, onsets, offsets)) == len(spans)
    if len(spans) > 1:
        with pytest.raises(InputError, match="starts before"):
            Transcript("s", words, onsets[::-1], offsets[::-1])


@pytest.mark.parametrize(
    ("words", "onsets", "offsets", "message"),
    [
        ((), np.zeros(0), np.zeros(0), "no words"),
        (WORDS[:3], ONSETS, OFFSETS, "3 words"),
        (WORDS, ONSETS[:3], OFFSETS, "one onset and one offset"),
        (WORDS, ONSETS, OFFSETS[:3], "one onset and one offset"),
        (WORDS, ONSETS[:, None], OFFSETS[:, None], "one onset and one offset"),
        (("once", "", "a", "time"), ONSETS, OFFSETS, "an empty word .word 2"),
        (("once", "upon", " \t", "time"), ONSETS, OFFSETS, "an empty word .word 3"),
        (WORDS, changed(ONSETS, 1, np.nan), OFFSETS, "not finite .word 2, 'upon'"),
        (WORDS, ONSETS, changed(OFFSETS, 3, np.inf), "not finite .word 4"),
        (WORDS, changed(ONSETS, 0, -np.inf), OFFSETS, "not finite .word 1"),
        (WORDS, ONSETS, changed(OFFSETS, 2, 0.5), "ends before it starts .word 3"),
        (WORDS, changed(ONSETS, 2, 0.1), OFFSETS, "starts before the word ahead of it .word 3"),
        (
            WORDS,
            changed(ONSETS, 2, 0.4),
            changed(OFFSETS, 2, 0.8),
            "same onset and offset .word 3",
        ),
        (WORDS, ONSETS[::-1], OFFSETS[::-1], "3 in all"),
    ],
)
@pytest.mark.usefixtures("unchecked")
def test_bad_words_are_refused_by_place(words, onsets, offsets, message):
    with pytest.raises(InputError, match=message) as caught:
        Transcript("s", words, onsets, offsets)
    assert "story 's'" in caught.value.where
