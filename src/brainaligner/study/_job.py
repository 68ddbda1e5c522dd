"""Processes that torchrun started together: what the first one decides, all of them do."""

from __future__ import annotations

import os
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from brainaligner.core import InputError

_POLL_S = 0.2


@runtime_checkable
class Notes(Protocol):
    """What is used of torch.distributed.Store."""

    def set(self, key: str, value: str) -> None: ...

    def get(self, key: str) -> bytes: ...

    def check(self, keys: list[str]) -> bool: ...


@dataclass(frozen=True, eq=False)
class Job:
    """This process among those that torchrun started.

    Parameters
    ----------
    rank : int
        0 is the first one, which decides.
    notes : Notes, optional
        Where these processes meet; None for a process on its own. It ends with them, so no word
        of a dead job is left.
    asked : counter of str
        How often each question came up: all ranks ask the same ones, each as often.
    """

    rank: int = 0
    notes: Notes | None = None
    asked: Counter[str] = field(default_factory=Counter)

    def say(self, question: str, answer: bool) -> None:
        """Tell the other ranks what the first one decided."""
        if self.notes is not None:
            self.notes.set(self._name(question), str(answer))

    def hear(self, question: str) -> bool | None:
        """Wait, for as long as it takes, for what the first rank decides; None: it has ended."""
        assert self.notes is not None
        name = self._name(question)
        try:
            while not self.notes.check([name]):
                time.sleep(_POLL_S)
            return bool(self.notes.get(name) == str(True).encode())
        except RuntimeError:  # without torchrun's agent the notes are the first rank's own
            return None

    def _name(self, question: str) -> str:
        self.asked[question] += 1
        return f"brainaligner/{question}/{self.asked[question]}"


def join_job(rank: int) -> Job:
    """Meet the other processes where there are any.

    Raises
    ------
    InputError
        If they cannot be reached.
    """
    if not rank and _n_processes() < 2:
        return Job()
    from torch.distributed.rendezvous import rendezvous

    try:
        notes, _, _ = next(rendezvous("env://"))
    except (ValueError, RuntimeError) as error:
        raise InputError(
            f"rank {rank}",
            got=f"no meeting with the other processes ({' '.join(str(error).split())})",
            wanted="processes that reach each other",
            do="Start all of them with one torchrun command.",
        ) from error
    return Job(rank, notes)


def refuse_processes(what: str, why: str) -> None:
    """Refuse to be one of several processes of torchrun.

    Raises
    ------
    InputError
    """
    if _n_processes() > 1:
        raise InputError(
            what,
            got=f"{_n_processes()} processes",
            wanted=f"one: {why}",
            do="Start it without torchrun.",
        )


def _n_processes() -> int:
    return int(os.environ.get("WORLD_SIZE", "1"))
