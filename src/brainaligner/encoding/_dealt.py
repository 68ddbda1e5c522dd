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

from brainaligner.encoding._stories import Designs, Stories

_T = TypeVar("_T")
_Lane = TypeVar("_Lane")
Sides = tuple[Stories, Stories | None, Designs]
"""What a fit is trained on, what chooses its alpha, and what it predicts."""


def dealt(lanes: Sequence[_Lane], n_blocks: int, work: Callable[[_Lane, int], _T]) -> Iterator[_T]:
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
    """
    if len(lanes) == 1:
        yield from (work(lanes[0], block) for block in range(n_blocks))
        return
    with ExitStack() as stack:
        threads = [stack.enter_context(ThreadPoolExecutor(1)) for _ in lanes]
        waiting: deque[Future[_T]] = deque()
        for block in range(n_blocks):
            lane = block % len(lanes)
            waiting.append(threads[lane].submit(work, lanes[lane], block))
            if len(waiting) == len(lanes):
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


@dataclass(frozen=True, eq=False)
class DesignsInTurn:
    """Designs that several threads read: one at a time."""

    designs: Designs
    lock: threading.RLock = field(default_factory=threading.RLock)

    def __len__(self) -> int:
        return len(self.designs)

    def design(self, i: int) -> Float[np.ndarray, "time feature"]:
        """Features of story `i`."""
        with self.lock:
            return self.designs.design(i)


@dataclass(frozen=True, eq=False)
class StoriesInTurn:
    """Stories that several threads read: one at a time."""

    stories: Stories
    lock: threading.RLock = field(default_factory=threading.RLock)

    def __len__(self) -> int:
        return len(self.stories)

    @property
    def n_targets(self) -> int:
        """Number of targets."""
        return self.stories.n_targets

    def design(self, i: int) -> Float[np.ndarray, "time feature"]:
        """Features of story `i`."""
        with self.lock:
            return self.stories.design(i)

    def responses(self, i: int, targets: slice) -> Float[np.ndarray, "time target"]:
        """Responses to story `i` at a slice of targets."""
        with self.lock:
            return self.stories.responses(i, targets)


def in_turn(train: Stories, validation: Stories | None, test: Designs) -> Sides:
    """Both sides of a fit and what it predicts, for several threads."""
    lock = threading.RLock()
    chooses = None if validation is None else StoriesInTurn(validation, lock)
    return StoriesInTurn(train, lock), chooses, DesignsInTurn(test, lock)
