"""Which layers objectives read and train, and the copy of a model that is trained."""

from __future__ import annotations

import copy

from torch import nn

from brainaligner.aligner._model import BrainAligner
from brainaligner.aligner._objective_settings import ObjectiveSettings
from brainaligner.aligner._parts import add_lora, layer_stack, moved_weights, set_dropout
from brainaligner.aligner._span import LayerSpan
from brainaligner.core import InputError
from brainaligner.text import resolve_layer


def read_layers(aligner: BrainAligner, settings: ObjectiveSettings) -> tuple[int, ...]:
    """Read layers counted from 0, in the order of the settings."""
    return tuple(resolve_layer(layer, aligner.info) for layer in settings.read_layers)


def trained_layers(aligner: BrainAligner, settings: ObjectiveSettings) -> tuple[int, ...]:
    """Numbers of the trained layers, counted from 1: the highest read one and those below it."""
    read = sorted(read_layers(aligner, settings))
    top = read[-1]
    count = top if settings.trained_layers == "all" else settings.trained_layers
    if count > top or (top == 0 and settings.trained_layers != 0):
        raise InputError(
            "objectives, trained_layers",
            got=f"{settings.trained_layers} with layer {top} as the highest that is read",
            wanted=f"at most {top}",
            do="Read a higher layer or train fewer.",
        )
    layers = tuple(range(top - count + 1, top + 1))
    if layers and read[0] < layers[0] - 1:
        raise InputError(
            "objectives, read_layers",
            got=f"layer {read[0]}, far below the trained layers {list(layers)}",
            wanted=f"layers from {layers[0] - 1} on: what lies below never changes",
            do="Put the frozen layer beside the tuned one in the arm's features instead.",
        )
    return layers


def objective_span(
    aligner: BrainAligner, settings: ObjectiveSettings, copied: BrainAligner | None = None
) -> LayerSpan:
    """The layers that are run for these settings, of the aligner or of a copy of it.

    Raises
    ------
    InputError
        If the model is not built so that they can be.
    """
    layers, read = trained_layers(aligner, settings), read_layers(aligner, settings)
    first = layers[0] if layers else max(*read, 1)
    base = (aligner if copied is None else copied).reader.module
    return LayerSpan(base, aligner.info.n_layers, first, read)


def objective_trainee(aligner: BrainAligner, *, settings: ObjectiveSettings) -> BrainAligner:
    """Copy an aligner, with dropout set, LoRA added, and gradients for the trained layers alone."""
    copied = copy.deepcopy(aligner)
    copied.requires_grad_(False)
    set_dropout(copied.tower, settings.dropout if settings.dropout_in == "all" else 0.0)
    stack = layer_stack(copied)
    for k in trained_layers(aligner, settings):
        layer: nn.Module = stack[k - 1]
        set_dropout(layer, settings.dropout)
        if settings.lora is not None:
            add_lora(layer, settings.lora)
        else:
            layer.requires_grad_(True)
    if settings.checkpointing:
        copied.tower.gradient_checkpointing_enable({"use_reentrant": False})
    return copied


def moved_layers(
    before: BrainAligner, after: BrainAligner, settings: ObjectiveSettings
) -> dict[str, float]:
    """``||w - w0|| / ||w0||`` of each trained layer."""
    old, new = layer_stack(before), layer_stack(after)
    return {
        f"layer {k}": moved_weights(old[k - 1], new[k - 1])
        for k in trained_layers(before, settings)
    }
