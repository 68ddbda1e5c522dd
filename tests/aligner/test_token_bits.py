"""Bits per token of both kinds of models, against transformers and plain loops."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tiny_aligners import CAUSAL, FAST, WORDS, tell

from brainaligner.aligner import (
    AlignerMaterial,
    BrainAligner,
    load_aligner,
    masked_bits,
    token_bits,
    token_floor,
    unigram_bits,
)
from brainaligner.core import InputError
from brainaligner.text import RowText

Aligners = Callable[..., BrainAligner]
TEXTS = {
    "a": [
        RowText((), ("w1", "w2", "w3")),
        RowText(("w1", "w2", "w3"), ("w4",)),
        RowText(("w4",), ()),
        RowText(("w7", "w7"), ("w8", "w9", "w8", "w30")),
    ],
    "b": [RowText((), ("w5",)), RowText(("w5",), ("w6", "w6"))],
}


def _by_hand(aligner: BrainAligner, text: RowText) -> list[float]:
    """Bits of each token of the own words: one forward pass of transformers for each."""
    tokenizer = aligner.tokenizer
    whole = tokenizer(text.text, return_offsets_mapping=True)
    ids, own_from = whole["input_ids"], len(" ".join(text.context))
    ends = [end for _, end in whole["offset_mapping"]]
    starts = []
    if ends[0] != 0:  # no special token at the start
        starts = [tokenizer.bos_token_id or tokenizer.eos_token_id]
    costs = []
    for t, (token, end) in enumerate(zip(ids, ends, strict=True)):
        if end <= own_from or end == 0:
            continue
        with torch.inference_mode():
            logits = aligner.tower(input_ids=torch.tensor([[*starts, *ids[:t]]])).logits[0, -1]
        costs.append(-math.log2(float(logits.double().softmax(-1)[token])))
    return costs


@pytest.mark.parametrize("family", CAUSAL)
def test_next_token_bits_are_those_of_a_loop_with_transformers(tiny: Aligners, family: str) -> None:
    found = token_bits(tiny(family), TEXTS, settings=replace(FAST, batch=2), seed=0)
    costs = {s: [c for text in rows if text.own for c in _by_hand(tiny(family), text)]
             for s, rows in TEXTS.items()}  # fmt: skip
    every = costs["a"] + costs["b"]
    assert found.tokens == len(every) >= 11
    if family != "qwen2":
        assert found.tokens == 11  # each own word once, and it is one token
    assert found.bits == pytest.approx(sum(every) / len(every), abs=1e-5)
    for story, mine in costs.items():
        assert found.by_story[story] == pytest.approx(sum(mine) / len(mine), abs=1e-5)


@pytest.mark.parametrize("family", CAUSAL)
def test_next_token_bits_know_neither_batches_nor_brains_nor_seeds(
    tiny: Aligners, family: str
) -> None:
    texts = tell(("a", "b"), n_rows=30).texts
    many = token_bits(tiny(family), texts, settings=replace(FAST, batch=64), seed=0)
    one = token_bits(tiny(family), texts, settings=replace(FAST, batch=1), seed=5)
    assert one.bits == pytest.approx(many.bits, abs=1e-6)
    assert (one.tokens, one.accuracy) == (many.tokens, many.accuracy)


def test_words_after_a_token_do_not_change_its_bits(tiny: Aligners) -> None:
    """A causal model's bits of the first words are those of these words alone."""
    short = {"a": [RowText(("w3",), ("w1", "w2"))]}
    long = {"a": [RowText(("w3",), ("w1", "w2", "w9", "w8"))]}
    tail = {"a": [RowText(("w3", "w1", "w2"), ("w9", "w8"))]}
    bits = [
        token_bits(tiny("llama"), texts, settings=FAST, seed=0) for texts in (short, long, tail)
    ]
    assert bits[1].bits * 4 == pytest.approx(bits[0].bits * 2 + bits[2].bits * 2, abs=1e-4)


