"""Copies of files of responses that replace them: built apart, verified, then shown."""

from __future__ import annotations

import abc
import hashlib
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from brainaligner.core import InputError, Progress
from brainaligner.data._archive import ArrayHeader, checked_header, has_dataset, own_dataset
from brainaligner.data._files import download_fault, file_hash, reading
from brainaligner.data._lebel2023 import RECORDINGS, derivative_folder, recordings_of
from brainaligner.data._manifest import PART, REJECTED
from brainaligner.data._parcel_coverage import NAMES, VOXELS
from brainaligner.data._writing import show, writing

_AXES = {"data": 2, "individual_repeats": 3}
_CHUNK_BYTES = 1 << 20
_CHUNKS_AT_A_TIME = 16
_MD5 = "source_md5"


class CopyRecipe(abc.ABC):
    """What a copy keeps of a file of responses, and how that is checked."""

    @property
    @abc.abstractmethod
    def marks(self) -> dict[str, str]:
        """What a copy says of how it was made; one that says something else is made anew."""

    @abc.abstractmethod
    def write(self, path: Path, arrays: dict[str, h5py.Dataset]) -> None:
        """Write a copy of the arrays of an original; raises `InputError` if they do not suit."""

    @abc.abstractmethod
    def compare(self, path: Path, arrays: dict[str, h5py.Dataset]) -> None:
        """Read a copy back from disk; raises `InputError` if it is not that of the arrays."""


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


def convert_tree(
    tree: Path,
    target: Path,
    recipe_of: Callable[[str], CopyRecipe],
    *,
    delete: bool,
    progress: Progress,
) -> tuple[ConvertedFile, ...]:
    """Copy all responses of a tree by the recipe of each subject, and link all other files.

    Files that were not downloaded are left out, as the reader leaves them out.

    Raises
    ------
    InputError
        For a target inside the tree, a tree of which no responses were downloaded, a file that
        is damaged, holds more than responses or refers to another file, what a recipe refuses,
        or a full disk.
    """
    root = derivative_folder(tree)
    new_root = target / "derivative"
    _check_apart(root, new_root)
    sources = _downloaded(root / RECORDINGS, begun=(new_root / RECORDINGS).exists())
    recipes = {subject: recipe_of(subject) for subject in {s.parent.name for s in sources}}
    total = sum(source.stat().st_size for source in sources)
    converted, done = [], 0
    for source in sources:
        copy = new_root / source.relative_to(root)
        size = source.stat().st_size
        keep_copy(source, copy, recipes[source.parent.name], md5=file_hash(source, "md5"))
        if delete:
            source.unlink()
        converted.append(ConvertedFile(copy, size, copy.stat().st_size, delete))
        done += size
        progress("bytes converted", done, total)
    link_companions(root, new_root)
    return tuple(converted)


def _downloaded(recordings: Path, *, begun: bool) -> list[Path]:
    """Files of responses whose content is here; refuses none, unless an earlier call took them."""
    subjects = sorted(path for path in recordings.iterdir() if path.is_dir())
    listed = [path for subject in subjects for path in recordings_of(subject).values()]
    found = [path for path in listed if download_fault(path) is None]
    if listed and not found and not begun:
        raise InputError(
            str(recordings),
            got=f"{len(listed)} hf5 files, none of them downloaded",
            wanted="responses to copy",
            do="Download them (`datalad get`).",
        )
    return found


def _check_apart(root: Path, new_root: Path) -> None:
    old, new = root.resolve(), new_root.resolve()
    if old == new or old in new.parents or new in old.parents:
        raise InputError(
            str(new_root.parent),
            got="a target that is, holds or lies in the tree itself",
            wanted="another folder",
            do="Choose a folder beside the original tree.",
        )


