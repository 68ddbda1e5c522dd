"""Which weights of an aligner are trained, under which names, and how far they moved."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from brainaligner.aligner._model import BrainAligner
from brainaligner.aligner._settings import AlignerSettings, LoraSettings
from brainaligner.core import InputError

HEAD, PROJECTION = "head", "projection"


def trained_parts(
    aligner: BrainAligner, *, settings: AlignerSettings, with_brain: bool
) -> dict[str, nn.Module | None]:
    """Modules to train by name: ``"layer 5"``, ``"layer 6"``, ``"head"``, ``"projection"``.

    Layer k makes ``hidden_states[k]``. The head has no module of its own in some models: None.
    There is no entry for a head without weights of its own (GPT-2: its output matrix is the
    input embeddings).

    Raises
    ------
    InputError
        If nothing is left to train, or the model has fewer layers than are to be trained.
    """
    n_layers = aligner.info.n_layers
    n_top = n_layers if settings.trained_layers == "all" else settings.trained_layers
    if n_top > n_layers:
        raise InputError(
            "aligner settings: trained_layers",
            got=f"{n_top}",
            wanted=f"at most {n_layers}, the layers of model {aligner.info.name!r}",
            do="Choose fewer, or 'all'.",
        )
    stack = layer_stack(aligner)
    parts: dict[str, nn.Module | None] = {
        f"layer {k}": stack[k - 1] for k in range(n_layers - n_top + 1, n_layers + 1)
    }
    parts |= {HEAD: None} if settings.train_head and head_weights(aligner.tower) else {}
    if with_brain and settings.train_projection:
        parts[PROJECTION] = aligner.projection
    if not parts:
        raise InputError(
            "aligner settings",
            got="no trained layer, head or projection",
            wanted="something to train",
            do="Raise trained_layers, or train the head.",
        )
    return parts


def head_weights(tower: Any) -> dict[str, nn.Parameter]:
    """Weights outside the base model and not shared with it: a tied output matrix is not one."""
    inside = {id(weight) for weight in tower.base_model.parameters()}
    return {name: weight for name, weight in tower.named_parameters() if id(weight) not in inside}


def part_weights(
    aligner: BrainAligner, name: str, part: nn.Module | None
) -> dict[str, nn.Parameter]:
    """Weights of one entry of `trained_parts`."""
    return head_weights(aligner.tower) if part is None else dict(part.named_parameters())


def trainee(aligner: BrainAligner, *, settings: AlignerSettings, with_brain: bool) -> BrainAligner:
    """Copy an aligner, with dropout set, LoRA added and gradients for the trained weights alone."""
    copied = copy.deepcopy(aligner)
    set_dropout(copied.tower, settings.dropout)
    copied.requires_grad_(False)
    for name, part in trained_parts(copied, settings=settings, with_brain=with_brain).items():
        if settings.lora is not None and name.startswith("layer "):
            assert part is not None
            add_lora(part, settings.lora)
            continue
        for weight in part_weights(copied, name, part).values():
            weight.requires_grad_(True)
    return copied


def merge_lora(aligner: BrainAligner) -> None:
    """Add low-rank updates to the weights that they belong to, and take them out."""
    for name, module in list(aligner.tower.named_modules()):
        if not hasattr(module, "get_base_layer"):
            continue
        module.merge(safe_merge=True)
        above, _, own = name.rpartition(".")
        setattr(aligner.tower.get_submodule(above), own, module.get_base_layer())


def moved(
    before: BrainAligner, after: BrainAligner, *, settings: AlignerSettings, with_brain: bool
) -> dict[str, float]:
    """How far each trained part moved: ``||w - w0|| / ||w0||`` over all of its weights."""
    old = trained_parts(before, settings=settings, with_brain=with_brain)
    new = trained_parts(after, settings=settings, with_brain=with_brain)
    return {
        name: _distance(part_weights(before, name, old[name]), part_weights(after, name, new[name]))
        for name in old
    }


def moved_weights(before: nn.Module, after: nn.Module) -> float:
    """``||w - w0|| / ||w0||`` over all weights of a module."""
    return _distance(dict(before.named_parameters()), dict(after.named_parameters()))


def _distance(old: Mapping[str, torch.Tensor], new: Mapping[str, torch.Tensor]) -> float:
    with torch.no_grad():
        change = sum(float((new[key] - old[key]).double().square().sum()) for key in old)
        length = sum(float(old[key].double().square().sum()) for key in old)
    return (change / length) ** 0.5 if length else float("nan")


def layer_stack(aligner: BrainAligner) -> nn.ModuleList:
    base, n_layers = aligner.tower.base_model, aligner.info.n_layers
    stacks = (part for part in base.modules() if isinstance(part, nn.ModuleList))
    for stack in stacks:
        if len(stack) == n_layers:
            return stack
    raise InputError(
        f"model {aligner.info.name!r}",
        got=f"no list of its {n_layers} layers",
        wanted="a model that keeps its layers in one list",
        do="Choose a model such as BERT, RoBERTa, ModernBERT, GPT-2 or Llama.",
    )


def set_dropout(tower: nn.Module, share: float) -> None:
    """Set all dropout modules, those left out at 0 (ModernBERT), and shares kept as numbers.

    Llama's and Qwen's attention keeps ``attention_dropout``, OPT's ``dropout``.
    """
    for module in list(tower.modules()):
        for name, child in list(module.named_children()):
            if "drop" in name and isinstance(child, nn.Dropout | nn.Identity):
                setattr(module, name, nn.Dropout(share))
        for name in ("attention_dropout", "dropout"):
            if isinstance(vars(module).get(name), int | float):
                setattr(module, name, share)


def add_lora(layer: nn.Module, lora: LoraSettings) -> None:
    """Put low-rank updates beside each linear map; GPT-2 keeps its maps transposed (Conv1D)."""
    from peft import LoraConfig, inject_adapter_in_model
    from transformers.pytorch_utils import Conv1D

    for kind, transposed in ((nn.Linear, False), (Conv1D, True)):
        maps = [name for name, part in layer.named_modules() if type(part) is kind]
        if maps:
            config = LoraConfig(
                r=lora.rank,
                lora_alpha=lora.alpha,  # type: ignore[arg-type]
                lora_dropout=lora.dropout,
                use_dora=lora.dora,
                target_modules=maps,
                fan_in_fan_out=transposed,
            )
            inject_adapter_in_model(config, layer)
    for name, weight in layer.named_parameters():
        weight.requires_grad_("lora_" in name)
