"""Dims and types of arrays are checked while tests run, wherever the package states them.

Functions that state no array are left as they are, since mypy sees to plain types, and so are
closures, whose check would be made anew at each call of the function around them: with those, the
suite took twice the time.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import jaxtyping

ALIAS = re.compile(r"^([A-Z]\w*) = (.+)$", re.MULTILINE)
wrap = jaxtyping.jaxtyped


def check_arrays(package: str) -> None:
    """Check what functions and dataclasses of a package say of arrays, once it is imported."""
    states_array = re.compile(rf"\b(?:{'|'.join(array_names(package))})\b")

    def jaxtyped(*, typechecker: Callable[..., Any]) -> Callable[[Any], Any]:
        def decorate(thing: Any) -> Any:
            is_closure = "<locals>" in thing.__qualname__
            if not is_closure and states_array.search(" ".join(hints(thing))):
                return wrap(typechecker=typechecker)(thing)
            return thing

        return decorate

    jaxtyping.jaxtyped = jaxtyped  # the import hook puts it above each function and class
    jaxtyping.install_import_hook(package, "beartype.beartype")


def array_names(package: str) -> list[str]:
    """Names that stand for an array in annotations: the package's aliases too."""
    found = find_spec(package)
    assert found is not None
    assert found.submodule_search_locations is not None
    sources = [
        one.read_text(encoding="utf-8")
        for root in found.submodule_search_locations
        for one in Path(root).rglob("*.py")
    ]
    aliases = {name: meaning for text in sources for name, meaning in ALIAS.findall(text)}
    names, n_known = ["ndarray", "Tensor"], 0
    while n_known < len(names):
        n_known = len(names)
        arrays = re.compile(rf"\b(?:{'|'.join(names)})\b")
        names += [a for a in sorted(aliases) if a not in names and arrays.search(aliases[a])]
    return names


def hints(thing: Any) -> list[str]:
    """Annotations of a function, or of a class and those that it inherits from, as text."""
    places = thing.__mro__ if isinstance(thing, type) else (thing,)
    return [str(v) for one in places for v in getattr(one, "__annotations__", {}).values()]
