"""Files of artifacts: written so that nothing is half there, read so that damage is named."""

from __future__ import annotations

import errno
import io
import json
import os
import re
import shutil
import socket
import struct
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import numpy as np
import psutil
from safetensors import SafetensorError

from brainaligner.core import BrainAlignerError, InputError

_ZIP_EPOCH = (1980, 1, 1, 0, 0, 0)
_FULL_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_UNWRITABLE = (errno.EACCES, errno.EPERM, errno.ENOTDIR, errno.EEXIST, errno.EISDIR, errno.EROFS)
_ZIP_LENGTHS = 26  # where a local header has the lengths of what stands before the data
_NPY_HEADERS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}
_TEXT_ERRNO = re.compile(r"(?:errno = |os error )(\d+)")  # of HDF5, and of safetensors


def process_tag() -> str:
    """Machine, process id and its start: a reused id is not taken for the old process."""
    return f"{socket.gethostname()}.{os.getpid()}.{int(psutil.Process().create_time())}"


@contextmanager
def writing_to(folder: Path, *, do: str = "Choose another one.") -> Iterator[None]:
    """Turn what an operating system says of a bad place to write into one clear error.

    Parameters
    ----------
    folder : Path
        Where is written; named in the error.
    do : str
        What the user can do about a place that cannot be written.

    Raises
    ------
    InputError
        For a full disk, a quota or size limit that was met, or a place that cannot be written.
    """
    try:
        yield
    except BrainAlignerError:
        raise
    except (OSError, RuntimeError, SafetensorError) as error:
        code = _errno(error)
        if code in _FULL_DISK:
            raise InputError(
                str(folder),
                got="no space left to write",
                wanted="room for the results",
                do="Free space or choose another folder with --out, then run the same command "
                "again: finished stages are kept.",
            ) from error
        if code in _UNWRITABLE:
            raise InputError(
                str(folder),
                got=f"a folder that cannot be written ({os.strerror(code)})",
                wanted="a folder that you may write",
                do=do,
            ) from error
        raise


def _errno(error: OSError | RuntimeError | SafetensorError) -> int:
    """Error number of a failed write, 0 where unknown; some libraries say it in their text only."""
    if isinstance(error, OSError) and error.errno is not None:
        return error.errno
    found = _TEXT_ERRNO.search(str(error))
    return int(found[1]) if found else 0


def nearest_existing(folder: Path) -> Path:
    """Return `folder`, or the nearest of its parents that is there."""
    return next(place for place in (folder, *folder.absolute().parents) if place.exists())


def check_free_space(folder: Path, needed: int) -> None:
    """Refuse to start where fewer than `needed` bytes are free on the disk of `folder`.

    Raises
    ------
    InputError
        Also where `folder` lies below a file, or cannot be looked at.
    """
    with writing_to(folder):
        existing = nearest_existing(folder)
        if not existing.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
        free = shutil.disk_usage(existing).free
    if free < needed:
        raise InputError(
            str(folder),
            got=f"{free / 2**30:.2f} GiB free disk space",
            wanted=f"about {needed / 2**30:.2f} GiB for this study",
            do="Free space or choose another folder with --out.",
        )


@contextmanager
def npz_writer(path: Path) -> Iterator[Callable[[str, np.ndarray], None]]:
    """Open an npz file that takes one array after the other, by name.

    Its bytes depend on the arrays alone (no time stamps). HDF5 is not written anywhere: on a
    full disk its library swallows some errors and ends the process at others.
    """
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:

        def add(name: str, array: np.ndarray) -> None:
            buffer = io.BytesIO()
            np.lib.format.write_array(buffer, np.asarray(array), allow_pickle=False)
            entry = zipfile.ZipInfo(f"{name}.npy", date_time=_ZIP_EPOCH)
            archive.writestr(entry, buffer.getbuffer())

        yield add


def write_npz(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Write arrays, sorted by name, to an npz file."""
    with npz_writer(path) as add:
        for name in sorted(arrays):
            add(name, arrays[name])


class DamagedArtifactError(BrainAlignerError):
    """A file of the store cannot be read.

    Parameters
    ----------
    path : Path
    fault : str
        What is wrong with it, in a library's words.
    """

    def __init__(self, path: Path, fault: str) -> None:
        self.path, self.fault = path, fault
        super().__init__(
            f"{path}: damaged artifact ({fault}). "
            f"Remove the folder {path.parent} and run the same command again."
        )


@contextmanager
def reading_artifact(path: Path) -> Iterator[None]:
    """Say which artifact is damaged, and what to do, whatever a library says of it.

    Raises
    ------
    DamagedArtifactError
    """
    try:
        yield
    except BrainAlignerError:
        raise
    except (OSError, ValueError, TypeError, KeyError, RuntimeError, zipfile.BadZipFile) as error:
        raise DamagedArtifactError(path, " ".join(str(error).split())) from error


def read_array(path: Path, name: str) -> np.ndarray:
    """Read one array of an npz file; never unpickles, and checks its CRC-32."""
    with reading_artifact(path), zipfile.ZipFile(path) as archive:
        return _member(archive, name)


def _member(archive: zipfile.ZipFile, name: str) -> np.ndarray:
    with archive.open(f"{name}.npy") as member:
        values = np.lib.format.read_array(member, allow_pickle=False)
        member.read()  # to its end, where the checksum is compared
        return values


def read_column(path: Path, name: str, column: int) -> np.ndarray:
    """Read one column of a matrix of an npz file, and no more than it takes to get there.

    The checksum, which is that of the whole matrix, is not compared.
    """
    with reading_artifact(path), path.open("rb") as file:
        with zipfile.ZipFile(file) as archive:
            member = archive.getinfo(f"{name}.npy")
        if member.compress_type != zipfile.ZIP_STORED:
            raise ValueError(f"{name} is compressed")
        file.seek(member.header_offset + _ZIP_LENGTHS)
        file.seek(sum(struct.unpack("<HH", file.read(4))), os.SEEK_CUR)
        read_header = _NPY_HEADERS[np.lib.format.read_magic(file)]
        shape, by_columns, dtype = read_header(file)
        if dtype.hasobject or len(shape) != 2:
            raise ValueError(f"{name} has shape {shape} and dtype {dtype}")
        order: Literal["F", "C"] = "F" if by_columns else "C"
        whole = np.memmap(file, dtype, "r", file.tell(), shape, order)
        return np.array(whole[:, column])


def read_npz(path: Path) -> dict[str, np.ndarray]:
    """Read all arrays of an npz file; it is opened once, however many there are."""
    with reading_artifact(path), zipfile.ZipFile(path) as archive:
        names = (name.removesuffix(".npy") for name in archive.namelist())
        return {name: _member(archive, name) for name in names}


def npz_names(path: Path) -> tuple[str, ...]:
    """Names of the arrays of an npz file, in the order in which they were written."""
    with reading_artifact(path), zipfile.ZipFile(path) as archive:
        return tuple(name.removesuffix(".npy") for name in archive.namelist())


def write_json(path: Path, content: object) -> None:
    """Write JSON for machines and people; NaN is kept, as Python's json reads it back."""
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def read_json(path: Path) -> Any:
    """Read a JSON file of an artifact."""
    with reading_artifact(path):
        return json.loads(path.read_text(encoding="utf-8"))


def replace_file(path: Path, content: bytes) -> None:
    """Replace a file in one step, so that a reader never meets half of it."""
    with replacing(path) as temporary:
        temporary.write_bytes(content)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a place beside `path` to write to, which becomes `path` when all is written."""
    with writing_to(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name}.{process_tag()}")
        try:
            yield temporary
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
