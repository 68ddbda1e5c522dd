"""Response arrays in npz and HDF5 files: headers first, then one array or a few columns."""

from __future__ import annotations

import abc
import hashlib
import io
import math
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import IO

import h5py
import numpy as np
from jaxtyping import Float

from brainaligner.core import InputError, array_digest, unknown_name
from brainaligner.data._files import reading
from brainaligner.data._plain import PlainArray, plain_array, read_plain_columns

REPEATS = "repeats"
_HEAD_BYTES = 4096
_HEADER_READERS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}


@dataclass(frozen=True)
class ArrayHeader:
    """Shape and dtype of an array that has not been read."""

    shape: tuple[int, ...]
    dtype: np.dtype


def checked_header(where: str, header: ArrayHeader, *, dims: int = 2) -> ArrayHeader:
    """Return `header` if it is that of a non-empty floating-point array with `dims` axes.

    Raises
    ------
    InputError
        If not.
    """
    if (
        len(header.shape) != dims
        or min(header.shape) < 1
        or not np.issubdtype(header.dtype, np.floating)
    ):
        raise InputError(
            where,
            got=f"{header.dtype} array of shape {header.shape}",
            wanted="a non-empty floating-point array (time, target)"
            if dims == 2
            else "a non-empty floating-point array (repeat, time, target)",
            do="Save the responses as float32 or float64, one row per TR.",
        )
    return header


