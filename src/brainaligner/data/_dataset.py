"""What every dataset offers, whatever its files look like."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Iterable, Mapping
from pathlib import Path

from brainaligner.core import (
    Clock,
    InputError,
    Progress,
    Responses,
    Space,
    Transcript,
    no_progress,
    unknown_name,
)
from brainaligner.data._archive import ArrayHeader, checked_header
from brainaligner.data._check import dataset_problems
from brainaligner.data._names import match_names
from brainaligner.data._parcel_coverage import ParcelCoverage
from brainaligner.data._problem import Problem
from brainaligner.data._shape_checks import (
    check_columns,
    check_repeats,
    check_rows,
    check_words_end,
)
from brainaligner.data._slices import checked_columns, cut_space, finite_float32
from brainaligner.data._source import Source


class Dataset(Source):
    """Transcripts and responses of one dataset, read only when asked for.

    Opening a dataset reads names and sizes. Everything else raises `InputError` when it is
    asked for and its files are at fault; `problems` finds all of that at once.

    Parameters
    ----------
    folder : Path
    subjects : tuple of str
        Subjects whose responses can be asked for.
    clock : Clock
        When response rows were measured.
    absent : mapping of str to str, optional
        Subject (or ``subject/story``) that is listed and not there -> what was found instead.
    """

    def __init__(
        self,
        folder: Path,
        *,
        subjects: tuple[str, ...],
        clock: Clock,
        absent: Mapping[str, str] | None = None,
    ) -> None:
        self.folder, self.subjects, self.clock = folder, subjects, clock
        self.absent = dict(absent or {})
        self._names: dict[str, dict[str, str]] = {}
        self._headers: dict[tuple[str, str], ArrayHeader] = {}
        self._repeat_headers: dict[tuple[str, str], ArrayHeader | None] = {}
        self._spaces: dict[str, Space] = {}
        self._transcripts: dict[str, Transcript] = {}
        self._digests: dict[tuple[str, str], str] = {}
        self.withheld: frozenset[str] = frozenset()

    def withholding(self, stories: Iterable[str]) -> Dataset:
        """Return the same dataset, which refuses to read the responses to some stories.

        Their words, their numbers of rows and who heard them can still be asked for.
        """
        kept = copy.copy(self)
        kept.withheld = self.withheld | frozenset(stories)
        return kept

    def stories(self, subject: str) -> tuple[str, ...]:
        """Return the stories for which a subject has both words and responses, sorted.

        Raises
        ------
        InputError
            For an unknown subject (the nearest name is given), or an unreadable file.
        """
        return tuple(sorted(self.recordings(subject)))

    def recordings(self, subject: str) -> dict[str, str]:
        """Return story -> name of its recording, as the subject's files spell it."""
        if subject not in self._names:
            if subject in self.absent:
                raise self._absence(subject)
            if subject not in self.subjects:
                raise unknown_name(str(self.folder), "subject", subject, self.subjects)
            self._names[subject] = match_names(self.recorded(subject), self.worded())
        return self._names[subject]

    def transcript(self, story: str) -> Transcript:
        """Return the cleaned words of a story, markers dropped.

        Raises
        ------
        InputError
            For an unknown story (the nearest name is given), or faulty words.
        """
        if story not in self._transcripts:
            if story not in self.worded():
                raise unknown_name(str(self.folder), "story", story, self.worded())
            self._transcripts[story] = self._read_transcript(story)
        return self._transcripts[story]

    def n_rows(self, subject: str, story: str) -> int:
        """Return the number of rows (TRs) of a recording, from its header.

        Raises
        ------
        InputError
            If the header is not that of a float array (time, target), rows are not those
            that the dataset announces, columns are not the subject's, or the words go on
            after the scan.
        """
        return self._shape(subject, story)[0]

    def space(self, subject: str) -> Space:
        """Return what a subject's columns are; their number is that of its first story."""
        if subject not in self._spaces:
            self._spaces[subject] = self._read_space(subject, self.n_columns(subject))
        return self._spaces[subject]

    def presentations(self, story: str) -> int:
        """Return how many presentations the responses average: 1 where there was one.

        2 stands for "several" where the number is unknown.
        """
        if story not in self.worded():
            raise unknown_name(str(self.folder), "story", story, self.worded())
        return max((self._presentations(subject, story) for subject in self.subjects), default=1)

    def responses(self, subject: str, story: str, targets: slice = slice(None)) -> Responses:
        """Return the responses of one subject to one story.

        Parameters
        ----------
        subject, story : str
        targets : slice
            Columns to read; from HDF5 files no others are read.

        Returns
        -------
        Responses
            float32; NaN and infinite values are 0 and counted in `replaced`.

        Raises
        ------
        InputError
            As `n_rows`; also for columns that do not exist.
        """
        self._check_open(subject, story)
        self._shape(subject, story)
        name = self._recording(subject, story)
        space = self.space(subject)
        columns = checked_columns(f"responses of {subject}", targets, space.size)
        values, replaced = finite_float32(self._columns(subject, name, columns))
        return Responses(
            subject,
            story,
            values,
            cut_space(space, columns),
            self.clock,
            presentations=self._presentations(subject, story),
            replaced=replaced,
        )

    def repeats(self, subject: str, story: str, targets: slice = slice(None)) -> Responses | None:
        """Return responses with the single presentations, or None where there are none.

        `replaced` counts the mean and the single presentations together.

        Raises
        ------
        InputError
            As `responses`.
        """
        mean = self.responses(subject, story, targets)
        name = self._recording(subject, story)
        header = self._known_repeats(subject, name)
        if header is None:
            return None
        where = f"repeats of {subject}, story {story!r}"
        shape = self._shape(subject, story)
        check_repeats(where, checked_header(where, header, dims=3), shape)
        columns = checked_columns(where, targets, shape[1])
        repeats, replaced = finite_float32(self._repeats(subject, name, columns))
        return dataclasses.replace(mean, repeats=repeats, replaced=mean.replaced + replaced)

    def coverage(self, subject: str) -> ParcelCoverage | None:
        """Which parcels of an atlas a subject's columns are; None where they are no parcels."""
        return None

    def responses_digest(self, subject: str, story: str) -> str:
        """SHA-256 of the content of one recording: of the file where it has its own."""
        self._check_open(subject, story)
        name = self._recording(subject, story)
        if (subject, story) not in self._digests:
            self._digests[subject, story] = self._content_digest(subject, name)
        return self._digests[subject, story]

    def problems(self, *, progress: Progress = no_progress) -> tuple[Problem, ...]:
        """Return everything that is wrong or noteworthy, once; reads every recording in slices."""
        found = (*self._reader_problems(), *dataset_problems(self, progress))
        return tuple(dict.fromkeys(found))  # each subject meets the words that all share

    def _recording(self, subject: str, story: str) -> str:
        names = self.recordings(subject)
        if story in names:
            return names[story]
        if f"{subject}/{story}" in self.absent:
            raise self._absence(f"{subject}/{story}")
        if story in self.worded():
            raise InputError(
                f"{self.folder}, subject {subject}",
                got=f"words and no responses for story {story!r}",
                wanted=f"one of this subject's {len(names)} stories",
                do="Leave the story out for this subject.",
            )
        raise unknown_name(f"{self.folder}, subject {subject}", "story", story, names)

    def _check_open(self, subject: str, story: str) -> None:
        if story in self.withheld:
            raise InputError(
                f"responses of {subject} to {story!r}",
                got="a test story",
                wanted="none: this run scores validation stories and reads no test responses",
                do="Run the study without --validation to open the test stories.",
            )

    def _absence(self, name: str) -> InputError:
        return InputError(
            f"{self.folder}, {name}",
            got=self.absent[name],
            wanted="responses",
            do="Leave it out, or get its files.",
        )

    def _known_header(self, subject: str, name: str) -> ArrayHeader:
        if (subject, name) not in self._headers:
            header = self._header(subject, name)
            where = f"responses of {subject}, story {name!r}"
            self._headers[subject, name] = checked_header(where, header)
        return self._headers[subject, name]

    def _known_repeats(self, subject: str, name: str) -> ArrayHeader | None:
        if (subject, name) not in self._repeat_headers:
            self._repeat_headers[subject, name] = self._repeats_header(subject, name)
        return self._repeat_headers[subject, name]

    def n_columns(self, subject: str) -> int:
        """Return the number of a subject's columns: that of its first story with a header.

        Raises
        ------
        InputError
            If there is none.
        """
        fault: InputError | None = None
        for name in sorted(self.recordings(subject).values()):
            try:
                return self._known_header(subject, name).shape[1]
            except InputError as error:
                fault = fault or error
        raise fault or InputError(
            f"{self.folder}, subject {subject}",
            got="no story with both words and responses",
            wanted="at least one",
            do="Give words and responses the same story names.",
        )

    def _shape(self, subject: str, story: str) -> tuple[int, int]:
        n_rows, n_columns = self._known_header(subject, self._recording(subject, story)).shape
        where = f"responses of {subject}, story {story!r}"
        check_rows(where, n_rows, self._expected_rows(story))
        check_columns(where, n_columns, self.space(subject).size)
        check_words_end(where, self.transcript(story), self.clock, n_rows)
        return n_rows, n_columns

    def _presentations(self, subject: str, story: str) -> int:
        announced = self._announced_presentations(story)
        try:
            name = self.recordings(subject).get(story)
            header = self._known_repeats(subject, name) if name else None
        except InputError:
            return announced
        return max(announced, header.shape[0] if header and header.shape else 1)
