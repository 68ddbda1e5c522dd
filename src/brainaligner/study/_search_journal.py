"""The journal of a search: a text file, from which the same command goes on."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from brainaligner.core import InputError
from brainaligner.study._search_checks import differences
from brainaligner.study._search_space import SearchSpace
from brainaligner.study._search_tuner import Journal

FILE = "search.journal"
_NAME = "search"
_SHOWN = 4


def tuner() -> Any:
    """Import Optuna, and keep it from talking.

    Raises
    ------
    InputError
        Where it is not installed.
    """
    try:
        optuna = import_module("optuna")
    except ImportError:
        raise InputError(
            "search",
            got="no Optuna",
            wanted="the tuner that suggests settings",
            do="Install the extra: pip install 'brainaligner[search]'.",
        ) from None
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna


class _Held:
    """Optuna's lock of the file, where the whole folder is locked already.

    Its own leaves a file behind when a process is killed, and the next one waits for it.
    """

    def acquire(self) -> bool:
        """Nothing to wait for."""
        return True

    def release(self) -> None:
        """Nothing to give back."""


@contextmanager
def open_journal(
    folder: Path, space: SearchSpace, seed: int, identity: Mapping[str, Any]
) -> Iterator[Journal]:
    """Open the journal of a search, or begin it; one process at a time.

    Trials that a killed process left open are put down as stopped, to be run again with the
    same values.

    Raises
    ------
    InputError
        If another process has it open, it is damaged, or it is of another search: then what
        differs is said.
    """
    lock = FileLock(folder / f"{FILE}.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise InputError(
            str(folder),
            got="a search that runs in another process",
            wanted="one process at a time",
            do="Wait for it, or give this one another name: --set name=OTHER.",
        ) from None
    try:
        path = folder / FILE
        _mend(path)
        study = _study(path)
        _check_identity(path, study, identity)
        journal = Journal(study, space, seed)
        journal.put_down_stopped()
        yield journal
    finally:
        lock.release()


def _mend(path: Path) -> None:
    """Cut off a last line that a killed process left torn."""
    if not path.is_file():
        return
    content = path.read_bytes()
    whole = content.rfind(b"\n") + 1
    if whole < len(content):
        with path.open("r+b") as file:
            file.truncate(whole)


def _study(path: Path) -> Any:
    optuna = tuner()
    storages = import_module("optuna.storages")
    journal = import_module("optuna.storages.journal")
    try:
        storage = storages.JournalStorage(journal.JournalFileBackend(str(path), lock_obj=_Held()))
        if not storage.get_all_studies():
            optuna.create_study(storage=storage, study_name=_NAME, direction="maximize")
        return optuna.load_study(storage=storage, study_name=_NAME)
    except (AssertionError, LookupError, ValueError, TypeError, AttributeError) as error:
        raise InputError(
            str(path),
            got=f"a damaged journal ({' '.join(str(error).split())})",
            wanted="what a search writes",
            do="Remove it: trials in the store cost nothing again.",
        ) from None


def _check_identity(path: Path, study: Any, identity: Mapping[str, Any]) -> None:
    before = study.user_attrs.get("identity")
    if before is None:
        study.set_user_attr("identity", dict(identity))
        return
    found = differences(before, json.loads(json.dumps(identity)))
    if found:
        more = f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
        raise InputError(
            str(path),
            got=f"a search that differs: {'; '.join(found[:_SHOWN])}{more}",
            wanted="the same study, space, arm, seed and data as before",
            do="Put it back, or begin another search: --set name=OTHER.",
        )
