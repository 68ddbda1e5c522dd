"""Which words a row gets, and how their states become one vector."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

from brainaligner.core import InputError, settle_types, unknown_name
from brainaligner.text._model import ModelInfo

ClockName = Literal["own", "previous"]
Pooling = Literal["own", "all"]
SpecialTokens = Literal["input", "pooled", "absent"]
ContextFrom = Literal["sound", "first_row"]
Resample = Literal["window", "lanczos"]
Empty = Literal["zeros", "previous"]
Dtype = Literal["float32", "bfloat16", "float16"]

CHOICES = {
    "clock": get_args(ClockName),
    "pooling": get_args(Pooling),
    "special_tokens": get_args(SpecialTokens),
    "context_from": get_args(ContextFrom),
    "resample": get_args(Resample),
    "empty": get_args(Empty),
    "dtype": get_args(Dtype),
}
CONTEXTS = ("context_rows", "context_seconds", "context_words")


@dataclass(frozen=True)
class TextSettings:
    """From the words of a story to one vector per row.

    Parameters
    ----------
    layer : int
        0 is the embedding layer's output, ``n_layers`` the last layer; negative counts from
        the end. Layer k is ``hidden_states[k]`` as transformers gives it, so the last one of
        most causal models is taken after their final normalisation.
    clock : {"own", "previous"}
        Whether row i gets the words with onset in its own window (ds003020:
        ``[10 + 2i, 12 + 2i)`` s) or in the window before it (``[8 + 2i, 10 + 2i)`` s).
    context_rows, context_seconds, context_words : int, float, int
        Left context: the words of that many rows, seconds or words before the row's window.
        At most one of the three is not 0.
    context_from : {"sound", "first_row"}
        Whether words before row 0's window can be context, or left context begins with row 0: a
        text then grows over the first rows, which tells a model that the story just began.
    max_tokens : int
        Tokens of text in the input, special tokens not counted; the leftmost are dropped,
        context first. The model's own limit holds as well.
    pooling : {"own", "all"}
        Mean over the tokens of the row's own words, or over all tokens of its text.
    special_tokens : {"input", "pooled", "absent"}
        Whether tokens such as [CLS] are only read, also averaged, or left out of the input.
    resample : {"window", "lanczos"}
        One text per row, or one text per word, each with its left context, brought to the
        centres of the rows by a Lanczos filter. The filter looks ahead; see `lanczos_matrix`.
    empty : {"zeros", "previous"}
        What a row without own words gets: zeros, or the vector of the last row with words
        (zeros before the first). A row's context does not make it less empty.
    dtype : {"float32", "bfloat16", "float16"}
        Precision of the model. Averages are always taken in float32.

    Raises
    ------
    InputError
        For a value outside these sets, a negative size, or two contexts at once.
    """

    layer: int = -1
    clock: ClockName = "own"
    context_rows: int = 0
    context_seconds: float = 0.0
    context_words: int = 0
    context_from: ContextFrom = "sound"
    max_tokens: int = 200
    pooling: Pooling = "own"
    special_tokens: SpecialTokens = "input"
    resample: Resample = "window"
    empty: Empty = "zeros"
    dtype: Dtype = "float32"

    def __post_init__(self) -> None:
        settle_types(self, where="text settings")
        for name, options in CHOICES.items():
            if getattr(self, name) not in options:
                raise unknown_name("text settings", name, str(getattr(self, name)), options)
        for name in CONTEXTS:
            self._check_size(name, least=0)
        self._check_size("max_tokens", least=1)
        used = [name for name in CONTEXTS if getattr(self, name)]
        if not used and self.context_from != "sound":
            raise InputError(
                "text settings: context_from",
                got=f"{self.context_from!r} without left context",
                wanted="a left context that it can bound",
                do="Leave it out, or give context_rows, context_seconds or context_words.",
            )
        if len(used) > 1:
            raise InputError(
                "text settings",
                got=f"{' and '.join(used)} at once",
                wanted="at most one kind of left context",
                do="Set the others to 0.",
            )

    def _check_size(self, name: str, *, least: int) -> None:
        value = getattr(self, name)
        if not (math.isfinite(value) and value >= least):
            raise InputError(
                f"text settings: {name}",
                got=f"{value}",
                wanted=f"a finite number of {least} or more",
                do="Correct this value.",
            )

    @property
    def shift(self) -> int:
        """Rows by which word windows are moved in story time, as `Clock.row_of` takes it."""
        return -1 if self.clock == "previous" else 0

    def resolve_layer(self, info: ModelInfo) -> int:
        """Return `layer` as a number from 0 to ``info.n_layers``.

        Raises
        ------
        InputError
            If the model does not have that layer.
        """
        return resolve_layer(self.layer, info)


def resolve_layer(layer: int, info: ModelInfo) -> int:
    """Return a layer counted from either end as a number from 0 to ``info.n_layers``.

    Raises
    ------
    InputError
        If the model does not have that layer.
    """
    n = info.n_layers
    if not -n - 1 <= layer <= n:
        raise InputError(
            f"layer of model {info.name!r}",
            got=f"layer {layer}",
            wanted=f"0 (embeddings) to {n}, or {-n - 1} to -1 from the end",
            do=f"Choose a layer of this {n}-layer model.",
        )
    return layer % (n + 1)
