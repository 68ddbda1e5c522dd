"""Tuning on objectives: what trains, what stays, and what is made once for all runs."""

from __future__ import annotations

import copy
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny_aligners import CAUSAL, FAMILIES
from tuned_aligners import SIDES, STOP, TINY, TRAIN, Aligners, prepared, tuned, weights, without

from brainaligner.aligner import (
    Aligned,
    AnchorSettings,
    BrainAligner,
    ContrastiveSettings,
    LanguageSettings,
    LoraSettings,
    MaskedBrainSettings,
    StoryMaterial,
    TuningOptions,
    align,
)
from brainaligner.aligner._layer_cache import _lower_states
from brainaligner.core import BrainAlignerError


def shared_run(aligner: BrainAligner, folder: Path, name: str, **more: Any) -> Aligned:
    """A run that shares states below its trained layers in ``folder/states``."""
    options = TuningOptions(states=folder / "states")
    return tuned(aligner, folder / name, replace(TINY, **more), options=options)


def same_weights(one: Aligned, other: Aligned) -> bool:
    found = weights(one.aligner), weights(other.aligner)
    return all(found[0][name].tobytes() == found[1][name].tobytes() for name in found[0])


def test_named_layers_train_and_all_else_stays_as_it_is(tiny: Aligners, tmp_path: Path) -> None:
    aligner = tiny()
    before = weights(aligner)
    done = tuned(aligner, tmp_path, TINY)
    after = weights(done.aligner)
    changed = {name for name in before if not np.array_equal(before[name], after[name])}
    assert changed
    assert all(".layer.1." in name for name in changed)  # counted from 0: the second of three
    assert done.moved.keys() == {"layer 2"}
    assert done.moved["layer 2"] > 0
    assert {name: w.tobytes() for name, w in weights(aligner).items()} == {
        name: w.tobytes() for name, w in before.items()
    }


@pytest.mark.parametrize("family", ["bert", "gpt2", "qwen2"])
def test_cached_lower_layers_give_the_same_weights(
    tiny: Aligners, tmp_path: Path, family: str
) -> None:
    found = {
        cache: tuned(tiny(family), tmp_path / cache, replace(TINY, cache=cache))
        for cache in ("on", "off")
    }
    assert found["on"].cached
    assert not found["off"].cached
    one, two = (
        {name: _without_key_bias(name, w) for name, w in weights(done.aligner).items()}
        for done in found.values()
    )
    assert max(np.abs(one[name] - two[name]).max() for name in one) < 5e-6  # they moved by .03


def _states(folder: Path) -> list[Path]:
    """Files of the states below; what is pooled from them has a digest more in its name."""
    return [path for path in (folder / "states").iterdir() if path.name.count(".") == 1]


def test_states_of_a_story_are_made_once_for_all_runs(tiny: Aligners, tmp_path: Path) -> None:
    first = shared_run(tiny("bert"), tmp_path, "first")
    made = {path.name: path.stat().st_mtime_ns for path in _states(tmp_path)}
    assert len(made) == len(TRAIN) + len(STOP)
    again = shared_run(tiny("bert"), tmp_path, "again", seed=6, learning_rate=1e-4)
    assert {p.name: p.stat().st_mtime_ns for p in _states(tmp_path)} == made
    assert (first.cached, again.cached) == (True, True)
    assert not same_weights(first, again)
    assert same_weights(first, tuned(tiny("bert"), tmp_path / "own", TINY))


