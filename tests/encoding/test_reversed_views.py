"""Designs that are views in another order give what their copies give."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest
from planted_ridge import planted_stories

from brainaligner.encoding import (
    ArrayStories,
    BandedSettings,
    RidgeSettings,
    fit_banded,
    fit_ridge,
    predict,
    stream_ridge,
)

TRAIN, VALIDATION = (planted_stories(seed, (40, 30)) for seed in (0, 1))
SETTINGS = RidgeSettings(alphas=(1.0, 100.0))


def backwards(stories: ArrayStories) -> ArrayStories:
    """Rows and features in reverse, without a copy."""
    return ArrayStories(
        [rows[::-1, ::-1] for rows in stories.designs], [rows[::-1] for rows in stories.matrices]
    )


def streamed(train: ArrayStories, validation: ArrayStories) -> Sequence[np.ndarray]:
    (block,) = stream_ridge(train, validation, validation.designs, settings=SETTINGS)
    return block.predictions


def fitted(train: ArrayStories, validation: ArrayStories) -> Sequence[np.ndarray]:
    fit = fit_ridge(train, validation, settings=SETTINGS)
    return [predict(fit, design) for design in validation.designs]


def banded(train: ArrayStories, validation: ArrayStories) -> Sequence[np.ndarray]:
    settings = BandedSettings(alphas=(1.0, 100.0), n_iter=2)
    fit = fit_banded(train, validation, (slice(0, 5), slice(5, 12)), settings=settings)
    return [predict(fit, design) for design in validation.designs]


@pytest.mark.parametrize("way", [streamed, fitted, banded])
def test_reversed_views_give_what_their_copies_give(
    way: Callable[..., Sequence[np.ndarray]],
) -> None:
    views = [backwards(stories) for stories in (TRAIN, VALIDATION)]
    assert views[0].designs[0].strides[0] < 0
    copies = [
        ArrayStories([rows.copy() for rows in one.designs], [rows.copy() for rows in one.matrices])
        for one in views
    ]
    for found, expected in zip(way(*views), way(*copies), strict=True):
        np.testing.assert_array_equal(found, expected)
