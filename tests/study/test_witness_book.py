"""A second look at what entered a computation has to find what the first one found."""

from __future__ import annotations

import numpy as np
import pytest

from brainaligner.core import text_hashes
from brainaligner.encoding import ArrayStories, RidgeSettings, stream_ridge
from brainaligner.study._witness import WitnessBook

TEXTS = {"once": ["one", "two"], "other": ["one", "three"]}


@pytest.fixture
def stories() -> ArrayStories:
    rng = np.random.default_rng(0)
    sides = ([rng.standard_normal((30, n)).astype(np.float32)] for n in (4, 6))
    return ArrayStories(*sides)


def test_settings_of_a_second_fit_that_differ_are_noticed(stories: ArrayStories) -> None:
    book = WitnessBook(stories.n_targets)
    for alpha in (1.0, 1.0, 10.0):
        assert book.changed == []
        settings = RidgeSettings(alphas=(alpha,))
        list(stream_ridge(stories, None, stories.designs, settings=settings, witness=book))
    assert book.changed == ["settings RidgeSettings 0"]


@pytest.mark.parametrize(("second", "changed"), [("once", []), ("other", ["read/texts a 0"])])
def test_texts_that_differ_at_a_second_look_are_noticed(second: str, changed: list[str]) -> None:
    book = WitnessBook(0)
    for name in ("once", second):
        book("read/texts", "a", text_hashes(TEXTS[name]), 0)
    assert book.changed == changed
    np.testing.assert_array_equal(book.kept["read/texts", "a", 0], text_hashes(TEXTS["once"]))
