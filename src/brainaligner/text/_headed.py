"""Language models with the heads that predict tokens, for tuning."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import torch

from brainaligner.core import InputError
from brainaligner.text._folder import checkpoint_files, complete_folder
from brainaligner.text._model import (
    LanguageModel,
    check_vocabulary,
    load_tokenizer,
    model_info,
    quiet_transformers,
    read_weights,
    unreadable,
)


@dataclass(frozen=True, eq=False)
class HeadedModel:
    """A language model with the head that predicts tokens: masked ones, or the next one.

    Parameters
    ----------
    reader : LanguageModel
        The model without its head (the same weights), with its tokenizer.
    module : torch.nn.Module
        As ``AutoModelForMaskedLM`` or ``AutoModelForCausalLM`` gives it, in float32, in
        evaluation mode.
    fresh : tuple of str
        Weights of the head that the checkpoint does not hold: they were drawn. An output matrix
        that is the input embeddings is none of them.
    """

    reader: LanguageModel
    module: Any
    fresh: tuple[str, ...]

    @property
    def kind(self) -> Literal["encoder", "causal"]:
        """Whether the head predicts masked tokens ("encoder") or the next one ("causal")."""
        return self.reader.info.kind


def load_headed_model(name: str, *, seed: int = 0) -> HeadedModel:
    """Load a language model with its head and tokenizer, on the CPU in float32.

    Parameters
    ----------
    name : str
        As in `model_info`.
    seed : int
        For drawing a head where the checkpoint has none.

    Raises
    ------
    InputError
        If a masked model's tokenizer has no mask token, or files are missing or damaged.
    """
    info = model_info(name)
    folder = complete_folder(name, info.folder)
    checkpoint_files(folder)
    with quiet_transformers(), torch.random.fork_rng(devices=()):
        torch.manual_seed(seed)
        tokenizer = load_tokenizer(folder)
        module, missing = read_weights(_AUTO[info.kind], folder, torch.float32)
    if info.kind == "encoder" and tokenizer.mask_token_id is None:
        raise unreadable(folder, "a tokenizer without a mask token")
    inside = [key for key in missing if key.startswith(f"{module.base_model_prefix}.")]
    if inside:
        raise unreadable(folder, f"no weights for {inside[0]} ({len(inside)} missing in all)")
    check_vocabulary(folder, tokenizer, module)
    base = module.eval().base_model
    reader = LanguageModel(info, tokenizer, base, torch.device("cpu"))
    return HeadedModel(reader, module, tuple(missing))


def load_masked_model(name: str, *, seed: int = 0) -> HeadedModel:
    """Load a masked language model as `load_headed_model` does, and no other.

    Raises
    ------
    InputError
        If the model is causal, its tokenizer has no mask token, or files are missing or damaged.
    """
    if model_info(name).kind == "causal":
        raise InputError(
            f"model {name!r}",
            got="a causal model: a token sees only what came before it",
            wanted="a masked language model, which sees both sides of a masked token",
            do="Choose a model such as BERT, RoBERTa, DistilBERT or ModernBERT.",
        )
    return load_headed_model(name, seed=seed)


_AUTO = {"encoder": "AutoModelForMaskedLM", "causal": "AutoModelForCausalLM"}