def keep_copy(source: Path, copy: Path, recipe: CopyRecipe, *, md5: str) -> None:
    """Write the copy of one file, unless a right one is there.

    Parameters
    ----------
    source, copy : Path
    recipe : CopyRecipe
    md5 : str
        MD5 of `source`, kept in the copy as its origin.

    Raises
    ------
    InputError
        As `convert_tree`.
    """
    if not copy_fault(copy, recipe, md5=md5):
        return
    copy.parent.mkdir(parents=True, exist_ok=True)
    temporary = copy.with_name(copy.name + PART)
    temporary.unlink(missing_ok=True)
    try:
        _build_copy(source, temporary, recipe, md5)
        show(temporary, copy)
    finally:
        temporary.unlink(missing_ok=True)


def _build_copy(source: Path, temporary: Path, recipe: CopyRecipe, md5: str) -> None:
    with (
        reading(source, "an intact file of responses"),
        h5py.File(source, "r") as original,
        writing(temporary),
    ):
        arrays = _arrays(source, original)
        recipe.write(temporary, arrays)
        recipe.compare(temporary, arrays)
        with h5py.File(temporary, "r+") as file:
            file.attrs.update(recipe.marks | {_MD5: md5, "sha256": _digest(_kept(temporary, file))})


def copy_fault(copy: Path, recipe: CopyRecipe, *, md5: str) -> str:
    """Say what is wrong with a compact copy; an empty text where it is right.

    Reads all of it: its values must have the SHA-256 that they had when they were verified.
    """
    if not copy.is_file():
        return "absent"
    try:
        with h5py.File(copy, "r") as file:
            if any(file.attrs.get(k) != v for k, v in (recipe.marks | {_MD5: md5}).items()):
                return "a copy of another file, or of another kind"
            same = file.attrs.get("sha256") == _digest(_kept(copy, file))
            return "" if same else "values that changed since they were verified"
    except (OSError, RuntimeError, KeyError, ValueError) as error:
        return f"damaged ({error})"


def _kept(path: Path, file: h5py.File) -> dict[str, h5py.Dataset]:
    names = (*_AXES, NAMES, VOXELS)
    return {n: own_dataset(path, file, n) for n in names if has_dataset(path, file, n)}


def _arrays(path: Path, file: h5py.File) -> dict[str, h5py.Dataset]:
    names = {str(name) for name in file}
    more = sorted(names - set(_AXES))
    if more or "data" not in names:
        raise InputError(
            str(path),
            got=f"also {', '.join(more[:5])}" if more else "no dataset 'data'",
            wanted=f"{' and, where repeated, '.join(_AXES)}",
            do="Convert only files of responses as ds003020 has them.",
        )
    arrays = {name: own_dataset(path, file, name) for name in _AXES if name in names}
    for name, array in arrays.items():
        header = ArrayHeader(tuple(array.shape or ()), array.dtype)
        checked_header(f"{path}, dataset {name!r}", header, dims=_AXES[name])
    return arrays


def _digest(arrays: dict[str, h5py.Dataset]) -> str:
    """SHA-256 of names, shapes, dtypes and values, block after block."""
    digest = hashlib.sha256()
    for name, array in arrays.items():
        digest.update(f"{name} {array.shape} {array.dtype.str} {array.chunks}".encode())
        for block in blocks(array.shape, array.chunks or array.shape):
            digest.update(np.ascontiguousarray(array[block]).data)
    return digest.hexdigest()


def chunk_shape(shape: tuple[int, ...], dtype: type[np.floating]) -> tuple[int, ...]:
    """All rows of as many columns as 1 MiB holds; one presentation at a time."""
    *lead, n_rows, n_columns = shape
    width = max(1, _CHUNK_BYTES // (n_rows * np.dtype(dtype).itemsize))
    return (*(1 for _ in lead), n_rows, min(width, n_columns))


def blocks(shape: tuple[int, ...], chunks: tuple[int, ...]) -> Iterator[tuple[Any, ...]]:
    """Cut an array into blocks of whole chunks that memory holds easily."""
    if len(shape) == 1:
        yield (slice(None),)
        return
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
