"""Hidden states of several layers from one forward pass, no higher than is needed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from jaxtyping import Bool, Float, Int64

from brainaligner.text._model import LanguageModel

ReadLayers = Callable[
    [Int64[torch.Tensor, "text token"], Bool[torch.Tensor, "text token"]],
    dict[int, Float[torch.Tensor, "text token width"]],
]


class _TopReachedError(Exception):
    """Ends a forward pass once the highest layer asked for is known."""


def layer_reader(model: LanguageModel, layers: Sequence[int]) -> ReadLayers:
    """Return a function from (ids, mask) to the hidden states of `layers`.

    State k, below the last, is what layer k + 1 receives, so the pass can end there. Whether
    a model is built so is tried on three tokens against ``hidden_states`` of transformers;
    where it is not, all layers run.
    """
    whole = partial(_whole_pass, model.module, layers)
    stack = _layer_stack(model)
    if stack is None or max(layers) >= model.info.n_layers:
        return whole
    short = partial(_short_pass, model.module, {k: stack[k] for k in layers})
    ids = torch.arange(3, device=model.device)[None]
    mask = torch.ones_like(ids, dtype=torch.bool)
    wanted, got = whole(ids, mask), short(ids, mask)
    same = got.keys() == wanted.keys() and all(
        torch.allclose(got[k], wanted[k], rtol=1e-4, atol=1e-6) for k in wanted
    )
    return short if same else whole


def _whole_pass(
    module: torch.nn.Module, layers: Sequence[int], ids: torch.Tensor, mask: torch.Tensor
) -> dict[int, torch.Tensor]:
    states = module(input_ids=ids, attention_mask=mask.long(), output_hidden_states=True)
    return {k: states.hidden_states[k] for k in layers}


def _short_pass(
    module: torch.nn.Module,
    stack: dict[int, torch.nn.Module],
    ids: torch.Tensor,
    mask: torch.Tensor,
) -> dict[int, torch.Tensor]:
    caught: dict[int, torch.Tensor] = {}

    def catch(k: int, _: torch.nn.Module, args: tuple[Any, ...], named: dict[str, Any]) -> None:
        caught[k] = args[0] if args else named["hidden_states"]
        if k == max(stack):
            raise _TopReachedError

    hooks = [
        layer.register_forward_pre_hook(partial(catch, k), with_kwargs=True)
        for k, layer in stack.items()
    ]
    try:
        module(input_ids=ids, attention_mask=mask.long())
    except _TopReachedError:
        pass
    finally:
        for hook in hooks:
            hook.remove()
    return caught


def _layer_stack(model: LanguageModel) -> torch.nn.ModuleList | None:
    stacks = (part for part in model.module.modules() if isinstance(part, torch.nn.ModuleList))
    return next((stack for stack in stacks if len(stack) == model.info.n_layers), None)