def test_the_left_context_is_cut_and_never_asked_for(tiny: Aligners) -> None:
    context = tuple(WORDS[:30])
    rows = {n: {"a": [RowText(context[30 - n :], ("w31", "w32"))]} for n in (30, 4, 3)}
    short = replace(FAST, max_tokens=7)  # one for the start of the text, six of words
    found = {
        n: token_bits(tiny("gpt2"), texts, settings=short, seed=0) for n, texts in rows.items()
    }
    assert found[30] == found[4] != found[3]
    assert found[30].tokens == 2


@pytest.mark.parametrize("family", ["bert", "roberta", "modernbert"])
def test_masked_models_are_measured_by_hidden_tokens(tiny: Aligners, family: str) -> None:
    material = tell(("a", "b"))
    found = token_bits(tiny(family), material.texts, settings=FAST, seed=3)
    assert found == masked_bits(tiny(family), material, brain="none", settings=FAST, seed=3)
    floor = token_floor(tiny(family), material.texts, TEXTS, settings=FAST, seed=3)
    sides = AlignerMaterial(material.texts), AlignerMaterial(TEXTS)
    assert floor == unigram_bits(tiny(family), *sides, settings=FAST, seed=3)


def test_the_floor_of_a_causal_model_counts_words(tiny: Aligners) -> None:
    training = tell(("c", "d"), n_rows=60).texts
    floor = token_floor(tiny("gpt2"), training, TEXTS, settings=FAST, seed=0)
    said = [w for rows in training.values() for text in rows for w in text.own]
    total = len(said) + 0.3 * 45
    asked = [w for rows in TEXTS.values() for text in rows for w in text.own]
    costs = [-math.log2((said.count(w) + 0.3) / total) for w in asked]
    assert floor.bits == pytest.approx(sum(costs) / len(costs))
    common = max(set(said), key=said.count)
    assert floor.accuracy == pytest.approx(asked.count(common) / len(asked))
    assert floor.tokens == token_bits(tiny("gpt2"), TEXTS, settings=FAST, seed=0).tokens


def test_a_model_that_copies_costs_less_than_its_floor(tiny: Aligners) -> None:
    """A bigram table as a model: bits are those of its transitions."""
    aligner = load_aligner(tiny("llama").info.name, brain_width=None, any_kind=True)
    with torch.no_grad():  # logits see the last token alone: w(k) is followed by w(k + 1)
        for layer in aligner.tower.model.layers:
            layer.self_attn.o_proj.weight.zero_()
            layer.mlp.down_proj.weight.zero_()
        words = torch.randn(45, 16, generator=torch.Generator().manual_seed(0))
        words = words / words.norm(dim=1, keepdim=True) * 4
        aligner.tower.model.embed_tokens.weight.copy_(words)
        aligner.tower.model.norm.weight.fill_(1.0)
        aligner.tower.lm_head.weight.copy_(words.roll(1, dims=0) * 4)
    rows = [RowText((f"w{k}",), tuple(f"w{k + n}" for n in (1, 2, 3))) for k in range(20)]
    found = token_bits(aligner, {"a": rows}, settings=FAST, seed=0)
    assert found.accuracy == 1.0
    assert found.bits < 0.01 < token_floor(aligner, {"a": rows}, {"a": rows}, seed=0).bits


@pytest.mark.parametrize("family", ["headless", "llama"])
def test_a_drawn_head_is_refused(tiny: Aligners, family: str, tmp_path: Path) -> None:
    tiny(family).tower.base_model.save_pretrained(tmp_path)
    tiny(family).tokenizer.save_pretrained(tmp_path)
    base = load_aligner(str(tmp_path), brain_width=None, any_kind=True)
    with pytest.raises(InputError, match="without a head that predicts tokens"):
        token_bits(base, TEXTS, settings=FAST, seed=0)


def test_texts_without_a_token_to_ask_for_are_refused(tiny: Aligners) -> None:
    silent = {"a": [RowText(("w1",), ())]}
    with pytest.raises(InputError, match="no selected token"):
        token_bits(tiny("gpt2"), silent, settings=FAST, seed=0)
