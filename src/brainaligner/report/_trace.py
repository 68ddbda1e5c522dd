"""Where the numbers of a page come from: links, and the recipes that they lead to."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

KEY_SHOWN = 12
LONG_SETTING = 400
"""Letters of a setting above which it stands on a page once, for all recipes that have it."""
STUDY_FILE = "study-file"
"""Anchor of the study file, for numbers that stand in it."""


class Traced(str):
    """Text of a cell with the anchor of what it was computed from.

    Attributes
    ----------
    anchor : str
        Of this page, without ``#``; empty where there is nothing to link to.
    """

    __slots__ = ("anchor",)
    anchor: str

    def __new__(cls, text: str, anchor: str) -> Traced:
        """Make the text, and keep the anchor beside it."""
        made = super().__new__(cls, text)
        made.anchor = anchor
        return made


def recipe_anchor(key: str) -> str:
    """Anchor of an artifact's recipe; empty without a key."""
    return f"recipe-{key}" if key else ""


def mean_anchor(arm: str, arms: Iterable[str]) -> str:
    """Anchor of an arm's means over subjects."""
    return f"mean-{list(arms).index(arm)}"


@dataclass(frozen=True)
class RecipeNote:
    """What an artifact of the store says of itself.

    Parameters
    ----------
    key, stage : str
    version : int
        Of the stage's code.
    settings : str
        As JSON.
    made_from : tuple of (role, key)
        Other artifacts.
    inputs : tuple of (role, digest)
        What is no artifact: words, responses, models, by content.
    """

    key: str
    stage: str
    version: int
    settings: str
    made_from: tuple[tuple[str, str], ...]
    inputs: tuple[tuple[str, str], ...]

    @property
    def anchor(self) -> str:
        """On a page."""
        return recipe_anchor(self.key)


@dataclass(frozen=True)
class InputSet:
    """Inputs of one kind, which many recipes share.

    Parameters
    ----------
    anchor, kind : str
    members : tuple of (name, digest)
    """

    anchor: str
    kind: str
    members: tuple[tuple[str, str], ...]


def input_sets(
    notes: Iterable[RecipeNote],
) -> tuple[dict[str, tuple[InputSet, ...]], tuple[InputSet, ...]]:
    """Inputs of each recipe by kind, each set of them once.

    Returns
    -------
    of_recipe : dict of key to tuple of InputSet
    every : tuple of InputSet
        In the order of their first use.
    """
    known: dict[tuple[str, tuple[tuple[str, str], ...]], InputSet] = {}
    of_recipe = {}
    for note in notes:
        found = []
        for kind, members in _by_kind(note).items():
            anchor = f"inputs-{len(known)}"
            found.append(known.setdefault((kind, members), InputSet(anchor, kind, members)))
        of_recipe[note.key] = tuple(found)
    return of_recipe, tuple(known.values())


def _by_kind(note: RecipeNote) -> Mapping[str, tuple[tuple[str, str], ...]]:
    kinds: dict[str, list[tuple[str, str]]] = {}
    for role, digest in note.inputs:
        kind, _, name = role.partition("/")
        kinds.setdefault(kind, []).append((name or kind, _short(digest)))
    return {kind: tuple(members) for kind, members in kinds.items()}


def _short(digest: str) -> str:
    """A digest's first digits, with the reader that gave it, where it names one."""
    reader, _, content = digest.rpartition("/")
    return f"{reader} {content[:KEY_SHOWN]}".strip()


@dataclass(frozen=True)
class LongSetting:
    """One long setting, which many recipes share.

    Parameters
    ----------
    anchor, name : str
    value : str
        As JSON.
    """

    anchor: str
    name: str
    value: str


@dataclass(frozen=True)
class ShownSettings:
    """Settings of one recipe: the short ones as JSON, and links to the long ones."""

    short: str
    long: tuple[LongSetting, ...]


def shown_settings(
    notes: Iterable[RecipeNote],
) -> tuple[dict[str, ShownSettings], tuple[LongSetting, ...]]:
    """Settings of each recipe with each long value once: lists of stories are in hundreds of them.

    Returns
    -------
    of_recipe : dict of key to ShownSettings
    every : tuple of LongSetting
        In the order of their first use.
    """
    known: dict[tuple[str, str], LongSetting] = {}
    of_recipe = {}
    for note in notes:
        short, long = {}, []
        for name, value in json.loads(note.settings).items():
            text = json.dumps(value, ensure_ascii=False, sort_keys=True)
            if len(text) <= LONG_SETTING:
                short[name] = value
                continue
            made = LongSetting(f"setting-{len(known)}", name, text)
            long.append(known.setdefault((name, text), made))
        text = json.dumps(short, ensure_ascii=False, sort_keys=True)
        of_recipe[note.key] = ShownSettings(text, tuple(long))
    return of_recipe, tuple(known.values())
