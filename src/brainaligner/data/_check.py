"""Everything that is wrong or noteworthy in the content of a dataset, found in one walk."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Bool, Float32

from brainaligner.core import MANY_OFF_CENTRE, InputError, Progress, off_centre_share
from brainaligner.data._problem import Problem, listed, problem_from
from brainaligner.data._slices import column_slices

if TYPE_CHECKING:
    from brainaligner.data._dataset import Dataset

LONGEST_SILENCE_S = 60.0
"""Seconds of scan after the last word from which on the words look cut short."""

AVERAGED_STD = 0.85
"""Share of a subject's usual standard deviation under which a story looks averaged.

The mean of two presentations that share half their variance has sqrt(3/4) = 0.87 of the
standard deviation of one.
"""


@dataclass(frozen=True)
class _Scan:
    """What one read of a recording shows; `digest` is that of its finite float32 values."""

    replaced: int
    constant: Bool[np.ndarray, "target"]
    mean_std: float
    off_centre: float
    digest: str


def dataset_problems(dataset: Dataset, progress: Progress) -> Iterator[Problem]:
    """Walk through words, names and recordings of all subjects."""
    yield from _transcript_problems(dataset)
    recordings: dict[str, dict[str, str]] = {}
    for subject in dataset.subjects:
        try:
            recordings[subject] = dataset.recordings(subject)
        except InputError as error:
            yield problem_from(error)
    yield from _name_problems(dataset, recordings)
    scans: dict[tuple[str, str], _Scan] = {}
    for subject, stories in recordings.items():
        yield from _subject_problems(dataset, subject, sorted(stories), scans, progress)
    yield from _same_content(
        {f"{subject}/{story}": scan.digest for (subject, story), scan in scans.items()},
        "the same responses",
    )


def _transcript_problems(dataset: Dataset) -> Iterator[Problem]:
    digests = {}
    for story in dataset.worded():
        try:
            digests[story] = dataset.transcript(story).digest()
        except InputError as error:
            yield problem_from(error)
    yield from _same_content(digests, "the same words at the same times")


def _same_content(digests: Mapping[str, str], what: str) -> Iterator[Problem]:
    counts = Counter(digests.values())
    for digest in [digest for digest, n in counts.items() if n > 1]:
        names = sorted(name for name, own in digests.items() if own == digest)
        yield Problem(
            "error",
            listed(names),
            what,
            "different content under different names",
            "Remove the copy, or download the right file: a story on two sides of a division "
            "gives scores that mean nothing.",
        )


def _name_problems(
    dataset: Dataset, recordings: Mapping[str, Mapping[str, str]]
) -> Iterator[Problem]:
    worded = set(dataset.worded())
    nobody = worded.difference(*recordings.values()) if recordings else set()
    if nobody:
        yield _unpaired("note", str(dataset.folder), "words and no subject's responses", nobody)
    for subject, pairs in recordings.items():
        where = f"{dataset.folder}, subject {subject}"
        unheard = worded - nobody - set(pairs)
        if unheard:
            yield _unpaired("warning", where, "words and no responses of this subject", unheard)
        wordless = set(dataset.recorded(subject)) - set(pairs.values())
        if wordless:
            yield _unpaired("warning", where, "responses and no words", wordless)
        renamed = [f"{name!r} for {story!r}" for story, name in pairs.items() if name != story]
        if renamed:
            yield Problem(
                "note",
                where,
                f"names spelled differently: {listed(sorted(renamed))}",
                "the same spelling in words and responses",
                "Nothing: they were matched.",
            )


def _unpaired(severity: str, where: str, what: str, stories: Iterable[str]) -> Problem:
    names = sorted(stories)
    return Problem(
        "note" if severity == "note" else "warning",
        where,
        f"{what} for {len(names)} stories: {listed(names)}",
        "both words and responses",
        "Nothing, if that is known: these stories are left out.",
    )


def _subject_problems(
    dataset: Dataset,
    subject: str,
    stories: list[str],
    scans: dict[tuple[str, str], _Scan],
    progress: Progress,
) -> Iterator[Problem]:
    if not stories:
        yield Problem(
            "error",
            f"{dataset.folder}, subject {subject}",
            "no story with both words and responses",
            "at least one",
            "Give words and responses the same story names.",
        )
    for i, story in enumerate(stories, start=1):
        try:
            yield from _silence_problem(dataset, subject, story)
            dataset.repeats(subject, story, slice(0, 1))
            scans[subject, story] = _scan(dataset, subject, story)
        except InputError as error:
            yield problem_from(error)
        progress(f"Reading {subject}", i, len(stories))
    own = {story: scan for (who, story), scan in scans.items() if who == subject}
    yield from _value_problems(dataset, subject, own)
    yield from _averaged_problems(dataset, subject, own)


def _silence_problem(dataset: Dataset, subject: str, story: str) -> Iterator[Problem]:
    n_rows = dataset.n_rows(subject, story)
    scan_end = float(dataset.clock.centres(n_rows)[-1])
    last = float(dataset.transcript(story).offsets[-1])
    if scan_end - last > LONGEST_SILENCE_S:
        yield Problem(
            "warning",
            f"{dataset.folder}, subject {subject}, story {story!r}",
            f"the last word at {last:g} s and the last row at {scan_end:g} s",
            f"words up to about the end of the scan (at most {LONGEST_SILENCE_S:g} s before)",
            "Check that the words are complete, in seconds and of this story, and the TR.",
        )


def _scan(dataset: Dataset, subject: str, story: str) -> _Scan:
    n_rows, n_columns = dataset.n_rows(subject, story), dataset.space(subject).size
    digest = hashlib.sha256(f"{n_rows} {n_columns}".encode())
    replaced, constant, means, deviations = 0, [], [], []
    for columns in column_slices(n_rows, n_columns):
        part = dataset.responses(subject, story, columns)
        values = np.asarray(part.values)
        replaced += part.replaced
        constant.append(_constant_columns(values))
        means.append(values.mean(axis=0, dtype=np.float64))
        deviations.append(values.std(axis=0, dtype=np.float64))
        digest.update(values.tobytes())
    spread = np.concatenate(deviations)
    return _Scan(
        replaced,
        np.concatenate(constant),
        float(spread.mean()),
        off_centre_share(np.concatenate(means), spread),
        digest.hexdigest(),
    )


def _constant_columns(values: Float32[np.ndarray, "time target"]) -> Bool[np.ndarray, "target"]:
    return (values == values[:1]).all(axis=0)


def _value_problems(
    dataset: Dataset, subject: str, scans: Mapping[str, _Scan]
) -> Iterator[Problem]:
    where = f"{dataset.folder}, subject {subject}"
    faulty = [story for story, scan in scans.items() if scan.replaced]
    if faulty:
        total = sum(scan.replaced for scan in scans.values())
        yield Problem(
            "warning",
            where,
            f"{total} NaN or infinite values in {len(faulty)} stories ({listed(faulty)})",
            "finite values",
            "Nothing, if that is known: they are read as 0 and counted.",
        )
    off_centre = [story for story, scan in scans.items() if scan.off_centre > MANY_OFF_CENTRE]
    if off_centre:
        share = float(np.mean([scans[story].off_centre for story in off_centre]))
        yield Problem(
            "warning",
            where,
            f"a mean beyond 1 standard deviation in {share:.0%} of the columns of "
            f"{len(off_centre)} stories ({listed(off_centre)})",
            "responses about 0, as z-scored ones are",
            "Z-score each story's responses, or set ridge.intercept: true; a ridge without an "
            "intercept fits the means with the features, and its scores are too low.",
        )
    flat = [story for story, scan in scans.items() if scan.constant.any()]
    if flat:
        columns = np.flatnonzero(np.logical_or.reduce([scans[s].constant for s in flat]))
        yield Problem(
            "warning",
            where,
            f"{len(columns)} columns that never change (columns "
            f"{listed([str(column) for column in columns])}; stories {listed(flat)})",
            "responses that vary, in every column",
            "Check these columns: nothing can be predicted in them, and they lower every mean.",
        )


def _averaged_problems(
    dataset: Dataset, subject: str, scans: Mapping[str, _Scan]
) -> Iterator[Problem]:
    single = {story: scan for story, scan in scans.items() if dataset.presentations(story) == 1}
    if len(single) < 5:
        return
    usual = float(np.median([scan.mean_std for scan in single.values()]))
    for story, scan in single.items():
        if scan.mean_std < AVERAGED_STD * usual:
            yield Problem(
                "warning",
                f"{dataset.folder}, subject {subject}, story {story!r}",
                f"a standard deviation of {scan.mean_std:.2f} where {usual:.2f} is usual",
                "one presentation, as announced",
                "If the story averages several presentations, say so: it must be scored apart.",
            )
