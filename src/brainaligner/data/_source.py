"""What a reader has to provide to make a dataset of its files."""

from __future__ import annotations

import abc
from collections.abc import Iterator
from typing import ClassVar

import numpy as np
from jaxtyping import Float

from brainaligner.core import Space, Transcript
from brainaligner.data._archive import ArrayHeader
from brainaligner.data._problem import Problem


class Source(abc.ABC):
    """One kind of files, unchecked; `Dataset` checks, caches and cuts what they give.

    A `name` is a story's name as the subject's files spell it, a `story` as the words do.
    """

    reader: ClassVar[str]

    @abc.abstractmethod
    def worded(self) -> tuple[str, ...]:
        """Return the stories that have words, sorted."""

    @abc.abstractmethod
    def recorded(self, subject: str) -> tuple[str, ...]:
        """Return the names under which a subject has responses, as the files spell them."""

    @abc.abstractmethod
    def _read_transcript(self, story: str) -> Transcript:
        """Build the transcript of one story of `worded`."""

    @abc.abstractmethod
    def _header(self, subject: str, name: str) -> ArrayHeader:
        """Return shape and dtype of one recording, from its header alone."""

    @abc.abstractmethod
    def _columns(self, subject: str, name: str, columns: slice) -> Float[np.ndarray, "time target"]:
        """Read some columns of one recording, NaN and all."""

    @abc.abstractmethod
    def _content_digest(self, subject: str, name: str) -> str:
        """SHA-256 of what one recording holds."""

    @abc.abstractmethod
    def _read_space(self, subject: str, size: int) -> Space:
        """Return what a subject's `size` columns are."""

    def _repeats_header(self, subject: str, name: str) -> ArrayHeader | None:
        """Return shape and dtype of the single presentations, or None if there are none."""
        return None

    def _repeats(
        self, subject: str, name: str, columns: slice
    ) -> Float[np.ndarray, "repeat time target"]:
        """Read some columns of the single presentations that `_repeats_header` announced."""
        raise LookupError(f"{self.reader} has no single presentations")

    def _expected_rows(self, story: str) -> int | None:
        """Return the number of rows that the dataset announces for a story, if it does."""
        return None

    def _announced_presentations(self, story: str) -> int:
        """Return how many presentations the dataset says a story's responses average."""
        return 1

    def _reader_problems(self) -> Iterator[Problem]:
        """Find what only this kind of dataset can have wrong."""
        yield from ()
