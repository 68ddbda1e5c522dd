"""Files that appear whole or not at all, and what happens when the disk is full."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from brainaligner.core import BrainAlignerError, InputError

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class DiskFullError(InputError):
    """There is no room left for what is being written."""


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn the error of a full disk into a `DiskFullError` that names `path`."""
    try:
        yield
    except BrainAlignerError:
        raise
    except (OSError, RuntimeError) as error:
        if getattr(error, "errno", None) in _FULL or os.strerror(errno.ENOSPC) in str(error):
            raise DiskFullError(
                str(path),
                got="a full disk",
                wanted="room for the file",
                do="Make room and give the same command again: it goes on where it was.",
            ) from error
        raise


def opened_part(path: Path, offset: int) -> BinaryIO:
    """Open a file for writing at `offset`, cut to that length; a link is replaced, not followed.

    Unbuffered: what was written is the file's when the process dies.
    """
    if path.is_symlink():
        path.unlink()
    flags = os.O_WRONLY | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
    file = os.fdopen(os.open(path, flags, 0o666), "wb", buffering=0)
    try:
        file.truncate(offset)
        file.seek(offset)
    except BaseException:
        file.close()
        raise
    return file


def write_all(file: BinaryIO, piece: bytes) -> None:
    """Write the whole of `piece` to an unbuffered file."""
    rest = memoryview(piece)
    while rest:
        rest = rest[file.write(rest) :]


def show(temporary: Path, final: Path) -> None:
    """Give a finished file its final name, its content being on the disk first."""
    with temporary.open("rb+") as file:
        os.fsync(file.fileno())
    os.replace(temporary, final)
