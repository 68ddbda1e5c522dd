"""Columns of arrays that lie in an HDF5 file as plain numbers, read without the HDF5 library.

HDF5 reads some columns of all rows, and converts them, several times slower than the page cache
gives them. Here each row's piece is read into a buffer that stays in the processor's cache, and is
converted from there, so that memory is touched once.
"""

from __future__ import annotations

import math
import os
from dataclasses import dataclass

import h5py
import numpy as np
from jaxtyping import Float32

_PIECE = 1 << 14
"""Values read at a time: 128 KiB of float64."""
_TYPES = {"<f4": h5py.h5t.IEEE_F32LE, "<f8": h5py.h5t.IEEE_F64LE}


@dataclass(frozen=True)
class PlainArray:
    """Where the numbers of an array lie in a file, in C order.

    Parameters
    ----------
    offset : int
        Of the first number, in bytes.
    shape : tuple of int
    dtype : dtype
        Little-endian float32 or float64.
    """

    offset: int
    shape: tuple[int, ...]
    dtype: np.dtype


def plain_array(file: h5py.File, dataset: h5py.Dataset) -> PlainArray | None:
    """Return where a dataset's numbers lie; None where only the HDF5 library can read them.

    That is so where they are chunked (and so perhaps compressed), not written yet, kept in the
    header, of another type, or where the system or the library's driver has no `preadv`.
    """
    if dataset.chunks is not None or file.driver != "sec2" or not hasattr(os, "preadv"):
        return None
    offset, stored = dataset.id.get_offset(), dataset.id.get_type()
    dtype = next((np.dtype(name) for name, kind in _TYPES.items() if stored.equal(kind)), None)
    if offset is None or dtype is None:
        return None
    if dataset.id.get_storage_size() != math.prod(dataset.shape) * dtype.itemsize:
        return None
    return PlainArray(offset, tuple(dataset.shape), dtype)


def read_plain_columns(
    descriptor: int, plain: PlainArray, columns: range
) -> Float32[np.ndarray, "..."]:
    """Read neighbouring columns (last axis) of an open file as float32, NaN and all.

    Raises
    ------
    EOFError
        If the file ends before them.
    """
    *lead, width = plain.shape
    found = np.empty((*lead, len(columns)), dtype=np.float32)
    rows = found.reshape(-1, len(columns))
    buffer = np.empty(min(_PIECE, len(columns)), dtype=plain.dtype)
    with np.errstate(over="ignore"):  # too large for float32: infinite, as HDF5 makes it
        for start in range(0, len(columns), _PIECE):
            part = buffer[: len(columns) - start]
            target = part.data.cast("B")
            at = plain.offset + (columns.start + start) * plain.dtype.itemsize
            for row in rows[:, start : start + _PIECE]:
                _fill(descriptor, target, at)
                row[:] = part
                at += width * plain.dtype.itemsize
    return found


def _fill(descriptor: int, target: memoryview, at: int) -> None:
    """Read all of `target` from an offset: the system may give less at a time."""
    n_read = os.preadv(descriptor, [target], at)
    while n_read < len(target):
        more = os.preadv(descriptor, [target[n_read:]], at + n_read)
        if more == 0:
            raise EOFError(f"the file ends {len(target) - n_read} bytes too early")
        n_read += more
