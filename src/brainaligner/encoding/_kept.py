"""What a fit needs again: in memory, on the disk, or made anew."""

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

Key = tuple[str, int]


@dataclass(frozen=True)
class Scratch:
    """Where tensors may go that memory has no room for.

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


@dataclass(frozen=True)
class _OnDisk:
    start: int
    shape: torch.Size
    dtype: torch.dtype


@final
class Shelf:
    """Tensors that are needed again: in memory, then on disk, else not kept.

    What comes back is what was put in. A disk without room, or one that fails, costs what it
    takes to make the tensors again and no more: what was written is given back to it.

    Parameters
    ----------
    device : torch.device
        Where tensors come from and go back to.
    keep_bytes : int
        Of tensors in its memory.
    scratch : Scratch, optional
        Where the others go.
    """

    def __init__(self, device: torch.device, *, keep_bytes: int, scratch: Scratch | None) -> None:
        self._device = device
        self._room = keep_bytes
        self._scratch = scratch
        self._in_memory: dict[Key, torch.Tensor] = {}
        self._on_disk: dict[Key, _OnDisk] = {}
        self._file: FileIO | None = None

    def __enter__(self) -> Shelf:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._in_memory.clear()
        self._drop()

    def put(self, key: Key, values: torch.Tensor) -> None:
        """Keep a tensor, if there is room."""
        if values.nbytes <= self._room:
            self._room -= values.nbytes
            self._in_memory[key] = values
        else:
            self._write(key, values)

    def look(self, key: Key) -> torch.Tensor | None:
        """The tensor, which stays; None where it was not kept."""
        return self._in_memory[key] if key in self._in_memory else self._read(key)

    def take(self, key: Key) -> torch.Tensor | None:
        """The tensor, which is not kept any longer; None where it was not kept."""
        found = self.look(key)
        self._on_disk.pop(key, None)
        if self._in_memory.pop(key, None) is not None and found is not None:
            self._room += found.nbytes
        return found

    def forget(self, kind: str) -> None:
        """Let go of all whose key begins with `kind`; room in the file is not used again."""
        for key in [key for key in self._in_memory if key[0] == kind]:
            self._room += self._in_memory.pop(key).nbytes
        for key in [key for key in self._on_disk if key[0] == kind]:
            del self._on_disk[key]

    def _write(self, key: Key, values: torch.Tensor) -> None:
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
            self._on_disk[key] = _OnDisk(start, values.shape, values.dtype)

    def _read(self, key: Key) -> torch.Tensor | None:
        if self._file is None or key not in self._on_disk:
            return None
        place = self._on_disk[key]
        values = torch.empty(place.shape, dtype=place.dtype)
        room = memoryview(values.numpy().data).cast("B")
        try:
            self._file.seek(place.start)
            while room:
                n_read = self._file.readinto(room)
                if not n_read:
                    raise EOFError
                room = room[n_read:]
        except (OSError, EOFError):
            self._drop()
            return None
        return values.to(self._device)

    def _drop(self) -> None:
        """Give all of the file back to the disk, and write no more."""
        if self._file is not None:
            self._file.close()
        self._file, self._scratch = None, None
        self._on_disk.clear()


@final
class ProjectedBlocks:
    """Blocks that were projected once, or else are projected again.

    They are held in the precision in which the basis makes them. What is small has one place for
    all targets: allocated block by block it would keep apart what large tensors leave free.
    """

    def __init__(self, basis: Basis, shelf: Shelf) -> None:
        self._basis = basis
        self._shelf = shelf
        self._means = torch.zeros(basis.train.n_targets, dtype=torch.float64, device=basis.device)

    def put(self, number: int, block: Projected) -> None:
        """Keep a block under its number, if there is room."""
        self._means[block.targets] = block.mean
        self._shelf.put(("block", number), block.values.to(self._basis.exact))

    def take(self, number: int, targets: slice) -> Projected:
        """The block of these targets, which is not kept any longer."""
        values = self._shelf.take(("block", number))
        if values is None:
            return self._basis.project(targets)
        return Projected(targets, values.double(), self._means[targets])


def _file_without_a_name(folder: Path) -> FileIO:
    """Unbuffered: nothing is left to be written when a write has failed."""
    return tempfile.TemporaryFile(dir=folder, buffering=0)
