"""Tuning changes the weights that it should, by the gradient that it should."""

from __future__ import annotations

import csv
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_aligners import FAMILIES, FAST, tell

from brainaligner.aligner import (
    HEAD_SETTINGS,
    AlignerMaterial,
    AlignerSettings,
    BrainAligner,
    LoraSettings,
    Tuned,
    TuningOptions,
    learn_head,
    load_aligner,
    masked_bits,
    tune,
)
from brainaligner.aligner._examples import read_examples
from brainaligner.aligner._head import started_head
from brainaligner.aligner._masking import FIXED
from brainaligner.aligner._parts import merge_lora, trainee
from brainaligner.aligner._tally import token_losses
from brainaligner.core import BrainAlignerError, InputError
from brainaligner.text import RowText

Aligners = Callable[..., BrainAligner]
EVERY = TuningOptions(log_steps=1)
TRAIN, HELD = ("a", "b"), ("c",)


def _tune(
    aligner: BrainAligner, settings: AlignerSettings, folder: Path, *, brain: bool = True
) -> Tuned:
    sides = tell(TRAIN, brain=brain), tell(HELD, seed=1, brain=brain)
    return tune(aligner, *sides, settings=settings, folder=folder, options=EVERY)


def _changed(before: BrainAligner, after: BrainAligner) -> set[str]:
    old, new = before.state_dict(), after.state_dict()
    assert old.keys() == new.keys()
    return {name for name in old if not torch.equal(old[name], new[name])}


@pytest.mark.parametrize("family", FAMILIES)
def test_only_the_named_weights_change(tiny: Aligners, family: str, tmp_path: Path) -> None:
    aligner = tiny(family)
    before = {name: value.clone() for name, value in aligner.state_dict().items()}
    tuned = _tune(aligner, replace(FAST, trained_layers=1), tmp_path)
    assert all(torch.equal(value, before[name]) for name, value in aligner.state_dict().items())
    changed = _changed(aligner, tuned.aligner)
    assert changed
    outside = ("projection.", "cls.", "lm_head.", "vocab_", "tower.head.", "tower.decoder.")
    for name in changed:
        assert "layers.2." in name or "layer.2." in name or any(part in name for part in outside), (
            name
        )
        assert "embeddings" not in name
    assert set(tuned.moved) == {"layer 3", "head", "projection"}
    assert all(0 < value < 1e3 for value in tuned.moved.values())


@pytest.mark.parametrize(
    ("change", "brain", "moved"),
    [
        ({"trained_layers": 0}, True, {"head", "projection"}),
        ({"train_head": False}, True, {"layer 2", "layer 3", "projection"}),
        ({"train_projection": False}, True, {"layer 2", "layer 3", "head"}),
        ({"trained_layers": "all"}, False, {"layer 1", "layer 2", "layer 3", "head"}),
    ],
)
def test_parts_that_move_are_those_of_the_settings(
    tiny: Aligners, tmp_path: Path, change: dict[str, object], brain: bool, moved: set[str]
) -> None:
    tuned = _tune(tiny(), replace(FAST, epochs=1, **change), tmp_path, brain=brain)
    assert set(tuned.moved) == moved
    changed = _changed(tiny(), tuned.aligner)
    assert any("projection" in name for name in changed) == ("projection" in moved)
    assert any("cls" in name for name in changed) == ("head" in moved)


def test_moved_is_the_relative_distance(tiny: Aligners, tmp_path: Path) -> None:
    tuned = _tune(tiny(), replace(FAST, epochs=1), tmp_path)
    old, new = tiny().projection, tuned.aligner.projection
    flat = [torch.cat([p.flatten() for p in part.parameters()]).detach() for part in (old, new)]
    wanted = float((flat[1] - flat[0]).norm() / flat[0].norm())
    assert tuned.moved["projection"] == pytest.approx(wanted, rel=1e-5)


