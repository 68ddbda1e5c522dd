"""What a fetch would do, and what it did."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from brainaligner.core import InputError
from brainaligner.data._convert import KINDS
from brainaligner.data._fetch_settings import CompactSettings
from brainaligner.data._fetch_source import dataset_file
from brainaligner.data._fetch_transfer import part_size
from brainaligner.data._manifest import PART, ManifestEntry, place_of

_ORIGINAL_BYTES = 8
_FEWEST_VOXELS = 81_126
"""Of the subjects of ds003020: whose parcel means are largest beside their originals."""


@dataclass(frozen=True)
class FileOutcome:
    """What became of one file.

    Parameters
    ----------
    path : str
    state : {"verified", "fetched", "missing"}
        ``verified``: it was there, and right; ``fetched``: it came in this call and is right;
        ``missing``: it is not there, or it is wrong.
    why : str
        Why it is missing.
    """

    path: str
    state: Literal["verified", "fetched", "missing"]
    why: str = ""


@dataclass(frozen=True)
class FetchReport:
    """What became of every file that was asked for, in the order of the manifest.

    Parameters
    ----------
    outcomes : tuple of FileOutcome
    bytes_received : int
        Over the network, bytes that had to be thrown away included.
    seconds : float
    set_aside : tuple of Path
        Files with wrong content that stand under ``<name>.rejected``, ``<name>.2.rejected`` ...
    """

    outcomes: tuple[FileOutcome, ...]
    bytes_received: int
    seconds: float
    set_aside: tuple[Path, ...] = ()

    def having(self, state: str) -> tuple[FileOutcome, ...]:
        """Return the outcomes of one state."""
        return tuple(outcome for outcome in self.outcomes if outcome.state == state)

    @property
    def complete(self) -> bool:
        """Whether nothing is missing."""
        return not self.having("missing")


@dataclass(frozen=True)
class FetchPlan:
    """What there is to do, by names and sizes alone.

    Parameters
    ----------
    files : tuple of ManifestEntry
        All that was asked for.
    there : tuple of ManifestEntry
        Those of which a file of the right size, or a compact copy, is there; not verified.
    bytes_to_fetch : int
        What is still to come over the network.
    bytes_needed : int
        Most that the disk will have to take.
    bytes_free : int
    """

    files: tuple[ManifestEntry, ...]
    there: tuple[ManifestEntry, ...]
    bytes_to_fetch: int
    bytes_needed: int
    bytes_free: int

    @property
    def bytes_total(self) -> int:
        """Size of all that was asked for."""
        return sum(entry.size for entry in self.files)


def plan_fetch(
    entries: Sequence[ManifestEntry],
    folder: Path,
    *,
    compact: CompactSettings | None = None,
    workers: int = 4,
) -> FetchPlan:
    """Compare what is wanted with what is there.

    Raises
    ------
    InputError
        If `folder` is a file, holds a ``derivatives`` folder (which readers could not tell
        from ours), or holds a link that leads out of it.
    """
    _check_folder(folder)
    there = tuple(entry for entry in entries if _seems_there(folder, entry, compact))
    rest = [entry for entry in entries if entry not in set(there)]
    to_fetch = sum(_left(folder, entry) for entry in rest)
    needed = to_fetch if compact is None else _needed(rest, to_fetch, compact, workers)
    existing = next(place for place in (folder, *folder.absolute().parents) if place.exists())
    return FetchPlan(tuple(entries), there, to_fetch, needed, shutil.disk_usage(existing).free)


def check_room(plan: FetchPlan, folder: Path) -> None:
    """Refuse a plan for which the disk has no room.

    Raises
    ------
    InputError
    """
    if plan.bytes_needed > plan.bytes_free:
        raise InputError(
            str(folder),
            got=f"{plan.bytes_free:,} bytes free",
            wanted=f"{plan.bytes_needed:,} bytes",
            do="Make room, ask for less, or keep compact copies and delete the originals.",
        )


def compact_place(folder: Path, path: str, kind: str) -> Path:
    """Where the compact copy of a file lies: in a tree of its own, ``<folder>/<kind>``."""
    return place_of(folder / kind, path)


def is_response(entry: ManifestEntry) -> bool:
    """Whether an entry is a file of responses."""
    return dataset_file(entry).content == "responses"


def _check_folder(folder: Path) -> None:
    plural = folder / "derivatives"
    if folder.exists() and not folder.is_dir():
        raise InputError(
            str(folder), got="a file", wanted="a folder", do="Give another folder with --to."
        )
    if plural.exists():
        raise InputError(
            str(plural),
            got="a folder of a later snapshot",
            wanted="a folder called derivative, or none",
            do="Rename it to derivative (its files are then checked and kept), or fetch into "
            "another folder.",
        )


def _seems_there(folder: Path, entry: ManifestEntry, compact: CompactSettings | None) -> bool:
    place = place_of(folder, entry.path)
    if compact is not None and is_response(entry):
        return compact_place(folder, entry.path, compact.kind).is_file()
    return place.is_file() and place.stat().st_size == entry.size


def _left(folder: Path, entry: ManifestEntry) -> int:
    place = place_of(folder, entry.path)
    if place.is_file() and place.stat().st_size == entry.size:
        return 0
    return max(0, entry.size - part_size(place.with_name(place.name + PART)))


def _needed(
    rest: Sequence[ManifestEntry], to_fetch: int, compact: CompactSettings, workers: int
) -> int:
    """Copies, and the originals that exist at one time (float64, eight bytes a value)."""
    sizes = sorted((entry.size for entry in rest if is_response(entry)), reverse=True)
    copies = int(sum(sizes) * _copy_share(compact))
    if not compact.delete_originals:
        return to_fetch + copies
    return min(to_fetch, to_fetch - sum(sizes) + sum(sizes[:workers])) + copies


def _copy_share(compact: CompactSettings) -> float:
    """Size of a copy, relative to its original."""
    if compact.atlas is not None:
        return compact.atlas.n_parcels * 4 / (_FEWEST_VOXELS * _ORIGINAL_BYTES)
    return KINDS[compact.kind]().itemsize / _ORIGINAL_BYTES
