"""Some layers of a model give what the whole model gives."""

from __future__ import annotations

import copy
from collections.abc import Callable

import pytest
import torch
from tiny_aligners import CAUSAL, FAMILIES

from brainaligner.aligner import BrainAligner, LoraSettings
from brainaligner.aligner._objective_parts import recompute_activations
from brainaligner.aligner._parts import add_lora, set_dropout
from brainaligner.aligner._span import LayerSpan
from brainaligner.core import InputError

Aligners = Callable[..., BrainAligner]
IDS = torch.tensor([[7, 8, 9, 10, 11, 12], [30, 31, 32, 33, 0, 0]])
MASK = torch.tensor([[1, 1, 1, 1, 1, 1], [1, 1, 1, 1, 0, 0]])
KEPT = MASK.bool()


@pytest.mark.parametrize(("first", "read"), [(1, (0, 1, 3)), (2, (2,)), (2, (1, 3)), (3, (3, 2))])
@pytest.mark.parametrize("family", [*FAMILIES, *CAUSAL])
def test_states_equal_transformers_own(
    tiny: Aligners, family: str, first: int, read: tuple[int, ...]
) -> None:
    base = tiny(family).reader.module
    names = [name for name, _ in base.named_parameters()]
    span = LayerSpan(base, 3, first, read)
    with torch.inference_mode():
        wanted = base(IDS, attention_mask=MASK, output_hidden_states=True).hidden_states
        whole = span.states(IDS, MASK)
        below = span.lower(IDS, MASK) if first > 1 else None
        upper = span.states(IDS, MASK, below)
    assert list(whole) == list(read)
    for k in read:
        assert torch.allclose(whole[k][KEPT], wanted[k][KEPT], atol=1e-6)
        assert torch.allclose(upper[k][KEPT], wanted[k][KEPT], atol=1e-6)
    assert [name for name, _ in base.named_parameters()] == names  # nothing is left behind


@pytest.mark.parametrize("family", ["bert", "llama", "modernbert"])
def test_layers_that_are_left_out_do_not_run(tiny: Aligners, family: str) -> None:
    base = tiny(family).reader.module
    span = LayerSpan(base, 3, 2, (2,))
    ran: list[int] = []
    stack = span._stack()[2]
    hooks = [
        layer.register_forward_hook(lambda *_, k=k: ran.append(k)) for k, layer in enumerate(stack)
    ]
    with torch.inference_mode():
        below = span.lower(IDS, MASK)
        assert ran == [0]
        ran.clear()
        span.states(IDS, MASK, below)
    assert ran == [1]
    for hook in hooks:
        hook.remove()


@pytest.mark.parametrize("family", ["bert", "qwen2"])
def test_gradients_reach_the_layers_that_run_and_no_other(tiny: Aligners, family: str) -> None:
    base = copy.deepcopy(tiny(family).reader.module).requires_grad_(True)
    set_dropout(base, 0.0)
    recompute_activations(base)
    base.train()
    span = LayerSpan(base, 3, 2, (2,))
    below = span.lower(IDS, MASK).detach()
    span.states(IDS, MASK, below)[2].square().sum().backward()
    stack = span._stack()[2]
    touched = [any(w.grad is not None for w in layer.parameters()) for layer in stack]
    assert touched == [False, True, False]
    kept = [w.grad.clone() for w in stack[1].parameters() if w.grad is not None]
    base.zero_grad()
    base.eval()  # then nothing is computed twice
    span.states(IDS, MASK, below)[2].square().sum().backward()
    again = [w.grad for w in stack[1].parameters() if w.grad is not None]
    assert len(kept) == len(again) > 5
    for one, two in zip(kept, again, strict=True):
        assert torch.allclose(one, two, atol=1e-6)


@pytest.mark.parametrize("family", [*FAMILIES, *CAUSAL])
def test_lower_weights_are_those_that_lower_states_follow_from(tiny: Aligners, family: str) -> None:
    base = copy.deepcopy(tiny(family).reader.module)
    span = LayerSpan(base, 3, 2, (2,))
    lower, upper = span.lower_weights(), span.upper_weights()
    assert lower.keys() | upper.keys() == base.state_dict().keys()
    assert lower
    assert not lower.keys() & upper.keys()
    with torch.inference_mode():
        wanted = span.lower(IDS, MASK)
        for name, weight in base.state_dict().items():
            kept = weight.clone()
            weight.add_(torch.randn_like(weight)) if weight.is_floating_point() else None
            moved = not torch.equal(span.lower(IDS, MASK)[KEPT], wanted[KEPT])
            weight.copy_(kept)
            assert moved <= (name in lower), name