def test_one_step_is_adamw_on_the_mean_cost_of_hidden_tokens(
    tiny: Aligners, tmp_path: Path
) -> None:
    """Against autograd and torch's own AdamW on all texts at once."""
    settings = replace(FAST, batch=8, accumulation=99, dropout=0.0, epochs=1, warmup_steps=0,
                       schedule="constant", clip=0.5)  # fmt: skip
    tuned = _tune(tiny(), settings, tmp_path)
    model = trainee(tiny(), settings=settings, with_brain=True).train()
    examples = read_examples(model, tell(TRAIN), settings=settings)
    losses, _ = token_losses(model, examples.batch(range(len(examples.lengths)), 0))
    losses.mean().backward()
    named = {name: p for name, p in model.named_parameters() if p.requires_grad}
    norm = torch.nn.utils.clip_grad_norm_(named.values(), settings.clip)
    plain = [p for name, p in named.items() if name.endswith("bias") or "LayerNorm" in name]
    kept = {id(p) for p in plain}
    groups = [{"params": plain, "weight_decay": 0.0},
              {"params": [p for p in named.values() if id(p) not in kept]}]  # fmt: skip
    torch.optim.AdamW(groups, settings.learning_rate, settings.betas, weight_decay=0.01).step()
    line = tuned.history[0]
    assert line["loss"] == pytest.approx(float(losses.mean()), abs=1e-5)
    assert line["grad_norm"] == pytest.approx(float(norm), rel=1e-4)
    after = tuned.aligner.state_dict()
    for name, weight in model.state_dict().items():
        if "key.bias" not in name:  # softmax takes no note of it: its gradient is rounding
            assert torch.allclose(weight, after[name], atol=2e-5), name


def test_accumulated_passes_equal_one_big_batch(tiny: Aligners, tmp_path: Path) -> None:
    quiet = replace(FAST, dropout=0.0, epochs=3)
    parts = [replace(quiet, batch=8, accumulation=64), replace(quiet, batch=512, accumulation=1)]
    found = [_tune(tiny(), part, tmp_path / str(n)) for n, part in enumerate(parts)]
    losses = [[line["loss"] for line in tuned.history if "loss" in line] for tuned in found]
    assert len(losses[0]) == 3
    assert losses[0] == pytest.approx(losses[1], abs=1e-5)
    other = found[1].aligner.state_dict()
    for name, weight in found[0].aligner.state_dict().items():
        if "key.bias" not in name:  # softmax takes no note of it: its gradient is rounding
            assert torch.allclose(weight, other[name], atol=1e-4), name


