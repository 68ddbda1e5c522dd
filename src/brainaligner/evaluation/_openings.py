"""How often the test stories have been looked at."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

MOST_CONFIGURATIONS = 2
"""Configurations whose test scores may be seen before a choice among them is a choice on test."""


@dataclass(frozen=True)
class Opening:
    """One configuration whose scores on some stories were seen.

    Parameters
    ----------
    when : str
        UTC, ISO 8601.
    study : str
        Name of the study.
    configuration : str
        Digest of all that its predictions follow from, its division among it.
    stories : frozenset of str
        Content digests of the scored stories: of the words, and of each subject's responses.
    plan : str
        Digest of the study without name and division: of what a confirmation confirms.
    confirms : tuple of tuple of str, optional
        Of a confirmation: its train, validation and test stories.
    readouts : tuple of str
        Keys of all readouts whose scores were seen; none in lines of older versions.
    """

    when: str
    study: str
    configuration: str
    stories: frozenset[str]
    plan: str = ""
    confirms: tuple[tuple[str, ...], ...] | None = None
    readouts: tuple[str, ...] = ()


@dataclass(frozen=True)
class ArmLook:
    """A comparison of arms on scored stories, as the ledger keeps it.

    It is no further configuration: the scores of its arms were seen when the study ran. It is
    counted apart, for choosing among arms by such a look is a choice on these stories too.

    Parameters
    ----------
    when : str
        UTC, ISO 8601, of the first time.
    study : str
    arms : tuple of str
        The reference first.
    group : str
    rows_cut : int
    compared : str
        Digest of the predictions that were compared.
    looked_at : frozenset of str
        Content digests of the stories: of the words, and of each subject's responses.
    """

    when: str
    study: str
    arms: tuple[str, ...]
    group: str
    rows_cut: int
    compared: str
    looked_at: frozenset[str]


def looks_taken(looks: Iterable[ArmLook], stories: Collection[str]) -> tuple[ArmLook, ...]:
    """Comparisons on any of some stories, each once, the oldest first.

    Parameters
    ----------
    looks : iterable of ArmLook
    stories : collection of str
        Content digests.
    """
    wanted = set(stories)
    found: dict[object, ArmLook] = {}
    for one in looks:
        if wanted & one.looked_at:
            found.setdefault((one.compared, one.arms, one.group, one.rows_cut), one)
    return tuple(found.values())


def configurations_seen(openings: Iterable[Opening], stories: Collection[str]) -> int:
    """Count the different configurations that were scored on any of some stories.

    Parameters
    ----------
    openings : iterable of Opening
    stories : collection of str
        Content digests.
    """
    wanted = set(stories)
    return len({one.configuration for one in openings if wanted & one.stories})


def opened_stories(openings: Iterable[Opening]) -> frozenset[str]:
    """Content digests of all stories that were ever scored."""
    return frozenset(digest for one in openings for digest in one.stories)
