"""Alphas are chosen alike whatever the unit of the responses."""

from __future__ import annotations

import numpy as np
import pytest
from planted_ridge import planted_stories

from brainaligner.encoding import AlphaChoice, ArrayStories, RidgeSettings, fit_ridge

TRAIN, VALIDATION = (
    planted_stories(i, rows, n_targets=30) for i, rows in enumerate([(60, 50), (45,)])
)


def scaled(stories: ArrayStories, power: int) -> ArrayStories:
    """Responses times a power of two, which costs no digit."""
    return ArrayStories(stories.designs, [np.ldexp(rows, power) for rows in stories.matrices])


def chosen(settings: RidgeSettings, power: int) -> AlphaChoice:
    chooses = settings.selection == "validation"
    validation = scaled(VALIDATION, power) if chooses else None
    return fit_ridge(scaled(TRAIN, power), validation, settings=settings).choice


@pytest.mark.parametrize("selection", ["validation", "leave_story_out"])
@pytest.mark.parametrize("power", [63, 110, -76, -110])  # 1e19 to 1e33, 1e-23 to 1e-33
def test_very_large_and_very_small_responses_choose_as_others_do(selection, power):
    settings = RidgeSettings(alphas=(1.0, 10.0, 100.0), selection=selection)
    usual, found = chosen(settings, 0), chosen(settings, power)
    assert usual.validation_r.mean() > 0.5
    np.testing.assert_allclose(found.validation_r, usual.validation_r, atol=1e-6)
    np.testing.assert_array_equal(found.alpha, usual.alpha)
