"""What the ledger and the store warn of: too much was seen of the test stories."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Sequence
from itertools import takewhile
from typing import Any

from brainaligner.evaluation import MOST_CONFIGURATIONS, Fault, Opening
from brainaligner.study._ledger import (
    Ledger,
    configuration,
    readout_keys,
    scored_stories,
    seen_by,
)
from brainaligner.study._plan import Plan
from brainaligner.study._store import Store


def ledger_faults(plan: Plan, store: Store) -> Iterator[Fault]:
    """A warning where too much was seen of the test stories, or more than one confirmation."""
    config, openings = plan.prepared.config, Ledger(store.folder).openings()
    if config.scored_on == "validation":
        return
    count, beside = seen_by(plan, store), _beside_the_ledger(plan, store, openings)
    if count + beside > MOST_CONFIGURATIONS:
        said = f", and {beside} arms that no opening lists" if beside else ""
        yield _opened(f"{count} configurations{said}, {MOST_CONFIGURATIONS} at most")
    larger = _larger_opening(plan, openings)
    if larger:
        own = len(readout_keys(plan))
        yield _opened(f"its {own} readouts are some of {larger} that were scored together before")
    confirmed = {one.configuration: one.study for one in openings if one.confirms}
    confirmed |= {configuration(plan): config.name} if config.confirms else {}
    again = list(confirmed.values()).count(config.name)
    if config.confirms and (again > 1 or len(confirmed) > MOST_CONFIGURATIONS):
        yield _opened(f"{len(confirmed)} confirmations in this store, {again} of {config.confirms}")


def _opened(figure: str) -> Fault:
    return Fault(
        "test-set-opened",
        "whole study",
        figure,
        "Compare ideas on validation stories, and confirm the last one on stories that "
        "nobody opened, once: run --confirm",
    )


def _larger_opening(plan: Plan, openings: Sequence[Opening]) -> int:
    """Readouts of the largest opening, before the study's own, that holds all of its and more."""
    own, stories, ours = set(readout_keys(plan)), scored_stories(plan), configuration(plan)
    before = takewhile(lambda one: one.configuration != ours, openings)
    return max(
        (len(one.readouts) for one in before if one.stories & stories and own < set(one.readouts)),
        default=0,
    )


def _beside_the_ledger(plan: Plan, store: Store, openings: Sequence[Opening]) -> int:
    """Arms that were scored on the test stories, in one subject, and stand in no opening.

    They were validation stories of another division, or lines of the ledger are gone. Not known
    where a line is of an older version, which lists no readouts.
    """
    stories = scored_stories(plan)
    shared = [one for one in openings if one.stories & stories]
    if not all(one.readouts for one in shared):
        return 0
    listed = {*readout_keys(plan), *(key for one in shared for key in one.readouts)}
    found: dict[str, set[frozenset[str]]] = {}
    for content in _scored_recipes(store):
        entries = content["lineage"]["scored_on"]
        seen = {digest for entry in entries for digest in (entry["text"], entry["bold"])}
        inputs = content["inputs"].items()
        readouts = frozenset(key for role, key in inputs if role.startswith("readout/"))
        if seen & stories and not readouts <= listed and not _of_listeners(store, readouts):
            found.setdefault(entries[0]["subject"], set()).add(readouts)
    return max(map(len, found.values()), default=0)


def _of_listeners(store: Store, readouts: Collection[str]) -> bool:
    """Whether readouts are the reference from the other listeners, which is no arm."""
    for path in (store.folder / "readout" / key / "recipe.json" for key in readouts):
        inputs = json.loads(path.read_text(encoding="utf-8"))["inputs"] if path.is_file() else {}
        if any(role.startswith("other-listener/") for role in inputs):
            return True
    return False


def _scored_recipes(store: Store) -> Iterator[dict[str, Any]]:
    """Recipes of all scores in a store, of test stories and of validation stories."""
    for stage in ("scores", "story_scores"):
        for path in sorted(store.folder.glob(f"{stage}/*/recipe.json")):
            content = json.loads(path.read_text(encoding="utf-8"))
            if content.get("lineage", {}).get("scored_on"):
                yield content


def scored_contents(store: Store) -> frozenset[str]:
    """Content digests of all stories with scores in a store, validation stories among them."""
    return frozenset(
        digest
        for content in _scored_recipes(store)
        for entry in content["lineage"]["scored_on"]
        for digest in (entry["text"], entry["bold"])
        if digest is not None
    )
