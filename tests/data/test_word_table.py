"""Words and their times: cleaning, tables, faults with line numbers."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from brainaligner.core import InputError
from brainaligner.data import MARKERS, Interval, Tier, clean_word
from brainaligner.data._words import (
    find_word_table,
    read_word_table,
    transcript_from_rows,
    transcript_from_tier,
)

HEADER = "story,word,onset_s,offset_s"


@pytest.mark.parametrize(
    ("label", "word"),
    [
        ("ALRIGHT", "alright"),
        ("FAR ", "far"),
        ("SO]", "so"),
        ("HO!", "ho!"),
        ("T-SHIRT", "t-shirt"),
        ("S.A.T.", "s.a.t."),
        ("\\ANDM", "andm"),
        ("\\{BR}", ""),
        ("{\\LS)", ""),
        ("{ really }", "really"),
        ("I'M", "i'm"),
        *[(label, "") for label in ("{CG}", "{LS)", "(BR}", "{LS} ", "", " ", "#", "sp", "{ns}")],
        *[(label, "") for label in ("{SL}", "{IG}", "[lg]", "sentence_start", "Sentence_End")],
    ],
)
def test_labels_are_cleaned(label: str, word: str) -> None:
    assert clean_word(label) == word


@given(st.text(max_size=20))
def test_cleaning_twice_changes_nothing_for_plain_labels(label: str) -> None:
    word = clean_word(label)
    assert word not in MARKERS or word == ""
    assert word == word.strip()


def table(tmp_path: Path, text: str | bytes, name: str = "words.csv") -> Path:
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def words_of(path: Path, story: str = "a") -> tuple[str, ...]:
    return transcript_from_rows(story, read_word_table(path)[story], path).words


PLAIN = f"{HEADER}\na,One,0.5,1\na,{{LS}},1,1.5\na,two,1.5,2\nb,x,0,1\n"


@pytest.mark.parametrize(
    "change",
    [
        lambda s: s.encode(),
        lambda s: s.replace("\n", "\r\n").encode(),
        lambda s: s.replace("\n", "\r").encode(),
        lambda s: s.encode("utf-8-sig"),
        lambda s: s.encode("utf-16"),
        lambda s: s.replace(",", "\t").encode(),
        lambda s: s.replace(",", ";").encode(),
        lambda s: s.replace(HEADER, " Story ,WORD,Onset_S,OFFSET_s").encode(),
        lambda s: s.replace("\n", "\n\n").encode(),
        lambda s: s.replace("\n", ",more\n").encode(),
        lambda s: s.replace("a,", '"a ",').encode(),
        lambda s: (s + ",,,\n").encode(),
        lambda s: s.rstrip("\n").encode(),
    ],
)
def test_harmless_differences_do_not_matter(tmp_path: Path, change) -> None:
    path = table(tmp_path, change(PLAIN))
    assert list(read_word_table(path)) == ["a", "b"]
    assert words_of(path) == ("one", "two")


def test_columns_in_any_order_and_gzip(tmp_path: Path) -> None:
    text = "offset_s,extra,word,story,onset_s\n1,,Hi,a,0.25\n"
    path = table(tmp_path, gzip.compress(text.encode()), "words.csv.gz")
    transcript = transcript_from_rows("a", read_word_table(path)["a"], path)
    assert transcript.words == ("hi",)
    np.testing.assert_array_equal(transcript.onsets, [0.25])
    np.testing.assert_array_equal(transcript.offsets, [1.0])


LAYOUT_FAULTS = {
    "no column": ("story,word,onset,offset_s\na,b,0,1\n", r"line 1.*'onset'"),
    "no header": ("a,b,0,1\n", "line 1"),
    "twice the same column": (f"{HEADER},word\na,b,0,1,c\n", "2 columns 'word'"),
    "empty file": ("", "line 1"),
    "no rows": (f"{HEADER}\n", "no words"),
    "short row": (f"{HEADER}\na,b,0,1\na,b,0\n", "line 3.*3 columns"),
    "no story": (f"{HEADER}\n,b,0,1\n", "line 2.*no story name"),
    "open quote": (f'{HEADER}\na,b,0,1\na,"c,0,1\na,d,0,1\n', "line 3.*quote"),
    "cut gzip": (gzip.compress(b"x" * 999)[:-9], "complete gzip"),
    "a huge field": (f"{HEADER}\na,{'x' * 200_000},0,1\n", "line 2"),
}


@pytest.mark.parametrize("fault", LAYOUT_FAULTS)
def test_faulty_tables_are_refused(tmp_path: Path, fault: str) -> None:
    content, message = LAYOUT_FAULTS[fault]
    name = "words.csv.gz" if fault == "cut gzip" else "words.csv"
    with pytest.raises(InputError, match=message):
        read_word_table(table(tmp_path, content, name))


TIME_FAULTS = {
    "text": ("a,b,zero,1", r"line 3.*onset_s 'zero'"),
    "decimal comma": ('a,b,"0,5",1', r"line 3.*onset_s '0,5'"),
    "nothing": ("a,b,0.5,", r"line 3.*offset_s ''"),
    "NaN": ("a,b,nan,1", r"line 3.*onset_s 'nan'"),
    "infinite": ("a,b,0,inf", r"line 3.*offset_s 'inf'"),
    "negative": ("a,b,-0.5,1", r"line 3.*-0\.5 to 1\.0"),
    "ends before it starts": ("a,b,2,1", r"line 3.*2\.0 to 1\.0"),
    "backwards": ("a,b,0.1,1", r"line 3.*after a word"),
    "the same times": ("a,b,0.25,0.5", r"line 3.*the same times as 'first'"),
}


@pytest.mark.parametrize("fault", TIME_FAULTS)
def test_faulty_times_name_their_line_and_spoil_no_other_story(tmp_path: Path, fault: str) -> None:
    row, message = TIME_FAULTS[fault]
    path = table(tmp_path, f"{HEADER}\na,first,0.25,0.5\n{row}\nb,fine,0,1\n")
    with pytest.raises(InputError, match=message):
        words_of(path)
    assert words_of(path, "b") == ("fine",)


def test_a_story_of_markers_alone_has_no_words(tmp_path: Path) -> None:
    path = table(tmp_path, f"{HEADER}\na,{{BR}},0,1\na,,1,2\n")
    with pytest.raises(InputError, match="no words"):
        words_of(path)


def test_one_table_is_wanted(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="0 word tables"):
        find_word_table(tmp_path)
    first = table(tmp_path, PLAIN, "Words.csv")
    assert find_word_table(tmp_path) == first
    table(tmp_path, PLAIN, "words.tsv")
    with pytest.raises(InputError, match="2 word tables"):
        find_word_table(tmp_path)


def test_tier_faults_name_the_interval(tmp_path: Path) -> None:
    path = tmp_path / "x.TextGrid"
    points = Tier("w", 0.0, 1.0, (Interval(0.5, 0.5, "hi"),), is_points=True)
    with pytest.raises(InputError, match="point tier"):
        transcript_from_tier("x", points, path)
    early = Tier("w", -2.0, 2.0, (Interval(-1.0, 0.5, "early"), Interval(0.5, 1.0, "hi")))
    with pytest.raises(InputError, match=r"interval 1.*'early'"):
        transcript_from_tier("x", early, path)
    pause = Tier("w", 0.0, 2.0, (Interval(0.0, 0.5, "#"), Interval(0.5, 1.0, "Hi")))
    assert transcript_from_tier("x", pause, path).words == ("hi",)
