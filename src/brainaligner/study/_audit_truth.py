"""What should have entered a study: the dataset read again, designs made again.

Nothing here goes through the code that the stages go through: arrays are read from the store
and from the dataset. What arms and subjects share is read once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from jaxtyping import Float

from brainaligner.core import text_hashes
from brainaligner.encoding import Decomposition
from brainaligner.evaluation import Entered, ReadAgain
from brainaligner.study._audit_rows import RowsAgain
from brainaligner.study._designs import Design
from brainaligner.study._disk import read_npz
from brainaligner.study._plan import Plan
from brainaligner.study._witness import KEPT_COLUMNS, KEPT_TARGETS, read_witness, sampled

Series = Float[np.ndarray, "_time _column"]
Seen = tuple[tuple[Entered, ...], tuple[str, ...]]
"""What entered a stage, and the places that changed while it was read."""

Found = TypeVar("Found")
Finding = TypeVar("Finding")


@dataclass(frozen=True, eq=False)
class Truth:
    """Everything that the audit compares with, read when asked for and kept.

    Parameters
    ----------
    plan : Plan
    again : RowsAgain
        Design rows.
    """

    plan: Plan
    _responses: dict[str, dict[str, np.ndarray]] = field(default_factory=dict)
    again: RowsAgain = field(default_factory=RowsAgain)
    _small: dict[str, Any] = field(default_factory=dict)
    _large: dict[str, dict[str, Any]] = field(default_factory=dict)

    @property
    def subjects(self) -> tuple[str, ...]:
        """Subjects of the study."""
        return tuple(self.plan.prepared.division.splits)

    def responses(self, subject: str) -> dict[str, np.ndarray]:
        """Responses to every story of a subject's division, at a sample of targets."""
        if subject not in self._responses:
            dataset = self.plan.prepared.dataset
            columns = sampled(dataset.space(subject).size, KEPT_TARGETS)
            targets = slice(columns.start, columns.stop, columns.step)
            self._responses[subject] = {
                story: np.array(dataset.responses(subject, story, targets).values)
                for story in dataset.stories(subject)
            }
        return self._responses[subject]

    def read_again(self, subject: str) -> ReadAgain:
        """The same with the other subjects beside."""
        others = {other: self.responses(other) for other in self.subjects if other != subject}
        return ReadAgain(subject, self.responses(subject), others, self.repeated)

    @cached_property
    def repeated(self) -> frozenset[str]:
        """Stories whose responses average several presentations.

        The dataset says so, or holds the single presentations.
        """
        dataset, first = self.plan.prepared.dataset, slice(0, 1)
        heard = {(subject, s) for subject in self.subjects for s in dataset.stories(subject)}
        return frozenset(
            story
            for subject, story in heard
            if dataset.presentations(story) > 1
            or dataset.repeats(subject, story, first) is not None
        )

    @cached_property
    def words(self) -> dict[str, np.ndarray]:
        """Hashes of each story's words."""
        known = self.plan.prepared.division.stimuli.transcripts
        return {story: text_hashes(transcript.words) for story, transcript in known.items()}

    def design(self, design: Design, story: str, n_rows: int, *, scaled: bool = True) -> Series:
        """One story's design at a sample of columns.

        Where `scaled` is false, features stand as they are stored.
        """
        rows = self.again.rows(design, story, n_rows, scaled=scaled)
        return np.ascontiguousarray(rows[:, list(sampled(rows.shape[1], KEPT_COLUMNS))])

    def witness(self, folder: Path) -> Seen | None:
        """What entered a stage; arms that share it read it once."""
        return self._last("witness", str(folder), lambda: read_witness(folder), keep=8)

    def decomposition(self, folder: Path) -> Decomposition:
        """A stored decomposition."""
        path = folder / "decomposition.npz"
        return self._last(
            "decomposition", str(path), lambda: Decomposition.from_arrays(read_npz(path)), keep=1
        )

    def remember(self, name: str, make: Callable[[], Found]) -> Found:
        """What was found of something that arms share; `make` finds it the first time."""
        if name not in self._small:
            self._small[name] = make()
        found: Found = self._small[name]
        return found

    def findings(self, name: str, make: Callable[[], Iterable[Finding]]) -> Iterator[Finding]:
        """The same for a check of several findings: what it found before it broke off stays."""
        if name not in self._small:
            kept: list[Finding] = []
            broken: Exception | None = None
            try:
                for one in make():
                    kept.append(one)
            except Exception as error:  # what an audit reads may have been altered in any way
                broken = error
            self._small[name] = (kept, broken)
        found, stop = self._small[name]
        yield from found
        if stop is not None:
            raise stop

    def last(self, kind: str, name: str, make: Callable[[], Found]) -> Found:
        """The same for what is large: the last one of a kind is kept."""
        return self._last(kind, name, make, keep=1)

    def _last(self, kind: str, name: str, make: Callable[[], Found], *, keep: int) -> Found:
        kept = self._large.setdefault(kind, {})
        found: Found = kept.pop(name) if name in kept else make()
        kept[name] = found
        while len(kept) > keep:
            del kept[next(iter(kept))]
        return found


@dataclass(frozen=True, eq=False)
class LateRows(Mapping[str, Series]):
    """Rows of stories that are made when somebody asks for them.

    Parameters
    ----------
    stories : sequence of str
    make : callable
        From a story's name.
    """

    stories: Sequence[str]
    make: Callable[[str], Series]

    def __getitem__(self, story: str) -> Series:
        if story not in self.stories:
            raise KeyError(story)
        return self.make(story)

    def __iter__(self) -> Iterator[str]:
        return iter(self.stories)

    def __len__(self) -> int:
        return len(self.stories)
