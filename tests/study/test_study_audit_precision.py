"""Features that are computed again may differ by rounding, and by no more than that."""

from __future__ import annotations

import numpy as np
import pytest

from brainaligner.evaluation import Entered, MadeAgain, design_faults
from brainaligner.study._audit_features import _close, _most_unlike


@pytest.fixture
def states() -> np.ndarray:
    return np.random.default_rng(0).standard_normal((300, 20)).astype(np.float32)


def rounded(states: np.ndarray) -> np.ndarray:
    """As bfloat16 states of real stories came out in the company of other texts."""
    away = 0.003 * np.random.default_rng(1).standard_normal(states.shape)
    away[7, 3] = 0.075
    return (states + away).astype(np.float32)


def test_half_precision_may_round_further(states: np.ndarray) -> None:
    assert _close(rounded(states), states, "bfloat16") == 0
    assert _close(rounded(states), states, "float32") is None
    assert _close(states + np.float32(1e-4), states, "float32") == 0


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
    assert _close(stored, states, dtype) is None


def test_columns_of_little_spread_are_counted_not_accused() -> None:
    rng = np.random.default_rng(3)
    states = rng.standard_normal((200, 8)).astype(np.float32)
    states[:, 2] *= 0.02  # beside the others it hardly varies
    stored = states + 0.001 * rng.standard_normal(states.shape).astype(np.float32)
    assert _close(stored, states, "bfloat16") == 1
    stored[:, 2] += 0.01 * rng.standard_normal(200).astype(np.float32)  # more than rounding
    assert _close(stored, states, "bfloat16") is None


@pytest.mark.parametrize("offset", [0.0, 100.0, 1e4])
@pytest.mark.parametrize("shifted", [4, 9])
def test_a_constant_that_was_added_to_a_column_hides_no_brain(
    states: np.ndarray, offset: float, shifted: int
) -> None:
    states[:, shifted] += offset
    brain = np.random.default_rng(4).standard_normal((300, 6)).astype(np.float32)
    stored = states.copy()
    stored[:, 4] += 0.1 * brain[:, 0]
    assert _close(states, states, "float32") == 0
    assert _close(stored, states, "float32") is None
    shown, again = _most_unlike(stored, states, "float32")
    entered = Entered("predict/design", "a", 0, shown)
    made = MadeAgain({"a": again}, {"a": brain})
    assert [one.name for one in design_faults([entered], made, where="")] != []


def test_float32_columns_that_hardly_vary_are_counted_not_accused() -> None:
    rng = np.random.default_rng(5)
    states = rng.standard_normal((200, 8)).astype(np.float32)
    states[:, 2] *= 1e-4
    states[:, 3] = 100.0
    noise = 1e-5 * rng.standard_normal(states.shape).astype(np.float32)
    assert _close(states + noise, states, "float32") == 2
    assert _close(states + 1000 * noise, states, "float32") is None
