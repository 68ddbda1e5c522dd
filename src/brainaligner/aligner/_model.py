"""A language model that also reads brain vectors."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, Int64
from torch import nn

from brainaligner.core import InputError
from brainaligner.text import (
    HeadedModel,
    ModelInfo,
    load_headed_model,
    load_masked_model,
    quiet_transformers,
)

_TEXT, _BRAIN, _FACTS = "text", "projection.safetensors", "aligner.json"


@dataclass(frozen=True, eq=False)
class TextTower:
    """The language model inside an aligner, which knows nothing of brain vectors.

    Parameters
    ----------
    module : torch.nn.Module
        As ``AutoModelForMaskedLM`` or ``AutoModelForCausalLM`` gives it.
    tokenizer : transformers.PreTrainedTokenizerFast
    """

    module: Any
    tokenizer: Any

    def save_pretrained(self, folder: Path | str) -> None:
        """Write a checkpoint that transformers' AutoModel classes read, and its tokenizer.

        AutoModel reads the language model, AutoModelForMaskedLM or AutoModelForCausalLM also
        its head.
        """
        with quiet_transformers():
            self.module.save_pretrained(folder)
        self.tokenizer.save_pretrained(folder)


class BrainAligner(nn.Module):
    """A language model and a learned linear map from brain vectors to its width.

    A brain vector b enters as the input embedding ``A b + c`` at a position of its own; the
    language model adds position and segment to it as to a word's.

    Parameters
    ----------
    source : HeadedModel
        Taken over, not copied.
    brain_width : int or None
        Numbers per brain vector; None reads text alone.
    seed : int
        For drawing A, normal with such a spread that a brain vector of unit variance comes out
        as long as the mean word embedding; c starts at 0.
    """

    def __init__(self, source: HeadedModel, *, brain_width: int | None, seed: int = 0) -> None:
        super().__init__()
        self.tower = source.module
        self.reader = source.reader
        self.fresh = source.fresh
        self.projection = None
        if brain_width is not None:
            words = self.tower.get_input_embeddings().weight
            self.projection = _drawn_projection(words, brain_width, seed)
        self.eval()

    @property
    def info(self) -> ModelInfo:
        """What the checkpoint's config.json says."""
        return self.reader.info

    @property
    def tokenizer(self) -> Any:
        """The checkpoint's tokenizer."""
        return self.reader.tokenizer

    @property
    def brain_width(self) -> int | None:
        """Numbers per brain vector; None where the aligner reads text alone."""
        return None if self.projection is None else self.projection.in_features

    @property
    def has_head(self) -> bool:
        """Whether the head that predicts tokens came with the checkpoint or was learned since."""
        return not self.fresh

    @property
    def text_tower(self) -> TextTower:
        """The language model alone, without a head that was drawn and never learned."""
        return TextTower(self.tower if self.has_head else self.reader.module, self.tokenizer)

    def forward(
        self,
        input_ids: Int64[torch.Tensor, "text token"],
        attention_mask: Int64[torch.Tensor, "text token"],
        *,
        brain: Float[torch.Tensor, "vector width"] | None = None,
        brain_at: Int64[torch.Tensor, "vector"] | None = None,
        selected: Int64[torch.Tensor, "position"] | None = None,
        **places: Int64[torch.Tensor, "text token"],
    ) -> Float[torch.Tensor, "..."]:
        """Predict tokens at the selected positions; the head is computed there alone.

        Parameters
        ----------
        input_ids, attention_mask : int64 tensors, shape (text, token)
            Padded on the right; where a brain vector stands, the id is not looked at.
        brain : float tensor, shape (vector, width), optional
            All brain vectors of the batch. Without, text alone is read.
        brain_at : int64 tensor, shape (vector,), optional
            Their positions in the flattened (text * token).
        selected : int64 tensor, shape (position,), optional
            Positions to predict, in the flattened (text * token). None predicts all.
        **places : int64 tensors, shape (text, token)
            ``position_ids`` and ``token_type_ids``, where they are not the model's own.

        Returns
        -------
        float tensor, shape (position, vocabulary), or (text, token, vocabulary)
        """
        states = self.tower.get_input_embeddings()(input_ids)
        if brain is not None:
            states = self._with_brain(states, brain, brain_at)
        inputs = {"inputs_embeds": states, "attention_mask": attention_mask, **places}
        if self.info.kind == "causal":
            inputs["use_cache"] = False  # else keys and values of all layers are kept
        if selected is None:
            return self.tower(**inputs).logits
        hook = self.tower.base_model.register_forward_hook(
            lambda _, __, output: _gathered(output, selected)
        )
        try:
            return self.tower(**inputs).logits[0]
        finally:
            hook.remove()

    def _with_brain(
        self, states: torch.Tensor, brain: torch.Tensor, brain_at: torch.Tensor | None
    ) -> torch.Tensor:
        if self.projection is None or brain_at is None:
            raise InputError(
                "aligner",
                got="brain vectors, and an aligner or positions without room for them",
                wanted="an aligner with a brain width, and a position for each vector",
                do="Load the aligner with the width of the vectors.",
            )
        flat = states.flatten(0, 1).index_copy(0, brain_at, self.projection(brain).to(states.dtype))
        return flat.view_as(states)

    def save_pretrained(self, folder: Path | str) -> None:
        """Write the language model under ``text/``, and the map from brain vectors beside it."""
        from safetensors.torch import save_file

        place = Path(folder)
        self.text_tower.save_pretrained(place / _TEXT)
        facts = {"brain_width": self.brain_width, "fresh": list(self.fresh)}
        (place / _FACTS).write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
        if self.projection is not None:
            save_file(self.projection.state_dict(), place / _BRAIN)

    @classmethod
    def from_pretrained(cls, folder: Path | str) -> BrainAligner:
        """Read what `save_pretrained` wrote.

        Raises
        ------
        InputError
            If the folder holds no aligner.
        """
        from safetensors.torch import load_file

        place = Path(folder)
        if not (place / _FACTS).exists():
            raise InputError(
                f"aligner folder {place}",
                got=f"no {_FACTS}",
                wanted="a folder that save_pretrained of an aligner wrote",
                do="Check the path; a plain checkpoint is read by load_aligner.",
            )
        facts = json.loads((place / _FACTS).read_text(encoding="utf-8"))
        aligner = load_aligner(str(place / _TEXT), brain_width=facts["brain_width"], any_kind=True)
        aligner.fresh = tuple(facts["fresh"])
        if aligner.projection is not None:
            aligner.projection.load_state_dict(load_file(place / _BRAIN))
        return aligner


