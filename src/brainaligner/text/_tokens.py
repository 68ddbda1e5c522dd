"""Words into token ids, with the share that each token has in its row's mean."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float32, Int64

from brainaligner.core import InputError
from brainaligner.text._model import LanguageModel
from brainaligner.text._settings import TextSettings
from brainaligner.text._windows import RowText

# Python objects for each token's place take 150 bytes: all texts of a dataset would fill gigabytes.
_TEXTS_AT_ONCE = 256


@dataclass(frozen=True, eq=False)
class TokenRow:
    """One text as a model reads it.

    Parameters
    ----------
    ids : int64 array, shape (token,)
    weights : float32 array, shape (token,)
        Share of each token in the mean; they sum to 1, or are all 0 where the tokenizer
        leaves nothing of the own words.
    """

    ids: Int64[np.ndarray, "token"]
    weights: Float32[np.ndarray, "token"]


def token_rows(
    model: LanguageModel, texts: Sequence[RowText], *, settings: TextSettings
) -> list[TokenRow]:
    """Tokenise each text as one string and find the tokens that are averaged.

    A token belongs to the word that holds its last character, a space counting with the word
    after it: byte-level tokens carry the space ahead of a word, so this holds for any
    tokenizer that reports character offsets.
    """
    if not texts:
        return []
    before, after = special_ids(model.tokenizer)
    if settings.special_tokens == "absent":
        before, after = [], []
    limit = min(settings.max_tokens, model.info.max_tokens - len(before) - len(after))
    if limit < 1:
        raise InputError(
            f"model {model.info.name!r}",
            got=f"an input limit of {model.info.max_tokens} tokens",
            wanted="room for at least one token of text",
            do="Choose another model.",
        )
    return [
        _token_row(
            ids[-limit:],
            min(_own_tokens(offsets, text.own_start), limit),
            (before, after),
            settings=settings,
        )
        for text, ids, offsets in _encoded(model.tokenizer, texts)
    ]


def special_ids(tokenizer: Any) -> tuple[list[int], list[int]]:
    """Ids that the tokenizer puts before and after a single text."""
    encoded = tokenizer("a", add_special_tokens=True, return_special_tokens_mask=True)
    ids, special = encoded["input_ids"], encoded["special_tokens_mask"]
    text = [i for i, is_special in enumerate(special) if not is_special]
    if not text:
        return list(ids), []
    return list(ids[: text[0]]), list(ids[text[-1] + 1 :])


def _encoded(
    tokenizer: Any, texts: Sequence[RowText]
) -> Iterator[tuple[RowText, list[int], list[tuple[int, int]]]]:
    """Each text with its token ids and where in the text they stand, few texts in memory."""
    for start in range(0, len(texts), _TEXTS_AT_ONCE):
        part = texts[start : start + _TEXTS_AT_ONCE]
        encoded = tokenizer(
            [text.text for text in part],
            add_special_tokens=False,
            return_offsets_mapping=True,
            return_attention_mask=False,
            return_token_type_ids=False,
            padding=False,
            truncation=False,
            verbose=False,
        )
        yield from zip(part, encoded["input_ids"], encoded["offset_mapping"], strict=True)


def _own_tokens(offsets: Sequence[tuple[int, int]], own_start: int) -> int:
    """Count the tokens at the end that belong to the own words."""
    n_own = 0
    for start, stop in reversed(offsets):
        if max(stop - 1, start) < own_start - 1:
            break
        n_own += 1
    return n_own


def _token_row(
    ids: Sequence[int],
    n_own: int,
    around: tuple[list[int], list[int]],
    *,
    settings: TextSettings,
) -> TokenRow:
    before, after = around
    pooled = len(ids) if settings.pooling == "all" else n_own
    special = float(settings.special_tokens == "pooled")
    weights = np.full(len(before) + len(ids) + len(after), special, dtype=np.float32)
    weights[len(before) : len(before) + len(ids)] = 0.0
    weights[len(before) + len(ids) - pooled : len(before) + len(ids)] = 1.0
    weights *= 0.0 if n_own == 0 else 1.0 / weights.sum()
    return TokenRow(np.array([*before, *ids, *after], dtype=np.int64), weights)
