"""Each loss against a plain reference, and its gradient against differences."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import log_softmax, logsumexp

from brainaligner.aligner import OBJECTIVES
from brainaligner.aligner._objectives import (
    anchor_loss,
    contrastive_loss,
    language_loss,
    masked_brain_loss,
    prediction_loss,
    state_loss,
)

N, R, T = 3, 7, 4
PLACE = (torch.tensor([5, 5, 9]), torch.arange(R) + torch.tensor([[0], [7], [3]]))
WINDOWS = {"window": 3, "exclude": 5, "temperature": 0.3}


def drawn(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


PREDICTED, OBSERVED = drawn(N, R, T), drawn(N, R, T, seed=1)
PRESENT = torch.rand(N, R, generator=torch.Generator().manual_seed(2)) > 0.2
WEIGHTS = torch.tensor([0.5, 2.0, 1.0, 0.5], dtype=torch.float64)
HIDDEN = torch.rand(N, R, T, generator=torch.Generator().manual_seed(3)) > 0.5
LOGITS, ORIGINAL = drawn(6, 5), drawn(6, 5, seed=4)
LABELS = torch.tensor([0, 4, 2, 2, 1, 3])

LOSSES: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "predict": lambda p: prediction_loss(p, OBSERVED, PRESENT, WEIGHTS),
    "correlation": lambda p: prediction_loss(p, OBSERVED, PRESENT, WEIGHTS, loss="correlation"),
    "contrastive": lambda p: contrastive_loss(p, OBSERVED, PRESENT, PLACE, **WINDOWS),
    "masked_brain": lambda p: masked_brain_loss(p, OBSERVED, HIDDEN, WEIGHTS),
    "anchor": lambda q: anchor_loss(ORIGINAL, q),
    "language": lambda q: language_loss(q, LABELS),
    "states": lambda x: state_loss(ORIGINAL, x),
}
GIVEN = {name: LOGITS if name in ("anchor", "language", "states") else PREDICTED for name in LOSSES}


def test_every_objective_is_tested_here() -> None:
    assert set(OBJECTIVES) <= set(LOSSES)


@pytest.mark.parametrize("name", LOSSES)
def test_gradients_equal_differences(name: str) -> None:
    point = GIVEN[name].clone().requires_grad_()
    # Softmax runs in float32 where logits are compared: steps must be wider there.
    wide = name in ("anchor", "language")
    tolerances = {"eps": 1e-2, "atol": 1e-3} if wide else {"eps": 1e-6, "atol": 1e-6}
    assert torch.autograd.gradcheck(LOSSES[name], (point,), **tolerances)


def test_squared_error_is_a_weighted_mean_over_rows_that_are_there() -> None:
    total, count = 0.0, 0
    for n in range(N):
        for t in range(R):
            if PRESENT[n, t]:
                count += 1
                for v in range(T):
                    total += float(WEIGHTS[v] * (PREDICTED[n, t, v] - OBSERVED[n, t, v]) ** 2)
    assert float(LOSSES["predict"](PREDICTED)) == pytest.approx(total / count / T)


def test_correlation_is_numpys_over_all_rows_together() -> None:
    p, y = (x[PRESENT].numpy() for x in (PREDICTED, OBSERVED))
    r = [np.corrcoef(p[:, v], y[:, v])[0, 1] for v in range(T)]
    wanted = 1 - np.mean(r * WEIGHTS.numpy())
    assert float(LOSSES["correlation"](PREDICTED)) == pytest.approx(wanted)


def test_contrast_is_a_loop_over_windows() -> None:
    windows = []
    for n in range(N):
        for start in (0, 3):
            rows = slice(start, start + 3)
            if PRESENT[n, rows].all():
                p, y = (x[n, rows].numpy().ravel() for x in (PREDICTED, OBSERVED))
                place = (int(PLACE[0][n]), int(PLACE[1][n, start]))
                windows.append((p / np.linalg.norm(p), y / np.linalg.norm(y), place))
    assert len(windows) > 2
    costs = []
    for side in (0, 1):
        for i, own in enumerate(windows):
            others = [
                j
                for j, other in enumerate(windows)
                if j == i or other[2][0] != own[2][0] or abs(other[2][1] - own[2][1]) >= 5
            ]
            found = [own[side] @ windows[j][1 - side] / 0.3 for j in others]
            costs.append(logsumexp(found) - found[others.index(i)])
    wanted = np.mean(costs[: len(windows)]) / 2 + np.mean(costs[len(windows) :]) / 2
    assert float(LOSSES["contrastive"](PREDICTED)) == pytest.approx(wanted)


def test_windows_of_the_same_time_are_never_negatives() -> None:
    """Two windows 3 rows apart, excluded from each other: each finds itself for certain."""
    place = (torch.tensor([1]), torch.arange(6)[None])
    found = contrastive_loss(
        drawn(1, 6, T), drawn(1, 6, T, seed=1), torch.ones(1, 6, dtype=torch.bool), place, **WINDOWS
    )
    assert float(found) == pytest.approx(0.0, abs=1e-12)


def test_hidden_brain_counts_hidden_values_alone() -> None:
    p, y, hidden = (x.numpy() for x in (PREDICTED, OBSERVED, HIDDEN))
    wanted = (WEIGHTS.numpy() * (p - y) ** 2)[hidden].sum() / hidden.sum()
    assert float(LOSSES["masked_brain"](PREDICTED)) == pytest.approx(wanted)
    moved = torch.where(HIDDEN, PREDICTED, PREDICTED + 100.0)
    assert float(LOSSES["masked_brain"](moved)) == pytest.approx(wanted)


def test_anchor_is_the_divergence_from_the_original() -> None:
    p, q = (log_softmax(x.numpy(), axis=1) for x in (ORIGINAL, LOGITS))
    wanted = (np.exp(p) * (p - q)).sum(1).mean()
    assert float(LOSSES["anchor"](LOGITS)) == pytest.approx(wanted, rel=1e-5)
    assert float(anchor_loss(LOGITS, LOGITS)) == pytest.approx(0.0, abs=1e-6)


def test_language_loss_is_the_mean_cost_of_the_tokens() -> None:
    rows = log_softmax(LOGITS.numpy(), axis=1)
    assert float(LOSSES["language"](LOGITS)) == pytest.approx(-rows[range(6), LABELS].mean())


@given(st.floats(0.1, 10.0), st.floats(-5.0, 5.0))
def test_correlation_knows_neither_scale_nor_level(scale: float, level: float) -> None:
    moved = LOSSES["correlation"](PREDICTED * scale + level)
    assert float(moved) == pytest.approx(float(LOSSES["correlation"](PREDICTED)))


@pytest.mark.parametrize("name", ["predict", "correlation", "contrastive"])
def test_without_rows_there_is_nothing_to_learn(name: str) -> None:
    absent = torch.zeros(N, R, dtype=torch.bool)
    point = PREDICTED.clone().requires_grad_()
    if name == "contrastive":
        loss = contrastive_loss(point, OBSERVED, absent, PLACE, **WINDOWS)
    else:
        kind = "squared_error" if name == "predict" else "correlation"
        loss = prediction_loss(point, OBSERVED, absent, WEIGHTS, loss=kind)
    loss.backward()
    assert loss.item() == 0.0
    assert point.grad is not None
    assert not point.grad.any()
