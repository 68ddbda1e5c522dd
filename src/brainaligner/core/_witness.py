"""How a computation shows the arrays that really enter it."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable, Iterable

import numpy as np
from jaxtyping import UInt64

Witness = Callable[[str, str | int, np.ndarray, int], None]
"""Called as ``witness(role, story, rows, first)`` with each array at the moment it is used.

`role` says what for (``"fit/responses"``, ``"choose/design"``), `story` is a name or a position
in what was handed in, `rows` has one row per TR, and `first` is the column of the whole array at
which `rows` begins (0 but for blocks of targets). A witness copies what it keeps."""


def no_witness(role: str, story: str | int, rows: np.ndarray, first: int) -> None:
    """Look away: the default of every computation."""


def text_hashes(texts: Iterable[str]) -> UInt64[np.ndarray, "text"]:
    """First 8 bytes of the BLAKE2 digest of each text: equal texts have equal hashes."""
    digests = [hashlib.blake2b(text.encode(), digest_size=8).digest() for text in texts]
    return np.frombuffer(b"".join(digests), dtype="<u8").astype(np.uint64)


def show_settings(settings: object, witness: Witness) -> None:
    """Show the fields of a frozen dataclass of settings, in the role ``"settings"``.

    Parameters
    ----------
    settings : dataclass
    witness : Witness
        Shown `settings_hashes` under the class's name.
    """
    witness("settings", type(settings).__name__, settings_hashes(settings), 0)


def settings_hashes(settings: object) -> UInt64[np.ndarray, "field"]:
    """Hash of each field's name and value, in the order of the fields."""
    known = dataclasses.fields(settings)  # type: ignore[arg-type]
    return text_hashes(f"{f.name}={getattr(settings, f.name)!r}" for f in known)
