"""Whether the shape of a recording fits what the dataset says elsewhere."""

from __future__ import annotations

from brainaligner.core import Clock, InputError, Transcript
from brainaligner.data._archive import ArrayHeader

LONGEST_TAIL_S = 20.0
"""Seconds by which the last word may start after the last row's window.

The ends of runs are cut. Over the 84 stories of ds003020 the last word starts at most 11.4 s
after the last row's window (measured); a wrong clock, wrong units or another story's words
exceed 20 s.
"""


def check_rows(where: str, n_rows: int, expected: int | None) -> None:
    """Refuse a number of rows other than the announced one, where one is announced."""
    if expected is not None and n_rows != expected:
        raise InputError(
            where,
            got=f"{n_rows} rows",
            wanted=f"{expected} rows, the number in respdict.json less 20",
            do="Download the file again, or correct respdict.json.",
        )


def check_columns(where: str, n_columns: int, expected: int) -> None:
    """Refuse a number of columns other than that of the subject's first story."""
    if n_columns != expected:
        raise InputError(
            where,
            got=f"{n_columns} columns",
            wanted=f"{expected}, as in the subject's first story",
            do="Save every story of a subject with the same columns.",
        )


def check_repeats(where: str, header: ArrayHeader, mean_shape: tuple[int, int]) -> None:
    """Refuse single presentations whose rows and columns are not those of their mean."""
    if header.shape[1:] != mean_shape:
        raise InputError(
            where,
            got=f"shape {header.shape}",
            wanted=f"(repeat, {mean_shape[0]}, {mean_shape[1]}), as the mean",
            do="Download the file again, or save repeats of the same rows and columns.",
        )


def check_words_end(where: str, transcript: Transcript, clock: Clock, n_rows: int) -> None:
    """Refuse words that go on for more than `LONGEST_TAIL_S` after the last row's window."""
    scan_end = clock.first + (n_rows - 0.5) * clock.tr
    last = float(transcript.onsets[-1])
    if last > scan_end + LONGEST_TAIL_S:
        raise InputError(
            where,
            got=f"{n_rows} rows, the last ending at {scan_end:g} s, and a word at {last:g} s",
            wanted=f"no word more than {LONGEST_TAIL_S:g} s after the last row",
            do="Check that the words are those of this story, that their times are in seconds, "
            "and the clock.",
        )
