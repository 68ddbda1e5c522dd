"""Lists of published files: path, size and MD5, checked before anything believes them."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path, PurePosixPath

from brainaligner.core import InputError
from brainaligner.data._files import decode_text, read_bytes

PART = ".part"
REJECTED = ".rejected"
"""Endings of our own: a file that is not complete, and one whose content was wrong.

Of several wrong files of one name the second is ``<name>.2.rejected``, and so on.
"""

_COLUMNS = ("path", "size", "md5")
_VERSION = "s3_version_id"
_SIZE = re.compile(r"[0-9]{1,18}")
_MD5 = re.compile(r"[0-9a-f]{32}")
_VERSION_ID = re.compile(r"[A-Za-z0-9._-]{1,1024}")
_FORBIDDEN = re.compile(r'[\x00-\x1f\x7f\\:*?"<>|]')
_DEVICES = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)


@dataclass(frozen=True)
class ManifestEntry:
    """One published file: where it lies in the dataset, how long it is, what it holds.

    Parameters
    ----------
    path : str
        Relative, with ``/`` between names.
    size : int
        In bytes.
    md5 : str
        MD5 of the content, 32 hexadecimal digits in lower case.
    version_id : str, optional
        Name that the S3 bucket gave to this version of the file.

    Raises
    ------
    InputError
        If the path could lead out of the folder that files are fetched into, or means
        something else on another system; if a value is not of its form.
    """

    path: str
    size: int
    md5: str
    version_id: str | None = None

    def __post_init__(self) -> None:
        fault = _path_fault(self.path)
        if fault:
            raise InputError(
                "manifest",
                got=f"path {self.path[:200]!r}: {fault}",
                wanted="a relative path that stays in its folder on every system",
                do="Use a manifest from a source that you trust.",
            )
        where = f"manifest, {self.path}"
        if self.size < 0:
            raise _bad_value(where, f"size {self.size}", "0 or more bytes")
        if not _MD5.fullmatch(self.md5):
            raise _bad_value(where, f"MD5 {self.md5[:80]!r}", "32 hexadecimal digits")
        if self.version_id is not None and not _VERSION_ID.fullmatch(self.version_id):
            raise _bad_value(where, f"version id {self.version_id[:80]!r}", "an S3 version id")


def _path_fault(path: str) -> str | None:
    names = path.split("/")
    faults = {
        "no name": not path,
        "longer than 1,000 characters": len(path) > 1000,
        "a character that is not allowed in names": _FORBIDDEN.search(path) is not None,
        "absolute": path.startswith("/"),
        "an empty name, '.' or '..'": any(name in ("", ".", "..") for name in names),
        "a name with a space or dot at its end": any(name[-1:] in (" ", ".") for name in names),
        "the name of a device": any(_DEVICES.fullmatch(name) for name in names),
        "an ending that we use ourselves": names[-1].lower().endswith((PART, REJECTED)),
    }
    return next((fault for fault, found in faults.items() if found), None)


def _bad_value(where: str, got: str, wanted: str) -> InputError:
    return InputError(where, got=got, wanted=wanted, do="Correct that line of the manifest.")


def read_manifest(path: Path) -> tuple[ManifestEntry, ...]:
    """Read a CSV file with columns ``path, size, md5`` and, optionally, ``s3_version_id``.

    Raises
    ------
    InputError
        If the file cannot be read, a column is missing, a line is not of its form, or two
        lines name one file (letter case aside).
    """
    return parse_manifest(str(path), decode_text(path, read_bytes(path, "a manifest in CSV")))


def packaged_manifest(name: str) -> tuple[ManifestEntry, ...]:
    """Read a manifest of this package, such as ``ds003020``."""
    source = files("brainaligner.data") / "manifests" / f"{name}.csv"
    return parse_manifest(f"{name}.csv", source.read_text(encoding="utf-8"))


def parse_manifest(where: str, text: str) -> tuple[ManifestEntry, ...]:
    """Parse the text of a manifest; `where` names it in errors. Raises as `read_manifest`."""
    try:
        return _parsed(where, csv.DictReader(text.splitlines()))
    except csv.Error as error:
        raise _bad_value(where, f"no CSV ({error})", "a manifest in CSV") from error


def _parsed(where: str, rows: csv.DictReader[str]) -> tuple[ManifestEntry, ...]:
    missing = [name for name in _COLUMNS if name not in (rows.fieldnames or ())]
    if missing:
        raise InputError(
            where,
            got=f"no column {missing[0]!r}",
            wanted=f"columns {', '.join(_COLUMNS)} and, optionally, {_VERSION}",
            do="Give the columns these names in the first line.",
        )
    entries = tuple(_entry(where, rows.line_num, row) for row in rows)
    _check_distinct(where, entries)
    return entries


def _entry(where: str, line: int, row: dict[str, str | None]) -> ManifestEntry:
    path, size, md5 = (row[name] or "" for name in _COLUMNS)
    if not _SIZE.fullmatch(size):
        raise _bad_value(f"{where}, line {line}", f"size {size[:80]!r}", "a number of bytes")
    return ManifestEntry(path, int(size), md5, row.get(_VERSION) or None)


def _check_distinct(where: str, entries: Iterable[ManifestEntry]) -> None:
    spellings: dict[str, str] = {}
    for entry in entries:
        spelling = entry.path.casefold()
        if spelling in spellings:
            raise InputError(
                where,
                got=f"{spellings[spelling]!r} and {entry.path!r}",
                wanted="one line for each file, letter case aside",
                do="Remove one of the two lines.",
            )
        spellings[spelling] = entry.path


def place_of(folder: Path, path: str) -> Path:
    """Return where `path` of a manifest lies under `folder`, links followed up to its folder.

    Raises
    ------
    InputError
        If a link among the folders on the way leads out of `folder`.
    """
    place = folder.joinpath(*PurePosixPath(path).parts)
    if not place.parent.resolve().is_relative_to(folder.resolve()):
        raise InputError(
            str(place.parent),
            got=f"a link to {place.parent.resolve()}",
            wanted=f"a folder inside {folder}",
            do="Fetch into the folder that the link leads to, or remove the link.",
        )
    return place
