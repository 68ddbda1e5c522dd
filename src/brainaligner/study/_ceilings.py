"""Noise ceilings of a dataset's repeated stories, read a few columns at a time."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float

from brainaligner.core import InputError, Responses
from brainaligner.data import Dataset
from brainaligner.evaluation import NoiseCeiling, join_ceilings, noise_ceiling
from brainaligner.study._disk import replacing
from brainaligner.study._progress import Reporter

MEASURES = (
    "explainable_variance",
    "signal_power",
    "signal_power_se",
    "total_power",
    "cc_max",
    "cc_max_se",
)
COLUMNS = ("subject", "story", "target", "n_repeats", "n_rows", *MEASURES)
CEILINGS = "ceilings/"  # begins the names of their arrays in scores.npz
_SLICE_CELLS = 1 << 22  # 16 MiB of float32 are read at a time


@dataclass(frozen=True, eq=False)
class StoryCeiling:
    """What the repeats of one story say about each target of one subject.

    Parameters
    ----------
    subject, story : str
    targets : sequence of str
        Labels of the targets, or their numbers from 0.
    ceiling : NoiseCeiling
    replaced : int
        Values that were not finite and count as 0.
    """

    subject: str
    story: str
    targets: Sequence[str]
    ceiling: NoiseCeiling
    replaced: int


def repeated_stories(
    dataset: Dataset, subjects: Sequence[str], stories: Sequence[str]
) -> list[tuple[str, str]]:
    """Subjects and stories whose single presentations are there.

    Parameters
    ----------
    dataset : Dataset
    subjects, stories : sequences of str
        Empty for all.

    Raises
    ------
    InputError
        For an unknown name (the nearest is given), or if there are none.
    """
    several = [s for s in (stories or dataset.worded()) if dataset.presentations(s) > 1]
    people = subjects or dataset.subjects
    heard = {subject: dataset.stories(subject) for subject in people}
    pairs = [(subject, story) for subject in people for story in several if story in heard[subject]]
    found = [pair for pair in pairs if dataset.repeats(*pair, slice(0, 1)) is not None]
    if not found:
        raise InputError(
            str(dataset.folder),
            got=f"no single presentations ({len(people)} subjects, "
            f"{len(pairs)} recordings that average several)",
            wanted="a story with its repeats: `individual_repeats` in ds003020, "
            "`repeats/<story>` in own hdf5 files",
            do="Get files with repeats; a ceiling cannot come from their mean.",
        )
    return found


def story_ceiling(dataset: Dataset, subject: str, story: str, reporter: Reporter) -> StoryCeiling:
    """Read the repeats of one story in column slices, and measure each target.

    Raises
    ------
    InputError
        As `Dataset.repeats` and `noise_ceiling`; also if there are no repeats.
    """
    parts: list[NoiseCeiling] = []
    replaced = 0
    for read, repeats in repeat_slices(dataset, subject, story, reporter):
        try:
            parts.append(noise_ceiling(repeats))
        except InputError as error:
            where = f"repeats of {subject}, story {story!r}"
            do = "Leave this story or subject out with --stories or --subjects."
            raise InputError(where, got=error.got, wanted=error.wanted, do=do) from error
        replaced += read.replaced
    space = dataset.space(subject)
    targets = space.labels or [str(number) for number in range(space.size)]
    return StoryCeiling(subject, story, targets, join_ceilings(parts), replaced)


def repeat_slices(
    dataset: Dataset, subject: str, story: str, reporter: Reporter
) -> Iterator[tuple[Responses, Float[np.ndarray, "repeat time target"]]]:
    """Read the repeats of one story a few columns at a time, first one alone.

    Yields
    ------
    (Responses, float32 array, shape (repeat, time, target))

    Raises
    ------
    InputError
        As `Dataset.repeats`; also if there are no repeats.
    """
    size, start, width = dataset.space(subject).size, 0, 1
    while start < size:
        columns = slice(start, min(start + width, size))
        read = dataset.repeats(subject, story, columns)
        if read is None or read.repeats is None:
            raise InputError(
                f"{subject}, story {story!r}", got="no repeats", wanted="some", do="Leave it out."
            )
        yield read, read.repeats
        start, width = columns.stop, max(1, _SLICE_CELLS // read.repeats[:, :, 0].size)
        reporter(f"ceilings of {subject}, {story}", start, size)


@dataclass(frozen=True)
class CeilingSummary:
    """How many targets of one story have a ceiling, and the means.

    Parameters
    ----------
    subject, story : str
    targets, with_ceiling, repeats : int
    explainable_variance : float, optional
        Mean over all targets that have one; None where none has.
    explainable_variance_seen, cc_max : float, optional
        Means over the targets with a ceiling; None where there are none.
    replaced : int
        Values that were not finite, and count as 0.
    """

    subject: str
    story: str
    targets: int
    with_ceiling: int
    repeats: int
    explainable_variance: float | None
    explainable_variance_seen: float | None
    cc_max: float | None
    replaced: int

    @property
    def line(self) -> str:
        """The same for a terminal."""
        text = (
            f"{self.subject}, {self.story}: {self.with_ceiling} of {self.targets} targets "
            f"have a ceiling from {self.repeats} repeats"
        )
        if self.explainable_variance is not None:
            text += f"; mean EV {self.explainable_variance:.4f} over all"
        if self.cc_max is not None:
            text += (
                f", {self.explainable_variance_seen:.4f} over those; "
                f"mean CCmax {self.cc_max:.3f} over those"
            )
        if self.replaced:
            text += f"; {self.replaced} values that were not finite count as 0"
        return text


def ceiling_summary(one: StoryCeiling) -> CeilingSummary:
    """Sum up the ceilings of one story."""
    ceiling, seen = one.ceiling, one.ceiling.has_signal
    explainable = ceiling.explainable_variance[np.isfinite(ceiling.explainable_variance)]
    return CeilingSummary(
        one.subject,
        one.story,
        ceiling.n_targets,
        int(seen.sum()),
        ceiling.n_repeats,
        float(explainable.mean()) if explainable.size else None,
        float(ceiling.explainable_variance[seen].mean()) if seen.any() else None,
        float(ceiling.cc_max[seen].mean()) if seen.any() else None,
        one.replaced,
    )


def save_ceilings(
    path: Path, dataset: Dataset, pairs: Sequence[tuple[str, str]], reporter: Reporter
) -> list[CeilingSummary]:
    """Write a row for each target of each pair; return a summary of each pair.

    One story at a time is in memory. NaN is ``nan``; a label that holds a tab, a line break or a
    quotation mark is quoted as csv readers expect.
    """
    summaries = []
    with replacing(path) as part, part.open("w", encoding="utf-8", newline="\n") as file:
        table = csv.writer(file, delimiter="\t", lineterminator="\n")
        table.writerow(COLUMNS)
        for subject, story in pairs:
            one = story_ceiling(dataset, subject, story, reporter)
            table.writerows(_table_rows(one))
            summaries.append(ceiling_summary(one))
    return summaries


def _table_rows(one: StoryCeiling) -> Iterator[tuple[str | int, ...]]:
    counts = one.ceiling.n_repeats, one.ceiling.n_rows
    measures = (getattr(one.ceiling, name).tolist() for name in MEASURES)
    for target, *values in zip(one.targets, *measures, strict=True):
        numbers = (f"{value:.7g}" for value in values)
        yield (one.subject, one.story, target, *counts, *numbers)