def test_a_pooler_that_is_drawn_anew_leaves_the_lower_weights_alike(tiny: Aligners) -> None:
    from transformers import AutoModel

    torch.manual_seed(0)
    config = tiny("bert").reader.module.config
    base = AutoModel.from_config(config)
    assert any("pooler" in name for name in base.state_dict())
    names = LayerSpan(base, 3, 2, (2,)).lower_weights()
    assert not any("pooler" in name for name in names)
    assert any("embeddings" in name for name in names)


WANTED = torch.tensor([[0, 0, 0, 1, 1, 0], [0, 1, 0, 0, 0, 0]]).bool()


@pytest.mark.parametrize("read", [(3,), (2,), (1, 2)])
@pytest.mark.parametrize("family", [*FAMILIES, *CAUSAL])
def test_states_at_wanted_tokens_are_those_of_the_whole_text(
    tiny: Aligners, family: str, read: tuple[int, ...]
) -> None:
    span = LayerSpan(tiny(family).reader.module, 3, 2, read)
    assert span._divides == (family in ("bert", "roberta"))
    with torch.inference_mode():
        whole = span.states(IDS, MASK)
        below = span.lower(IDS, MASK)
        for got in (span.states(IDS, MASK, None, WANTED), span.states(IDS, MASK, below, WANTED)):
            assert list(got) == list(read)
            for k in read:
                assert got[k].shape == whole[k].shape
                assert torch.allclose(got[k][WANTED], whole[k][WANTED], atol=1e-6)


def test_states_that_nobody_reads_are_not_computed(tiny: Aligners) -> None:
    span = LayerSpan(tiny("bert").reader.module, 3, 2, (1, 2))
    rows: list[int] = []
    part = span._stack()[2][1].intermediate
    hook = part.register_forward_hook(lambda _, args, __: rows.append(args[0].numel() // 16))
    with torch.inference_mode():
        got = span.states(IDS, MASK, None, WANTED)
    hook.remove()
    assert rows == [3]
    assert (got[2][~WANTED] == 0).all()
    assert (got[1][MASK.bool()] != 0).all()  # the layer above reads these


@pytest.mark.parametrize("lora", [False, True])
@pytest.mark.parametrize("checkpointing", [False, True])
def test_gradients_through_wanted_tokens_are_those_of_the_whole_text(
    tiny: Aligners, lora: bool, checkpointing: bool
) -> None:
    base = copy.deepcopy(tiny("bert").reader.module).requires_grad_(not lora)
    set_dropout(base, 0.0)
    if lora:
        for layer in base.encoder.layer:
            add_lora(layer, LoraSettings(rank=2))
    if checkpointing:
        recompute_activations(base)
    base.train()
    span = LayerSpan(base, 3, 2, (3,))
    below = span.lower(IDS, MASK).detach()
    found = []
    for wanted in (None, WANTED):
        base.zero_grad()
        span.states(IDS, MASK, below, wanted)[3][WANTED].square().sum().backward()
        found.append({n: w.grad for n, w in base.named_parameters() if w.grad is not None})
    whole, parts = found
    assert whole.keys() == parts.keys()
    assert len(whole) > 5
    for name in whole:
        assert torch.allclose(whole[name], parts[name], atol=1e-5), name


def test_a_layer_that_computes_something_else_is_not_divided(
    tiny: Aligners, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = copy.deepcopy(tiny("bert").reader.module)
    plain = type(base.encoder.layer[1]).feed_forward_chunk
    monkeypatch.setattr(
        type(base.encoder.layer[1]), "feed_forward_chunk", lambda self, x: plain(self, x) + 1.0
    )
    assert not LayerSpan(base, 3, 2, (2,))._divides


def test_a_model_without_a_list_of_layers_is_refused(tiny: Aligners) -> None:
    with pytest.raises(InputError, match="no list of its layers"):
        LayerSpan(tiny("bert").reader.module, 7, 1, (1,))


@pytest.mark.parametrize("kind", ["RoFormer", "RemBert", "BigBird", "ConvBert", "Electra", "Ernie"])
def test_other_models_with_the_same_names_of_parts_are_read(kind: str) -> None:
    import transformers as hf

    size = {"hidden_size": 16, "num_hidden_layers": 3, "num_attention_heads": 2}
    more = {"embedding_size": 16} if kind in ("RoFormer", "ConvBert", "Electra") else {}
    more |= {"attention_type": "original_full"} if kind == "BigBird" else {}
    config = getattr(hf, f"{kind}Config")(vocab_size=50, intermediate_size=32, **size, **more)
    span = LayerSpan(getattr(hf, f"{kind}Model")(config).eval(), 3, 2, (2,))
    with torch.inference_mode():
        whole, some = span.states(IDS, MASK)[2], span.states(IDS, MASK, None, WANTED)[2]
    assert torch.allclose(some[WANTED], whole[WANTED], atol=1e-6)