def load_aligner(
    name: str, *, brain_width: int | None, seed: int = 0, any_kind: bool = False
) -> BrainAligner:
    """Load a language model with its head as an aligner, in float32 on the CPU.

    Parameters
    ----------
    name : str
        ``"embedded"``, a folder, or a name on the Hugging Face hub.
    brain_width : int or None
        Numbers per brain vector; None for text alone.
    seed : int
        For drawing the map from brain vectors, and a head where the checkpoint has none.
    any_kind : bool
        Causal models too. By default masked ones alone, which masked language modelling needs.

    Raises
    ------
    InputError
        If the model is damaged, the width is below 1, a masked model has no mask token, or the
        model is causal where `any_kind` is False.
    """
    if brain_width is not None and brain_width < 1:
        raise InputError(
            "aligner: brain_width",
            got=f"{brain_width}",
            wanted="1 or more, or None",
            do="Give the width of the brain vectors, or None for text alone.",
        )
    load = load_headed_model if any_kind else load_masked_model
    return BrainAligner(load(name, seed=seed), brain_width=brain_width, seed=seed)


def _drawn_projection(words: torch.Tensor, brain_width: int, seed: int) -> nn.Linear:
    generator = torch.Generator().manual_seed(seed)
    drawn = nn.Linear(brain_width, words.shape[1], dtype=torch.float32)
    spread = float(words.detach().float().square().mean().sqrt()) / brain_width**0.5
    with torch.no_grad():
        drawn.weight.normal_(0.0, spread, generator=generator)
        drawn.bias.zero_()
    return drawn


def _gathered(output: Any, selected: torch.Tensor) -> Any:
    """The base model's output with the states of selected positions alone: (1, position, width)."""
    states = output[0].flatten(0, 1)
    output["last_hidden_state"] = states.index_select(0, selected)[None]
    return output
