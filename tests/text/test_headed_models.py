"""Language models with their heads: of both kinds, with drawn heads, and what is refused."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from tiny_checkpoints import save_checkpoint

from brainaligner.core import InputError
from brainaligner.text import load_headed_model, load_masked_model

Checkpoint = Callable[[str], Path]
TEXT = "so i was walking down the street"


@pytest.mark.parametrize(
    ("family", "kind", "fresh"),
    [
        ("roberta", "encoder", set()),
        ("gpt2", "causal", set()),  # saved without its head, which is the input embeddings
        ("llama", "causal", set()),
        ("qwen2", "causal", set()),  # tied
        ("bert", "encoder", {"cls.predictions.bias", "cls.predictions.transform.dense.weight"}),
        ("modernbert", "encoder", {"head.dense.weight", "decoder.bias"}),
    ],
)
def test_a_model_comes_with_the_head_that_transformers_gives_it(
    family: str, kind: str, fresh: set[str], checkpoint: Checkpoint
) -> None:
    from transformers import AutoModelForCausalLM, AutoModelForMaskedLM

    found = load_headed_model(str(checkpoint(family)))
    assert (found.kind, bool(found.fresh)) == (kind, bool(fresh))
    assert fresh <= set(found.fresh)
    auto = AutoModelForCausalLM if kind == "causal" else AutoModelForMaskedLM
    plain = auto.from_pretrained(checkpoint(family))
    assert type(found.module) is type(plain)
    assert {p.dtype for p in found.module.parameters()} == {torch.float32}
    assert not found.module.training
    assert found.module.base_model is found.reader.module
    if not fresh:
        inputs = found.reader.tokenizer([TEXT], return_tensors="pt")
        inputs.pop("token_type_ids", None)
        with torch.inference_mode():
            assert torch.equal(found.module(**inputs).logits, plain(**inputs).logits)


def test_the_untied_head_of_a_base_model_is_drawn_by_seed(
    checkpoint: Checkpoint, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(checkpoint("llama"), tmp_path / "base"))
    load_headed_model(str(checkpoint("llama"))).reader.module.save_pretrained(folder)
    same, again, other = (load_headed_model(str(folder), seed=seed) for seed in (1, 1, 2))
    assert same.fresh == ("lm_head.weight",)
    assert torch.equal(same.module.lm_head.weight, again.module.lm_head.weight)
    assert not torch.equal(same.module.lm_head.weight, other.module.lm_head.weight)


@pytest.mark.parametrize("family", ["gpt2", "llama", "qwen2"])
def test_a_masked_model_is_wanted_and_a_causal_one_given(
    family: str, checkpoint: Checkpoint
) -> None:
    with pytest.raises(InputError, match="a causal model: a token sees only"):
        load_masked_model(str(checkpoint(family)))


def test_damaged_checkpoints_are_refused(checkpoint: Checkpoint, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    cut = Path(shutil.copytree(checkpoint("qwen2"), tmp_path / "cut"))
    state = load_file(cut / "model.safetensors")
    state.pop("model.layers.1.mlp.up_proj.weight")
    save_file(state, cut / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(InputError, match=r"no weights for model\.layers\.1"):
        load_headed_model(str(cut))
    few = Path(shutil.copytree(checkpoint("gpt2"), tmp_path / "few"))
    tokenizer = json.loads((few / "tokenizer.json").read_text())
    size = len(tokenizer["model"]["vocab"])
    tokenizer["model"]["vocab"]["unheard"] = size
    (few / "tokenizer.json").write_text(json.dumps(tokenizer))
    with pytest.raises(InputError, match=f"a tokenizer of {size + 1} tokens for {size}"):
        load_headed_model(str(few))
    unmasked = save_checkpoint("bert", tmp_path / "unmasked")
    said = json.loads((unmasked / "tokenizer_config.json").read_text())
    said.pop("mask_token")
    (unmasked / "tokenizer_config.json").write_text(json.dumps(said))
    with pytest.raises(InputError, match="without a mask token"):
        load_headed_model(str(unmasked))
