"""What is read ahead comes in order, and so do errors."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from planted_ridge import StoriesAround, planted_stories

from brainaligner.core import InputError
from brainaligner.encoding import ArrayStories, RidgeSettings, stream_ridge

READER = "read-ahead"


def weights(train: Any, validation: Any, *, ahead: bool = True, form: str = "primal") -> Any:
    """Weights of one block."""
    settings = RidgeSettings(alphas=(1.0, 100.0), form=form)
    (block,) = stream_ridge(train, validation, (), settings=settings, ahead=ahead)
    return block.weights


class Watched(StoriesAround):
    """Stories that note who read what, one of them broken perhaps."""

    def __init__(self, inner: ArrayStories) -> None:
        super().__init__(inner)
        self.read: list[tuple[str, str, int]] = []
        self.broken = -1

    def design(self, i: int) -> np.ndarray:
        self._note("design", i)
        return super().design(i)

    def responses(self, i: int, targets: slice) -> np.ndarray:
        self._note("responses", i)
        values = super().responses(i, targets)
        return np.full_like(values, np.nan) if i == self.broken else values

    def _note(self, what: str, i: int) -> None:
        self.read.append((threading.current_thread().name.rsplit("_", 1)[0], what, i))

    def by_reader(self) -> list[tuple[str, int]]:
        return [(what, i) for name, what, i in self.read if name == READER]


@pytest.fixture
def sides() -> Iterator[tuple[Watched, ArrayStories]]:
    before = threading.active_count()
    yield Watched(planted_stories(1, (30, 20, 40))), planted_stories(2, (25,))
    assert threading.active_count() == before  # no thread is left behind


@pytest.mark.parametrize("form", ["primal", "dual"])
def test_reading_in_another_thread_changes_no_byte(
    sides: tuple[Watched, ArrayStories], form: str
) -> None:
    watched, validation = sides
    found = weights(watched, validation, form=form)
    assert watched.by_reader()
    watched.read.clear()
    np.testing.assert_array_equal(found, weights(watched, validation, ahead=False, form=form))
    assert not watched.by_reader()


def test_the_reader_makes_all_that_a_product_needs(sides: tuple[Watched, ArrayStories]) -> None:
    watched, validation = sides
    weights(watched, validation)
    pairs = [("responses", 0), ("design", 0), ("responses", 1), ("design", 1)]
    assert watched.by_reader() == [*pairs, ("responses", 2), ("design", 2)]


def test_an_error_of_the_reader_is_raised_to_the_caller(
    sides: tuple[Watched, ArrayStories],
) -> None:
    watched, validation = sides
    watched.broken = 2
    with pytest.raises(InputError, match="NaN"):
        weights(watched, validation)
