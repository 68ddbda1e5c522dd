"""Whether an artifact has the record of what entered it, and was made with its settings."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from brainaligner.core import BrainAlignerError, settings_hashes
from brainaligner.evaluation import Entered, Fault, Unproven
from brainaligner.study._disk import read_json
from brainaligner.study._store import Recipe, Store
from brainaligner.study._witness import WITNESS, read_witness

Found = Fault | Unproven


def witness_found(
    store: Store, recipe: Recipe, where: str, read: Callable[[Path], object] = read_witness
) -> Found | None:
    """Say that an artifact is missing, or has no witness; None where all is there."""
    folder = store.path(recipe)
    if not store.has(recipe):
        return Fault(
            "lineage-differs",
            f"{where}: {recipe.stage}",
            recipe.key,
            "what the study file and the data ask for is not in the store",
        )
    if (folder / WITNESS).is_file():
        return _unreadable(folder, recipe, where, read)
    if recipe.lineage and "lineage" not in read_json(folder / "recipe.json"):
        return Unproven(
            "witness", f"{where}: {recipe.stage}", "made by an older version, which kept no witness"
        )
    return Fault(
        "unwitnessed",
        f"{where}: {recipe.stage}",
        recipe.key,
        "the record of what entered is not there",
    )


def _unreadable(
    folder: Path, recipe: Recipe, where: str, read: Callable[[Path], object]
) -> Fault | None:
    try:
        read(folder)
    except BrainAlignerError as error:
        said = f"the record of what entered is damaged ({error})"
        return Fault("unwitnessed", f"{where}: {recipe.stage}", recipe.key, said)
    return None


def settings_faults(entries: Sequence[Entered], declared: object, where: str) -> Iterator[Found]:
    """Compare the settings that a computation was given with those of the recipe."""
    shown = [one.values for one in entries if one.role == "settings"]
    if entries and not shown:
        yield Unproven("settings", where, "made by an older version, which did not record them")
    expected = settings_hashes(declared)
    for values in shown:
        if len(values) != len(expected) or (values != expected).any():
            odd: Any = [] if len(values) != len(expected) else np.flatnonzero(values != expected)
            names = [dataclasses.fields(declared)[i].name for i in odd]  # type: ignore[arg-type]
            yield Fault(
                "lineage-differs",
                where,
                ", ".join(names) or f"{len(values)} settings",
                "other settings were used than the recipe names",
            )


def artifact(store: Store, recipe: Recipe, name: str) -> Path | None:
    """A file of an artifact, None where it is not there."""
    path = store.path(recipe) / name
    return path if path.is_file() else None
