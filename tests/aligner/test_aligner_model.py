"""The model: gathered heads, brain vectors, and checkpoints that need nothing of ours."""

from __future__ import annotations

import math
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tiny_aligners import FAMILIES, FAST, WIDTH, tell

from brainaligner.aligner import (
    AlignerMaterial,
    BrainAligner,
    load_aligner,
    masked_bits,
    unigram_bits,
)
from brainaligner.aligner._examples import read_examples
from brainaligner.aligner._masking import FIXED
from brainaligner.aligner._tally import token_losses
from brainaligner.core import InputError

Aligners = Callable[..., BrainAligner]
Checkpoints = Callable[[str], Path]


@pytest.mark.parametrize("family", FAMILIES)
def test_the_head_on_selected_positions_equals_the_whole_computation(
    tiny: Aligners, family: str
) -> None:
    aligner = tiny(family)
    examples = read_examples(aligner, tell(("a",)), settings=FAST)
    inputs = examples.batch(range(8), 0)
    inputs.pop("labels")
    selected = inputs.pop("selected")
    whole = aligner(**inputs).flatten(0, 1)[selected]
    assert torch.allclose(aligner(**inputs, selected=selected), whole, atol=1e-6)
    text = read_examples(aligner, tell(("a",), brain=False), settings=FAST).batch(range(8), 0)
    selected = text["selected"]
    alone = {name: text[name] for name in ("input_ids", "attention_mask")}
    plain = aligner.tower(**alone).logits.flatten(0, 1)[selected]
    assert torch.allclose(aligner(**alone, selected=selected), plain, atol=1e-5)


@pytest.mark.parametrize("family", ["bert", "roberta", "distilbert"])
def test_loss_equals_a_loop_over_tokens_with_plain_transformers(
    tiny: Aligners, family: str
) -> None:
    aligner = tiny(family)
    examples = read_examples(aligner, tell(("a", "b")), settings=FAST)
    before, after = examples.frame.before, examples.frame.after
    words = aligner.tower.get_input_embeddings()
    costs = []
    with torch.no_grad():
        for i, example in enumerate(examples.examples):
            read, selected = examples.masked(i, 3)
            ids = torch.tensor([*before, 0, *read.tolist(), *after])
            states = words(ids).clone()
            vector = torch.tensor(examples.brain[example.story][example.row])
            states[len(before)] = aligner.projection.weight @ vector + aligner.projection.bias
            logits = aligner.tower(inputs_embeds=states[None]).logits[0]
            for t in range(len(read)):
                if selected[t]:
                    chances = logits[len(before) + 1 + t].double().softmax(-1)
                    costs.append(-math.log(float(chances[int(example.ids[t])])))
        losses, _ = token_losses(aligner, examples.batch(range(len(examples.examples)), 3))
    assert len(costs) > 20
    assert losses.tolist() == pytest.approx(costs, abs=1e-5)


def test_brain_moves_the_loss_and_never_the_text_tower(tiny: Aligners) -> None:
    aligner, material = tiny(), tell(("a",), n_rows=90)
    moved = replace(material, brain={"a": material.brain["a"] + 1})
    named = {"settings": FAST, "seed": 5}
    true = masked_bits(aligner, material, brain="true", **named)
    other = masked_bits(aligner, moved, brain="true", **named)
    shifted = masked_bits(aligner, material, brain="shifted", **named)
    assert len({true.bits, other.bits, shifted.bits}) == 3
    assert true.tokens == other.tokens == shifted.tokens
    alone = masked_bits(aligner, material, brain="none", **named)
    assert alone == masked_bits(aligner, moved, brain="none", **named)
    assert alone.tokens == true.tokens
    text = aligner.tokenizer(["w1 w2 w3"], return_tensors="pt")
    first = aligner.text_tower.module(**text).logits
    masked_bits(aligner, moved, brain="true", **named)
    assert torch.equal(first, aligner.text_tower.module(**text).logits)


def test_bits_are_means_over_stories_tokens(tiny: Aligners) -> None:
    material = tell(("a", "b"))
    found = masked_bits(tiny(), material, brain="true", settings=FAST, seed=1)
    parts = {}
    for story in ("a", "b"):
        alone = AlignerMaterial({story: material.texts[story]}, material.brain)
        parts[story] = masked_bits(tiny(), alone, brain="true", settings=FAST, seed=1)
        assert found.by_story[story] == pytest.approx(parts[story].bits, abs=1e-6)
    tokens = sum(part.tokens for part in parts.values())
    mean = sum(part.bits * part.tokens for part in parts.values()) / tokens
    assert (found.bits, found.tokens) == (pytest.approx(mean, abs=1e-6), tokens)


