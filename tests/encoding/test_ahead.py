"""Items that are made ahead come in order, and so do errors."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from planted_ridge import planted_stories

from brainaligner.core import InputError
from brainaligner.encoding import ArrayStories, RidgeSettings, stream_ridge


def weights(train: Any, validation: Any = None, *, ahead: bool = True, **asked: Any) -> Any:
    """Weights of one block."""
    settings = RidgeSettings(**asked) if asked else SETTINGS
    (block,) = stream_ridge(train, validation, (), settings=settings, ahead=ahead)
    return block.weights


SETTINGS = RidgeSettings(alphas=(1.0, 100.0))


class Watched:
    """Stories that note which thread asks, one of them broken perhaps."""

    def __init__(self, inner: ArrayStories) -> None:
        self.inner = inner
        self.threads: list[str] = []
        self.broken = -1

    @property
    def n_targets(self) -> int:
        return self.inner.n_targets

    def __len__(self) -> int:
        return len(self.inner)

    def design(self, i: int) -> np.ndarray:
        return self.inner.design(i)

    def responses(self, i: int, targets: slice) -> np.ndarray:
        self.threads.append(threading.current_thread().name)
        values = self.inner.responses(i, targets)
        return np.full_like(values, np.nan) if i == self.broken else values


@pytest.fixture
def sides() -> Iterator[tuple[Watched, ArrayStories]]:
    before = threading.active_count()
    yield Watched(planted_stories(1, (30, 20, 40))), planted_stories(2, (25,))
    assert threading.active_count() == before  # no thread is left behind


def test_reading_in_another_thread_changes_no_byte(sides: tuple[Watched, ArrayStories]) -> None:
    watched, validation = sides
    found = weights(watched, validation)
    assert any(name.startswith("read-ahead") for name in watched.threads)
    watched.threads.clear()
    np.testing.assert_array_equal(found, weights(watched, validation, ahead=False))
    assert set(watched.threads) == {threading.main_thread().name}


def test_an_error_of_the_reader_is_raised_to_the_caller(
    sides: tuple[Watched, ArrayStories],
) -> None:
    watched, validation = sides
    watched.broken = 2
    with pytest.raises(InputError, match="NaN"):
        weights(watched, validation)


def test_the_next_story_is_read_while_one_is_in_use(sides: tuple[Watched, ArrayStories]) -> None:
    """Of ten stories that take a while to be read, and products that take as long."""
    watched = Watched(planted_stories(1, (10,) * 10))
    reading, used = threading.Event(), []

    class Meeting(Watched):
        def design(self, i: int) -> np.ndarray:
            if self.threads and i:
                used.append(i)
            return self.inner.design(i)

        def responses(self, i: int, targets: slice) -> np.ndarray:
            if threading.current_thread() is not threading.main_thread():
                self.threads.append("reader")
                ahead.append(i - len(used))
            reading.set()
            return self.inner.responses(i, targets)

    ahead: list[int] = []
    weights(Meeting(watched.inner), alphas=(1.0,))
    assert len(ahead) == 10
    assert max(ahead) <= 2  # never more than the next one
    assert reading.is_set()
