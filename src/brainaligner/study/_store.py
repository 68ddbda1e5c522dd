"""The content-addressed store: ``<store>/<stage>/<key>/{recipe.json, payload}``."""

from __future__ import annotations

import errno
import hashlib
import io
import json
import os
import shutil
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from brainaligner.core import BrainAlignerError, InputError
from brainaligner.study._settings import plain

_ZIP_EPOCH = (1980, 1, 1, 0, 0, 0)
_FULL_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@dataclass(frozen=True)
class Recipe:
    """All that an artifact follows from.

    Parameters
    ----------
    stage : str
        What made it.
    version : int
        Bumped by hand when the stage's code starts to give other numbers.
    settings : mapping
        Plain values that can change a number; how a stage runs (device, workers) stays out.
    inputs : mapping of str to str
        Keys of other artifacts and content digests of files, by role.
    """

    stage: str
    version: int
    settings: Mapping[str, Any]
    inputs: Mapping[str, str]

    @cached_property
    def text(self) -> str:
        """Canonical JSON: sorted keys, exact floats."""
        return json.dumps(
            plain(
                {
                    "stage": self.stage,
                    "version": self.version,
                    "settings": self.settings,
                    "inputs": self.inputs,
                }
            ),
            sort_keys=True,
            indent=1,
            allow_nan=False,
        )

    @cached_property
    def key(self) -> str:
        """First 32 hexadecimal digits of the SHA-256 of `text`."""
        return hashlib.sha256(self.text.encode()).hexdigest()[:32]


class Store:
    """Artifacts on disk. Each is built in a temporary folder and shown by one rename.

    A process that dies leaves only a temporary folder, which the next one removes.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = Path(folder)
        self._temporary = self.folder / "tmp"

    def open(self) -> Store:
        """Create the folder and remove what dead processes left half-built."""
        with writing_to(self.folder):
            self._temporary.mkdir(parents=True, exist_ok=True)
            for leftover in self._temporary.iterdir():
                if not _is_alive(leftover.name):
                    shutil.rmtree(leftover, ignore_errors=True)
        return self

    def path(self, recipe: Recipe) -> Path:
        """Folder of the artifact, whether or not it exists."""
        return self.folder / recipe.stage / recipe.key

    def has(self, recipe: Recipe) -> bool:
        """Whether the artifact is complete."""
        return (self.path(recipe) / "recipe.json").is_file()

    def ensure(self, recipe: Recipe, build: Callable[[Path], None]) -> Path:
        """Return the artifact's folder, building it first where it does not exist.

        Parameters
        ----------
        recipe : Recipe
        build : callable
            Writes the payload into the empty folder that it is given.
        """
        if not self.has(recipe):
            with writing_to(self.folder):
                self._build(recipe, build)
        return self.path(recipe)

    def _build(self, recipe: Recipe, build: Callable[[Path], None]) -> None:
        temporary = Path(tempfile.mkdtemp(prefix=f"{_process_tag()}-", dir=self._temporary))
        try:
            build(temporary)
            (temporary / "recipe.json").write_text(recipe.text + "\n", encoding="utf-8")
            _flush(temporary)
            target = self.path(recipe)
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                temporary.rename(target)
            except OSError:
                if not self.has(recipe):  # otherwise another process was faster: same content
                    raise
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


def _process_tag() -> str:
    """Process id with its start time, so that a reused id is not taken for the old process."""
    return f"{os.getpid()}-{int(psutil.Process().create_time())}"


def _is_alive(name: str) -> bool:
    try:
        pid, started = (int(part) for part in name.split("-")[:2])
        return int(psutil.Process(pid).create_time()) == started
    except (ValueError, psutil.Error):
        return False


def _flush(folder: Path) -> None:
    for path in folder.rglob("*"):
        if path.is_file():
            with path.open("rb") as file:
                os.fsync(file.fileno())


@contextmanager
def writing_to(folder: Path) -> Iterator[None]:
    """Turn what an operating system says of a bad place to write into one clear error."""
    try:
        yield
    except OSError as error:
        if error.errno in _FULL_DISK:
            raise InputError(
                str(folder),
                got="no space left to write",
                wanted="room for the results",
                do="Free space or choose another folder with --out, then run the same command "
                "again: finished stages are kept.",
            ) from error
        if isinstance(error, PermissionError | NotADirectoryError | FileExistsError) or (
            error.errno == errno.EROFS
        ):
            raise InputError(
                str(folder),
                got=f"a folder that cannot be written ({error.strerror})",
                wanted="a folder that you may write",
                do="Choose another one with --out.",
            ) from error
        raise


def check_free_space(folder: Path, needed: int) -> None:
    """Refuse to start where fewer than `needed` bytes are free on the disk of `folder`."""
    existing = next(parent for parent in (folder, *folder.absolute().parents) if parent.exists())
    free = shutil.disk_usage(existing).free
    if free < needed:
        raise InputError(
            str(folder),
            got=f"{free / 2**30:.2f} GiB free disk space",
            wanted=f"about {needed / 2**30:.2f} GiB for this study",
            do="Free space or choose another folder with --out.",
        )


def write_npz(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Write an npz file whose bytes depend on the arrays alone (no time stamps)."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(arrays):
            buffer = io.BytesIO()
            np.lib.format.write_array(buffer, np.asarray(arrays[name]), allow_pickle=False)
            entry = zipfile.ZipInfo(f"{name}.npy", date_time=_ZIP_EPOCH)
            archive.writestr(entry, buffer.getvalue())


def read_npz(path: Path) -> dict[str, np.ndarray]:
    """Read all arrays of an npz file; never unpickles."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise BrainAlignerError(
            f"{path}: damaged artifact ({error}). Remove its folder and run the study again."
        ) from error


def write_text(path: Path, text: str) -> None:
    """Replace a text file in one step."""
    replace_file(path, text.encode("utf-8"))


def replace_file(path: Path, content: bytes) -> None:
    """Replace a file in one step, so that a reader never meets half of it."""
    with writing_to(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name}.{_process_tag()}")
        try:
            temporary.write_bytes(content)
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
