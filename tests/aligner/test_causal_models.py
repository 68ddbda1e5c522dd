"""Causal models as aligners: what is read, what trains, what is saved and what is merged."""

from __future__ import annotations

import copy
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tiny_aligners import CAUSAL, FAMILIES, FAST, WIDTH

from brainaligner.aligner import BrainAligner, LoraSettings, load_aligner
from brainaligner.aligner._parts import head_weights, merge_lora, moved, trained_parts, trainee
from brainaligner.core import InputError

Aligners = Callable[..., BrainAligner]
Checkpoints = Callable[[str], Path]
IDS = torch.tensor([[7, 8, 9, 10, 11, 12], [30, 31, 32, 33, 0, 0]])
MASK = torch.tensor([[1, 1, 1, 1, 1, 1], [1, 1, 1, 1, 0, 0]])


@pytest.mark.parametrize("family", CAUSAL)
def test_masked_language_modelling_refuses_causal_models(
    family: str, masked_checkpoint: Checkpoints
) -> None:
    with pytest.raises(InputError, match="a causal model: a token sees only"):
        load_aligner(str(masked_checkpoint(family)), brain_width=WIDTH)


@pytest.mark.parametrize("family", CAUSAL)
def test_a_causal_aligner_predicts_as_transformers_does(tiny: Aligners, family: str) -> None:
    aligner = tiny(family)
    with torch.inference_mode():
        wanted = aligner.tower(input_ids=IDS, attention_mask=MASK).logits
        assert torch.allclose(aligner(IDS, MASK), wanted, atol=1e-6)
        selected = torch.tensor([1, 4, 6, 8])
        found = aligner(IDS, MASK, selected=selected)
        assert torch.allclose(found, wanted.flatten(0, 1)[selected], atol=1e-6)


