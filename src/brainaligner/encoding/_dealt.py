"""Blocks of targets dealt to several devices."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np
from jaxtyping import Float

from brainaligner.core import BrainAlignerError
from brainaligner.encoding._stories import Designs, Stories

_T = TypeVar("_T")
_Lane = TypeVar("_Lane")
Sides = tuple[Stories, Stories | None, Designs]
"""What a fit is trained on, what chooses its alpha, and what it predicts."""


def dealt(
    lanes: Sequence[_Lane],
    n_blocks: int,
    work: Callable[[_Lane, int], _T],
    *,
    stop: Callable[[], None],
) -> Iterator[_T]:
    """Work on blocks, dealt to the lanes in turn, and yield what comes out in their order.

    Each of several lanes works in a thread of its own, on one block at a time, and is at most
    as many blocks ahead of what was taken as there are lanes.

    Parameters
    ----------
    lanes : sequence
        Whatever `work` needs that is not shared.
    n_blocks : int
    work : callable
        Given a lane and the number of a block.
    stop : callable
        Told when no more is wanted, so that lanes at work come to an end.
    """
    if len(lanes) == 1:
        yield from (work(lanes[0], block) for block in range(n_blocks))
        return
    with ExitStack() as stack:
        threads = [stack.enter_context(ThreadPoolExecutor(1)) for _ in lanes]
        waiting: deque[Future[_T]] = deque()
        try:
            for block in range(n_blocks):
                lane = block % len(lanes)
                waiting.append(threads[lane].submit(work, lanes[lane], block))
                if len(waiting) == len(lanes):
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        except BaseException:  # a lane failed, the user stopped, or nobody takes the rest
            stop()
            raise


class StoppedError(BrainAlignerError):
    """Raised in the threads of a fit that has ended elsewhere; nobody sees it."""


@dataclass(frozen=True, eq=False)
class _Turn:
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
    """Designs that several threads read: one at a time, until it is over."""

    designs: Designs
    turn: _Turn

    def __len__(self) -> int:
        return len(self.designs)

    def design(self, i: int) -> Float[np.ndarray, "time feature"]:
        """Features of story `i`."""
        with self.turn:
            return self.designs.design(i)


@dataclass(frozen=True, eq=False)
class StoriesInTurn:
    """Stories that several threads read: one at a time, until it is over."""

    stories: Stories
    turn: _Turn

    def __len__(self) -> int:
        return len(self.stories)

    @property
    def n_targets(self) -> int:
        """Number of targets."""
        return self.stories.n_targets

    def design(self, i: int) -> Float[np.ndarray, "time feature"]:
        """Features of story `i`."""
        with self.turn:
            return self.stories.design(i)

    def responses(self, i: int, targets: slice) -> Float[np.ndarray, "time target"]:
        """Responses to story `i` at a slice of targets."""
        with self.turn:
            return self.stories.responses(i, targets)


def in_turn(
    train: Stories, validation: Stories | None, test: Designs
) -> tuple[Sides, Callable[[], None]]:
    """Both sides of a fit and what it predicts, for several threads, and what ends it."""
    turn = _Turn()
    chooses = None if validation is None else StoriesInTurn(validation, turn)
    return (StoriesInTurn(train, turn), chooses, DesignsInTurn(test, turn)), turn.over.set
