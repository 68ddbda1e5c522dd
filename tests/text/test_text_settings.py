"""Settings refuse what has no meaning, and layers resolve."""

from __future__ import annotations

from pathlib import Path

import pytest

from brainaligner.core import InputError
from brainaligner.text import DesignSettings, ModelInfo, TextSettings, resolve_layer

SIX_LAYERS = ModelInfo("six", Path(), 6, 384, 512, "encoder")


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("name", "value", "nearest"),
    [
        ("clock", "prevous", "previous"),
        ("pooling", "owns", "own"),
        ("special_tokens", "inputs", "input"),
        ("resample", "lanzcos", "lanczos"),
        ("empty", "zero", "zeros"),
        ("dtype", "float23", "float32"),
    ],
)
def test_unknown_choice_names_the_nearest(name: str, value: str, nearest: str) -> None:
    with pytest.raises(InputError, match=f"Did you mean '{nearest}'"):
        TextSettings(**{name: value})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("max_tokens", 0),
        ("max_tokens", -5),
        ("context_rows", -1),
        ("context_words", -2),
        ("context_seconds", -0.5),
        ("context_seconds", float("nan")),
        ("context_seconds", float("inf")),
    ],
)
def test_sizes_out_of_range_are_refused(name: str, value: float) -> None:
    with pytest.raises(InputError, match=name):
        TextSettings(**{name: value})


@pytest.mark.parametrize(
    "contexts",
    [
        {"context_rows": 1, "context_seconds": 2.0},
        {"context_rows": 1, "context_words": 2},
        {"context_seconds": 1.0, "context_words": 2},
    ],
)
def test_two_contexts_at_once_are_refused(contexts: dict[str, float]) -> None:
    with pytest.raises(InputError, match="at once"):
        TextSettings(**contexts)


@pytest.mark.parametrize(("layer", "resolved"), [(-1, 6), (-7, 0), (0, 0), (4, 4), (6, 6)])
def test_layers_count_from_either_end(layer: int, resolved: int) -> None:
    assert TextSettings(layer=layer).resolve_layer(SIX_LAYERS) == resolved
    assert resolve_layer(layer, SIX_LAYERS) == resolved


@pytest.mark.parametrize("layer", [7, -8, 100])
def test_a_layer_that_does_not_exist_is_refused_with_the_range(layer: int) -> None:
    with pytest.raises(InputError, match=rf"layer {layer}; wanted 0 \(embeddings\) to 6"):
        TextSettings(layer=layer).resolve_layer(SIX_LAYERS)


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    "wrong",
    [
        {"delays": ()},
        {"delays": (1, 1)},
        {"scaling": "stories"},
        {"nuisance": "wth"},
        {"nuisance_scale": 0.0},
        {"nuisance_scale": -3.0},
        {"nuisance_scale": float("nan")},
        {"nuisance_scale": 10.0},
        {"nuisance": "none", "word_length": True},
    ],
)
def test_design_settings_refuse(wrong: dict[str, object]) -> None:
    with pytest.raises(InputError, match="design settings"):
        DesignSettings(**wrong)
