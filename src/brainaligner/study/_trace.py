"""Recipes of a store in the form in which a page shows them."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from brainaligner.report import RecipeNote
from brainaligner.study._recipe_command import chain


def recipe_notes(store: Path, keys: Iterable[str]) -> tuple[RecipeNote, ...]:
    """Return the recipes of some artifacts and of all that they follow from, each once.

    Parameters
    ----------
    store : Path
        Folder of the store.
    keys : iterable of str
        In the order in which a page has their numbers.

    Raises
    ------
    InputError
        If the store lacks one of the keys.
    """
    found = chain(store, dict.fromkeys(keys))
    return tuple(
        RecipeNote(
            key,
            one["stage"],
            one["version"],
            json.dumps(one["settings"], ensure_ascii=False, sort_keys=True),
            tuple((role, value) for role, value in one["inputs"].items() if value in found),
            tuple((role, value) for role, value in one["inputs"].items() if value not in found),
        )
        for key, one in found.items()
    )
