"""Whether what artifacts say of themselves keeps test stories apart."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from brainaligner.evaluation import Fault, Unproven
from brainaligner.study._audit_witness import Found
from brainaligner.study._readout import Readout
from brainaligner.study._settings import canonical
from brainaligner.study._store import Recipe, Store

Entry = Mapping[str, Any]

_NAMES = {
    ("readout", "fitted_on"): "test-rows-in-fit",
    ("decomposition", "fitted_on"): "test-rows-in-fit",
    ("projection", "fitted_on"): "test-rows-in-fit",
    ("brain", "fitted_on"): "test-story-in-tuning",
    ("tuning", "fitted_on"): "test-text-in-tuning",
    ("head", "fitted_on"): "test-text-in-tuning",
}


def disjoint_faults(
    scored: Iterable[Entry], stages: Iterable[tuple[str, Mapping[str, Any]]], *, where: str
) -> Iterator[Fault]:
    """Compare scored stories with all that was fitted or chosen, by content of words and BOLD.

    Parameters
    ----------
    scored : iterable of Entry
        Of the scores' lineage.
    stages : iterable of (stage, lineage)
        Of all that the scores come from.
    where : str
    """
    tested = list(scored)
    for stage, lineage in stages:
        for role in ("fitted_on", "chosen_on"):
            for entry in lineage.get(role, ()):
                shared = next((t for t in tested if _overlap(t, entry)), None)
                if shared is None:
                    continue
                name = _NAMES.get((stage, role), "chosen-on-test")
                if shared["story"] != entry["story"]:
                    name = "same-story-two-names"
                yield Fault(
                    name,
                    f"{where}, {shared['story']}",
                    f"{stage}, {role}",
                    f"{entry['story']} of {entry['subject']} has the same content",
                )


def _overlap(scored: Entry, entry: Entry) -> bool:
    same = any(
        scored[kind] is not None and scored[kind] == entry[kind] for kind in ("text", "bold")
    )
    apart = scored["rows"][1] <= entry["rows"][0] or entry["rows"][1] <= scored["rows"][0]
    return same and not (apart and scored["story"] == entry["story"])


@dataclass(frozen=True, eq=False)
class StoredRecipes:
    """What recipe.json of each artifact in a store says, read once.

    Parameters
    ----------
    store : Store
    """

    store: Store
    _read: dict[str, dict[str, Any]] = field(default_factory=dict)

    @cached_property
    def _places(self) -> dict[str, Path]:
        return {path.parent.name: path for path in self.store.folder.glob("*/*/recipe.json")}

    def below(self, recipe: Recipe) -> dict[str, dict[str, Any]]:
        """All recipes that an artifact comes from, its own too, by key."""
        found: dict[str, dict[str, Any]] = {}
        waiting = [recipe.key]
        while waiting:
            key = waiting.pop()
            if key in found or key not in self._places:
                continue
            if key not in self._read:
                self._read[key] = json.loads(self._places[key].read_text(encoding="utf-8"))
            found[key] = self._read[key]
            waiting += [value for value in found[key]["inputs"].values() if isinstance(value, str)]
        return found


def lineage_faults(
    stored: StoredRecipes,
    recipe: Recipe,
    declared: Iterable[Recipe],
    *,
    where: str,
    readouts: Sequence[Readout],
) -> Iterator[Found]:
    """Walk the store from the scores down, and judge what the recipes there say.

    Parameters
    ----------
    stored : StoredRecipes
    recipe : Recipe
        Of the scores.
    declared : iterable of Recipe
        What the study file and the data give today, for the artifacts that scores come from.
    where : str
    readouts : sequence of Readout
        Of the scores. What one was fitted on must not be what it predicts; where parts of one
        story are scored in turn, each part trains for the others.
    """
    known = {one.key: one for one in (recipe, *declared)}
    contents = stored.below(recipe)
    yield from _differing(contents, known, where)
    scored = canonical(recipe.lineage)["scored_on"]
    for readout in readouts:
        below = stored.below(readout.recipe) or {readout.recipe.key: {}}
        stages = []
        for key, content in below.items():
            of = content.get("lineage") or (known[key].lineage if key in known else {})
            stages.append((content.get("stage", "readout"), of))
        yield from disjoint_faults(entries_of(scored, readout), stages, where=where)


def _differing(
    contents: Mapping[str, Entry], known: Mapping[str, Recipe], where: str
) -> Iterator[Found]:
    """Lineages that are not there, or not what study file and data give."""
    for key, content in contents.items():
        if key not in known:
            continue
        place = f"{where}: {content['stage']}"
        lineage = content.get("lineage")
        if lineage is None and known[key].lineage:
            yield Unproven("lineage", place, "made by an older version, which wrote no lineage")
        elif lineage is not None and _content(lineage) != _content(canonical(known[key].lineage)):
            yield Fault(
                "lineage-differs",
                place,
                key,
                "its lineage is not what study file and data give",
            )


def _content(lineage: Mapping[str, Any]) -> dict[str, Any]:
    """A lineage without the subjects' names: equal recordings make equal artifacts."""
    return {
        role: [{k: v for k, v in entry.items() if k != "subject"} for entry in entries]
        for role, entries in lineage.items()
    }


def entries_of(scored: Iterable[Entry], readout: Readout) -> list[Entry]:
    """Those that one readout predicts."""
    pieces = {(piece.story, piece.start, piece.stop) for piece in readout.pieces}
    return [
        entry
        for entry in scored
        for first, last in [entry["rows"]]
        if pieces & {(entry["story"], first, stop) for stop in (None, last)}
    ]
