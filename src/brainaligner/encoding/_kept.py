"""Projected responses between the two passes of a shared alpha."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from types import TracebackType
from typing import final

import numpy as np
import torch

from brainaligner.encoding._basis import Basis, Projected


@dataclass(frozen=True)
class Scratch:
    """Where projected responses may go that memory has no room for.

    Parameters
    ----------
    folder : Path
        Of a file without a name: nothing is left of it however the process ends.
    spare : int
        Bytes of that disk which are for others: no more is written than leaves them free.
    """

    folder: Path
    spare: int = 0

    def has_room(self, n_bytes: int) -> bool:
        """Whether so many more bytes leave enough free."""
        return shutil.disk_usage(self.folder).free - n_bytes >= self.spare


@final
class ProjectedBlocks:
    """Blocks that were projected once: in memory, then on disk, else projected again.

    They are held in the precision in which the basis makes them, so that what comes back is what
    was put in. A disk without room, or one that fails, costs a second projection and no more:
    what was written is given back to it.

    Parameters
    ----------
    basis : Basis
    keep_bytes : int
        Of blocks in memory, on the basis' device.
    scratch : Scratch, optional
        Where the others go.
    """

    def __init__(self, basis: Basis, *, keep_bytes: int, scratch: Scratch | None) -> None:
        self._basis = basis
        self._room = keep_bytes
        self._scratch = scratch
        self._means: dict[int, torch.Tensor] = {}
        self._in_memory: dict[int, torch.Tensor] = {}
        self._starts: dict[int, int] = {}
        self._file: FileIO | None = None

    def __enter__(self) -> ProjectedBlocks:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._drop()

    def put(self, number: int, block: Projected) -> None:
        """Keep a block under its number, if there is room."""
        values = block.values.to(self._basis.exact)
        self._means[number] = block.mean
        if values.nbytes <= self._room:
            self._room -= values.nbytes
            self._in_memory[number] = values
        else:
            self._write(number, values)

    def take(self, number: int, targets: slice) -> Projected:
        """The block of these targets, which is not kept any longer."""
        if number in self._in_memory:
            values = self._in_memory.pop(number)
            self._room += values.nbytes
        else:
            read = self._read(number)
            if read is None:
                return self._basis.project(targets)
            values = read
        return Projected(targets, values.double(), self._means.pop(number))

    def _write(self, number: int, values: torch.Tensor) -> None:
        if self._scratch is None:
            return
        content = memoryview(np.ascontiguousarray(values.cpu().numpy()).data).cast("B")
        try:
            if not self._scratch.has_room(len(content)):
                return
            if self._file is None:
                self._file = _file_without_a_name(self._scratch.folder)
            start = self._file.seek(0, 2)
            while content:
                content = content[self._file.write(content) :]
        except OSError:
            self._drop()
        else:
            self._starts[number] = start

    def _read(self, number: int) -> torch.Tensor | None:
        if self._file is None or number not in self._starts:
            return None
        shape = (self._basis.eigenvalues.numel(), self._means[number].numel())
        values = torch.empty(shape, dtype=self._basis.exact)
        room = memoryview(values.numpy().data).cast("B")
        try:
            self._file.seek(self._starts.pop(number))
            while room:
                n_read = self._file.readinto(room)
                if not n_read:
                    raise EOFError
                room = room[n_read:]
        except (OSError, EOFError):
            self._drop()
            return None
        return values.to(self._basis.device)

    def _drop(self) -> None:
        """Give all of the file back to the disk, and write no more."""
        if self._file is not None:
            self._file.close()
        self._file, self._scratch = None, None
        self._starts.clear()


def _file_without_a_name(folder: Path) -> FileIO:
    """Unbuffered: nothing is left to be written when a write has failed."""
    return tempfile.TemporaryFile(dir=folder, buffering=0)
