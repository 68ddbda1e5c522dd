"""Packaged stories, timed as if somebody spoke them."""

from __future__ import annotations

import math
import re
import zlib
from importlib.resources import files

import numpy as np

from brainaligner.core import InputError, Transcript

REPETITION_TIME = 2.0
LEAD_SECONDS = 10.0
"""Scanning before the sound starts, and after it ends (ds003020)."""
TRIMMED_SCANS = 20
"""Scans of a run that ds003020 does not release as rows: ``rows = respdict - 20``."""
FEWEST_ROWS = 10

_WORD = re.compile(r"[a-z]+(?:'[a-z]+)*")
_PAUSES = {
    "none": (0.0, 0.05),
    "clause": (0.25, 0.6),
    "sentence": (0.6, 1.3),
    "paragraph": (2.6, 5.5),
}


def story_transcripts(*, seed: int = 0) -> dict[str, Transcript]:
    """Words and times of the packaged stories, as a calm speaker would say them.

    Words are lower-cased and without punctuation. A word lasts about ``0.09 s`` and
    ``0.047 s`` more per letter, faster and slower in waves of 40 words; clauses, sentences
    and paragraphs end in pauses of 0.25 to 0.6, 0.6 to 1.3 and 2.6 to 5.5 s. That gives
    about 2.1 words per second, pauses counted, and some TRs without a word. Ours by
    choice: the medians of ds003020 are 2.7 words per second and a first word at 0.8 s.

    Parameters
    ----------
    seed : int
        Changes the times, not the words.

    Returns
    -------
    dict of str to Transcript
        By story name, sorted.
    """
    folder = files("brainaligner.data") / "stories"
    names = sorted(entry.name for entry in folder.iterdir() if entry.name.endswith(".txt"))
    return {
        name.removesuffix(".txt"): _spoken(
            name.removesuffix(".txt"), (folder / name).read_text(encoding="utf-8"), seed
        )
        for name in names
    }


def scans_of(transcript: Transcript) -> int:
    """Scans of the run: from 10 s before the sound to 10 s after its last word, rounded up."""
    seconds = float(transcript.offsets[-1]) + 2 * LEAD_SECONDS
    return math.ceil(seconds / REPETITION_TIME)


def story_rows(transcript: Transcript) -> int:
    """Number of response rows of a simulated story.

    ``rows = respdict - 20`` with ``respdict`` the scans of the run, and row ``i`` is
    centred at ``2 i + 11`` s of story time, as in ds003020 (LeBel et al. 2023).

    Raises
    ------
    InputError
        If the story is too short to leave ten rows.
    """
    rows = scans_of(transcript) - TRIMMED_SCANS
    if rows < FEWEST_ROWS:
        raise InputError(
            f"story {transcript.story!r}",
            got=f"a last word at {transcript.offsets[-1]:.1f} s, which leaves {rows} rows",
            wanted=f"at least {FEWEST_ROWS} rows (40 s of speech)",
            do="Use a longer story.",
        )
    return rows


def _spoken(story: str, text: str, seed: int) -> Transcript:
    rng = np.random.default_rng((seed, zlib.crc32(story.encode())))
    words, kinds = _words_and_pauses(text)
    index = np.arange(len(words))
    pace = 1 + 0.2 * np.sin(2 * np.pi * index / 40 + rng.uniform(0, 2 * np.pi))
    letters = np.array([len(word) for word in words])
    spoken = (0.09 + 0.047 * letters) * pace * np.exp(rng.normal(0, 0.15, len(words)))
    silence = np.array([rng.uniform(*_PAUSES[kind]) for kind in kinds])
    silence[silence < 0.02] = 0.0  # most words run into the next one
    ends = np.cumsum(spoken + silence) - silence + rng.uniform(0.3, 2.0)
    return Transcript(story, words, np.round(ends - spoken, 4), np.round(ends, 4))


def _words_and_pauses(text: str) -> tuple[tuple[str, ...], list[str]]:
    """Words, and the kind of pause after each."""
    words: list[str] = []
    pauses: list[str] = []
    for paragraph in text.lower().split("\n\n"):
        for token in paragraph.split():
            found = _WORD.findall(token)
            words += found
            pauses += ["none"] * (len(found) - 1) + [_pause_after(token)] * bool(found)
        pauses[-1] = "paragraph"
    return tuple(words), pauses


def _pause_after(token: str) -> str:
    if token[-1] in ".?!":
        return "sentence"
    return "clause" if token[-1] in ",:;" else "none"
