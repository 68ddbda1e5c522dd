"""Tuning on objectives: settings, models and material that are refused."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tuned_aligners import SIDES, TINY, TRAIN, Aligners, tuned, without

from brainaligner.aligner import (
    AnchorSettings,
    ContrastiveSettings,
    LanguageSettings,
    LoraSettings,
    MaskedBrainSettings,
    ObjectiveSettings,
    PredictSettings,
    ResponseHeadSettings,
    StoryMaterial,
    TuningOptions,
    align,
    check_objectives,
)
from brainaligner.core import InputError


def test_a_folder_of_another_run_is_refused(tiny: Aligners, tmp_path: Path) -> None:
    tuned(tiny(), tmp_path, TINY)
    with pytest.raises(InputError, match="other settings, material or weights"):
        tuned(tiny(), tmp_path, replace(TINY, learning_rate=2e-3))


def _broken(values: Mapping[str, Mapping[str, np.ndarray]], change: Any) -> dict[str, Any]:
    made = {s: {k: v.copy() for k, v in y.items()} for s, y in values.items()}
    change(made)
    return made


def _nan(made: Any) -> None:
    made["S1"]["elm"][3, 1] = np.nan


def _long(made: Any) -> None:
    made["S1"]["elm"] = np.ones((31, 6), np.float32)


def _wide(made: Any) -> None:
    made["S1"]["elm"] = np.ones((30, 5), np.float32)


def _unknown(made: Any) -> None:
    made["S1"]["box"] = np.ones((30, 6), np.float32)


@pytest.mark.parametrize(
    ("change", "said"),
    [(_nan, "not finite"), (_long, "31, 6"), (_wide, "widths"), (_unknown, "box")],
)
def test_responses_that_do_not_fit_are_refused(change: Any, said: str) -> None:
    with pytest.raises(InputError, match=said):
        without(SIDES[0], responses=_broken(SIDES[0].responses, change))


UNKNOWN: Any = "mse"
BAD: dict[str, tuple[Callable[[], Any], str]] = {
    "no loss": (lambda: ObjectiveSettings(), "no loss"),
    "anchor alone": (lambda: ObjectiveSettings(anchor=AnchorSettings()), "anchor alone"),
    "dropout of the brain": (lambda: MaskedBrainSettings(dropout=0.4), "0.5 to 1"),
    "loss": (lambda: PredictSettings(loss=UNKNOWN), "squared_error"),
    "weight": (lambda: PredictSettings(weight=0.0), "above 0"),
    "reliability": (lambda: PredictSettings(reliability=-1.0), "0 or more"),
    "window": (lambda: ContrastiveSettings(window=0), "1 or more"),
    "temperature": (lambda: ContrastiveSettings(temperature=0.0), "above 0"),
    "share": (lambda: LanguageSettings(share=1.5), "at most 1"),
    "kind": (lambda: AnchorSettings(kind=UNKNOWN), "states"),
    "delays": (lambda: ResponseHeadSettings(delays=(1, 1)), "each once"),
    "alphas": (lambda: ResponseHeadSettings(alphas=(2.0, 1.0)), "increasing"),
    "rank": (lambda: ResponseHeadSettings(rank=0), "1 or more"),
    "layers": (lambda: replace(TINY, read_layers=()), "each once"),
    "stretch": (lambda: replace(TINY, stretch=1), "2 or more"),
    "betas": (lambda: replace(TINY, betas=(0.9, 1.5)), "from 0 to below 1"),
    "LoRA of no layer": (
        lambda: replace(TINY, lora=LoraSettings(), trained_layers=0),
        "no trained layer",
    ),
    "cache with dropout": (
        lambda: replace(TINY, cache="on", dropout=0.1, dropout_in="all"),
        "dropout in all layers",
    ),
    "a rate of kept heads": (
        lambda: replace(TINY, heads=replace(TINY.heads, kind="fixed", learning_rate=1e-3)),
        "0.001 for heads of kind 'fixed'",
    ),
    "folds of heads that are fitted once": (
        lambda: replace(TINY, heads=replace(TINY.heads, folds=3)),
        "heads: folds: got 3 for heads of kind 'trained'",
    ),
    "a mask rate of losses on brains": (
        lambda: replace(TINY, mask_rate=0.3, anchor=AnchorSettings()),
        "mask_rate: got 0.3 without a loss on hidden tokens",
    ),
    "a share of states": (
        lambda: AnchorSettings(share=0.5),
        "share: got 0.5 for kind 'states'",
    ),
}
READ: dict[str, Callable[[], Any]] = {
    "folds of cross-fitted heads": lambda: replace(
        TINY, heads=replace(TINY.heads, kind="cross_fitted", folds=3)
    ),
    "folds of weights": lambda: replace(
        TINY, predict=PredictSettings(reliability=1.0), heads=replace(TINY.heads, folds=3)
    ),
    "a rate of what the brain adds": lambda: replace(
        TINY,
        masked_brain=MaskedBrainSettings(),
        heads=replace(TINY.heads, kind="fixed", learning_rate=1e-3),
    ),
    "heads of what a control on text controls": lambda: replace(
        TINY,
        predict=None,
        language=LanguageSettings(),
        mask_rate=0.3,
        heads=replace(TINY.heads, kind="fixed", folds=3, learning_rate=1e-3),
    ),
    "tokens of an anchor": lambda: replace(
        TINY, mask_rate=0.3, anchor=AnchorSettings(kind="kl", share=0.5)
    ),
}


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("name", BAD)
def test_settings_out_of_range_are_refused(name: str) -> None:
    make, said = BAD[name]
    with pytest.raises(InputError, match=said):
        make()


@pytest.mark.parametrize("name", READ)
def test_settings_that_are_read_are_taken(name: str) -> None:
    READ[name]()


UNFIT: dict[str, tuple[str, ObjectiveSettings, str]] = {
    "too many layers": ("bert", replace(TINY, trained_layers=3), "at most 2"),
    "a layer far below": ("bert", replace(TINY, read_layers=(0, 3)), "never changes"),
    "no such layer": ("bert", replace(TINY, read_layers=(4,)), "layer 4"),
    "nothing to train": (
        "bert",
        replace(TINY, trained_layers=0, heads=replace(TINY.heads, kind="fixed")),
        "something to train",
    ),
    "no head": ("headless", replace(TINY, language=LanguageSettings()), "without a head"),
    "no GPU": ("bert", TINY, "without a GPU"),
}


@pytest.mark.parametrize("name", UNFIT)
def test_models_that_cannot_follow_are_refused(
    tiny: Aligners, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    family, settings, said = UNFIT[name]
    device: Any = "cuda" if name == "no GPU" else "cpu"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(InputError, match=said):
        check_objectives(tiny(family), settings=settings, options=TuningOptions(device=device))
    with pytest.raises(InputError, match=said):
        tuned(tiny(family), tmp_path, settings, options=TuningOptions(device=device))
    assert not list(tmp_path.iterdir())


SIDES_THAT_DO_NOT_FIT: dict[str, Callable[[], tuple[StoryMaterial, StoryMaterial]]] = {
    "in training and in validation": lambda: (SIDES[0], SIDES[0]),
    "no responses": lambda: (without(SIDES[0], responses={}), SIDES[1]),
    "of S1 to validate": lambda: (
        SIDES[0],
        without(SIDES[1], responses={"S1": SIDES[1].responses["S1"]}),
    ),
    "columns of Z": lambda: (without(SIDES[0], nuisance={}), SIDES[1]),
    "heard alike": lambda: (
        without(
            SIDES[0],
            responses={
                "S1": {s: y for s, y in SIDES[0].responses["S1"].items() if s in TRAIN[:2]},
                "S2": {s: y for s, y in SIDES[0].responses["S2"].items() if s in TRAIN[2:]},
            },
        ),
        SIDES[1],
    ),
}


@pytest.mark.parametrize("said", SIDES_THAT_DO_NOT_FIT)
def test_sides_that_do_not_fit_are_refused(tiny: Aligners, tmp_path: Path, said: str) -> None:
    with pytest.raises(InputError, match=said):
        align(tiny(), *SIDES_THAT_DO_NOT_FIT[said](), settings=TINY, folder=tmp_path)
