"""Similarity of layers: against loops and scipy, and what must leave it alone."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import pdist
from scipy.stats import ortho_group, spearmanr
from tiny_aligners import tell

from brainaligner.aligner import (
    BrainAligner,
    dissimilarity_agreement,
    layer_similarity,
    linear_cka,
)
from brainaligner.core import InputError
from brainaligner.text import TextSettings, row_states

Aligners = Callable[..., BrainAligner]
TEXTS = tell(("a", "b"), n_rows=40).texts


def _states(seed: int, shape: tuple[int, int]) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape) @ np.diag(1.0 + np.arange(shape[1]))


def _cka_by_hand(one: np.ndarray, other: np.ndarray) -> float:
    """Kornblith's equation 4 on features, entry by entry."""
    one, other = (part - part.mean(0) for part in (one, other))

    def squares(a: np.ndarray, b: np.ndarray) -> float:
        return sum(
            sum(a[n, i] * b[n, j] for n in range(len(a))) ** 2
            for i in range(a.shape[1])
            for j in range(b.shape[1])
        )

    return squares(other, one) / (squares(one, one) * squares(other, other)) ** 0.5


@pytest.mark.parametrize("widths", [(4, 4), (3, 6)])
def test_cka_is_kornbliths_equation(widths: tuple[int, int]) -> None:
    one, other = _states(0, (12, widths[0])), _states(1, (12, widths[1]))
    assert linear_cka(one, other) == pytest.approx(_cka_by_hand(one, other), rel=1e-10)
    assert 0 < linear_cka(one, other) < 0.9


def test_agreement_is_spearmans_between_correlation_distances() -> None:
    one, other = _states(0, (15, 6)), _states(1, (15, 7))
    other[:, :6] += one
    wanted = spearmanr(pdist(one, "correlation"), pdist(other, "correlation")).statistic
    assert dissimilarity_agreement(one, other) == pytest.approx(wanted, rel=1e-10)
    tied = np.repeat(one[:5], 3, axis=0)
    ties = spearmanr(pdist(tied, "correlation").round(9), pdist(other, "correlation")).statistic
    assert dissimilarity_agreement(tied, other) == pytest.approx(ties, abs=0.02)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000), rows=st.integers(4, 30), width=st.integers(2, 9))
def test_what_leaves_similarity_alone(seed: int, rows: int, width: int) -> None:
    one = _states(seed, (rows, width))
    turn = ortho_group.rvs(width, random_state=seed)
    assert linear_cka(one, one) == 1.0
    assert linear_cka(one, one @ turn * 3.0 + 7.0) == pytest.approx(1.0, abs=1e-9)
    other = _states(seed + 1, (rows, width))
    found = linear_cka(one, other)
    assert found == linear_cka(other, one)
    assert 0.0 <= found <= 1.0
    assert linear_cka(one @ turn, other) == pytest.approx(found, abs=1e-9)
    if width > 2:  # of two features, every r is 1 or -1
        assert dissimilarity_agreement(one, one) == 1.0
        scaled = dissimilarity_agreement(one * 2.0, other)
        assert scaled == pytest.approx(dissimilarity_agreement(one, other), abs=1e-9)
        assert -1.0 - 1e-9 <= scaled <= 1.0 + 1e-9


def test_rows_that_are_all_the_same_have_no_similarity() -> None:
    flat, other = np.ones((5, 3)), _states(0, (5, 3))
    assert np.isnan(linear_cka(flat, other))
    assert np.isnan(dissimilarity_agreement(flat, other))


@pytest.mark.parametrize("family", ["bert", "gpt2", "qwen2"])
def test_a_model_is_exactly_like_itself_and_less_like_a_changed_one(
    tiny: Aligners, family: str
) -> None:
    same = layer_similarity(tiny(family), copy.deepcopy(tiny(family)), TEXTS)
    assert list(same) == [0, 1, 2, 3]
    assert {(one.cka, one.rsa) for one in same.values()} == {(1.0, 1.0)}
    changed = copy.deepcopy(tiny(family))
    (stack,) = [m for m in changed.tower.base_model.modules() if isinstance(m, torch.nn.ModuleList)]
    with torch.no_grad():
        for weight in stack[1].parameters():
            weight.add_(torch.randn(weight.shape, generator=torch.Generator().manual_seed(0)))
    found = layer_similarity(tiny(family), changed, TEXTS)
    assert [found[k].cka == found[k].rsa == 1.0 for k in range(4)] == [True, True, False, False]
    assert all(found[k].cka < 0.999 and found[k].rsa < 0.999 for k in (2, 3))


def test_layers_are_compared_by_pooled_states_of_own_words(tiny: Aligners) -> None:
    other = copy.deepcopy(tiny())
    with torch.no_grad():
        for weight in other.tower.base_model.parameters():
            weight.mul_(1.3)
    found = layer_similarity(tiny(), other, TEXTS, n_rows=10_000)
    rows = {"all": [text for told in TEXTS.values() for text in told if text.own]}
    states = [
        row_states(model.reader, rows, range(4), settings=TextSettings())
        for model in (tiny(), other)
    ]
    for k, one in found.items():
        old, new = (np.asarray(part[k]["all"], dtype=np.float64) for part in states)
        assert one.cka == pytest.approx(_cka_by_hand(old, new), rel=1e-6)
        wanted = spearmanr(pdist(old, "correlation"), pdist(new, "correlation")).statistic
        assert one.rsa == pytest.approx(wanted, abs=1e-5)


def test_rows_are_drawn_by_seed(tiny: Aligners) -> None:
    other = copy.deepcopy(tiny())
    with torch.no_grad():
        for weight in other.tower.base_model.parameters():
            weight.mul_(1.3)
    found = [layer_similarity(tiny(), other, TEXTS, n_rows=20, seed=seed)[3] for seed in (0, 0, 1)]
    assert found[0] == found[1] != found[2]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"n_rows": 2}, "at least 3"),
        ({"texts": {"a": TEXTS["a"][:1] * 2}}, "at least 3"),
        ({"texts": {}}, "0 rows with words"),
    ],
)
def test_too_few_rows_are_refused(tiny: Aligners, change: dict[str, Any], said: str) -> None:
    texts = change.pop("texts", TEXTS)
    with pytest.raises(InputError, match=said):
        layer_similarity(tiny(), tiny(), texts, **change)


def test_models_of_other_shapes_are_refused(tiny: Aligners) -> None:
    shallow = copy.deepcopy(tiny())
    info = shallow.reader.info
    object.__setattr__(info, "n_layers", 2)
    with pytest.raises(InputError, match="2 layers of width 16"):
        layer_similarity(tiny(), shallow, TEXTS)
