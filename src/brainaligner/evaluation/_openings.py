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
    """

    when: str
    study: str
    configuration: str
    stories: frozenset[str]
    plan: str = ""
    confirms: tuple[tuple[str, ...], ...] | None = None


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
