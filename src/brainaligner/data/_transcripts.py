"""Transcripts from one file of words, without any responses beside it."""

from __future__ import annotations

from pathlib import Path

from brainaligner.core import InputError, Transcript
from brainaligner.data._lebel2023 import word_tier
from brainaligner.data._textgrid import read_textgrid
from brainaligner.data._words import read_word_table, transcript_from_rows, transcript_from_tier

TEXTGRID = ".textgrid"
WORD_TABLES = (".csv", ".tsv", ".csv.gz", ".tsv.gz")


def holds_timed_words(path: Path) -> bool:
    """Whether a file's name says that it is a word table or a TextGrid."""
    return path.name.lower().endswith((TEXTGRID, *WORD_TABLES))


def read_transcripts(path: Path) -> dict[str, Transcript]:
    """Read the words of one file: a word table, or a TextGrid of one story.

    Parameters
    ----------
    path : Path
        A table as the reader ``folder`` takes it (csv, tsv, also gzipped), whose column ``story``
        may be missing where it holds one story; or a TextGrid, whose words are on its second
        tier, or its only one. A story without a name has that of the file.

    Returns
    -------
    dict of story to Transcript
        In the order of the file.

    Raises
    ------
    InputError
        If the file is neither, cannot be read, or has faulty words; with the line or interval.
    """
    if not holds_timed_words(path):
        raise InputError(
            str(path),
            got=f"a file called {path.name}",
            wanted=f"a word table ({', '.join(WORD_TABLES)}) or a TextGrid",
            do="Give the file one of these endings.",
        )
    story = path.name.split(".")[0] or path.name
    if path.name.lower().endswith(TEXTGRID):
        return {story: transcript_from_tier(story, word_tier(path, read_textgrid(path)), path)}
    table = read_word_table(path, story=story)
    return {name: transcript_from_rows(name, rows, path) for name, rows in table.items()}
