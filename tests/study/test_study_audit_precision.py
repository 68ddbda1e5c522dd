"""Features that are computed again may differ by rounding, and by no more than that."""

from __future__ import annotations

import numpy as np
import pytest

from brainaligner.study._audit_features import _close


@pytest.fixture
def states() -> np.ndarray:
    return np.random.default_rng(0).standard_normal((300, 20)).astype(np.float32)


def rounded(states: np.ndarray) -> np.ndarray:
    """As bfloat16 states of real stories came out in the company of other texts."""
    away = 0.003 * np.random.default_rng(1).standard_normal(states.shape)
    away[7, 3] = 0.075
    return (states + away).astype(np.float32)


def test_half_precision_may_round_further(states: np.ndarray) -> None:
    assert _close(rounded(states), states, "bfloat16")
    assert not _close(rounded(states), states, "float32")
    assert _close(states + np.float32(1e-4), states, "float32")


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
@pytest.mark.parametrize("cheat", ["a brain", "another row", "one value"])
def test_what_is_no_rounding_is_seen_in_every_precision(
    states: np.ndarray, dtype: str, cheat: str
) -> None:
    stored = states.copy()
    if cheat == "a brain":
        stored[:, 4] += 0.05 * np.random.default_rng(2).standard_normal(300)
    elif cheat == "another row":
        stored[10] = states[11]
    else:
        stored[5, 5] += 1.0
    assert not _close(stored, states, dtype)
