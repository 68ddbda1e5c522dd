"""Items that are made ahead come in order, and so do errors."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import numpy as np
import pytest
from planted_ridge import planted_stories

from brainaligner.core import InputError
from brainaligner.encoding import ArrayStories, RidgeSettings, fit_ridge

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
    found = fit_ridge(watched, validation, settings=SETTINGS)
    wanted = fit_ridge(watched.inner, validation, settings=SETTINGS)
    np.testing.assert_array_equal(found.weights, wanted.weights)
    assert any(name.startswith("read-ahead") for name in watched.threads)


def test_an_error_of_the_reader_is_raised_to_the_caller(
    sides: tuple[Watched, ArrayStories],
) -> None:
    watched, validation = sides
    watched.broken = 2
    with pytest.raises(InputError, match="NaN"):
        fit_ridge(watched, validation, settings=SETTINGS)


def test_the_next_story_is_read_while_one_is_in_use() -> None:
    met = threading.Barrier(2, timeout=20)
    meetings: list[int] = []

    class Meeting(Watched):
        """Designs that wait until another thread reads the responses of the next story."""

        def design(self, i: int) -> np.ndarray:
            if self.threads and 0 < i < 7:
                met.wait()
            return self.inner.design(i)

        def responses(self, i: int, targets: slice) -> np.ndarray:
            if threading.current_thread() is not threading.main_thread():
                self.threads.append("reader")
                if i > 1:
                    met.wait()
                    meetings.append(i)
            return self.inner.responses(i, targets)

    fit_ridge(Meeting(planted_stories(1, (10,) * 8)), settings=RidgeSettings(alphas=(1.0,)))
    assert meetings == [2, 3, 4, 5, 6, 7]
