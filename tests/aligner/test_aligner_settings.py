"""Settings and material refuse what cannot be meant, and say what would be right."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tiny_aligners import tell

from brainaligner.aligner import (
    AlignerMaterial,
    AlignerSettings,
    LoraSettings,
    TuningOptions,
    shift_brain,
)
from brainaligner.core import InputError
from brainaligner.text import RowText

BAD: list[dict[str, Any]] = [
    {"mask_rate": 0.0},
    {"mask_rate": 1.1},
    {"mask_rate": float("nan")},
    {"masked_share": -0.1},
    {"masked_share": 0.8, "random_share": 0.3},
    {"trained_layers": -1},
    {"trained_layers": 1.5},
    {"trained_layers": "top"},
    {"lora": 8},
    {"lora": LoraSettings(), "trained_layers": 0},
    {"train_head": 1},
    {"brain_rows": ()},
    {"brain_rows": (1, 1)},
    {"brain_rows": (0.5,)},
    {"brain_place": "inside"},
    {"brain_segment": 2},
    {"brain_positions": "own"},
    {"max_tokens": 3},
    {"batch": 0},
    {"accumulation": 0},
    {"learning_rate": 0.0},
    {"learning_rate": float("inf")},
    {"betas": (0.9, 1.0)},
    {"betas": (0.9,)},
    {"weight_decay": -1.0},
    {"warmup_steps": None},
    {"warmup_share": 0.1},
    {"warmup_steps": -1},
    {"warmup_steps": None, "warmup_share": 1.5},
    {"schedule": "step"},
    {"dropout": 1.0},
    {"clip": -1.0},
    {"precision": "float8"},
    {"epochs": 0},
    {"patience": 0},
    {"seed": -1},
    {"seed": 2**32},
]


@pytest.mark.parametrize("bad", BAD, ids=str)
@pytest.mark.usefixtures("unchecked")
def test_settings_that_cannot_be_meant_are_refused(bad: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=r"got .*; wanted"):
        AlignerSettings(**bad)


@pytest.mark.parametrize(
    "bad", [{"rank": 0}, {"alpha": 0.0}, {"dropout": 1.0}, {"dora": 2}], ids=str
)
@pytest.mark.usefixtures("unchecked")
def test_lora_settings_that_cannot_be_meant_are_refused(bad: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="LoRA settings"):
        LoraSettings(**bad)


@pytest.mark.parametrize("bad", [{"device": "tpu"}, {"save_steps": 0}, {"log_steps": 0}], ids=str)
@pytest.mark.usefixtures("unchecked")
def test_options_that_cannot_be_meant_are_refused(bad: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="tuning options"):
        TuningOptions(**bad)


def test_the_defaults_are_the_reports() -> None:
    settings = AlignerSettings()
    assert (settings.mask_rate, settings.masked_share, settings.random_share) == (0.15, 0.8, 0.1)
    assert (settings.batch, settings.accumulation, settings.max_tokens) == (32, 2, 256)
    assert (settings.learning_rate, settings.betas, settings.weight_decay) == (
        1e-5,
        (0.9, 0.98),
        0.01,
    )
    assert (settings.warmup_steps, settings.dropout, settings.trained_layers) == (2000, 0.1, 2)
    assert settings.brain_rows == (0,)


def test_material_refuses_vectors_that_do_not_fit_the_texts() -> None:
    texts = {"a": [RowText((), ("w1",))] * 3, "b": [RowText((), ("w2",))] * 2}
    fits = {"a": np.zeros((3, 4), np.float32), "b": np.zeros((2, 4), np.float32)}
    assert AlignerMaterial(texts, fits).brain_width == 4
    broken = {
        "missing": {"a": fits["a"]},
        "rows": fits | {"b": np.zeros((3, 4), np.float32)},
        "width": fits | {"b": np.zeros((2, 5), np.float32)},
        "finite": fits | {"b": np.full((2, 4), np.nan, np.float32)},
    }
    for brain in broken.values():
        with pytest.raises(InputError, match="aligner material: brain"):
            AlignerMaterial(texts, brain)
    with pytest.raises(InputError, match="without a word"):
        AlignerMaterial({"a": [RowText(("w1",), ())]})


def test_shifted_vectors_are_the_same_rows_at_least_forty_off() -> None:
    brain = tell(("a", "b"), n_rows=100).brain
    assert brain is not None
    shifted = {seed: shift_brain(brain, seed=seed) for seed in range(30)}
    found = set()
    for made in shifted.values():
        by = [k for k in range(100) if np.array_equal(np.roll(brain["a"], k, axis=0), made["a"])]
        assert len(by) == 1
        assert 40 <= by[0] <= 60
        found.add(by[0])
    assert len(found) > 5
    alone = shift_brain({"b": brain["b"]}, seed=3)
    assert np.array_equal(alone["b"], shifted[3]["b"])
    with pytest.raises(InputError, match="at least 80"):
        shift_brain({"a": brain["a"][:79]}, seed=0)
