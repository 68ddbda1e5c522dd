"""Mean hidden states of each row's tokens, for many stories and layers at once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import torch
from jaxtyping import Float32, Int

from brainaligner.core import (
    InputError,
    Progress,
    Witness,
    no_progress,
    no_witness,
    text_hashes,
)
from brainaligner.text._device import DTYPES
from brainaligner.text._hidden import ReadLayers, layer_reader
from brainaligner.text._model import LanguageModel
from brainaligner.text._settings import TextSettings, resolve_layer
from brainaligner.text._tokens import TokenRow, token_rows
from brainaligner.text._windows import RowText

_CPU_BATCH_COST = 64
"""Tokens; MiniLM and BERT-large read some 30 and 20 in the time that a batch costs at least."""

StoryStates = dict[str, Float32[np.ndarray, "time width"]]


def row_states(
    model: LanguageModel,
    texts: Mapping[str, Sequence[RowText]],
    layers: Sequence[int],
    *,
    settings: TextSettings,
    batch_tokens: int = 4096,
    progress: Progress = no_progress,
    witness: Witness = no_witness,
) -> dict[int, StoryStates]:
    """Average the hidden states of each text's tokens, all layers in one forward pass.

    Equal texts are read once, sorted by length and padded on the right only to the longest of
    their batch. How texts are batched moves results by rounding only.

    Parameters
    ----------
    model : LanguageModel
        Loaded with the precision that `settings` name.
    texts : mapping of story to its texts
        As `story_texts` gives them.
    layers : sequence of int
        ``hidden_states[k]`` of transformers for each k, 0 (embeddings) to ``n_layers``.
    settings : TextSettings
        `pooling`, `special_tokens`, `max_tokens` and `empty` are used; `layer` is not.
    batch_tokens : int
        Tokens of one batch, padding counted; changes speed and memory only. The default suits
        a CPU's caches (short texts took 8 s where 16,384 took 12); a GPU takes more.
    progress : Progress
    witness : Witness
        Shown a hash of each text of each story, in the role ``"read"``.

    Returns
    -------
    dict of layer to dict of story to float32 array, shape (time, width)
        A text without own words has zeros, or the row above it (`settings.empty`).

    Raises
    ------
    InputError
        For no layer, a layer that does not exist, or a model of another precision.
    """
    _check_request(model, layers, settings, batch_tokens)
    for story, rows in texts.items():
        witness("read/texts", story, text_hashes(f"{len(t.context)} {t.text}" for t in rows), 0)
    wanted = dict.fromkeys(text for rows in texts.values() for text in rows if text.own)
    tokens = token_rows(model, list(wanted), settings=settings)
    found = {text: row for text, row in zip(wanted, tokens, strict=True) if row.weights.any()}
    tables = _pooled_states(model, list(found.values()), layers, batch_tokens, progress)
    place = {text: i for i, text in enumerate(found)}
    index = {
        story: _table_rows([place.get(text, -1) for text in rows], settings)
        for story, rows in texts.items()
    }
    return {
        layer: {story: table[rows] for story, rows in index.items()}
        for layer, table in tables.items()
    }


def _check_request(
    model: LanguageModel, layers: Sequence[int], settings: TextSettings, batch_tokens: int
) -> None:
    for layer in layers:
        resolve_layer(layer, model.info)
    if not layers or min(layers) < 0 or batch_tokens < 1:
        raise InputError(
            "row states",
            got=f"layers {list(layers)}, {batch_tokens} tokens in a batch",
            wanted="at least one layer counted from 0, and a batch of one token or more",
            do="Resolve negative layers with resolve_layer.",
        )
    if model.dtype != DTYPES[settings.dtype]:
        raise InputError(
            f"model {model.info.name!r}",
            got=f"a model in {model.dtype}",
            wanted=f"{settings.dtype}, as the text settings say",
            do="Load the model with the same dtype.",
        )


def _pooled_states(
    model: LanguageModel,
    rows: Sequence[TokenRow],
    layers: Sequence[int],
    batch_tokens: int,
    progress: Progress,
) -> dict[int, Float32[np.ndarray, "text width"]]:
    """Mean states of each text, with one more row, of zeros, for texts without words."""
    tables = {k: np.zeros((len(rows) + 1, model.info.width), dtype=np.float32) for k in layers}
    if not rows:
        return tables
    lengths = np.array([len(row.ids) for row in rows])
    done = 0
    with torch.inference_mode():
        read = layer_reader(model, list(tables))
        for batch in _batches(lengths, batch_tokens, _batch_cost(model, batch_tokens)):
            means = _batch_means(model, [rows[i] for i in batch], read)
            for layer, mean in means.items():
                tables[layer][batch] = mean
            done += len(batch)
            progress("reading texts", done, len(rows))
    return tables


def _batch_cost(model: LanguageModel, batch_tokens: int) -> int:
    """How many tokens could be read in the time that a batch costs whatever its size."""
    return min(_CPU_BATCH_COST, batch_tokens) if model.device.type == "cpu" else batch_tokens


def _batch_means(
    model: LanguageModel, rows: Sequence[TokenRow], read: ReadLayers
) -> dict[int, Float32[np.ndarray, "text width"]]:
    shape = (len(rows), max(len(row.ids) for row in rows))
    ids = torch.full(shape, _pad_id(model), dtype=torch.int64)
    weights = torch.zeros(shape, dtype=torch.float32)
    mask = torch.zeros(shape, dtype=torch.bool)
    for i, row in enumerate(rows):
        n = len(row.ids)
        ids[i, :n] = torch.from_numpy(row.ids)
        weights[i, :n] = torch.from_numpy(row.weights)
        mask[i, :n] = True
    states = read(ids.to(model.device), mask.to(model.device))
    for layer, state in states.items():
        _check_shape(model, layer, tuple(state.shape), (*shape, model.info.width))
    shares = weights.to(model.device)[:, None, :]
    return {k: torch.bmm(shares, state.float())[:, 0].cpu().numpy() for k, state in states.items()}


def _check_shape(
    model: LanguageModel, layer: int, got: tuple[int, ...], wanted: tuple[int, ...]
) -> None:
    """Refuse models that pool tokens or change the width on the way (OPT-350m, Funnel)."""
    if got != wanted:
        raise InputError(
            f"layer {layer} of model {model.info.name!r}",
            got=f"states of shape {got}",
            wanted=f"{wanted}: each token of each text, in the width that config.json gives",
            do="Choose another layer or another model.",
        )


def _pad_id(model: LanguageModel) -> int:
    """Id under the padding: RoBERTa counts positions by it, others ignore it."""
    for owner in (model.module.config, model.tokenizer):
        pad = getattr(owner, "pad_token_id", None)
        if pad is not None and pad >= 0:
            return int(pad)
    return 0


def _batches(
    lengths: Int[np.ndarray, "text"], batch_tokens: int, batch_cost: int
) -> Iterator[Int[np.ndarray, "batch"]]:
    """Indices of texts, longest first, in batches of at most `batch_tokens` with padding.

    A batch ends early where that saves more padding than another batch costs, in tokens.
    """
    order = np.argsort(-lengths, kind="stable")
    start = 0
    while start < len(order):
        size = max(1, batch_tokens // int(lengths[order[start]]))
        batch = order[start : start + size]
        batch = batch[: _unpadded(lengths[batch], batch_cost)]
        yield batch
        start += len(batch)


def _unpadded(lengths: Int[np.ndarray, "text"], cost: int) -> int:
    """Of texts, longest first, how many to take so that no cut among them would pay."""
    n = len(lengths)
    while True:
        padding = (lengths[0] - lengths[:n]) * np.arange(n, 0, -1)
        cut = int(padding.argmax())
        if padding[cut] <= cost:
            return n
        n = cut


def _table_rows(places: Sequence[int], settings: TextSettings) -> Int[np.ndarray, "time"]:
    """Table row of each text; -1, the row of zeros, where there is nothing to show."""
    rows = np.array(places, dtype=np.int64)
    if settings.empty == "zeros" or not len(rows):
        return rows
    last = np.maximum.accumulate(np.where(rows >= 0, np.arange(len(rows)), -1))
    return np.where(last >= 0, rows[last], -1)
