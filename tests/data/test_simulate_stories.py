"""Packaged stories, their times, and their TextGrids as Praat itself reads them."""

from __future__ import annotations

import numpy as np
import parselmouth
import pytest
from parselmouth.praat import call

from brainaligner.core import InputError, Transcript
from brainaligner.data._simulate import story_rows, story_transcripts
from brainaligner.data._simulate_textgrid import SERIALISATIONS, textgrid_bytes

TRANSCRIPTS = story_transcripts()
MARKERS = {"{BR}", "{LG}", "{NS}", "{CG}", "sp", ""}


def spoken_in_praat(path) -> tuple[list[str], list[float], list[float]]:
    grid = parselmouth.read(str(path))
    labels, starts, stops = [], [], []
    for i in range(1, call(grid, "Get number of intervals", 2) + 1):
        label = call(grid, "Get label of interval", 2, i)
        if label not in MARKERS:
            labels.append(label)
            starts.append(call(grid, "Get start time of interval", 2, i))
            stops.append(call(grid, "Get end time of interval", 2, i))
    return labels, starts, stops


def test_fourteen_different_stories_of_a_proper_length():
    assert len(TRANSCRIPTS) == 14
    assert list(TRANSCRIPTS) == sorted(TRANSCRIPTS)
    openings = {" ".join(t.words[:8]) for t in TRANSCRIPTS.values()}
    assert len(openings) == 14
    for story, transcript in TRANSCRIPTS.items():
        assert story.isalpha()
        assert story.islower()
        assert 330 <= len(transcript) <= 420
        assert len(set(transcript.words)) > 150


def test_no_two_stories_share_a_run_of_eight_words():
    seen: dict[tuple[str, ...], str] = {}
    for story, transcript in TRANSCRIPTS.items():
        for i in range(len(transcript) - 7):
            run = transcript.words[i : i + 8]
            assert seen.setdefault(run, story) == story


def test_words_are_clean():
    words = {word for transcript in TRANSCRIPTS.values() for word in transcript.words}
    assert all(word.replace("'", "").isalpha() and word.islower() for word in words)
    assert "didn't" in words
    assert len(words) > 1200


@pytest.mark.parametrize("story", TRANSCRIPTS)
def test_times_are_those_of_speech(story):
    transcript = TRANSCRIPTS[story]
    assert 0.3 <= transcript.onsets[0] <= 2.0
    assert (transcript.offsets > transcript.onsets).all()
    assert (transcript.onsets[1:] >= transcript.offsets[:-1]).all()
    assert 1.9 < len(transcript) / transcript.offsets[-1] < 2.4
    letters = [len(word) for word in transcript.words]
    assert np.corrcoef(letters, transcript.offsets - transcript.onsets)[0, 1] > 0.8
    pauses = transcript.onsets[1:] - transcript.offsets[:-1]
    assert (pauses > 2.5).sum() >= 3
    assert 80 <= story_rows(transcript) <= 110


def test_some_rows_are_empty():
    for transcript in TRANSCRIPTS.values():
        rows = range(story_rows(transcript))
        counts = [
            sum(10 + 2 * i <= onset < 12 + 2 * i for onset in transcript.onsets) for i in rows
        ]
        assert 0 < counts.count(0) < 0.2 * len(counts)


def test_a_seed_changes_times_and_not_words():
    other = story_transcripts(seed=1)
    again = story_transcripts(seed=0)
    for story, transcript in TRANSCRIPTS.items():
        assert transcript.digest() == again[story].digest()
        assert transcript.words == other[story].words
        assert not np.allclose(transcript.onsets, other[story].onsets)


@pytest.mark.parametrize(
    ("last", "rows"), [(60.0, 20), (60.5, 21), (62.0, 21), (40.0, 10), (188.1, 85)]
)
def test_rows_end_ten_seconds_before_the_sound_does(last, rows):
    transcript = Transcript("short", ("one", "two"), np.array([0.5, last - 1]), np.array([1, last]))
    assert story_rows(transcript) == rows
    assert last - 10 <= 10 + 2 * rows < last - 8


def test_a_story_that_is_too_short_is_refused():
    transcript = Transcript("blink", ("one",), np.array([0.5]), np.array([30.0]))
    with pytest.raises(InputError, match="at least 10 rows"):
        story_rows(transcript)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
@pytest.mark.parametrize("serialisation", SERIALISATIONS)
def test_praat_reads_back_words_and_times(tmp_path, serialisation, encoding):
    transcript = TRANSCRIPTS["lostviolin"]
    path = tmp_path / "lostviolin.TextGrid"
    path.write_bytes(textgrid_bytes(transcript, serialisation=serialisation, encoding=encoding))
    labels, starts, stops = spoken_in_praat(path)
    assert labels == [word.upper() for word in transcript.words]
    np.testing.assert_array_equal(starts, transcript.onsets)
    np.testing.assert_array_equal(stops, transcript.offsets)


def test_tiers_hold_phones_then_words_with_markers_between(tmp_path):
    path = tmp_path / "orchard.TextGrid"
    content = textgrid_bytes(TRANSCRIPTS["orchard"], serialisation="short", encoding="utf-8")
    path.write_bytes(content)
    grid = parselmouth.read(str(path))
    assert [call(grid, "Get tier name", tier) for tier in (1, 2)] == ["phone", "word"]
    n_phones, n_labels = (call(grid, "Get number of intervals", tier) for tier in (1, 2))
    letters = sum(len(word) for word in TRANSCRIPTS["orchard"].words)
    assert n_phones == letters + n_labels - len(TRANSCRIPTS["orchard"])
    labels = {call(grid, "Get label of interval", 2, i) for i in range(1, n_labels + 1)}
    assert labels >= MARKERS


def test_a_quotation_mark_within_a_word_survives(tmp_path):
    transcript = Transcript("odd", ('say"so',), np.array([1.0]), np.array([2.0]))
    for serialisation in SERIALISATIONS:
        path = tmp_path / f"{serialisation}.TextGrid"
        path.write_bytes(textgrid_bytes(transcript, serialisation=serialisation, encoding="utf-8"))
        assert spoken_in_praat(path)[0] == ['SAY"SO']
