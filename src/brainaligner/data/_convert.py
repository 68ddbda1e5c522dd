"""Compact copies of the responses of ds003020: rounded, chunked, verified."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from jaxtyping import Float

from brainaligner.core import InputError, Progress, no_progress
from brainaligner.data._archive import ArrayHeader, checked_header
from brainaligner.data._files import file_hash, reading
from brainaligner.data._lebel2023 import RECORDINGS, derivative_folder
from brainaligner.data._manifest import PART, REJECTED
from brainaligner.data._writing import show, writing

KINDS: dict[str, type[np.floating]] = {"float32": np.float32, "float16": np.float16}
"""What values can be rounded to, to the nearest (IEEE 754, ties to even)."""

_AXES = {"data": 2, "individual_repeats": 3}
_CHUNK_BYTES = 1 << 20
_CHUNKS_AT_A_TIME = 16


@dataclass(frozen=True)
class ConvertedFile:
    """One compact copy that stands complete and verified.

    Parameters
    ----------
    path : Path
    bytes_before, bytes_after : int
        Sizes of the original and of the copy.
    original_removed : bool
    """

    path: Path
    bytes_before: int
    bytes_after: int
    original_removed: bool


def convert_responses(
    tree: Path, target: Path, *, kind: str, delete: bool = False, progress: Progress = no_progress
) -> tuple[ConvertedFile, ...]:
    """Write compact copies of all responses of a tree, as a tree that the same reader opens.

    Every value ``x`` becomes ``round(x)`` to the nearest number of `kind`, and nothing else
    changes. Each copy is read back and compared with the original, bit by bit, before it gets
    its name; only then is the original removed. TextGrids, surfaces and tables are linked, or
    copied where links cannot be. A call that was stopped goes on where it was.

    Parameters
    ----------
    tree : Path
        A ds003020 tree, as `open_dataset` takes it.
    target : Path
        Folder of the new tree, outside the derivative folder of the old one.
    kind : {"float32", "float16"}
    delete : bool
        Whether to remove each original after its copy is verified.
    progress : Progress
        In bytes of originals.

    Returns
    -------
    tuple of ConvertedFile
        Those whose original was there in this call.

    Raises
    ------
    InputError
        For an unknown kind, a target inside the tree, a file that is damaged or holds more
        than responses, a value too large for `kind`, or a full disk.
    """
    check_kind(kind)
    root = derivative_folder(tree)
    new_root = target / "derivative"
    _check_apart(root, new_root)
    sources = sorted((root / RECORDINGS).glob("*/*.hf5"))
    total = sum(source.stat().st_size for source in sources)
    converted, done = [], 0
    for source in sources:
        copy = new_root / source.relative_to(root)
        size = source.stat().st_size
        convert_file(source, copy, kind=kind, md5=file_hash(source, "md5"))
        if delete:
            source.unlink()
        converted.append(ConvertedFile(copy, size, copy.stat().st_size, delete))
        done += size
        progress("bytes converted", done, total)
    link_companions(root, new_root)
    return tuple(converted)


def check_kind(kind: str) -> None:
    """Refuse what values cannot be rounded to."""
    if kind not in KINDS:
        raise InputError(
            "kind of compact copies",
            got=repr(kind),
            wanted=f"one of: {', '.join(KINDS)}",
            do="Choose one of them.",
        )


def _check_apart(root: Path, new_root: Path) -> None:
    old, new = root.resolve(), new_root.resolve()
    if old == new or old in new.parents or new in old.parents:
        raise InputError(
            str(new_root.parent),
            got="a target that is, holds or lies in the tree itself",
            wanted="another folder",
            do="Choose a folder beside the original tree.",
        )


def convert_file(source: Path, copy: Path, *, kind: str, md5: str) -> None:
    """Write the compact copy of one file, unless a right one is there.

    Parameters
    ----------
    source, copy : Path
    kind : {"float32", "float16"}
    md5 : str
        MD5 of `source`, kept in the copy as its origin.

    Raises
    ------
    InputError
        As `convert_responses`.
    """
    if not copy_fault(copy, kind=kind, md5=md5):
        return
    copy.parent.mkdir(parents=True, exist_ok=True)
    temporary = copy.with_name(copy.name + PART)
    temporary.unlink(missing_ok=True)
    try:
        _build_copy(source, temporary, kind, md5)
        show(temporary, copy)
    finally:
        temporary.unlink(missing_ok=True)


def _build_copy(source: Path, temporary: Path, kind: str, md5: str) -> None:
    with (
        reading(source, "an intact file of responses"),
        h5py.File(source, "r") as original,
        writing(temporary),
    ):
        arrays = _arrays(source, original)
        _write_copy(temporary, arrays, kind)
        digest = _compared(temporary, arrays, kind)
        with h5py.File(temporary, "r+") as file:
            file.attrs.update({"kind": kind, "source_md5": md5, "sha256": digest})


def copy_fault(copy: Path, *, kind: str, md5: str) -> str:
    """Say what is wrong with a compact copy; an empty text where it is right.

    Reads all of it: its values must have the SHA-256 that they had when they were verified.
    """
    if not copy.is_file():
        return "absent"
    try:
        with h5py.File(copy, "r") as file:
            if (file.attrs.get("kind"), file.attrs.get("source_md5")) != (kind, md5):
                return "a copy of another file, or of another kind"
            arrays = {name: file[name] for name in _AXES if name in file}
            same = file.attrs.get("sha256") == _digest(arrays)
            return "" if same else "values that changed since they were verified"
    except (OSError, RuntimeError, KeyError, ValueError) as error:
        return f"damaged ({error})"


def _arrays(path: Path, file: h5py.File) -> dict[str, h5py.Dataset]:
    more = sorted(set(file) - set(_AXES))
    if more or "data" not in file:
        raise InputError(
            str(path),
            got=f"also {', '.join(more[:5])}" if more else "no dataset 'data'",
            wanted=f"{' and, where repeated, '.join(_AXES)}",
            do="Convert only files of responses as ds003020 has them.",
        )
    for name in file:
        header = ArrayHeader(tuple(file[name].shape or ()), file[name].dtype)
        checked_header(f"{path}, dataset {name!r}", header, dims=_AXES[name])
    return {name: file[name] for name in _AXES if name in file}


def _write_copy(path: Path, arrays: dict[str, h5py.Dataset], kind: str) -> None:
    with h5py.File(path, "w") as file:
        for name, array in arrays.items():
            copy = file.create_dataset(
                name, array.shape, KINDS[kind], chunks=_chunk_shape(array.shape, KINDS[kind])
            )
            for block in _blocks(array.shape, copy.chunks):
                copy[block] = _rounded(f"{array.file.filename}, {name}", array[block], kind)


def _rounded(where: str, values: Float[np.ndarray, "..."], kind: str) -> Float[np.ndarray, "..."]:
    with np.errstate(over="ignore"):
        rounded = values.astype(KINDS[kind])
    if (np.isinf(rounded) & np.isfinite(values)).any():
        raise InputError(
            where,
            got=f"a value of {np.abs(values[np.isfinite(values)]).max():g}",
            wanted=f"at most {np.finfo(KINDS[kind]).max:g}, the largest {kind}",
            do="Convert to float32, or keep the originals.",
        )
    return rounded


def _compared(path: Path, arrays: dict[str, h5py.Dataset], kind: str) -> str:
    """Compare a copy on disk with what its original rounds to; return its digest."""
    with h5py.File(path, "r") as file:
        for name, array in arrays.items():
            for block in _blocks(array.shape, file[name].chunks):
                wanted, got = array[block].astype(KINDS[kind]), file[name][block]
                if got.dtype != wanted.dtype or got.tobytes() != wanted.tobytes():
                    raise InputError(
                        str(path),
                        got=f"values of {name!r} that differ from the rounded original",
                        wanted="the same bits",
                        do="Check the disk; the original was kept.",
                    )
        return _digest({name: file[name] for name in arrays})


def _digest(arrays: dict[str, h5py.Dataset]) -> str:
    """SHA-256 of names, shapes, dtypes and values, block after block."""
    digest = hashlib.sha256()
    for name, array in arrays.items():
        digest.update(f"{name} {array.shape} {array.dtype.str} {array.chunks}".encode())
        for block in _blocks(array.shape, array.chunks or array.shape):
            digest.update(np.ascontiguousarray(array[block]).data)
    return digest.hexdigest()


def _chunk_shape(shape: tuple[int, ...], dtype: type[np.floating]) -> tuple[int, ...]:
    """All rows of as many columns as 1 MiB holds; one presentation at a time."""
    *lead, n_rows, n_columns = shape
    width = max(1, _CHUNK_BYTES // (n_rows * np.dtype(dtype).itemsize))
    return (*(1 for _ in lead), n_rows, min(width, n_columns))


def _blocks(shape: tuple[int, ...], chunks: tuple[int, ...]) -> Iterator[tuple[Any, ...]]:
    """Cut an array into blocks of whole chunks that memory holds easily."""
    width = chunks[-1] * _CHUNKS_AT_A_TIME
    for lead in np.ndindex(shape[:-2]):
        for start in range(0, shape[-1], width):
            yield (*lead, slice(None), slice(start, min(start + width, shape[-1])))


def link_companions(root: Path, new_root: Path) -> None:
    """Give a tree of copies the files of its original that are not responses."""
    for source in sorted(root.rglob("*")):
        name = source.relative_to(root)
        ours = source.name.endswith((PART, REJECTED)) or source.name.startswith(".")
        if name.parts[0] == RECORDINGS or ours or not source.is_file():
            continue
        _link(source, new_root / name)


def _link(source: Path, place: Path) -> None:
    if place.exists() and (place.samefile(source) or _same_stamp(source, place)):
        return
    place.parent.mkdir(parents=True, exist_ok=True)
    temporary = place.with_name(place.name + PART)
    temporary.unlink(missing_ok=True)
    with writing(place):
        try:
            os.link(source.resolve(), temporary)
        except OSError:
            shutil.copy2(source, temporary)
        os.replace(temporary, place)


def _same_stamp(source: Path, place: Path) -> bool:
    old, new = source.stat(), place.stat()
    return (old.st_size, old.st_mtime_ns) == (new.st_size, new.st_mtime_ns)
