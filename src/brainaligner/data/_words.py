"""Cleaned words with their times, from TextGrid tiers and word tables."""

from __future__ import annotations

import gzip
import math
import re
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np

from brainaligner.core import InputError, Transcript, nearest_name
from brainaligner.data._files import decode_text, read_bytes, reading
from brainaligner.data._table_rows import table_rows, wrong_row
from brainaligner.data._textgrid import Tier

MARKERS = frozenset(
    {"", "#", "sentence_start", "sentence_end", "br", "lg", "ls", "ns", "sp", "sl", "cg", "ig"}
)
"""Labels that are no word: pauses, breaths, laughter, lip smacks, noise, sentence borders.

The set of the readers published with ds003020 and its extensions (``sl``, ``cg``, ``ig``,
empty), and ``#``, the pause of the "Le Petit Prince" TextGrids.
"""

_AROUND = re.compile(r"^[\s{}()\[\]\\]+|[\s{}()\[\]]+$")

COLUMNS = ("story", "word", "onset_s", "offset_s")
TABLE_NAMES = ("words.csv", "words.tsv", "words.csv.gz")


def clean_word(label: str) -> str:
    """Return the word that a label stands for, lower-cased; empty where it is a marker.

    White space, the brackets ``{}()[]`` around a label and a stray backslash before it are
    dropped: ``"{LS)"`` is a marker, ``"SO]"`` the word ``"so"``.
    """
    word = _AROUND.sub("", label.lower())
    return "" if word in MARKERS else word


class WordRow(NamedTuple):
    """One row of a word table as written, and the line it stands on."""

    line: int
    label: str
    onset: str
    offset: str


class _Timed(NamedTuple):
    place: int
    word: str
    onset: float
    offset: float


def transcript_from_tier(story: str, tier: Tier, path: Path) -> Transcript:
    """Build the transcript of a story from its word tier, markers left out.

    Raises
    ------
    InputError
        If the tier holds points, no word, or words out of order.
    """
    if tier.is_points:
        raise InputError(
            f"{path}, tier {tier.name!r}",
            got="a point tier",
            wanted="words as intervals",
            do="Put the words on an interval tier, the second one if there are several.",
        )
    timed = (
        _Timed(i, clean_word(found.label), found.start, found.end)
        for i, found in enumerate(tier.intervals, start=1)
    )
    return _transcript(story, [word for word in timed if word.word], f"{path}, interval")


def transcript_from_rows(story: str, rows: list[WordRow], path: Path) -> Transcript:
    """Build the transcript of a story from its rows of a word table, markers left out.

    Raises
    ------
    InputError
        With the line number, if a time is no number, not finite or negative, or words are
        out of order.
    """
    timed = (
        _Timed(
            row.line,
            clean_word(row.label),
            _seconds(path, row, "onset_s", row.onset),
            _seconds(path, row, "offset_s", row.offset),
        )
        for row in rows
    )
    return _transcript(story, [word for word in timed if word.word], f"{path}, line")


def _seconds(path: Path, row: WordRow, column: str, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise InputError(
            f"{path}, line {row.line}",
            got=f"{column} {text!r} for {row.label!r}",
            wanted="seconds from the start of the story's sound, such as 12.5",
            do="Write a number with a decimal point.",
        )
    return value


def _transcript(story: str, words: list[_Timed], source: str) -> Transcript:
    for word in words:
        if word.onset < 0 or word.offset < word.onset:
            raise _wrong_time(source, word, f"{word.onset} to {word.offset} s")
    for before, word in pairwise(words):
        if word.onset < before.onset:
            got = f"onset {word.onset} s after a word at {before.onset} s"
            raise _wrong_time(source, word, got)
        if (word.onset, word.offset) == (before.onset, before.offset):
            raise _wrong_time(source, word, f"the same times as {before.word!r} before it")
    return Transcript(
        story,
        tuple(word.word for word in words),
        np.array([word.onset for word in words], dtype=np.float64),
        np.array([word.offset for word in words], dtype=np.float64),
    )


def _wrong_time(source: str, word: _Timed, got: str) -> InputError:
    return InputError(
        f"{source} {word.place}",
        got=f"word {word.word!r}: {got}",
        wanted="words in order of time, each with 0 <= onset <= offset",
        do="Correct its times, or sort the words of the story by onset.",
    )


def find_word_table(folder: Path) -> Path:
    """Return the one word table of a folder.

    Raises
    ------
    InputError
        If there is none, or more than one.
    """
    names = {entry.name.lower(): entry for entry in sorted(folder.iterdir())}
    found = [names[name] for name in TABLE_NAMES if name in names]
    if len(found) != 1:
        raise InputError(
            str(folder),
            got=f"{len(found)} word tables",
            wanted=f"exactly one of: {', '.join(TABLE_NAMES)}",
            do=f"Write one row per word with the columns {', '.join(COLUMNS)}.",
        )
    return found[0]


def read_word_table(path: Path, *, story: str | None = None) -> dict[str, list[WordRow]]:
    """Read a table of words: one row per word, columns story, word, onset_s, offset_s.

    Comma, semicolon or tab between the columns; header in any case; a byte-order mark,
    Windows line ends, blank lines and further columns do no harm. Story names lose the white
    space around them. Times stay text, so that a fault in one story spoils no other.

    Parameters
    ----------
    path : Path
    story : str, optional
        Name of the one story of a table that has no column ``story``; without it such a table
        is refused.

    Raises
    ------
    InputError
        With the line number, if a column or a story name is missing, a row is too short, or
        a quote is never closed.
    """
    text = _table_text(path)
    rows = table_rows(path, text, delimiter=_delimiter(text))
    at = _column_places(path, next(rows, (1, []))[1], one_story=story is not None)
    stories: dict[str, list[WordRow]] = {}
    for line, cells in rows:
        if not any(cell.strip() for cell in cells):
            continue
        if len(cells) <= max(at):
            raise wrong_row(path, line, f"{len(cells)} columns", "as many as the header")
        label, onset, offset = [cells[i] for i in at[-3:]]
        name = cells[at[0]].strip() if len(at) == len(COLUMNS) else story
        if not name:
            raise wrong_row(path, line, "no story name", "the name of the story")
        stories.setdefault(name, []).append(WordRow(line, label, onset, offset))
    if not stories:
        raise wrong_row(path, 2, "no words", "one row per word")
    return stories


def _table_text(path: Path) -> str:
    raw = read_bytes(path, "a table of words")
    if path.suffix.lower() == ".gz":
        with reading(path, "a complete gzip file"):
            raw = gzip.decompress(raw)
    return decode_text(path, raw)


def _delimiter(text: str) -> str:
    header = next(iter(text[:4096].splitlines()), "")
    return max(",\t;", key=header.count)


def _column_places(path: Path, header: list[str], *, one_story: bool) -> list[int]:
    """Places of `COLUMNS`; of all but the first where one story has no column for its name."""
    names = [name.strip().lower() for name in header]
    nearly = any(name.startswith(COLUMNS[0][:4]) for name in names)  # stories, story_id: a slip
    columns = COLUMNS[1:] if one_story and not nearly else COLUMNS
    for column in columns:
        if names.count(column) != 1:
            nearest = nearest_name(column, names)
            raise InputError(
                f"{path}, line 1",
                got=f"{names.count(column)} columns {column!r} in: {', '.join(names)}",
                wanted=f"the columns {', '.join(COLUMNS)}",
                do=f"Is it the column {nearest!r}?" if nearest else "Add a header line.",
            )
    return [names.index(column) for column in columns]
