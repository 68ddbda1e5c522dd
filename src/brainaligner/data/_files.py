"""Bytes, text and JSON from disk, with the file's name in every error."""

from __future__ import annotations

import codecs
import hashlib
import json
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from brainaligner.core import InputError

_CHUNK = 1 << 22
_READ_ERRORS = (
    OSError,
    EOFError,
    KeyError,
    MemoryError,
    OverflowError,
    RuntimeError,
    ValueError,
    zipfile.BadZipFile,
    zlib.error,
)


@contextmanager
def reading(path: Path, wanted: str) -> Iterator[None]:
    """Turn whatever a library raises on a broken file into an `InputError` naming `path`."""
    try:
        yield
    except InputError:
        raise
    except _READ_ERRORS as error:
        raise InputError(
            str(path),
            got=download_fault(path) or f"a file that cannot be read ({error})",
            wanted=wanted,
            do="Download or copy the file again.",
        ) from error


def download_fault(path: Path) -> str | None:
    """Say why the content of `path` is not on this disk, or None if it seems to be.

    git-annex leaves a dangling link, or a small text file that names the content, in place
    of every file that has not been downloaded.
    """
    if path.is_symlink() and not path.exists():
        return "a link without content: not downloaded (git-annex)"
    if not path.is_file():
        return "no such file"
    try:
        pointer = path.stat().st_size < 1024 and path.read_bytes().startswith(b"/annex/objects/")
    except OSError as error:
        return f"a file that cannot be read ({error.strerror})"
    return "a git-annex pointer: not downloaded" if pointer else None


def read_bytes(path: Path, wanted: str) -> bytes:
    """Return the whole content of `path`.

    Raises
    ------
    InputError
        If there is no such file, or it has not been downloaded.
    """
    fault = download_fault(path)
    if fault:
        raise InputError(str(path), got=fault, wanted=wanted, do="Download or copy the file.")
    with reading(path, wanted):
        return path.read_bytes()


def decode_text(path: Path, raw: bytes) -> str:
    """Decode text: a byte-order mark decides, then UTF-8, then Latin-1.

    Raises
    ------
    InputError
        If a byte-order mark announces UTF-16 and the bytes are not.
    """
    if raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        with reading(path, "complete UTF-16 text, as its byte-order mark announces"):
            return raw.decode("utf-16")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        return raw.decode("latin-1")


def read_json_object(path: Path) -> dict[str, Any]:
    """Read a JSON file whose top level is an object.

    Raises
    ------
    InputError
        If it is not JSON, or not an object.
    """
    text = decode_text(path, read_bytes(path, "a JSON file"))
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(
            str(path), got=f"no valid JSON ({error})", wanted="JSON", do="Correct that line."
        ) from error
    if not isinstance(content, dict):
        raise InputError(
            str(path),
            got=f"a JSON {type(content).__name__}",
            wanted="an object, {...}",
            do="Write names and values between braces.",
        )
    return content


def file_digest(path: Path) -> str:
    """SHA-256 of a file's bytes."""
    return file_hash(path, "sha256")


def file_hash(path: Path, kind: str) -> str:
    """Digest of a file's bytes by one of the algorithms of hashlib, read in pieces of 4 MiB."""
    digest = hashlib.new(kind, usedforsecurity=False)
    with reading(path, "a readable file"), path.open("rb") as file:
        while piece := file.read(_CHUNK):
            digest.update(piece)
    return digest.hexdigest()


def located(folder: Path, child: str, marker: str) -> Path:
    """Return `folder`, or its subfolder `child`, whichever holds an entry named `marker`.

    Raises
    ------
    InputError
        If neither does.
    """
    for candidate in (folder, folder / child):
        if (candidate / marker).exists():
            return candidate
    raise InputError(
        str(folder),
        got=f"no {marker} there or in its subfolder {child}",
        wanted=f"the folder that holds {marker}",
        do="Check the path, and that the reader is the right one for this dataset.",
    )


def derivative_folders(folder: Path, child: str) -> list[Path]:
    """Return the folders of a ds003020 tree that hold a folder named `child`, each once.

    Sought are `folder`, its derivative folder (``derivative`` up to 3.1.0, ``derivatives``
    later), and that of ``ds003020/`` in it. A link from one name to the other makes one of both.
    """
    tops = (folder, folder / "ds003020")
    places = [folder, *(top / name for top in tops for name in ("derivatives", "derivative"))]
    return list({place.resolve(): place for place in places if (place / child).is_dir()}.values())
