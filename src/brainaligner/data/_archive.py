"""Response arrays in npz and HDF5 files: headers first, then one array or a few columns."""

from __future__ import annotations

import abc
import hashlib
import io
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from jaxtyping import Float

from brainaligner.core import InputError, array_digest, unknown_name
from brainaligner.data._files import reading

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
        or 0 in header.shape
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
        """SHA-256 of one array's dtype, shape and values, and of its single presentations'."""
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
        with (
            reading(self.path, f"an array {name!r} in an npz file"),
            zipfile.ZipFile(self.path) as archive,
            archive.open(f"{name}.npy") as member,
        ):
            head = io.BytesIO(member.read(_HEAD_BYTES))
            return _npy_header(f"{self.path}, array {name!r}", head)

    def columns(self, name: str, columns: slice) -> Float[np.ndarray, "time target"]:
        """Read one array and return some of its columns."""
        checked_header(f"{self.path}, array {name!r}", self.header(name))
        with (
            reading(self.path, f"an intact array {name!r}"),
            zipfile.ZipFile(self.path) as archive,
            archive.open(f"{name}.npy") as member,
        ):
            return np.lib.format.read_array(member, allow_pickle=False)[:, columns]


def _npy_header(where: str, member: io.BytesIO) -> ArrayHeader:
    version = np.lib.format.read_magic(member)
    if version not in _HEADER_READERS:
        raise InputError(
            where,
            got=f"npy format {version}",
            wanted="a plain numeric array",
            do="Save the responses as one float array per story.",
        )
    shape, _, dtype = _HEADER_READERS[version](member)
    if dtype.hasobject:
        raise InputError(
            where,
            got="a pickled array of Python objects, which could run code when loaded",
            wanted="a plain numeric array",
            do="Save the responses as one float array per story.",
        )
    return ArrayHeader(shape, dtype)


class HdfArchive(ResponseArchive):
    """An HDF5 file: dataset ``<story>`` and, where repeated, ``repeats/<story>``."""

    def names(self) -> tuple[str, ...]:
        """Return the names of the datasets at the top of the file."""
        with reading(self.path, "a readable HDF5 file"), h5py.File(self.path, "r") as file:
            return tuple(name for name in file if isinstance(file[name], h5py.Dataset))

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
        return isinstance(file.get(key), h5py.Dataset)


def hdf_header(path: Path, key: str) -> ArrayHeader:
    """Return shape and dtype of one dataset.

    Raises
    ------
    InputError
        If the file cannot be read, or holds no such dataset (the nearest name is given).
    """
    with reading(path, f"a complete HDF5 file with dataset {key!r}"), h5py.File(path, "r") as file:
        found: Any = file.get(key)
        if not isinstance(found, h5py.Dataset):
            raise unknown_name(str(path), "dataset", key, list(file))
        return ArrayHeader(tuple(found.shape or ()), found.dtype)


def hdf_columns(path: Path, key: str, columns: slice) -> Float[np.ndarray, "..."]:
    """Read some columns (last axis) of a floating-point dataset from disk, and no others.

    float64 becomes float32 on the way, so that memory holds the slice once.
    """
    with reading(path, f"an intact dataset {key!r}"), h5py.File(path, "r") as file:
        found = file[key]
        checked_header(
            f"{path}, dataset {key!r}", ArrayHeader(found.shape, found.dtype), dims=found.ndim
        )
        return found.astype(np.float32)[..., columns]


ARCHIVES: dict[str, type[ResponseArchive]] = {
    ".npz": NpzArchive,
    ".hf5": HdfArchive,
    ".h5": HdfArchive,
}
