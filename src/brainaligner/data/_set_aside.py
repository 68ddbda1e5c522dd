"""Files with wrong content: out of the way, and never over each other."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from itertools import count
from pathlib import Path

from brainaligner.data._manifest import REJECTED, ManifestEntry, place_of


def set_aside(place: Path) -> None:
    """Rename a file to the first free of ``<name>.rejected``, ``<name>.2.rejected`` and so on."""
    names = (f"{place.name}{f'.{n}' if n > 1 else ''}{REJECTED}" for n in count(1))
    free = (aside for aside in map(place.with_name, names) if not os.path.lexists(aside))
    place.replace(next(free))


def rejected_files(folder: Path, entries: Sequence[ManifestEntry]) -> tuple[Path, ...]:
    """Files that were set aside because their content was wrong, the earliest of a name first."""
    places = [place_of(folder, entry.path) for entry in entries]
    beside = {parent: _rejected(parent) for parent in {place.parent for place in places}}
    found = (aside for place in places for aside in beside[place.parent].get(place.name, ()))
    return tuple(dict.fromkeys(found))


def _rejected(folder: Path) -> dict[str, list[Path]]:
    """Name of a file -> what was set aside of it, by number."""
    found: dict[str, list[Path]] = {}
    for aside in sorted(folder.glob(f"*{REJECTED}"), key=lambda path: (len(path.name), path.name)):
        name = aside.name.removesuffix(REJECTED)
        if aside.is_file():
            for original in {name, re.sub(r"\.[1-9]\d*$", "", name)}:
                found.setdefault(original, []).append(aside)
    return found
