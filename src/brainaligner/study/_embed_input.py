"""What `embed` reads: lines of text, or words with times."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from brainaligner.core import Clock, InputError, Transcript
from brainaligner.data import holds_timed_words, read_transcripts
from brainaligner.study._files import read_text

MOST_ROWS = 1_000_000
_DAY_S = 86_400.0
_LONG_WORD_S = 30.0
_NO_TEXT = (".npz", ".npy", ".safetensors", ".pt", ".bin", ".pkl", ".pdf", ".docx", ".json", ".wav")


@dataclass(frozen=True, eq=False)
class ReadText:
    """One of the two kinds of input.

    Parameters
    ----------
    lines : tuple of str, optional
        Of plain text.
    transcripts : mapping of story to Transcript
        Of timed words.
    """

    lines: tuple[str, ...] | None = None
    transcripts: Mapping[str, Transcript] = field(default_factory=dict)


def read_text_input(path: Path) -> ReadText:
    """Read a word table or a TextGrid by its name's ending, and anything else as lines of text.

    Raises
    ------
    InputError
        If the file cannot be read, is empty, has a blank line, faulty words or a story of more
        than a day.
    """
    if holds_timed_words(path):
        transcripts = read_transcripts(path.expanduser())
        for transcript in transcripts.values():
            _check_length(path, transcript)
        return ReadText(transcripts=transcripts)
    return ReadText(lines=_lines(path.expanduser()))


def _check_length(path: Path, transcript: Transcript) -> None:
    last = float(transcript.onsets[-1])
    if last > _DAY_S:
        raise InputError(
            f"{path}, story {transcript.story!r}",
            got=f"a last word at {last:g} s, after more than a day",
            wanted="times in seconds",
            do="Divide milliseconds by 1000, or give each recording as a story of its own.",
        )


def doubts(
    transcripts: Mapping[str, Transcript], rows: Mapping[str, int], clock: Clock, *, shift: int
) -> list[str]:
    """What makes it doubtful that times are in seconds, in lines for people.

    Parameters
    ----------
    transcripts : mapping of story to Transcript
    rows : mapping of story to int
        Rows of each story.
    clock : Clock
    shift : int
        As `Clock.row_of` takes it.
    """
    n_rows, filled, longest = sum(rows.values()), 0, 0.0
    for story, transcript in transcripts.items():
        at = clock.row_of(transcript.onsets, shift=shift)
        filled += len(np.unique(at[(at >= 0) & (at < rows[story])]))
        longest = max(longest, float((transcript.offsets - transcript.onsets).max()))
    said = {
        f"{n_rows - filled} of {n_rows} rows have no word": 2 * filled < n_rows,
        f"a word lasts {longest:g} s": longest > _LONG_WORD_S,
    }
    return [f"{fact}: are the times in seconds?" for fact, doubtful in said.items() if doubtful]


def _lines(path: Path) -> tuple[str, ...]:
    if path.suffix.lower() in _NO_TEXT or path.is_dir() or not path.exists():
        raise InputError(
            str(path),
            got="no such file" if not path.exists() else "neither lines of text nor timed words",
            wanted="a UTF-8 text with one sentence per line, a word table (.csv, .tsv) or a "
            "TextGrid",
            do="Check the path.",
        )
    text = read_text(path, kind="text with one sentence per line").removesuffix("\n")
    lines = tuple(line.strip() for line in text.split("\n"))
    blank = next((i for i, line in enumerate(lines, 1) if not line), None)
    if blank is not None:
        raise InputError(
            f"{path}, line {blank}",
            got="an empty file" if not any(lines) else "a blank line",
            wanted="a sentence on each line",
            do="Remove blank lines: rows of the result are lines of the text.",
        )
    return lines


def rows_needed(transcript: Transcript, clock: Clock, *, shift: int) -> int:
    """Rows up to that which has the last word.

    Parameters
    ----------
    transcript : Transcript
    clock : Clock
    shift : int
        As `Clock.row_of` takes it.

    Raises
    ------
    InputError
        If all words come before row 0, or there would be more than a million rows.
    """
    last = float(transcript.onsets[-1])
    rows = (last - clock.first) / clock.tr + 0.5 - shift  # not rounded: it may be beyond any int
    if not 0 <= rows < MOST_ROWS:
        raise InputError(
            f"story {transcript.story!r}",
            got=f"a last word at {last:g} s, rows of {clock.tr:g} s from {clock.first:g} s on",
            wanted=f"1 to {MOST_ROWS:,} rows",
            do="Give times in seconds, and --tr and --first as the rows need them.",
        )
    return int(clock.row_of(transcript.onsets[-1:], shift=shift)[0]) + 1