def test_history_is_written_for_people(tiny: Aligners, tmp_path: Path) -> None:
    seen: list[tuple[str, int, int]] = []
    sides = tell(TRAIN), tell(HELD, seed=1)
    tuned = tune(tiny(), *sides, settings=FAST, folder=tmp_path, options=EVERY,
                 progress=lambda *said: seen.append(said))  # fmt: skip
    with (tmp_path / "history.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(tuned.history)
    steps = [row for row in rows if row["loss"]]
    assert all(row["learning_rate"] and row["grad_norm"] and row["examples_per_s"] for row in steps)
    assert [int(float(row["step"])) for row in steps] == [done for _, done, _ in seen]
    assert seen[-1][1] == seen[-1][2]
    evaluated = [float(row["eval_bits"]) for row in rows if row["eval_loss"]]
    assert len(evaluated) == tuned.epochs == 2
    assert tuned.bits == pytest.approx(min(evaluated))
    assert list((tmp_path / "tensorboard").glob("events*"))


def test_bits_of_the_result_are_those_of_its_weights(tiny: Aligners, tmp_path: Path) -> None:
    settings = replace(FAST, epochs=4, learning_rate=0.05, patience=None)
    tuned = _tune(tiny(), settings, tmp_path)
    again = masked_bits(
        tuned.aligner, tell(HELD, seed=1), brain="true", settings=settings, seed=settings.seed
    )
    assert tuned.bits == pytest.approx(again.bits, abs=1e-5)
    assert tuned.epochs == 4
    bits = [line["eval_bits"] for line in tuned.history if "eval_bits" in line]
    assert tuned.best_epoch == 1 + int(np.argmin(bits))


def test_training_stops_when_patience_ends_and_keeps_the_best(
    tiny: Aligners, tmp_path: Path
) -> None:
    settings = replace(FAST, epochs=30, learning_rate=0.3, patience=2, schedule="constant")
    tuned = _tune(tiny(), settings, tmp_path)
    assert tuned.epochs == tuned.best_epoch + 2 < 30
    again = _tune(tiny(), settings, tmp_path)  # a finished run is only read
    assert (again.epochs, again.bits) == (tuned.epochs, tuned.bits)
    assert not _changed(tuned.aligner, again.aligner)
    assert len(list(tmp_path.glob("checkpoint-*"))) == 2


@pytest.mark.parametrize("dora", [False, True])
def test_merged_lora_gives_what_the_adapters_gave(
    tiny: Aligners, tmp_path: Path, dora: bool
) -> None:
    settings = replace(FAST, lora=LoraSettings(rank=4, dora=dora), epochs=1, train_head=False)
    tuned = _tune(tiny(), settings, tmp_path)
    assert not any("lora" in name for name in tuned.aligner.state_dict())
    changed = _changed(tiny(), tuned.aligner)
    assert all((".layer." in name and name.endswith("weight")) or "projection" in name
               for name in changed)  # fmt: skip
    assert {"layer 2", "layer 3"} < set(tuned.moved)
    model = trainee(tiny(), settings=settings, with_brain=True).eval()
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if "lora_B" in name:
                weight.normal_(0.0, 0.2, generator=torch.Generator().manual_seed(1))
    examples = read_examples(model, tell(TRAIN), settings=settings)
    batch = examples.batch(range(8), FIXED)
    adapted = token_losses(model, batch)[0]
    merge_lora(model)
    assert torch.allclose(adapted, token_losses(model, batch)[0], atol=1e-4)
    assert not torch.allclose(adapted, token_losses(tiny(), batch)[0], atol=1e-2)


@pytest.mark.parametrize(
    ("change", "brain", "through"),
    [({}, True, True), ({"train_projection": False}, True, False), ({}, False, False)],
)
def test_frozen_layers_are_passed_by_gradients_only_for_the_projection(
    tiny: Aligners, change: dict[str, object], brain: bool, through: bool
) -> None:
    settings = replace(FAST, trained_layers=1, **change)
    model = trainee(tiny(), settings=settings, with_brain=brain).train()
    states: list[torch.Tensor] = []
    below = model.tower.base_model.encoder.layer[1]
    below.register_forward_hook(
        lambda _, __, out: states.append(out if torch.is_tensor(out) else out[0])
    )
    examples = read_examples(model, tell(TRAIN, brain=brain), settings=settings)
    token_losses(model, examples.batch(range(8), 0))[0].sum().backward()
    assert states[0].requires_grad == through
    assert all(p.grad is None for p in below.parameters())


def test_dropout_is_the_settings_own(tiny: Aligners) -> None:
    for family in FAMILIES:
        model = trainee(tiny(family), settings=replace(FAST, dropout=0.25), with_brain=True)
        shares = {p.p for p in model.modules() if isinstance(p, torch.nn.Dropout)}
        assert shares == {0.25}


def test_bfloat16_stays_near_float32(tiny: Aligners, tmp_path: Path) -> None:
    found = [
        _tune(tiny(), replace(FAST, dropout=0.0, precision=precision), tmp_path / precision)
        for precision in ("float32", "bfloat16")
    ]
    assert found[0].bits == pytest.approx(found[1].bits, rel=0.02)
    assert found[0].bits != found[1].bits
    assert {p.dtype for p in found[1].aligner.parameters()} == {torch.float32}


def test_a_loss_that_is_not_a_number_ends_the_run(tiny: Aligners, tmp_path: Path) -> None:
    wild = replace(FAST, learning_rate=1e30, warmup_steps=0, clip=0.0)
    with pytest.raises(BrainAlignerError, match="Lower the learning rate"):
        _tune(tiny(), wild, tmp_path)


def test_what_cannot_be_tuned_is_refused(tiny: Aligners, tmp_path: Path) -> None:
    good, held = tell(TRAIN), tell(HELD)
    headless = load_headless(tiny, tmp_path)
    bare = replace(FAST, trained_layers=0, train_head=False)
    wrong = [
        (tiny(), good, tell(("b",)), FAST, "on one side"),
        (tiny(), good, tell(HELD, brain=False), FAST, "both or neither"),
        (headless, good, held, FAST, "without a masked-LM head"),
        (tiny(), good, held, replace(FAST, trained_layers=9), "at most 3"),
        (tiny(), good, held, replace(FAST, precision="float16"), "float16 on a CPU"),
        (tiny(), good, held, replace(FAST, mask_rate=1e-9), "none of them with a hidden token"),
        (tiny(), tell(TRAIN, brain=False), tell(HELD, brain=False), bare, "something to train"),
    ]
    for aligner, training, validation, settings, said in wrong:
        with pytest.raises(InputError, match=said):
            tune(aligner, training, validation, settings=settings, folder=tmp_path / "run")
    assert not (tmp_path / "run").exists()
    _tune(tiny(), replace(FAST, epochs=1), tmp_path / "run")
    with pytest.raises(InputError, match="a run with other settings"):
        _tune(tiny(), replace(FAST, epochs=1, seed=8), tmp_path / "run")


def load_headless(tiny: Aligners, folder: Path) -> BrainAligner:
    """BERT's base model, saved and read as an aligner."""
    tiny().tower.base_model.save_pretrained(folder / "base")
    tiny().tokenizer.save_pretrained(folder / "base")
    return load_aligner(str(folder / "base"), brain_width=5)


def echoed(stories: tuple[str, ...], *, seed: int) -> AlignerMaterial:
    """Rows of one word said over and over: its visible copies tell a hidden one."""
    rng = np.random.default_rng(seed)
    rows = {
        story: [RowText((), (f"w{w}",) * 6) for w in rng.integers(0, 40, 80)] for story in stories
    }
    return AlignerMaterial(rows)


def test_a_learned_head_beats_the_unigram_and_changes_nothing_else(
    tiny: Aligners, tmp_path: Path
) -> None:
    aligner = load_headless(tiny, tmp_path)
    sides = echoed(TRAIN, seed=0), echoed(HELD, seed=1)
    settings = replace(HEAD_SETTINGS, mask_rate=0.3, batch=16, learning_rate=1e-2, epochs=6)
    learned = learn_head(aligner, *sides, folder=tmp_path / "head", settings=settings)
    assert learned.learned
    assert not aligner.has_head
    assert learned.aligner.has_head
    assert learned.bits < learned.unigram_bits - 0.5
    assert all("cls" in name for name in _changed(aligner, learned.aligner))
    start = started_head(aligner, sides[0], settings=settings)
    said = [int(w[1:]) for rows in sides[0].texts.values() for text in rows for w in text.own]
    chances = start.tower.get_output_embeddings().bias.exp()[5:]
    counts = np.bincount(said, minlength=40) + 0.3
    assert chances.tolist() == pytest.approx((counts / (counts.sum() + 5 * 0.3)).tolist(), rel=1e-4)
    again = learn_head(learned.aligner, *sides, folder=tmp_path / "again", settings=settings)
    assert not again.learned
    assert again.bits == pytest.approx(learned.bits)
    assert not (tmp_path / "again").exists()
    with pytest.raises(InputError, match="learned alone"):
        learn_head(aligner, *sides, folder=tmp_path / "other", settings=FAST)
