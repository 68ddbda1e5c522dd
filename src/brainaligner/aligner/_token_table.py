"""Texts of all rows as token ids, and groups of them as tensors."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float32, Int64

from brainaligner.aligner._model import BrainAligner
from brainaligner.aligner._objective_settings import ObjectiveSettings
from brainaligner.aligner._story_material import StoryMaterial
from brainaligner.text import LanguageModel, RowText, TextSettings, TokenRow, token_rows

ReadBelow = Callable[[int], Float32[np.ndarray, "token width"]]
"""From a text's place in the table to the states that enter the lowest trained layer."""

GROUP_TOKENS = 4096


@dataclass(frozen=True, eq=False)
class TokenTable:
    """Texts of all rows as token ids.

    Parameters
    ----------
    tokens : tuple of TokenRow
    rows : mapping of story to int64 array, shape (time,)
        Place of each row in `tokens`; -1 for a row without words.
    pad : int
        Id under the padding.
    """

    tokens: tuple[TokenRow, ...]
    rows: Mapping[str, Int64[np.ndarray, "time"]]
    pad: int

    def of_stories(self, stories: Sequence[str]) -> tuple[TokenTable, Int64[np.ndarray, "text"]]:
        """The table of some stories, and where each of its texts is in this one."""
        places = np.concatenate([rows[rows >= 0] for rows in (self.rows[s] for s in stories)])
        new = np.full(len(self.tokens) + 1, -1)
        new[places] = np.arange(len(places))
        rows = {story: new[self.rows[story]] for story in stories}
        return TokenTable(tuple(self.tokens[p] for p in places), rows, self.pad), places


def token_table(
    aligner: BrainAligner, material: StoryMaterial, settings: ObjectiveSettings
) -> TokenTable:
    """Tokenise the texts of all rows as they are read at evaluation."""
    reading = TextSettings(max_tokens=settings.max_tokens, special_tokens=settings.special_tokens)
    return text_table(aligner.reader, material.texts, reading)


def text_table(
    model: LanguageModel, texts: Mapping[str, Sequence[RowText]], settings: TextSettings
) -> TokenTable:
    """Tokenise the texts of all rows."""
    places = [(story, i) for story, own in texts.items() for i, text in enumerate(own) if text.own]
    read = token_rows(model, [texts[story][i] for story, i in places], settings=settings)
    rows = {story: np.full(len(own), -1) for story, own in texts.items()}
    kept: list[TokenRow] = []
    for (story, i), token in zip(places, read, strict=True):
        if token.weights.any():
            rows[story][i] = len(kept)
            kept.append(token)
    pad = getattr(model.module.config, "pad_token_id", None)
    return TokenTable(tuple(kept), rows, int(pad) if pad is not None and pad >= 0 else 0)


def text_groups(
    table: TokenTable, texts: Int64[np.ndarray, "text"], below: ReadBelow | None
) -> Iterator[tuple[Int64[np.ndarray, "part"], dict[str, torch.Tensor]]]:
    """Texts of like length together, few enough for a processor's caches; with their places."""
    lengths = np.array([len(table.tokens[t].ids) for t in texts], dtype=np.int64)
    order = np.argsort(-lengths, kind="stable")
    start = 0
    while start < len(order):
        size = max(1, GROUP_TOKENS // int(lengths[order[start]]))
        part = order[start : start + size]
        yield part, _group(table, texts[part], below)
        start += size


def _group(
    table: TokenTable, texts: Int64[np.ndarray, "text"], below: ReadBelow | None
) -> dict[str, torch.Tensor]:
    rows = [table.tokens[t] for t in texts]
    width = max(len(row.ids) for row in rows)
    ids = np.full((len(rows), width), table.pad, dtype=np.int64)
    mask = np.zeros((len(rows), width), dtype=np.int64)
    pool = np.zeros((len(rows), width), dtype=np.float32)
    for n, row in enumerate(rows):
        ids[n, : len(row.ids)], mask[n, : len(row.ids)] = row.ids, 1
        pool[n, : len(row.ids)] = row.weights
    made: dict[str, np.ndarray] = {"ids": ids, "mask": mask, "pool": pool}
    if below is not None:
        known = [below(int(t)) for t in texts]
        padded = np.zeros((len(rows), width, known[0].shape[1]), dtype=np.float32)
        for n, states in enumerate(known):
            padded[n, : len(states)] = states
        made["below"] = padded
    return {name: torch.from_numpy(values) for name, values in made.items()}
