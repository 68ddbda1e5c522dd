"""The words of one story and when they were spoken."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float64

from brainaligner.core._arrays import array_digest, frozen_array
from brainaligner.core._errors import InputError


@dataclass(frozen=True, eq=False)
class Transcript:
    """Words of one story with onset and offset.

    Parameters
    ----------
    story : str
        Name of the story.
    words : tuple of str
        Spoken words in order, cleaned: no markers, none empty.
    onsets, offsets : float64 array, shape (word,)
        In seconds from the start of the story's sound; onsets never decrease, and no two
        words share both times.

    Raises
    ------
    InputError
        If lengths differ, a time is not finite, a word is empty or ends before it starts,
        onsets decrease, or two words have the same onset and offset.
    """

    story: str
    words: tuple[str, ...]
    onsets: Float64[np.ndarray, "word"]
    offsets: Float64[np.ndarray, "word"]

    def __post_init__(self) -> None:
        object.__setattr__(self, "words", tuple(self.words))
        for name in ("onsets", "offsets"):
            times = np.array(getattr(self, name), dtype=np.float64)
            object.__setattr__(self, name, frozen_array(times))
        self._check()

    def _check(self) -> None:
        where = f"transcript of story {self.story!r}"
        n = len(self.words)
        if self.onsets.shape != (n,) or self.offsets.shape != (n,):
            raise InputError(
                where,
                got=f"{n} words, onsets {self.onsets.shape}, offsets {self.offsets.shape}",
                wanted="one onset and one offset for each word",
                do="Check the word table for missing columns.",
            )
        if n == 0:
            raise InputError(
                where,
                got="no words",
                wanted="at least one spoken word",
                do="Check that the file is not empty and holds more than markers.",
            )
        faults = {
            "an empty word": np.array([not word.strip() for word in self.words]),
            "a time that is not finite": ~(np.isfinite(self.onsets) & np.isfinite(self.offsets)),
            "a word that ends before it starts": self.offsets < self.onsets,
            "a word that starts before the word ahead of it": np.r_[
                False, np.diff(self.onsets) < 0
            ],
            "two words with the same onset and offset": np.r_[
                False, (np.diff(self.onsets) == 0) & (np.diff(self.offsets) == 0)
            ],
        }
        for fault, at in faults.items():
            if at.any():
                i = int(np.argmax(at))
                raise InputError(
                    where,
                    got=f"{fault} (word {i + 1}, {self.words[i]!r}, "
                    f"{self.onsets[i]} to {self.offsets[i]} s; {int(at.sum())} in all)",
                    wanted="words in order, each with finite onset <= offset of its own",
                    do="Correct the times of that word.",
                )

    def __len__(self) -> int:
        return len(self.words)

    @property
    def midpoints(self) -> Float64[np.ndarray, "word"]:
        """Middle of each word, in seconds."""
        return (self.onsets + self.offsets) / 2

    def digest(self) -> str:
        """SHA-256 of words and times; the story's name does not enter."""
        return self._content

    @cached_property
    def _content(self) -> str:
        text = "\x1f".join(self.words).encode()
        times = array_digest(self.onsets) + array_digest(self.offsets)
        return hashlib.sha256(text + times.encode()).hexdigest()