@pytest.mark.parametrize("family", CAUSAL)
def test_a_brain_vector_is_seen_by_what_comes_after_it_alone(tiny: Aligners, family: str) -> None:
    aligner, brain = tiny(family), torch.randn(1, WIDTH, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        one = aligner(IDS, MASK, brain=brain, brain_at=torch.tensor([2]))
        two = aligner(IDS, MASK, brain=-brain, brain_at=torch.tensor([2]))
    assert torch.equal(one[0, :2], two[0, :2])
    assert (one[0, 2:] - two[0, 2:]).abs().amax(-1).min() > 1e-4
    assert torch.equal(one[1], two[1])


@pytest.mark.parametrize("family", [*FAMILIES, *CAUSAL])
def test_layers_and_head_are_found_in_every_family(tiny: Aligners, family: str) -> None:
    """Layer k, and no other above it, moves ``hidden_states[k]``."""
    aligner = tiny(family)
    parts = trained_parts(aligner, settings=replace(FAST, trained_layers="all"), with_brain=True)
    tied = family in ("gpt2", "qwen2")
    assert [*parts] == ["layer 1", "layer 2", "layer 3", *([] if tied else ["head"]), "projection"]
    assert bool(head_weights(aligner.tower)) != tied
    read = {"input_ids": IDS[:1], "output_hidden_states": True}
    for k in (1, 2, 3):
        other = copy.deepcopy(aligner)
        part = trained_parts(other, settings=replace(FAST, trained_layers="all"), with_brain=True)
        with torch.no_grad():
            for weight in part[f"layer {k}"].parameters():
                weight.add_(torch.randn(weight.shape, generator=torch.Generator().manual_seed(k)))
            states = [m.tower.base_model(**read).hidden_states for m in (aligner, other)]
        same = [torch.equal(one, two) for one, two in zip(*states, strict=True)]
        assert same == [i < k for i in range(4)]


@pytest.mark.parametrize("family", CAUSAL)
def test_dropout_is_set_wherever_the_family_keeps_it(tiny: Aligners, family: str) -> None:
    loud = trainee(tiny(family), settings=replace(FAST, dropout=0.5), with_brain=False).train()
    quiet = trainee(tiny(family), settings=replace(FAST, dropout=0.0), with_brain=False).train()
    with torch.no_grad():
        assert torch.allclose(quiet(IDS, MASK), tiny(family)(IDS, MASK), atol=1e-6)
        assert (loud(IDS, MASK)[0] - quiet(IDS, MASK)[0]).abs().max() > 1e-2
    if family != "gpt2":
        shares = {part.self_attn.attention_dropout for part in loud.tower.base_model.layers}
        assert shares == {0.5}


@pytest.mark.parametrize("dora", [False, True])
@pytest.mark.parametrize("family", [*FAMILIES, *CAUSAL])
def test_merged_updates_give_what_the_adapters_gave(
    tiny: Aligners, family: str, dora: bool
) -> None:
    settings = replace(FAST, lora=LoraSettings(rank=2, dora=dora), trained_layers=2, dropout=0.0)
    model = trainee(tiny(family), settings=settings, with_brain=False)
    draw = torch.Generator().manual_seed(1)
    adapted = {name for name, _ in model.tower.named_modules() if name.endswith("lora_B")}
    assert len(adapted) == 2 * {"gpt2": 4, "modernbert": 4, "llama": 7, "qwen2": 7}.get(family, 6)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if "lora_B" in name or "lora_magnitude" in name:
                weight.add_(torch.randn(weight.shape, generator=draw), alpha=0.2)
        before = model(IDS, MASK)
        merge_lora(model)
        after = model(IDS, MASK)
    assert not any("lora" in name or "base_layer" in name for name in model.state_dict())
    assert model.state_dict().keys() == tiny(family).state_dict().keys()
    assert (before - after).abs().max() < 1e-5 * max(1.0, float(before.abs().max()))
    assert (before - tiny(family)(IDS, MASK)).abs().max() > 1e-2
    far = moved(tiny(family), model, settings=settings, with_brain=False)
    assert far["layer 2"] > 1e-3
    assert far["layer 3"] > 1e-3


def test_saved_towers_need_transformers_alone(tiny: Aligners, tmp_path: Path) -> None:
    families = ("roberta", "modernbert", *CAUSAL)
    wanted = []
    for family in families:
        aligner = tiny(family)
        aligner.text_tower.save_pretrained(tmp_path / family)
        with torch.inference_mode():
            states = aligner.tower.base_model(input_ids=IDS[:1]).last_hidden_state
            logits = aligner.tower(input_ids=IDS[:1]).logits
        wanted += [float(part.abs().sum()) for part in (states, logits)]
    heads = ["CausalLM" if family in CAUSAL else "MaskedLM" for family in families]
    code = (
        "import sys; sys.modules['brainaligner'] = None\n"
        "import torch, transformers as hf\n"
        f"ids = torch.tensor({IDS[:1].tolist()!r})\n"
        f"for family, head in zip({families!r}, {heads!r}):\n"
        f"    folder = {str(tmp_path)!r} + '/' + family\n"
        "    auto = getattr(hf, 'AutoModelFor' + head)\n"
        "    model, report = auto.from_pretrained(folder, output_loading_info=True)\n"
        "    assert not report['missing_keys'] and not report['unexpected_keys'], report\n"
        "    hf.AutoTokenizer.from_pretrained(folder)\n"
        "    states = hf.AutoModel.from_pretrained(folder)(input_ids=ids).last_hidden_state\n"
        "    print(float(states.abs().sum()), float(model(input_ids=ids).logits.abs().sum()))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    found = [float(value) for value in done.stdout.split()[-len(wanted) :]]
    assert found == pytest.approx(wanted, rel=1e-5)


@pytest.mark.parametrize("family", CAUSAL)
def test_a_causal_aligner_is_read_back_as_it_was_saved(
    tiny: Aligners, family: str, tmp_path: Path
) -> None:
    tiny(family).save_pretrained(tmp_path)
    again = BrainAligner.from_pretrained(tmp_path)
    wanted = tiny(family).state_dict()
    assert again.state_dict().keys() == wanted.keys()
    assert all(torch.equal(value, wanted[name]) for name, value in again.state_dict().items())
    assert again.has_head