def test_a_file_of_states_that_was_cut_short_is_made_anew(tiny: Aligners, tmp_path: Path) -> None:
    first = shared_run(tiny("bert"), tmp_path, "first")
    victim = min(_states(tmp_path))
    whole = victim.read_bytes()
    victim.write_bytes(whole[: len(whole) // 2])
    again = shared_run(tiny("bert"), tmp_path, "again")
    assert victim.read_bytes() == whole
    assert same_weights(first, again)


@pytest.mark.parametrize("part", ["embeddings.word_embeddings.weight", "layer.0.", "layer.1."])
def test_states_of_other_lower_weights_have_other_files(
    tiny: Aligners, tmp_path: Path, part: str
) -> None:
    shared_run(tiny("bert"), tmp_path, "first")
    before = set(_states(tmp_path))
    other = tiny("bert")
    with torch.no_grad():
        next(w for name, w in other.tower.named_parameters() if part in name).add_(0.01)
    shared_run(other, tmp_path, "again")
    is_new = set(_states(tmp_path)) != before
    assert is_new == (part != "layer.1.")  # counted from 0: the trained one of three


def test_states_are_made_again_where_another_run_empties_their_folder(
    tiny: Aligners, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []

    def emptied_once(*given: Any) -> Any:
        calls.append(given)
        yield from _lower_states(*given)
        if len(calls) == 2:
            shutil.rmtree(tmp_path / "states")

    monkeypatch.setattr("brainaligner.aligner._layer_cache._lower_states", emptied_once)
    found = shared_run(tiny("bert"), tmp_path, "first")
    assert len(calls) == len(TRAIN) + len(STOP) + 1
    monkeypatch.undo()
    assert same_weights(found, tuned(tiny("bert"), tmp_path / "own", TINY))


def _without_key_bias(name: str, values: np.ndarray) -> np.ndarray:
    """Leave out what softmax does not see: its gradient is rounding, which AdamW blows up."""
    if name.endswith("key.bias"):
        return np.zeros_like(values)
    if name.endswith("c_attn.bias"):
        return np.delete(values, slice(len(values) // 3, 2 * len(values) // 3))
    return values


@pytest.mark.parametrize("family", [*FAMILIES, *CAUSAL])
def test_all_objectives_together_pass_in_every_family(
    tiny: Aligners, tmp_path: Path, family: str
) -> None:
    settings = replace(
        TINY,
        contrastive=ContrastiveSettings(window=4, exclude=2),
        masked_brain=MaskedBrainSettings(),
        anchor=AnchorSettings(kind="kl", share=0.5),
        language=LanguageSettings(share=0.5),
        mask_rate=0.4,
    )
    done = tuned(tiny(family), tmp_path, settings)
    names = {"predict", "contrastive", "masked_brain", "anchor", "language"}
    assert names <= done.start.keys()
    assert names <= done.best.keys()
    assert done.start["anchor"] == pytest.approx(0.0, abs=1e-5)
    assert done.best["anchor"] > 1e-6
    lines = [line for line in done.history if "loss" in line and "eval_loss" not in line]
    total = lines[0]["predict"] + lines[0]["contrastive"] + lines[0]["masked_brain"]
    total += 0.1 * lines[0]["anchor"] + lines[0]["language"]
    assert lines[0]["loss"] == pytest.approx(total, rel=1e-3)


def test_what_is_hidden_of_a_brain_knows_no_order_of_subjects(
    tiny: Aligners, tmp_path: Path
) -> None:
    settings = replace(TINY, masked_brain=MaskedBrainSettings())
    side = prepared(tiny(), tmp_path, settings)[1][0]
    turned = replace(side, responses=dict(reversed(side.responses.items())))
    stretches = side.stretches(1)[:4]
    one, other = (s.batch(stretches, 1)["hidden"] for s in (side, turned))
    assert len(one) == 2
    for hidden, again in zip(one, reversed(other), strict=True):
        assert hidden.any()
        assert torch.equal(hidden, again)
    least = min(hidden.shape[-1] for hidden in one)
    assert not torch.equal(one[0][..., :least], one[1][..., :least])  # each has its own draws


@pytest.mark.parametrize("family", ["bert", "llama"])
def test_language_alone_needs_no_brain_and_lowers_its_loss(
    tiny: Aligners, tmp_path: Path, family: str
) -> None:
    settings = replace(TINY, predict=None, language=LanguageSettings(), epochs=4, mask_rate=0.4)
    texts = [StoryMaterial(side.texts) for side in SIDES]
    done = align(tiny(family), *texts, settings=settings, folder=tmp_path)
    assert done.best["language"] < done.start["language"] - 0.05
    assert "r" not in done.best


def test_predicting_raises_held_out_prediction(tiny: Aligners, tmp_path: Path) -> None:
    settings = replace(TINY, epochs=6, heads=replace(TINY.heads, rank=2))
    done = tuned(tiny(), tmp_path, settings)
    assert done.best["predict"] < done.start["predict"]


def test_an_anchor_keeps_states_near_the_original(tiny: Aligners, tmp_path: Path) -> None:
    free = tuned(tiny(), tmp_path / "free", replace(TINY, anchor=AnchorSettings(weight=1e-6)))
    held = tuned(tiny(), tmp_path / "held", replace(TINY, anchor=AnchorSettings(weight=100.0)))
    assert held.best["anchor"] < 0.5 * free.best["anchor"]


@pytest.mark.parametrize("family", ["bert", "gpt2"])
@pytest.mark.parametrize("dora", [False, True])
def test_merged_updates_equal_the_unmerged_model(
    tiny: Aligners, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, family: str, dora: bool
) -> None:
    from brainaligner.aligner import _objective_run

    kept: list[BrainAligner] = []
    merge = _objective_run.merge_lora
    monkeypatch.setattr(
        _objective_run, "merge_lora", lambda a: (kept.append(copy.deepcopy(a)), merge(a))
    )
    settings = replace(TINY, lora=LoraSettings(rank=2, dora=dora))
    done = tuned(tiny(family), tmp_path, settings)
    assert any("lora_" in name for name, _ in kept[0].tower.named_parameters())
    assert not any("lora_" in name for name, _ in done.aligner.tower.named_parameters())
    ids = torch.tensor([[7, 8, 9, 10, 11]])
    with torch.inference_mode():
        pair = [a.reader.module(ids).last_hidden_state for a in (kept[0], done.aligner)]
    assert torch.allclose(*pair, atol=1e-5)


def test_an_interrupted_run_ends_with_the_same_bytes(tiny: Aligners, tmp_path: Path) -> None:
    settings = replace(TINY, epochs=3, dropout=0.2)
    whole = tuned(tiny(), tmp_path / "whole", settings)

    class StopError(Exception):
        pass

    def stop(what: str, done: int, total: int) -> None:
        if what == "tuning" and done == whole.steps // 2 + 1:
            raise StopError

    with pytest.raises(StopError):
        tuned(tiny(), tmp_path / "cut", settings, progress=stop)
    again = tuned(tiny(), tmp_path / "cut", settings)
    one, two = weights(whole.aligner), weights(again.aligner)
    assert all(np.array_equal(one[name], two[name]) for name in one)
    assert whole.best == again.best


def test_patience_ends_a_run(tiny: Aligners, tmp_path: Path) -> None:
    settings = replace(TINY, epochs=30, learning_rate=0.3, patience=2)
    done = tuned(tiny(), tmp_path, settings)
    assert done.steps < done.planned_steps
    assert done.steps - done.best_step >= 2


def test_a_loss_that_is_no_number_ends_with_advice(tiny: Aligners, tmp_path: Path) -> None:
    with pytest.raises(BrainAlignerError, match="Lower the learning"):
        tuned(tiny(), tmp_path, replace(TINY, learning_rate=1e30, clip=0.0, epochs=2))


def test_a_subject_may_lack_a_story_and_rows(tiny: Aligners, tmp_path: Path) -> None:
    cut = {s: dict(y) for s, y in SIDES[0].responses.items()}
    del cut["S2"]["fir"]
    cut["S2"]["oak"] = cut["S2"]["oak"][:25]
    done = align(tiny(), without(SIDES[0], responses=cut), SIDES[1], settings=TINY, folder=tmp_path)
    assert np.isfinite(done.best["r"])
