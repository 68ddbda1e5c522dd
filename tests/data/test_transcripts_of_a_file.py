"""Words of one file, with and without a column that names the story."""

from __future__ import annotations

from pathlib import Path

import pytest

from brainaligner.core import InputError
from brainaligner.data import holds_timed_words, read_transcripts
from brainaligner.data._words import read_word_table

PLAIN = "word,onset_s,offset_s\nHello,0.5,0.9\n{BR},1,1.2\nyou,1.5,1.9\n"
NAMED = "story,word,onset_s,offset_s\nb,hello,0.5,0.9\na,one,1,2\nb,you,1.5,1.9\n"


def test_a_table_without_stories_is_one_story_of_the_files_name(tmp_path: Path) -> None:
    path = tmp_path / "tale.v2.csv"
    path.write_text(PLAIN, encoding="utf-8")
    found = read_transcripts(path)
    assert list(found) == ["tale"]
    assert found["tale"].words == ("hello", "you")
    assert found["tale"].onsets.tolist() == [0.5, 1.5]


def test_a_table_with_stories_keeps_their_names(tmp_path: Path) -> None:
    path = tmp_path / "words.csv"
    path.write_text(NAMED, encoding="utf-8")
    found = read_transcripts(path)
    assert {story: one.words for story, one in found.items()} == {
        "b": ("hello", "you"),
        "a": ("one",),
    }


def test_a_dataset_still_wants_the_column(tmp_path: Path) -> None:
    path = tmp_path / "words.csv"
    path.write_text(PLAIN, encoding="utf-8")
    with pytest.raises(InputError, match="0 columns 'story'"):
        read_word_table(path)


@pytest.mark.parametrize("name", ["stories", "Story_ID", "story name"])
def test_a_slip_in_the_columns_name_is_no_table_of_one_story(tmp_path: Path, name: str) -> None:
    path = tmp_path / "words.csv"
    path.write_text(NAMED.replace("story", name), encoding="utf-8")
    with pytest.raises(InputError, match="Is it the column"):
        read_transcripts(path)


def test_a_column_of_another_name_does_no_harm(tmp_path: Path) -> None:
    path = tmp_path / "tale.csv"
    path.write_text("history,word,onset_s,offset_s\nx,hi,1,2\n", encoding="utf-8")
    assert read_transcripts(path)["tale"].words == ("hi",)


@pytest.mark.parametrize(
    ("name", "timed"),
    [
        ("a.csv", True),
        ("A.TSV", True),
        ("a.csv.gz", True),
        ("a.TextGrid", True),
        ("a.txt", False),
        ("csv", False),
        ("a.gz", False),
    ],
)
def test_the_ending_says_what_a_file_holds(tmp_path: Path, name: str, timed: bool) -> None:
    assert holds_timed_words(tmp_path / name) == timed
    if not timed:
        with pytest.raises(InputError, match="a word table"):
            read_transcripts(tmp_path / name)