class ResponseArchive(abc.ABC):
    """One file with the response arrays of one subject, by story name."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @abc.abstractmethod
    def names(self) -> tuple[str, ...]:
        """Return the names of the arrays, without reading any."""

    @abc.abstractmethod
    def header(self, name: str) -> ArrayHeader:
        """Return shape and dtype of one array, without reading it."""

    @abc.abstractmethod
    def columns(self, name: str, columns: slice) -> Float[np.ndarray, "time target"]:
        """Read some columns of one array."""

    def repeats_header(self, name: str) -> ArrayHeader | None:
        """Return shape and dtype of the single presentations, or None if there are none."""
        return None

    def repeats(self, name: str, columns: slice) -> Float[np.ndarray, "repeat time target"]:
        """Read some columns of the single presentations."""
        raise unknown_name(str(self.path), "array", f"{REPEATS}/{name}", ())

    def digest(self, name: str) -> str:
        """SHA-256 of dtype, shape and values as they are read, single presentations included."""
        mean = array_digest(self.columns(name, slice(None)))
        if self.repeats_header(name) is None:
            return mean
        repeats = array_digest(self.repeats(name, slice(None)))
        return hashlib.sha256(f"{mean} {repeats}".encode()).hexdigest()


class NpzArchive(ResponseArchive):
    """A numpy zip file. Pickled (object) arrays are refused, never loaded."""

    def names(self) -> tuple[str, ...]:
        """Return the names of the arrays, from the zip directory alone."""
        with reading(self.path, "a readable npz file"), zipfile.ZipFile(self.path) as archive:
            members = archive.namelist()
        return tuple(name.removesuffix(".npy") for name in members if name.endswith(".npy"))

    def header(self, name: str) -> ArrayHeader:
        """Return shape and dtype of one array, from the first bytes of its member."""
        with self._member(name) as (member, size):
            head = io.BytesIO(member.read(_HEAD_BYTES))
            header = _npy_header(f"{self.path}, array {name!r}", head)
            announced = math.prod(header.shape) * header.dtype.itemsize
            if announced > size - head.tell():
                raise _unplain(
                    f"{self.path}, array {name!r}",
                    f"{size - head.tell()} bytes of values where shape {header.shape} and "
                    f"{header.dtype} ask for {announced}",
                )
            return header

    def columns(self, name: str, columns: slice) -> Float[np.ndarray, "time target"]:
        """Read one array and return some of its columns."""
        checked_header(f"{self.path}, array {name!r}", self.header(name))
        with self._member(name) as (member, _):
            return np.lib.format.read_array(member, allow_pickle=False)[:, columns]

    @contextmanager
    def _member(self, name: str) -> Iterator[tuple[IO[bytes], int]]:
        """Open the npy file of one array, and say how many bytes it has when unpacked."""
        with (
            reading(self.path, f"an intact array {name!r}"),
            zipfile.ZipFile(self.path) as archive,
        ):
            found = archive.getinfo(f"{name}.npy")
            if found.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                raise _unplain(f"{self.path}, array {name!r}", "a compression numpy never uses")
            with archive.open(found) as member:
                yield member, found.file_size


def _npy_header(where: str, member: io.BytesIO) -> ArrayHeader:
    version = np.lib.format.read_magic(member)
    if version not in _HEADER_READERS:
        raise _unplain(where, f"npy format {version}")
    # A header that is no Python literal raises whatever its first fault happens to raise.
    try:
        shape, _, dtype = _HEADER_READERS[version](member)
    except Exception as error:
        raise _unplain(where, f"a header that cannot be read ({type(error).__name__})") from error
    if dtype.hasobject:
        raise _unplain(where, "a pickled array of Python objects, which could run code when loaded")
    return ArrayHeader(shape, dtype)


def _unplain(where: str, got: str) -> InputError:
    return InputError(
        where,
        got=got,
        wanted="a plain, complete numeric array",
        do="Save the responses as one float array per story, with numpy.savez.",
    )


class HdfArchive(ResponseArchive):
    """An HDF5 file: dataset ``<story>`` and, where repeated, ``repeats/<story>``."""

    def names(self) -> tuple[str, ...]:
        """Return the names of the datasets at the top of the file."""
        with reading(self.path, "a readable HDF5 file"), h5py.File(self.path, "r") as file:
            # h5py gives a name that is not UTF-8 as bytes; no story of a word table has it.
            names = [name for name in file if isinstance(name, str)]
            return tuple(name for name in names if has_dataset(self.path, file, name))

    def header(self, name: str) -> ArrayHeader:
        """Return shape and dtype of one dataset."""
        return hdf_header(self.path, name)

    def columns(self, name: str, columns: slice) -> Float[np.ndarray, "time target"]:
        """Read some columns of one dataset from disk, and no others."""
        return hdf_columns(self.path, name, columns)

    def repeats_header(self, name: str) -> ArrayHeader | None:
        """Return shape and dtype of ``repeats/<story>``, or None."""
        key = f"{REPEATS}/{name}"
        return hdf_header(self.path, key) if hdf_has(self.path, key) else None

    def repeats(self, name: str, columns: slice) -> Float[np.ndarray, "repeat time target"]:
        """Read some columns of the single presentations from disk, and no others."""
        return hdf_columns(self.path, f"{REPEATS}/{name}", columns)


def hdf_has(path: Path, key: str) -> bool:
    """Whether an HDF5 file holds a dataset named `key`."""
    with reading(path, "a readable HDF5 file"), h5py.File(path, "r") as file:
        return has_dataset(path, file, key)


def has_dataset(path: Path, file: h5py.File, key: str) -> bool:
    """Whether `key` is a dataset; a link on the way to it is refused, not followed.

    A file from somebody else must not choose which other files of this machine are read.
    """
    place: h5py.Group | h5py.Dataset = file
    for part in (part.encode() for part in key.split("/")):
        if not (isinstance(place, h5py.Group) and place.id.links.exists(part)):
            return False
        if place.id.links.get_info(part).type != h5py.h5l.TYPE_HARD:
            raise _elsewhere(path, key, "a link")
        place = place[part]
    return isinstance(place, h5py.Dataset)


def own_dataset(path: Path, file: h5py.File, key: str) -> h5py.Dataset:
    """Return a dataset whose values lie in the file itself."""
    if not has_dataset(path, file, key):
        raise unknown_name(str(path), "dataset", key, [str(name) for name in file])
    found = file[key]
    if found.external or found.is_virtual:
        raise _elsewhere(path, key, "values kept in other files")
    return found


def _elsewhere(path: Path, key: str, got: str) -> InputError:
    return InputError(
        f"{path}, {key!r}",
        got=got,
        wanted="values in the file itself",
        do="Write the array into this file.",
    )


def hdf_header(path: Path, key: str) -> ArrayHeader:
    """Return shape and dtype of one dataset.

    Raises
    ------
    InputError
        If the file cannot be read, or holds no such dataset (the nearest name is given).
    """
    with reading(path, f"a complete HDF5 file with dataset {key!r}"), h5py.File(path, "r") as file:
        found = own_dataset(path, file, key)
        return ArrayHeader(tuple(found.shape or ()), found.dtype)


def hdf_columns(path: Path, key: str, columns: slice) -> Float[np.ndarray, "..."]:
    """Read some columns (last axis) of a floating-point dataset from disk, and no others.

    float64 becomes float32 on the way, so that memory holds the slice once. The array is the
    caller's own, to change in place.
    """
    with reading(path, f"an intact dataset {key!r}"):
        status = path.stat()
        plain = _plain_layout(path, key, (status.st_ino, status.st_size, status.st_mtime_ns))
        wanted = range(plain.shape[-1])[columns] if plain is not None else range(0)
        if plain is not None and wanted.step == 1 and len(wanted):
            with path.open("rb", buffering=0) as raw:
                return read_plain_columns(raw.fileno(), plain, wanted)
        with h5py.File(path, "r") as file:
            return _checked_dataset(path, file, key).astype(np.float32)[..., columns]


@lru_cache(maxsize=1024)
def _plain_layout(path: Path, key: str, _stamp: tuple[int, int, int]) -> PlainArray | None:
    """Where a dataset's numbers lie; found once for each state of a file."""
    with h5py.File(path, "r") as file:
        return plain_array(file, _checked_dataset(path, file, key))


def _checked_dataset(path: Path, file: h5py.File, key: str) -> h5py.Dataset:
    found = own_dataset(path, file, key)
    header = ArrayHeader(found.shape, found.dtype)
    checked_header(f"{path}, dataset {key!r}", header, dims=found.ndim)
    return found


ARCHIVES: dict[str, type[ResponseArchive]] = {
    ".npz": NpzArchive,
    ".hf5": HdfArchive,
    ".h5": HdfArchive,
}
