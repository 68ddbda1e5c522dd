"""Projected responses between the two passes of a shared alpha."""

from __future__ import annotations

import tempfile
from contextlib import ExitStack
from io import BufferedRandom
from pathlib import Path
from types import TracebackType
from typing import final

import numpy as np
import torch

from brainaligner.encoding._basis import Basis, Projected


@final
class ProjectedBlocks:
    """Blocks that were projected once: in memory, then on disk, else projected again.

    They are held in the precision in which the basis makes them, so that what comes back is what
    was put in. The file has no name, so nothing is left of it however the process ends; a disk that
    fills costs a second projection and no more.

    Parameters
    ----------
    basis : Basis
    keep_bytes : int
        Of blocks in memory, on the basis' device.
    scratch : Path, optional
        Folder of the file that the others go to.
    """

    def __init__(self, basis: Basis, *, keep_bytes: int, scratch: Path | None) -> None:
        self._basis = basis
        self._room = keep_bytes
        self._scratch = scratch
        self._means: dict[int, torch.Tensor] = {}
        self._in_memory: dict[int, torch.Tensor] = {}
        self._starts: dict[int, int] = {}
        self._file: BufferedRandom | None = None
        self._open = ExitStack()

    def __enter__(self) -> ProjectedBlocks:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._open.close()

    def put(self, number: int, block: Projected) -> None:
        """Keep a block under its number, if there is room."""
        values = block.values.to(self._basis.exact)
        self._means[number] = block.mean
        if values.nbytes <= self._room:
            self._room -= values.nbytes
            self._in_memory[number] = values
        elif self._scratch is not None:
            self._write(number, values)

    def take(self, number: int, targets: slice) -> Projected:
        """The block of these targets, which is not kept any longer."""
        if number in self._in_memory:
            values = self._in_memory.pop(number)
            self._room += values.nbytes
        elif number in self._starts:
            values = self._read(number)
        else:
            return self._basis.project(targets)
        return Projected(targets, values.double(), self._means.pop(number))

    def _write(self, number: int, values: torch.Tensor) -> None:
        try:
            if self._file is None:
                self._file = self._temporary_file()
            start = self._file.seek(0, 2)
            self._file.write(np.ascontiguousarray(values.cpu().numpy()).data)
            self._file.flush()
        except OSError:  # a full disk: what does not fit is projected again
            self._scratch = None
        else:
            self._starts[number] = start

    def _temporary_file(self) -> BufferedRandom:
        file = tempfile.TemporaryFile(dir=self._scratch)  # noqa: SIM115  # closed by __exit__
        return self._open.enter_context(file)

    def _read(self, number: int) -> torch.Tensor:
        assert self._file is not None
        self._file.seek(self._starts.pop(number))
        shape = (self._basis.eigenvalues.numel(), self._means[number].numel())
        values = torch.empty(shape, dtype=self._basis.exact)
        self._file.readinto(memoryview(values.numpy().data).cast("B"))
        return values.to(self._basis.device)
