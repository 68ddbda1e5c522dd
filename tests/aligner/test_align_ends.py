"""What a run on objectives does at its edges: last steps, silence, other models, ranks."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from tuned_aligners import SIDES, TINY, Aligners, tuned, weights, without

from brainaligner.aligner import (
    AnchorSettings,
    BrainAligner,
    LanguageSettings,
    StoryMaterial,
    align,
)
from brainaligner.aligner import _layer_cache as layer_cache
from brainaligner.aligner._objective_trainer import _Patience
from brainaligner.core import BrainAlignerError
from brainaligner.text import RowText

SILENT_ROWS = 14
SHORT = replace(TINY, stretches=1, stretch=4)


def evaluated_at(history: Any) -> list[float]:
    return [line["step"] for line in history if "eval_loss" in line]


@pytest.mark.parametrize(("step", "asked"), [(4, False), (5, True)])
@pytest.mark.usefixtures("unchecked")
def test_the_last_step_is_evaluated_and_saved_by_whatever_version(step: int, asked: bool) -> None:
    control = SimpleNamespace(should_evaluate=False, should_save=False)
    state = SimpleNamespace(global_step=step, max_steps=5)
    _Patience(TINY, 3).on_step_end(None, state, control)
    assert (control.should_evaluate, control.should_save) == (asked, asked)


def test_a_last_part_that_is_shorter_is_evaluated_once(tiny: Aligners, tmp_path: Path) -> None:
    done = tuned(tiny("bert"), tmp_path, replace(TINY, evaluations=3))
    steps = evaluated_at(done.history)
    assert done.steps % steps[0]  # the parts do not come out even
    assert steps == [*range(int(steps[0]), done.steps, int(steps[0])), done.steps]


def test_an_anchor_leaves_the_given_model_where_it_is(
    tiny: Aligners, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    aligner = tiny("bert")
    moved: list[BrainAligner] = []
    plain = BrainAligner.to

    def noted(self: BrainAligner, *given: Any, **more: Any) -> Any:
        moved.append(self)
        return plain(self, *given, **more)

    monkeypatch.setattr(BrainAligner, "to", noted)
    settings = replace(TINY, anchor=AnchorSettings(kind="kl", share=0.5))
    tuned(aligner, tmp_path, settings)
    assert moved
    assert all(one is not aligner for one in moved)


def silenced(side: StoryMaterial) -> StoryMaterial:
    """The same side without words in the first rows of each story."""
    texts = {
        story: [RowText((), ()) if i < SILENT_ROWS else row for i, row in enumerate(rows)]
        for story, rows in side.texts.items()
    }
    return without(side, texts=texts)


@pytest.mark.parametrize("family", ["bert", "gpt2"])
@pytest.mark.parametrize(
    "changes",
    [
        {"heads": replace(TINY.heads, kind="fixed")},
        {"predict": None, "language": LanguageSettings(), "mask_rate": 0.5},
        {"anchor": AnchorSettings(kind="kl", share=0.5)},
    ],
    ids=["fixed heads", "language", "anchor"],
)
def test_stretches_without_a_word_teach_nothing_and_stop_nothing(
    tiny: Aligners, tmp_path: Path, family: str, changes: dict[str, Any]
) -> None:
    sides = (silenced(side) for side in SIDES)
    aligner = tiny(family)
    done = align(aligner, *sides, settings=replace(SHORT, **changes), folder=tmp_path)
    assert np.isfinite(done.best["loss"])
    assert done.moved["layer 2"] > 0


@pytest.mark.usefixtures("unchecked")
def test_a_full_disk_changes_no_weight_in_half_precision(
    tiny: Aligners, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = replace(TINY, precision="bfloat16", cache="auto")
    kept = tuned(tiny("bert"), tmp_path / "kept", settings)
    monkeypatch.setattr(layer_cache, "_free", lambda folder: 0)
    made = tuned(tiny("bert"), tmp_path / "made", settings)
    assert (kept.cached, made.cached) == (True, False)
    one, two = weights(kept.aligner), weights(made.aligner)
    names = [name for name in one if not name.endswith("key.bias")]
    # Float32 states differ by rounding, which flips last bits of bfloat16: not by its precision.
    assert max(np.abs(one[name] - two[name]).max() for name in names) < 1e-3


def test_several_ranks_are_refused_before_any_work(
    tiny: Aligners, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(BrainAlignerError, match="a loss over a part of a batch is another loss"):
        tuned(tiny("bert"), tmp_path / "run", TINY)
    assert not (tmp_path / "run").exists()
    assert torch.distributed.is_initialized() is False
