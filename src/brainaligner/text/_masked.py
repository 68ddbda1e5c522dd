"""Masked language models with their heads, for tuning."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from brainaligner.core import InputError
from brainaligner.text._folder import checkpoint_files, complete_folder
from brainaligner.text._model import (
    LanguageModel,
    load_tokenizer,
    model_info,
    quiet_transformers,
    read_weights,
    unreadable,
)


@dataclass(frozen=True, eq=False)
class MaskedModel:
    """A language model with the head that predicts masked tokens.

    Parameters
    ----------
    reader : LanguageModel
        The model without its head (the same weights), with its tokenizer.
    module : torch.nn.Module
        As ``AutoModelForMaskedLM`` gives it, in float32, in evaluation mode.
    fresh : tuple of str
        Weights of the head that the checkpoint does not hold: they were drawn.
    """

    reader: LanguageModel
    module: Any
    fresh: tuple[str, ...]


def load_masked_model(name: str, *, seed: int = 0) -> MaskedModel:
    """Load a masked language model with its head and tokenizer, on the CPU in float32.

    Parameters
    ----------
    name : str
        As in `model_info`.
    seed : int
        For drawing a head where the checkpoint has none.

    Raises
    ------
    InputError
        If the model is causal, its tokenizer has no mask token, or files are missing or damaged.
    """
    info = model_info(name)
    if info.kind == "causal":
        raise InputError(
            f"model {name!r}",
            got="a causal model: a token sees only what came before it",
            wanted="a masked language model, which sees both sides of a masked token",
            do="Choose a model such as BERT, RoBERTa, DistilBERT or ModernBERT.",
        )
    folder = complete_folder(name, info.folder)
    checkpoint_files(folder)
    with quiet_transformers(), torch.random.fork_rng(devices=()):
        torch.manual_seed(seed)
        tokenizer = load_tokenizer(folder)
        module, missing = read_weights("AutoModelForMaskedLM", folder, torch.float32)
    if tokenizer.mask_token_id is None:
        raise unreadable(folder, "a tokenizer without a mask token")
    inside = [key for key in missing if key.startswith(f"{module.base_model_prefix}.")]
    if inside:
        raise unreadable(folder, f"no weights for {inside[0]} ({len(inside)} missing in all)")
    base = module.eval().base_model
    reader = LanguageModel(info, tokenizer, base, torch.device("cpu"))
    return MaskedModel(reader, module, tuple(missing))
