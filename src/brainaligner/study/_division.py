"""Which stories train, choose and test, for the whole study and for each subject."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol, runtime_checkable

from brainaligner.core import (
    Clock,
    InputError,
    Space,
    Split,
    Transcript,
    WithinStorySplit,
    draw_split,
)
from brainaligner.evaluation import Finding
from brainaligner.study._dataset_config import SplitConfig
from brainaligner.study._settings import settings_from_mapping

_DEFAULT_COUNTS = (60, 8, 16)
_LISTS = ("train", "validation", "test", "test_repeated")
AnySplit = Split | WithinStorySplit


@runtime_checkable
class Listing(Protocol):
    """What a dataset can say before any response is read."""

    @property
    def reader(self) -> str:
        """How it is read."""
        ...

    @property
    def folder(self) -> Path:
        """Where it lies."""
        ...

    @property
    def subjects(self) -> tuple[str, ...]:
        """Who was recorded."""
        ...

    @property
    def clock(self) -> Clock:
        """When rows were measured."""
        ...

    def stories(self, subject: str) -> tuple[str, ...]:
        """Stories with words and responses."""
        ...

    def transcript(self, story: str) -> Transcript:
        """Words of a story."""
        ...

    def n_rows(self, subject: str, story: str) -> int:
        """Rows of a recording."""
        ...

    def space(self, subject: str) -> Space:
        """What a subject's targets are."""
        ...

    def presentations(self, story: str) -> int:
        """How many presentations a story's responses average."""
        ...


def whole_split(
    split: SplitConfig, listing: Listing, stories: Mapping[str, Sequence[str]]
) -> AnySplit:
    """Divide the stories that any subject heard.

    Parameters
    ----------
    split : SplitConfig
    listing : Listing
    stories : mapping of subject to stories

    Raises
    ------
    InputError
        For an unknown story, one on two sides, or a way to divide that does not fit the
        number of stories.
    """
    known = sorted({story for names in stories.values() for story in names})
    if split.folds is not None:
        return _within_story(split, listing, stories, known)
    if len(known) == 1:
        raise InputError(
            "split",
            got=f"one story ({known[0]}) in {listing.reader}",
            wanted="split: {folds: 5, gap: 10}, which divides the rows of one story",
            do="A dataset of one story has no held-out stories.",
        )
    if split.file is not None:
        split = _read_split_file(split.file, listing.folder)
    if split.named:
        named = Split(
            split.train or (), split.validation or (), split.test or (), split.test_repeated
        )
        named.check_against(known)
        return named
    repeated = [story for story in known if listing.presentations(story) > 1]
    return draw_split(known, split.counts or _DEFAULT_COUNTS, seed=split.seed, repeated=repeated)


def _within_story(
    split: SplitConfig,
    listing: Listing,
    stories: Mapping[str, Sequence[str]],
    known: Sequence[str],
) -> WithinStorySplit:
    assert split.folds is not None
    if len(known) != 1:
        raise InputError(
            "split.folds",
            got=f"{len(known)} stories in {listing.reader}",
            wanted="a dataset of one story",
            do="Use counts or names, which hold out stories.",
        )
    rows = {listing.n_rows(subject, known[0]) for subject in stories}
    if len(rows) > 1:
        raise InputError(
            f"rows of {known[0]!r}",
            got=" and ".join(map(str, sorted(rows))),
            wanted="as many rows for each subject",
            do="Leave subjects out with dataset.subjects.",
        )
    return WithinStorySplit(known[0], rows.pop(), split.folds, split.gap)


def _read_split_file(file: str, folder: Path) -> SplitConfig:
    path = folder / Path(file).expanduser()
    try:
        mapping = json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(
            str(path),
            got=f"a file that cannot be read ({error})",
            wanted=f"JSON with the lists {', '.join(_LISTS)}",
            do="Check split.file.",
        ) from None
    if not isinstance(mapping, dict) or set(mapping) - set(_LISTS):
        extra = ", ".join(sorted(set(mapping) - set(_LISTS))) if isinstance(mapping, dict) else ""
        raise InputError(
            str(path),
            got=f"unknown keys: {extra}" if extra else f"a JSON {type(mapping).__name__}",
            wanted=f"an object with only the lists {', '.join(_LISTS)}",
            do="Remove or rename the others.",
        )
    if not mapping:
        raise InputError(
            str(path),
            got="no list",
            wanted=f"the lists {', '.join(_LISTS)}",
            do="Name the stories of each side.",
        )
    return settings_from_mapping(SplitConfig, mapping, where=str(path))


def subject_split(whole: AnySplit, subject: str, stories: Sequence[str]) -> AnySplit:
    """Restrict a division to the stories that a subject has.

    Raises
    ------
    InputError
        If a side is left without stories.
    """
    if isinstance(whole, WithinStorySplit):
        return whole
    sides = [
        tuple(story for story in side if story in stories)
        for side in (whole.train, whole.validation, whole.test, whole.test_repeated)
    ]
    try:
        return Split(*sides)
    except InputError as error:
        raise InputError(
            f"split for subject {subject}",
            got=f"{error.got} among its {len(stories)} stories",
            wanted="a story on each side",
            do="Divide the stories otherwise, or leave the subject out with dataset.subjects.",
        ) from None


def unread_stories(splits: Mapping[str, AnySplit], *, repeated: frozenset[str]) -> frozenset[str]:
    """Test stories, whose responses a study on validation stories must not read.

    Parameters
    ----------
    splits : mapping of subject to split
    repeated : frozenset of str
        Stories whose repeats a brain encoder chooses voxels by; they are left out.

    Raises
    ------
    InputError
        If the study divides one story.
    """
    stories: set[str] = set()
    for split in splits.values():
        if isinstance(split, WithinStorySplit):
            raise InputError(
                "scored_on",
                got="validation, and a study that divides one story",
                wanted="whole validation stories",
                do="Leave --validation out: a dataset of one story holds no story out.",
            )
        stories |= {*split.test, *split.test_repeated}
    return frozenset(stories) - repeated


def missing_story_notes(whole: AnySplit, splits: Mapping[str, AnySplit]) -> tuple[Finding, ...]:
    """Say which subjects lack stories of the division."""
    notes = []
    for subject, split in splits.items():
        missing = [story for story in whole.stories if story not in split.stories]
        if missing:
            noun = "story" if len(missing) == 1 else "stories"
            notes.append(
                Finding(
                    "warn",
                    subject,
                    f"has no responses to {len(missing)} {noun} of the division "
                    f"({', '.join(missing[:5])}{' ...' if len(missing) > 5 else ''}); "
                    "its scores come from the others.",
                )
            )
    return tuple(notes)
