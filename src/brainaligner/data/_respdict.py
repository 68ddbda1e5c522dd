"""``respdict.json``: how many volumes each story's run had, which fixes the number of rows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from brainaligner.core import InputError
from brainaligner.data._files import read_json_object
from brainaligner.data._problem import Problem, listed

NAME = "respdict.json"
CUT_ROWS = 20
"""Volumes cut from every run of ds003020: responses have this many rows fewer."""


def read_respdict(folder: Path) -> dict[str, int]:
    """Return story (lower-cased) -> rows of its responses; empty without ``respdict.json``.

    Raises
    ------
    InputError
        If the file is no JSON object of whole numbers above 20.
    """
    path = folder / NAME
    if not path.exists():
        return {}
    rows = {}
    for story, n_volumes in read_json_object(path).items():
        if type(n_volumes) is not int or n_volumes <= CUT_ROWS:
            raise InputError(
                str(path),
                got=f"{n_volumes!r} for story {story!r}",
                wanted=f"a whole number of volumes above {CUT_ROWS}",
                do="Download the file again.",
            )
        rows[story.strip().casefold()] = n_volumes - CUT_ROWS
    return rows


def respdict_problems(
    folder: Path, rows: Mapping[str, int], stories: tuple[str, ...]
) -> Iterator[Problem]:
    """Say for which stories the number of rows cannot be checked."""
    unlisted = [story for story in stories if story.casefold() not in rows]
    if unlisted:
        yield Problem(
            "warning",
            str(folder / NAME),
            "no such file" if not rows else f"nothing about {listed(unlisted)}",
            "the number of volumes of every story",
            "Download it: without it a recording that was cut short is not noticed.",
        )
