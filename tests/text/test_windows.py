"""Which words enter which row: against a plain loop, and nothing from the future."""

from __future__ import annotations

import csv
import gzip
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from brainaligner.core import Clock, InputError, Transcript
from brainaligner.text import RowText, TextSettings, row_texts, story_texts, word_texts

CONTEXTS = (
    {},
    {"context_rows": 1},
    {"context_rows": 3},
    {"context_seconds": 2.5},
    {"context_seconds": 20.0},
    {"context_words": 1},
    {"context_words": 9},
)
ALL_SETTINGS = [
    TextSettings(clock=clock, **context) for clock in ("own", "previous") for context in CONTEXTS
]


def plain_rows(
    transcript: Transcript, clock: Clock, n_rows: int, settings: TextSettings
) -> list[RowText]:
    """Each row by going through all words."""
    found = []
    back = clock.tr if settings.clock == "previous" else 0.0
    for i in range(n_rows):
        opens = clock.first + (i - 0.5) * clock.tr - back
        own = [k for k, onset in enumerate(transcript.onsets) if opens <= onset < opens + clock.tr]
        earlier = [k for k, onset in enumerate(transcript.onsets) if onset < opens]
        reach = settings.context_rows * clock.tr or settings.context_seconds
        context = [k for k in earlier if transcript.onsets[k] >= opens - reach]
        if settings.context_words:
            context = earlier[-settings.context_words :]
        elif not reach:
            context = []
        found.append(
            RowText(
                tuple(transcript.words[k] for k in context),
                tuple(transcript.words[k] for k in own),
            )
        )
    return found


@st.composite
def transcripts(draw: st.DrawFn) -> Transcript:
    """Words on a grid of quarter seconds, so that onsets fall on window edges too."""
    steps = draw(st.lists(st.integers(1, 14), min_size=1, max_size=40))
    onsets = np.cumsum(steps) * 0.25
    return Transcript("any", tuple(f"w{i}" for i in range(len(steps))), onsets, onsets + 0.1)


@given(transcripts(), st.integers(1, 20), st.sampled_from(ALL_SETTINGS))
def test_rows_equal_a_plain_loop(
    transcript: Transcript, n_rows: int, settings: TextSettings
) -> None:
    clock = Clock(tr=2.0, first=3.0)
    got = row_texts(transcript, clock, n_rows, settings=settings)
    assert list(got) == plain_rows(transcript, clock, n_rows, settings)


def test_clocks_of_ds003020() -> None:
    onsets = np.array([7.9, 8.0, 9.99, 10.0, 11.99, 12.0])
    tale = Transcript("tale", tuple("abcdef"), onsets, onsets + 0.01)
    own = row_texts(tale, Clock(), 2, settings=TextSettings())
    previous = row_texts(tale, Clock(), 2, settings=TextSettings(clock="previous"))
    assert [row.own for row in own] == [("d", "e"), ("f",)]
    assert [row.own for row in previous] == [("b", "c"), ("d", "e")]


def test_words_before_the_first_row_are_context_and_later_words_are_ignored(
    story: Transcript, clock: Clock
) -> None:
    rows = row_texts(story, clock, 5, settings=TextSettings(context_seconds=60.0))
    before = tuple(np.array(story.words)[story.onsets < 10.0])
    assert len(before) > 1
    assert rows[0].context == before
    seen = rows[-1].context + rows[-1].own
    assert seen == story.words[: len(seen)]
    assert len(seen) == int((story.onsets < 20.0).sum()) < len(story)


@given(transcripts(), st.data(), st.sampled_from(ALL_SETTINGS))
def test_later_words_change_no_earlier_row(
    transcript: Transcript, data: st.DataObject, settings: TextSettings
) -> None:
    clock, n_rows = Clock(tr=2.0, first=3.0), 15
    cut = data.draw(st.integers(0, n_rows))
    back = clock.tr if settings.clock == "previous" else 0.0
    horizon = clock.first + (cut - 0.5) * clock.tr - back
    words = tuple(
        word if onset < horizon else "other"
        for word, onset in zip(transcript.words, transcript.onsets, strict=True)
    )
    changed = Transcript("any", words, transcript.onsets, transcript.offsets)
    one = row_texts(transcript, clock, n_rows, settings=settings)
    two = row_texts(changed, clock, n_rows, settings=settings)
    assert one[:cut] == two[:cut]


@given(transcripts(), st.sampled_from(ALL_SETTINGS))
def test_word_texts_end_at_their_word(transcript: Transcript, settings: TextSettings) -> None:
    texts = word_texts(transcript, Clock(tr=2.0, first=3.0), settings=settings)
    assert [text.own for text in texts] == [(word,) for word in transcript.words]
    for i, text in enumerate(texts):
        assert text.context == transcript.words[i - len(text.context) : i]


def test_word_context_follows_the_rule_of_rows() -> None:
    onsets = np.array([2.1, 3.9, 4.1, 5.0, 5.9, 6.1])
    tale = Transcript("tale", tuple("abcdef"), onsets, onsets + 0.01)
    clock = Clock(tr=2.0, first=3.0)  # rows [2, 4), [4, 6), [6, 8)
    by_rows = word_texts(tale, clock, settings=TextSettings(context_rows=1))
    assert ["".join(t.context) for t in by_rows] == ["", "a", "ab", "abc", "abcd", "cde"]
    by_seconds = word_texts(tale, clock, settings=TextSettings(context_seconds=1.5))
    assert ["".join(t.context) for t in by_seconds] == ["", "", "b", "bc", "d", "de"]
    by_words = word_texts(tale, clock, settings=TextSettings(context_words=2))
    assert ["".join(t.context) for t in by_words] == ["", "a", "ab", "bc", "cd", "de"]


def test_story_texts_are_rows_or_words(story: Transcript, clock: Clock) -> None:
    rows = story_texts(story, clock, 8, settings=TextSettings())
    words = story_texts(story, clock, 8, settings=TextSettings(resample="lanczos"))
    assert (len(rows), len(words)) == (8, len(story))


def test_own_start_points_at_the_own_words() -> None:
    row = RowText(("once", "upon"), ("a", "time"))
    assert row.text[row.own_start :] == "a time"
    assert RowText((), ("a",)).own_start == 0


@pytest.mark.parametrize("n_rows", [0, -3])
def test_no_rows_are_refused(story: Transcript, clock: Clock, n_rows: int) -> None:
    with pytest.raises(InputError, match="1 or more"):
        row_texts(story, clock, n_rows, settings=TextSettings())


def test_a_real_story(real_data: Path) -> None:
    with gzip.open(real_data / "lebel2023-pcs" / "words.csv.gz", "rt") as lines:
        spoken = [row for row in csv.DictReader(lines) if row["story"] == "adollshouse"]
    spoken = [row for row in spoken if row["word"].strip().isalpha()]
    tale = Transcript(
        "adollshouse",
        tuple(row["word"].lower() for row in spoken),
        np.array([float(row["onset_s"]) for row in spoken]),
        np.array([float(row["offset_s"]) for row in spoken]),
    )
    n_rows = 241
    rows = row_texts(tale, Clock(), n_rows, settings=TextSettings(clock="previous"))
    inside = (tale.onsets >= 8) & (tale.onsets < 8 + 2 * n_rows)
    assert tuple(word for row in rows for word in row.own) == tuple(np.array(tale.words)[inside])
    assert 4 < np.mean([len(row.own) for row in rows]) < 8
