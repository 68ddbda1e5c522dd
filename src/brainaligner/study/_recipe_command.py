"""``brainaligner recipe``: what a number of a finished run was made of."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from brainaligner.core import InputError, nearest_name
from brainaligner.study._printing import AsJson, FinishedRun, help_end, print_json

EXAMPLES = help_end(
    "recipe runs/baseline",
    'recipe runs/baseline "layer4-wide-grid, UTS01: scores"',
    "recipe runs/baseline 62be4fb88a01",
)
_SHOWN = 12  # digits of a key
_FEWEST = 8


def recipe(
    run: FinishedRun,
    what: Annotated[
        str,
        typer.Argument(help="Part of a number's name, or first digits of a key; else: list names."),
    ] = "",
    as_json: AsJson = False,
) -> None:
    """Show the chain of recipes behind a number: stages, settings and digests of inputs."""
    from brainaligner.study._dataset_config import STORE
    from brainaligner.study._record import read_run

    named = named_recipes(read_run(run))
    if not what:
        print_json(named) if as_json else print("\n".join(named))
        return
    matching = [keys for name, keys in named.items() if what.casefold() in name.casefold()]
    matching = matching or [keys_beginning(run.absolute().parent / STORE, what)]
    first = tuple(dict.fromkeys(key for keys in matching for key in keys))
    if not first:
        parts = {part for name in named for part in re.split(r"[,:] ", name)}
        nearest = nearest_name(what, parts | set(named))
        raise InputError(
            f"recipe of {what!r}",
            got="no number of that name",
            wanted=f"a part of one of {len(named)} names, such as {next(iter(named), 'none')!r}",
            do=(f"Did you mean {nearest!r}? " if nearest else "")
            + f"List them: brainaligner recipe {run}.",
        )
    found = chain(run.absolute().parent / STORE, first)
    if as_json:
        print_json(found)
    else:
        print("\n".join(recipe_lines(found, first)))


def named_recipes(run: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    """Names of a run's numbers, each with the keys that it follows from.

    Parameters
    ----------
    run : mapping
        As run.json holds it.
    """
    named: dict[str, tuple[str, ...]] = {n: (key,) for n, key in run.get("recipes", {}).items()}
    for row in run.get("diagnostics", ()):
        name = f"diagnostic {row['number']}, {row['where'] or 'whole study'}"
        keys = tuple(place.rsplit("/", 1)[-1] for place in row["recipes"])
        if keys:
            named[name] = (*named.get(name, ()), *keys)
    return named


def keys_beginning(store: Path, digits: str) -> tuple[str, ...]:
    """Keys of a store that begin with some digits, eight or more."""
    if len(digits) < _FEWEST or not set(digits) <= set("0123456789abcdef"):
        return ()
    return tuple(sorted(path.parent.name for path in store.glob(f"*/{digits}*/recipe.json")))


def chain(store: Path, first: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Recipes of some keys and of all that they follow from, by key.

    Raises
    ------
    InputError
        If the store lacks one of the first keys.
    """
    places = {path.parent.name: path for path in sorted(store.glob("*/*/recipe.json"))}
    found: dict[str, dict[str, Any]] = {}
    waiting = list(first)
    for key in waiting:
        if key not in places:
            raise InputError(
                str(store),
                got=f"no artifact {key[:_SHOWN]}",
                wanted="the store that the run was made in",
                do="Keep the folder 'store' beside the run's folder, or run the study again.",
            )
        if key not in found:
            found[key] = json.loads(places[key].read_text(encoding="utf-8"))
            waiting += [value for value in found[key]["inputs"].values() if value in places]
    return found


def recipe_lines(found: Mapping[str, Mapping[str, Any]], first: Iterable[str]) -> list[str]:
    """A chain of recipes as lines: settings of each stage once, what it follows from under it."""
    seen: set[str] = set()
    return [line for key in first for line in _lines(found, key, 0, seen)]


def _lines(
    found: Mapping[str, Mapping[str, Any]], key: str, depth: int, seen: set[str]
) -> Iterator[str]:
    one, space = found[key], "  " * depth
    if key in seen:
        yield f"{space}{one['stage']} {key[:_SHOWN]} (above)"
        return
    seen.add(key)
    yield f"{space}{one['stage']} {key[:_SHOWN]}"
    for name, value in one["settings"].items():
        yield f"{space}  {name}: {_short(value)}"
    for kind, count in _kinds(one["inputs"], found).items():
        yield f"{space}  from {kind}, {count} by content"
    for value in dict.fromkeys(value for value in one["inputs"].values() if value in found):
        yield from _lines(found, value, depth + 1, seen)


def _kinds(inputs: Mapping[str, str], found: Mapping[str, object]) -> dict[str, int]:
    """How many inputs of each kind are no artifacts but files, words or responses."""
    kinds = [role.split("/")[0] for role, value in inputs.items() if value not in found]
    return {kind: kinds.count(kind) for kind in dict.fromkeys(kinds)}


def _short(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 100 else f"{text[:97]}..."
