"""The content-addressed store: ``<store>/<stage>/<key>/{recipe.json, payload}``."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import socket
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import psutil
from filelock import FileLock, Timeout

from brainaligner.core import BrainAlignerError
from brainaligner.study._disk import process_tag, writing_to
from brainaligner.study._job import Job
from brainaligner.study._settings import canonical
from brainaligner.study._shared_states import SharedStates

Timing = Callable[[str], AbstractContextManager[None]]
_POLL_S = 0.2
_SILENT_S = 1.0  # another process that is done within it is not worth a line
_FOREIGN_LEFTOVER_S = 7 * 24 * 3600.0


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
    lineage : mapping, optional
        Which stories the artifact was fitted, chosen and scored on, for an audit. It follows from
        the rest and does not enter the key.
    """

    stage: str
    version: int
    settings: Mapping[str, Any]
    inputs: Mapping[str, str]
    lineage: Mapping[str, Any] = field(default_factory=dict, compare=False)

    @cached_property
    def text(self) -> str:
        """Canonical JSON: sorted keys, exact floats."""
        return json.dumps(
            canonical(
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

    @property
    def record(self) -> str:
        """What recipe.json holds: `text`, and the lineage beside it."""
        if not self.lineage:
            return self.text
        content = json.loads(self.text) | {"lineage": canonical(self.lineage)}
        return json.dumps(content, sort_keys=True, indent=1, allow_nan=False)

    @cached_property
    def key(self) -> str:
        """First 32 hexadecimal digits of the SHA-256 of `text`."""
        return hashlib.sha256(self.text.encode()).hexdigest()[:32]


class Store:
    """Artifacts on disk. Each is built in a temporary folder and shown by one rename.

    A process that dies leaves only a temporary folder, which the next one removes. Several
    processes may use one store at a time: the first to finish an artifact provides it.

    Attributes
    ----------
    timed : callable
        Given the stage of an artifact that is about to be made; the context that it returns is
        open while it is made.
    waits : callable
        Given the stage of an artifact that another process is making and this one waits for.
    n_made : int
        Artifacts that this process has built.

    Parameters
    ----------
    folder : Path
        Created by `open`, not before.
    job : Job, optional
        This process among those that torchrun started. Only the first one builds; the others
        take part in `ensure_resumable` where the first does, and wait for everything else.
    """

    def __init__(self, folder: Path, *, job: Job | None = None) -> None:
        self.folder, self.job = Path(folder), job or Job()
        self._temporary = self.folder / "tmp"
        self._unfinished = self.folder / "unfinished"
        self.timed: Timing = lambda _: nullcontext()
        self.waits: Callable[[str], None] = lambda _: None
        self.n_made = 0

    @property
    def rank(self) -> int:
        """Number of this process among those that torchrun started."""
        return self.job.rank

    def open(self) -> Store:
        """Create the folder and remove what dead processes left half-built."""
        with writing_to(self.folder):
            self._temporary.mkdir(parents=True, exist_ok=True)
            for leftover in self._temporary.iterdir():
                if is_abandoned(leftover):
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
        if self.rank:
            self.wait_for(recipe)
        elif not self.has(recipe):
            with writing_to(self.folder):
                self._build(recipe, build)
        return self.path(recipe)

    def ensure_resumable(self, recipe: Recipe, build: Callable[[Path, Path], None]) -> Path:
        """As `ensure`, for work so long that a part of it is worth keeping.

        Parameters
        ----------
        recipe : Recipe
        build : callable
            Writes the payload into the first folder that it is given. The second one is
            found again as it was left when a process that builds the same artifact dies; it
            goes when the artifact is there. Of several processes one builds, the others wait;
            the ranks that torchrun started build together, with one second folder, where the
            first one finds that it is its turn to build.
        """
        if self.rank:
            return self._take_part(recipe, build)
        if self.has(recipe):
            self.job.say(_question(recipe), False)
            self._drop_work(recipe)
            return self.path(recipe)
        with writing_to(self.folder), self._workshop(recipe) as work:
            missing = not self.has(recipe)  # whoever had the lock before may have made it
            self.job.say(_question(recipe), missing)
            if missing:
                self._build(recipe, lambda target: build(target, work))
        return self.path(recipe)

    def _take_part(self, recipe: Recipe, build: Callable[[Path, Path], None]) -> Path:
        """Do the same work as the first rank, where that does it, and leave the writing to it.

        Ranks that looked for the artifact themselves could find what the first did not, and
        their steps of two tunings would be taken for those of one.
        """
        together = self.job.hear(_question(recipe))
        if together is None and not self.has(recipe):
            raise BrainAlignerError(
                f"rank {self.rank}: the first rank ended before {recipe.stage} {recipe.key} was "
                "there. What it wrote last says why; the same command goes on."
            )
        if together:
            with writing_to(self.folder), tempfile.TemporaryDirectory() as unused:
                build(Path(unused), self._unfinished_folder(recipe))
        self.wait_for(recipe)
        return self.path(recipe)

    def wait_for(self, recipe: Recipe) -> None:
        """Return once the artifact is there."""
        while not self.has(recipe):
            time.sleep(_POLL_S)

    @property
    def shared_states(self) -> SharedStates:
        """What unfinished tunings share and can make again."""
        return SharedStates(self._unfinished / "states")

    def drop_shared(self) -> None:
        """Remove what tunings shared, once they are done; while others use it, they will."""
        if not self.rank:
            self.shared_states.drop()

    @contextmanager
    def _workshop(self, recipe: Recipe) -> Iterator[Path]:
        folder = self._unfinished_folder(recipe)
        folder.parent.mkdir(parents=True, exist_ok=True)
        with self._locked(recipe, folder.with_suffix(".lock")):
            folder.mkdir(exist_ok=True)
            yield folder
            shutil.rmtree(folder, ignore_errors=True)

    def _drop_work(self, recipe: Recipe) -> None:
        """Remove what a dead process left of work that somebody else has finished."""
        folder = self._unfinished_folder(recipe)
        if folder.exists():
            with suppress(OSError), FileLock(folder.with_suffix(".lock"), timeout=0):
                shutil.rmtree(folder)

    @contextmanager
    def _locked(self, recipe: Recipe, path: Path) -> Iterator[None]:
        lock = FileLock(path)
        try:
            lock.acquire(timeout=_SILENT_S)
        except Timeout:
            self.waits(recipe.stage)
            lock.acquire()
        try:
            yield
        finally:
            lock.release()

    def _unfinished_folder(self, recipe: Recipe) -> Path:
        return self._unfinished / recipe.stage / recipe.key

    def _build(self, recipe: Recipe, build: Callable[[Path], None]) -> None:
        temporary = self._temporary / f"{process_tag()}.{uuid.uuid4().hex[:8]}"
        with self.timed(recipe.stage):
            temporary.mkdir(parents=True)
            try:
                build(temporary)
                (temporary / "recipe.json").write_text(recipe.record + "\n", encoding="utf-8")
                flush_folder(temporary)
                self._show(temporary, recipe)
                self.n_made += 1
            finally:
                shutil.rmtree(temporary, ignore_errors=True)

    def _show(self, built: Path, recipe: Recipe) -> None:
        target = self.path(recipe)
        target.parent.mkdir(parents=True, exist_ok=True)
        if not self.has(recipe):  # what somebody has taken files out of is made anew
            shutil.rmtree(target, ignore_errors=True)
        try:
            built.rename(target)
        except OSError:
            if not self.has(recipe):  # otherwise another process was faster: same content
                raise


def _question(recipe: Recipe) -> str:
    """What ranks agree on: whether they build this now."""
    return f"{recipe.stage}/{recipe.key}"


def is_abandoned(leftover: Path) -> bool:
    """Whether the process that builds here is dead; on another machine, age has to tell."""
    try:
        host, pid, started = leftover.name.rsplit(".", 1)[0].rsplit(".", 2)
        if host != socket.gethostname():
            return time.time() - leftover.stat().st_mtime > _FOREIGN_LEFTOVER_S
        # the clock that start times are computed from may have been set meanwhile
        return abs(psutil.Process(int(pid)).create_time() - int(started)) > 5
    except (ValueError, OSError, psutil.Error):
        return True


def flush_folder(folder: Path) -> None:
    """Bring all files of a folder to the disk."""
    for path in folder.rglob("*"):
        if path.is_file():
            with path.open("rb+") as file:
                os.fsync(file.fileno())
