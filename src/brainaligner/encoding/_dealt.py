"""Blocks of targets dealt to several devices."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from typing import TypeVar

_T = TypeVar("_T")
_Lane = TypeVar("_Lane")


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
