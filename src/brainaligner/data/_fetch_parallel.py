"""Many files at once: threads, one meter for all of them, one fetch for a folder."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from brainaligner.core import InputError, Progress
from brainaligner.data._writing import opened_part, writing

LOCK = ".brainaligner-fetch.lock"
Item = TypeVar("Item")
Result = TypeVar("Result")


class Meter:
    """Bytes so far, counted from many threads.

    Parameters
    ----------
    what : str
        What is counted.
    total : int
        How much there will be.
    progress : Progress
        Told about every change, by one thread at a time.
    before : int
        How much was there at the start.
    """

    def __init__(self, what: str, total: int, progress: Progress, *, before: int = 0) -> None:
        self._what, self._total, self._progress = what, total, progress
        self._lock = threading.Lock()
        self._done = before
        self.received = 0

    def count(self, n_bytes: int) -> None:
        """Add bytes; negative ones were thrown away."""
        with self._lock:
            self._done += n_bytes
            self.received += max(0, n_bytes)
            if self._total:
                self._progress(self._what, min(max(self._done, 0), self._total), self._total)


def in_parallel(
    work: Callable[[Item], Result], items: Sequence[Item], *, workers: int, stop: threading.Event
) -> list[Result]:
    """Return what `work` makes of each item, in order.

    The first error, or an interruption, sets `stop`, drops what has not begun, waits for what
    has, and is raised.
    """
    with ThreadPoolExecutor(workers) as pool:
        futures = [pool.submit(work, item) for item in items]
        try:
            done, _ = wait(futures, return_when=FIRST_EXCEPTION)
            for future in done:
                future.result()
            return [future.result() for future in futures]
        except BaseException:
            stop.set()
            pool.shutdown(wait=False, cancel_futures=True)
            raise


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Create `folder` and hold its lock, which ends with the process, however that ends.

    Raises
    ------
    InputError
        If the folder cannot be made, or another process holds the lock.
    """
    with writing(folder):
        try:
            folder.mkdir(parents=True, exist_ok=True)
            file = opened_part(folder / LOCK, 0)
        except (PermissionError, NotADirectoryError, FileExistsError) as error:
            raise InputError(
                str(folder),
                got=f"a folder that cannot be written ({error.strerror})",
                wanted="one that can",
                do="Give another folder.",
            ) from error
    with file:
        if not _locked(file.fileno()):
            raise InputError(
                str(folder),
                got="another fetch that works in this folder",
                wanted="one at a time",
                do="Wait for the other one, or stop it.",
            )
        yield


def _locked(descriptor: int) -> bool:
    """Take the lock; systems and file systems without locks are trusted."""
    try:
        import fcntl

        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except (ImportError, OSError):
        return True
    return True
