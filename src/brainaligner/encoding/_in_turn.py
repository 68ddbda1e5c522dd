"""Stories that several threads share: one reads at a time, and one may read ahead."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
from jaxtyping import Float

from brainaligner.core import BrainAlignerError
from brainaligner.encoding._stories import Designs, Stories

_T = TypeVar("_T")
Sides = tuple[Stories, Stories | None, Designs]
"""What a fit is trained on, what chooses its alpha, and what it predicts."""


class StoppedError(BrainAlignerError):
    """Raised in the threads of a fit that has ended elsewhere; nobody sees it."""


@dataclass(frozen=True, eq=False)
class Turn:
    """Whose turn it is to read, until it is over."""

    lock: threading.RLock = field(default_factory=threading.RLock)
    over: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> None:
        self.lock.acquire()
        if self.over.is_set():
            self.lock.release()
            raise StoppedError("the fit has ended")

    def __exit__(self, *_: object) -> None:
        self.lock.release()


@dataclass(frozen=True, eq=False)
class DesignsInTurn:
    """Designs that one thread reads at a time."""

    designs: Designs
    turn: Turn

    def __len__(self) -> int:
        return len(self.designs)

    def design(self, i: int) -> Float[np.ndarray, "time feature"]:
        """Features of story `i`."""
        with self.turn:
            return self.designs.design(i)


@dataclass(frozen=True, eq=False)
class StoriesInTurn(DesignsInTurn):
    """Stories that one thread reads at a time."""

    designs: Stories

    @property
    def n_targets(self) -> int:
        """Number of targets."""
        return self.designs.n_targets

    def responses(self, i: int, targets: slice) -> Float[np.ndarray, "time target"]:
        """Responses to story `i` at a slice of targets."""
        with self.turn:
            return self.designs.responses(i, targets)


def in_turn(
    train: Stories, validation: Stories | None, test: Designs
) -> tuple[Sides, Callable[[], None]]:
    """Both sides of a fit and what it predicts, for several threads, and what ends it."""
    turn = Turn()
    chooses = None if validation is None else StoriesInTurn(validation, turn)
    return (StoriesInTurn(train, turn), chooses, DesignsInTurn(test, turn)), turn.over.set


def made_ahead(items: Iterator[_T], stories: Stories) -> Iterator[_T]:
    """What is made of stories; of such as bear threads, the next while one is in use.

    At most two items are held at a time. What making an item raises is raised where the item
    would have come.
    """
    return _ahead(items) if isinstance(stories, StoriesInTurn) else items


def _ahead(items: Iterator[_T]) -> Iterator[_T]:
    end: Any = object()
    with ThreadPoolExecutor(1, thread_name_prefix="read-ahead") as reader:
        waiting = reader.submit(next, items, end)
        while (item := waiting.result()) is not end:
            waiting = reader.submit(next, items, end)
            yield item