def test_unigram_bits_are_those_of_counted_words(tiny: Aligners) -> None:
    training, validation = tell(("a", "b"), n_rows=60), tell(("c",), seed=1)
    found = unigram_bits(tiny(), training, validation, settings=FAST, seed=1)
    said = [w for rows in training.texts.values() for text in rows for w in text.own]
    examples = read_examples(tiny(), validation, settings=replace(FAST, seed=1))
    costs, total = [], len(said) + 0.3 * 45
    for i, example in enumerate(examples.examples):
        for t in examples.masked(i, FIXED)[1].nonzero()[0]:
            word = f"w{int(example.ids[t]) - 5}"
            costs.append(-math.log2((said.count(word) + 0.3) / total))
    assert found.bits == pytest.approx(sum(costs) / len(costs))
    assert found.tokens == len(costs)


@pytest.mark.usefixtures("unchecked")
def test_wrong_questions_about_bits_are_refused(tiny: Aligners) -> None:
    with pytest.raises(InputError, match="unknown brain"):
        masked_bits(tiny(), tell(("a",)), brain="half", settings=FAST, seed=0)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="without brain vectors"):
        masked_bits(tiny(), tell(("a",), brain=False), brain="true", settings=FAST, seed=0)


@pytest.mark.parametrize("family", FAMILIES)
def test_an_aligner_is_read_back_as_it_was_saved(
    tiny: Aligners, family: str, tmp_path: Path
) -> None:
    tiny(family).save_pretrained(tmp_path)
    again = BrainAligner.from_pretrained(tmp_path)
    wanted = tiny(family).state_dict()
    assert again.state_dict().keys() == wanted.keys()
    assert all(torch.equal(value, wanted[name]) for name, value in again.state_dict().items())
    assert (again.brain_width, again.has_head) == (WIDTH, True)


def test_the_text_tower_is_read_without_this_package(tiny: Aligners, tmp_path: Path) -> None:
    aligner = tiny()
    aligner.text_tower.save_pretrained(tmp_path)
    code = (
        "import sys; sys.modules['brainaligner'] = None\n"
        "from transformers import AutoModel, AutoModelForMaskedLM, AutoTokenizer\n"
        f"folder = {str(tmp_path)!r}\n"
        "text = AutoTokenizer.from_pretrained(folder)(['w1 [MASK] w3'], return_tensors='pt')\n"
        "base = AutoModel.from_pretrained(folder, add_pooling_layer=False)\n"
        "model, report = AutoModelForMaskedLM.from_pretrained(folder, output_loading_info=True)\n"
        "assert not report['missing_keys'] and not report['unexpected_keys'], report\n"
        "print(float(base(**text).last_hidden_state.sum()), float(model(**text).logits.sum()))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    text = aligner.tokenizer(["w1 [MASK] w3"], return_tensors="pt")
    states = aligner.tower.base_model(**text).last_hidden_state
    wanted = [float(part.detach().sum()) for part in (states, aligner.tower(**text).logits)]
    assert [float(v) for v in done.stdout.split()[-2:]] == pytest.approx(wanted, rel=1e-4)


def test_models_that_cannot_be_aligned_are_refused(
    masked_checkpoint: Checkpoints, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match="a causal model: a token sees only"):
        load_aligner(str(masked_checkpoint("gpt2")), brain_width=4)
    with pytest.raises(InputError, match="brain_width"):
        load_aligner(str(masked_checkpoint("bert")), brain_width=0)
    with pytest.raises(InputError, match=r"no aligner\.json"):
        BrainAligner.from_pretrained(tmp_path)
    assert not load_aligner(str(masked_checkpoint("headless")), brain_width=4).has_head


def test_a_drawn_projection_makes_brain_vectors_as_long_as_words(tiny: Aligners) -> None:
    aligner = tiny()
    vectors = torch.randn(4000, WIDTH, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        made = aligner.projection(vectors).square().mean().sqrt()
        words = aligner.tower.get_input_embeddings().weight.square().mean().sqrt()
    assert float(made / words) == pytest.approx(1.0, abs=0.35)
