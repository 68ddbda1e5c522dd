"""Datasets with one word table and one file of responses per subject."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from jaxtyping import Float

from brainaligner.core import Clock, InputError, Space, Transcript
from brainaligner.data._archive import ARCHIVES, ArrayHeader, ResponseArchive
from brainaligner.data._dataset import Dataset
from brainaligner.data._problem import Problem
from brainaligner.data._respdict import NAME, read_respdict, respdict_problems
from brainaligner.data._words import find_word_table, read_word_table, transcript_from_rows


@dataclass(frozen=True)
class Facts:
    """What the files of such a dataset do not say.

    Parameters
    ----------
    clock : Clock
    space : str
        Kind of target: voxels, components, regions or parcels.
    repeated : mapping of str to int
        Story -> how many presentations its responses average (2: several, number unknown).
    labels : tuple of str, optional
        One name per target.
    """

    clock: Clock = field(default_factory=Clock)
    space: str = "voxels"
    repeated: Mapping[str, int] = field(default_factory=dict)
    labels: tuple[str, ...] | None = None


class WordTableDataset(Dataset):
    """Words in ``words.csv`` (``.tsv``, ``.csv.gz``), responses in ``<subject>.npz``/``.hf5``."""

    def __init__(self, folder: Path, facts: Facts) -> None:
        self._facts = facts
        self._words = find_word_table(folder)
        self._table = read_word_table(self._words)
        self._archives = find_archives(folder)
        self._rows = read_respdict(folder)
        self._repeated = {name.strip().casefold(): n for name, n in facts.repeated.items()}
        super().__init__(folder, subjects=tuple(sorted(self._archives)), clock=facts.clock)

    def worded(self) -> tuple[str, ...]:
        """Return the stories of the word table, sorted."""
        return tuple(sorted(self._table))

    def recorded(self, subject: str) -> tuple[str, ...]:
        """Return the names of the arrays in a subject's file."""
        return self._archives[subject].names()

    def _read_transcript(self, story: str) -> Transcript:
        return transcript_from_rows(story, self._table[story], self._words)

    def _header(self, subject: str, name: str) -> ArrayHeader:
        return self._archives[subject].header(name)

    def _columns(self, subject: str, name: str, columns: slice) -> Float[np.ndarray, "time target"]:
        return self._archives[subject].columns(name, columns)

    def _repeats_header(self, subject: str, name: str) -> ArrayHeader | None:
        return self._archives[subject].repeats_header(name)

    def _repeats(
        self, subject: str, name: str, columns: slice
    ) -> Float[np.ndarray, "repeat time target"]:
        return self._archives[subject].repeats(name, columns)

    def _expected_rows(self, story: str) -> int | None:
        return self._rows.get(story.casefold())

    def _announced_presentations(self, story: str) -> int:
        return self._repeated.get(story.casefold(), 1)

    def _content_digest(self, subject: str, name: str) -> str:
        return self._archives[subject].digest(name)

    def _read_space(self, subject: str, size: int) -> Space:
        return Space(self._facts.space, size, self._facts.labels)

    def _reader_problems(self) -> Iterator[Problem]:
        if (self.folder / NAME).exists():
            yield from respdict_problems(self.folder, self._rows, self.worded())


NOT_RESPONSES = ("parcels.npz",)
"""Files of an agreed name that stand beside responses and hold none: matrices of parcels."""


def find_archives(folder: Path) -> dict[str, ResponseArchive]:
    """Return subject -> its file of responses; ``parcels.npz`` is no subject's.

    Raises
    ------
    InputError
        If there is none, or a subject has two.
    """
    found: dict[str, ResponseArchive] = {}
    for path in sorted(folder.iterdir()):
        kind = ARCHIVES.get(path.suffix.lower())
        if kind is None or path.name.startswith(".") or path.name in NOT_RESPONSES:
            continue
        if path.stem in found:
            raise InputError(
                str(folder),
                got=f"{found[path.stem].path.name} and {path.name}",
                wanted="one file of responses per subject",
                do="Remove one of the two.",
            )
        found[path.stem] = kind(path)
    if not found:
        raise InputError(
            str(folder),
            got="no file of responses",
            wanted=f"one <subject>{'|'.join(ARCHIVES)} per subject",
            do="Save each subject's responses as story -> array (time, target).",
        )
    return found
