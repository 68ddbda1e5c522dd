"""States that unfinished tunings share: kept while anybody reads them, and emptied by the last."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO


@dataclass(frozen=True)
class SharedStates:
    """A folder of states of layers that no tuning changes; whoever lacks them makes them again.

    Parameters
    ----------
    folder : Path
        It stays once it is there: who has just made it asks how much room its disk has.
    """

    folder: Path

    @contextmanager
    def use(self) -> Iterator[Path]:
        """Give the folder; until the context ends no process empties it.

        A file that is read through a map must not go: on a network file system the reader dies.
        """
        with self._lock() as file:
            _locked(file, alone=False)
            yield self.folder

    def drop(self) -> None:
        """Empty the folder, unless somebody uses it: that one will."""
        if not self.folder.is_dir():
            return
        with suppress(OSError), self._lock() as file:
            if _locked(file, alone=True):
                for path in self.folder.iterdir():
                    path.unlink(missing_ok=True)

    @contextmanager
    def _lock(self) -> Iterator[IO[bytes]]:
        self.folder.parent.mkdir(parents=True, exist_ok=True)
        with self.folder.with_suffix(".lock").open("ab+") as file:
            yield file


def _locked(file: IO[bytes], *, alone: bool) -> bool:
    """Take the lock until the file is closed: with others, or alone where nobody has it.

    Systems and file systems without locks are trusted.
    """
    try:
        import fcntl

        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB if alone else fcntl.LOCK_SH)
    except BlockingIOError:
        return False
    except (ImportError, OSError):
        return True
    return True
