"""Which words of a story each row, or each word, is read with. Nothing to the right enters."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int

from brainaligner.core import Clock, InputError, Transcript
from brainaligner.text._settings import TextSettings


@dataclass(frozen=True)
class RowText:
    """The words that one row (or one word) is read with.

    Parameters
    ----------
    context : tuple of str
        Words before the row's window.
    own : tuple of str
        Words in the row's window.
    """

    context: tuple[str, ...]
    own: tuple[str, ...]

    @property
    def text(self) -> str:
        """All words joined by single spaces."""
        return " ".join(self.context + self.own)

    @property
    def own_start(self) -> int:
        """Index in `text` of the first character of the first own word."""
        return sum(len(word) + 1 for word in self.context)


def story_texts(
    transcript: Transcript, clock: Clock, n_rows: int, *, settings: TextSettings
) -> tuple[RowText, ...]:
    """Return the texts that a story is read in: per row, or per word for Lanczos.

    `rows_from_states` brings the states of either kind to rows.
    """
    if settings.resample == "lanczos":
        return word_texts(transcript, clock, settings=settings)
    return row_texts(transcript, clock, n_rows, settings=settings)


def row_texts(
    transcript: Transcript, clock: Clock, n_rows: int, *, settings: TextSettings
) -> tuple[RowText, ...]:
    """Return each row's own words and left context.

    A word belongs to the row whose window (moved back by one row for the "previous" clock)
    holds its onset. Words before row 0 can be context (or not: `context_from`); words after the
    last row are ignored.

    Parameters
    ----------
    transcript : Transcript
    clock : Clock
    n_rows : int
        Rows of the story's responses.
    settings : TextSettings

    Returns
    -------
    tuple of RowText, one per row
    """
    if n_rows < 1:
        raise InputError(
            f"rows of story {transcript.story!r}",
            got=f"{n_rows}",
            wanted="1 or more",
            do="Give the number of TRs of its responses.",
        )
    index = np.arange(n_rows + 1)
    rows = clock.row_of(transcript.onsets, shift=settings.shift)
    edges = np.searchsorted(rows, index)
    opens = clock.first + (index + settings.shift - 0.5) * clock.tr
    start = _context_start(transcript, rows, edges, (index, opens), settings=settings)
    words = transcript.words
    return tuple(
        RowText(words[start[i] : edges[i]], words[edges[i] : edges[i + 1]]) for i in range(n_rows)
    )


def word_texts(
    transcript: Transcript, clock: Clock, *, settings: TextSettings
) -> tuple[RowText, ...]:
    """Return each word as its own text, with the left context of the same rule.

    With `context_rows` = k the context is the words of the k rows before the word's row and
    the words before it in its own row.

    Returns
    -------
    tuple of RowText, one per word
    """
    rows = clock.row_of(transcript.onsets, shift=settings.shift)
    first = np.arange(len(transcript))
    start = _context_start(transcript, rows, first, (rows, transcript.onsets), settings=settings)
    words = transcript.words
    return tuple(RowText(words[start[i] : i], words[i : i + 1]) for i in range(len(words)))


def _context_start(
    transcript: Transcript,
    rows: Int[np.ndarray, "word"],
    first: Int[np.ndarray, "text"],
    where: tuple[Int[np.ndarray, "text"], Float64[np.ndarray, "text"]],
    *,
    settings: TextSettings,
) -> Int[np.ndarray, "text"]:
    """First context word of each text, from its first own word, its row and its start in s."""
    row, opens = where
    if settings.context_rows:
        start = np.searchsorted(rows, row - settings.context_rows)
    elif settings.context_seconds:
        start = np.searchsorted(transcript.onsets, opens - settings.context_seconds)
    else:
        start = first - settings.context_words
    earliest = np.searchsorted(rows, 0) if settings.context_from == "first_row" else 0
    return np.minimum(np.maximum(start, earliest), first)
