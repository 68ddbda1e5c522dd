"""How files are fetched: nothing here can change a byte of them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

from brainaligner.core import InputError, settle_types
from brainaligner.data._atlas import Atlas
from brainaligner.data._convert import KINDS
from brainaligner.data._parcel_coverage import PARCELS

COPIES = (*KINDS, PARCELS)


@dataclass(frozen=True)
class FetchSettings:
    """How patient and how parallel fetching is. The numbers are ours, by choice.

    Parameters
    ----------
    workers : int
        Files fetched at the same time.
    attempts : int
        Failures in a row, on one file, after which it is given up. An attempt that brings at
        least a hundredth of the file (and 1 KiB) ends the row.
    first_wait_s, longest_wait_s : float
        Wait after the first failure, doubled after each further one up to the longest; a
        random share of up to one half is taken off.
    patience_s : float
        The longest wait that a server may ask for with ``Retry-After``.
    connect_timeout_s, silence_timeout_s : float
        Seconds to wait for a connection, and for the next byte.
    slowest_bytes_per_s : float
        A connection slower than this over `silence_timeout_s` is closed and opened anew.
    """

    workers: int = 4
    attempts: int = 6
    first_wait_s: float = 1.0
    longest_wait_s: float = 60.0
    patience_s: float = 300.0
    connect_timeout_s: float = 15.0
    silence_timeout_s: float = 30.0
    slowest_bytes_per_s: float = 1024.0

    def __post_init__(self) -> None:
        settle_types(self, where="fetch settings")
        for name, least in {"workers": 1, "attempts": 1}.items():
            _check_range(name, getattr(self, name), least, 1000)
        for name in ("first_wait_s", "longest_wait_s", "patience_s", "slowest_bytes_per_s"):
            _check_range(name, getattr(self, name), 0, 1e9)
        for name in ("connect_timeout_s", "silence_timeout_s"):
            _check_range(name, getattr(self, name), 0.001, 3600)


@dataclass(frozen=True)
class CompactSettings:
    """Compact copies of responses, made while fetching.

    Parameters
    ----------
    kind : {"float32", "float16", "parcels"}
        What values are rounded to; or means of the parcels of `atlas`.
    delete_originals : bool
        Whether an original is removed once its copy is verified against it.
    atlas : Atlas, optional
        For parcels, and for nothing else.
    fslr_spheres : (Path, Path), optional
        Left and right, as `parcellate` takes them; without them all parcels go by the volume.

    Raises
    ------
    InputError
        For an unknown kind, parcels without an atlas, or an atlas or spheres without parcels.
    """

    kind: str
    delete_originals: bool = False
    atlas: Atlas | None = None
    fslr_spheres: tuple[Path, Path] | None = None

    def __post_init__(self) -> None:
        settle_types(self, where="compact copies")
        if self.kind not in COPIES:
            raise InputError(
                "kind of compact copies",
                got=repr(self.kind),
                wanted=f"one of: {', '.join(COPIES)}",
                do="Choose one of them.",
            )
        if (self.kind == PARCELS) != (self.atlas is not None):
            raise InputError(
                f"compact copies as {self.kind}",
                got="no atlas" if self.atlas is None else "an atlas",
                wanted="an atlas for parcels, and for nothing else",
                do="Give the atlas with parcels: --as parcels --atlas DIR.",
            )
        if self.kind != PARCELS and self.fslr_spheres is not None:
            raise InputError(
                f"compact copies as {self.kind}",
                got="fsLR spheres",
                wanted="spheres for parcels, and for nothing else",
                do="Leave them out, or ask for parcels.",
            )


def _check_range(name: str, value: int | float, least: int | float, most: int | float) -> None:
    if not (math.isfinite(value) and least <= value <= most):
        raise InputError(
            f"fetch settings: {name}",
            got=str(value),
            wanted=f"{least:g} to {most:g}",
            do="Correct the setting.",
        )
