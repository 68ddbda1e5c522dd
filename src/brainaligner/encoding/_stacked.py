"""Targets of several subjects side by side, for what is fitted to all of them at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from brainaligner.core import InputError
from brainaligner.encoding._stories import Stories, no_stories


@dataclass(frozen=True, eq=False)
class StackedStories:
    """The same stories in several subjects: one design, all their targets in a row.

    Parameters
    ----------
    subjects : sequence of Stories
        With the same stories in the same order. The designs are those of the first one.

    Raises
    ------
    InputError
        If there is none, or their numbers of stories differ. Rows that differ are refused when
        they are read.
    """

    subjects: Sequence[Stories]

    def __post_init__(self) -> None:
        if not self.subjects:
            raise no_stories("stacked subjects")
        counts = sorted({len(stories) for stories in self.subjects})
        if len(counts) > 1:
            raise InputError(
                "stacked subjects",
                got=f"{' and '.join(map(str, counts))} stories",
                wanted="the same stories in every subject",
                do="Keep the stories that all of them heard.",
            )

    def __len__(self) -> int:
        return len(self.subjects[0])

    @property
    def n_targets(self) -> int:
        """Targets of all subjects together."""
        return sum(stories.n_targets for stories in self.subjects)

    def design(self, i: int) -> Float[np.ndarray, "time feature"]:
        """Features of story `i`."""
        return self.subjects[0].design(i)

    def responses(self, i: int, targets: slice) -> Float[np.ndarray, "time target"]:
        """Responses to story `i` at a slice of the stacked targets."""
        start, stop, _ = targets.indices(self.n_targets)
        found, first = [], 0
        for stories in self.subjects:
            own = slice(max(start - first, 0), min(stop - first, stories.n_targets))
            if own.start < own.stop:
                found.append(stories.responses(i, own))
            first += stories.n_targets
        rows = sorted({len(values) for values in found})
        if len(rows) > 1:
            raise InputError(
                f"responses {i} (counted from 0)",
                got=f"{' and '.join(map(str, rows))} rows",
                wanted="as many rows in every subject",
                do="Trim the recordings of a story alike, or leave the story out.",
            )
        return np.concatenate(found, axis=1)

    def targets_of(self, subject: int) -> slice:
        """Where the targets of the n-th subject stand."""
        first = sum(stories.n_targets for stories in self.subjects[:subject])
        return slice(first, first + self.subjects[subject].n_targets)
