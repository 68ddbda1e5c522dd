"""How files are fetched: nothing here can change a byte of them."""

from __future__ import annotations

import math
from dataclasses import dataclass

from brainaligner.core import InputError
from brainaligner.data._convert import check_kind


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
    kind : {"float32", "float16"}
        What values are rounded to.
    delete_originals : bool
        Whether an original is removed once its copy is verified against it.
    """

    kind: str
    delete_originals: bool = False

    def __post_init__(self) -> None:
        check_kind(self.kind)


def _check_range(name: str, value: int | float, least: int | float, most: int | float) -> None:
    if not (math.isfinite(value) and least <= value <= most):
        raise InputError(
            f"fetch settings: {name}",
            got=str(value),
            wanted=f"{least:g} to {most:g}",
            do="Correct the setting.",
        )
