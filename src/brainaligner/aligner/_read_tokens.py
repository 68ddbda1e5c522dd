"""The highest layer of a span, computed for those tokens alone whose states are read."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import nn
from torch.nn import functional

_ATTENTION = ("attention_head_size", "scaling", "dropout")
_PARTS = ("attention.self.query", "attention.self.key", "attention.self.value",
          "attention.output.dense", "intermediate.dense", "output.dense")  # fmt: skip


def is_divisible(layer: nn.Module) -> bool:
    """Whether `ReadTokens` can stand in for a layer: an encoder layer built as BERT's."""
    names = {name for name, _ in layer.named_modules()}
    if not names.issuperset(_PARTS) or getattr(layer, "is_decoder", True):
        return False
    attention = layer.get_submodule("attention.self")
    return all(hasattr(attention, name) for name in _ATTENTION)


class ReadTokens(nn.Module):
    """Stands in for an encoder layer whose states are read at some tokens only.

    Every token gives its key and value; queries, the attention's output and the feed-forward part,
    ten twelfths of a layer's products, are computed where they are read. There the states are
    those of the layer; elsewhere they are 0.

    Parameters
    ----------
    layer : nn.Module
        Built as transformers' ``BertLayer``; see `is_divisible`.
    read : bool tensor, shape (text, token)
        At least one of each text.
    in_tuple : bool
        Whether the layer gives its states in a tuple.
    """

    def __init__(self, layer: nn.Module, read: Bool[torch.Tensor, "text token"], *,
                 in_tuple: bool) -> None:  # fmt: skip
        super().__init__()
        self._layer = (layer,)  # in a tuple: not a part of this module
        self.read, self.in_tuple = read, in_tuple

    def forward(
        self,
        hidden_states: Float[torch.Tensor, "text token width"],
        attention_mask: torch.Tensor | None = None,
        *_: Any,
        **__: Any,
    ) -> Any:
        """Give states at the read tokens, 0 elsewhere."""
        layer: Any = self._layer[0]
        texts, places, columns = self._places()
        own = hidden_states[texts, places]
        queries = own.new_zeros(len(hidden_states), int(columns.max()) + 1, own.shape[-1])
        queries = queries.index_put((texts, columns), own)
        seen = self._attended(layer.attention.self, queries, hidden_states, attention_mask)
        joined = layer.attention.output(seen[texts, columns], own)
        states = layer.output(layer.intermediate(joined), joined)
        whole = states.new_zeros(hidden_states.shape).index_put((texts, places), states)
        return (whole,) if self.in_tuple else whole

    def _places(self) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Text and place of each read token, and its number among those of its text."""
        texts, places = self.read.nonzero(as_tuple=True)
        columns = (self.read.cumsum(1) - 1)[texts, places]
        return texts, places, columns

    @staticmethod
    def _attended(
        part: Any, queries: torch.Tensor, states: torch.Tensor, mask: torch.Tensor | None
    ) -> torch.Tensor:
        """What the queries' tokens gather from all tokens; padding looks alike to every query."""

        def heads(values: torch.Tensor) -> torch.Tensor:
            return values.unflatten(-1, (-1, part.attention_head_size)).transpose(1, 2)

        found = functional.scaled_dot_product_attention(
            heads(part.query(queries)),
            heads(part.key(states)),
            heads(part.value(states)),
            attn_mask=None if mask is None else mask[..., :1, :],
            dropout_p=part.dropout.p if part.training else 0.0,
            scale=part.scaling,
        )
        return found.transpose(1, 2).flatten(2)
