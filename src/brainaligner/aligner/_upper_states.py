"""States of tuned models, from the layers that tuning left as they were read once for all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from brainaligner.aligner._layer_cache import keep_states, room_for, story_files
from brainaligner.aligner._pooling import pooled_states
from brainaligner.aligner._span import LayerSpan
from brainaligner.aligner._token_table import text_table
from brainaligner.core import (
    InputError,
    Progress,
    Witness,
    no_progress,
    no_witness,
    text_hashes,
)
from brainaligner.text import LanguageModel, RowText, StoryStates, TextSettings


def upper_states(
    model: LanguageModel,
    texts: Mapping[str, Sequence[RowText]],
    layers: Sequence[int],
    *,
    unchanged: int,
    folder: Path,
    settings: TextSettings,
    progress: Progress = no_progress,
    witness: Witness = no_witness,
) -> dict[int, StoryStates] | None:
    """`row_states` of a tuned model whose lowest layers other models share.

    States that leave the shared layers are kept in `folder`, in float32, under names that follow
    from the weights below and from the texts: the next model with the same ones reads them. Only
    the layers above are computed, and the highest of them where it is read. The states are those
    of `row_states` but for the order of sums.

    Parameters
    ----------
    model : LanguageModel
        In float32: in half precision the states would be rounded otherwise than a plain model's.
    texts, layers, settings, progress, witness
        As in `row_states`.
    unchanged : int
        Layers that are as in other models, counted from the lowest.
    folder : Path
        It need not exist.

    Returns
    -------
    dict of layer to dict of story to float32 array, shape (time, width); or None
        None where states cannot be shared: a layer below them is read, all layers are trained,
        the model is no list of layers, texts without words repeat the row above, or the disk
        is too small.
    """
    span = _span(model, layers, unchanged)
    if span is None or settings.empty != "zeros":
        return None
    table = text_table(model, texts, settings)
    folder.mkdir(parents=True, exist_ok=True)
    files = story_files(span, table, folder, width=model.info.width)
    if not files or not room_for(files, folder):
        return None
    for story, rows in texts.items():
        witness("read/texts", story, text_hashes(f"{len(t.context)} {t.text}" for t in rows), 0)
    below = keep_states(span, files, pad=table.pad, device=model.device, progress=progress)
    pooled = pooled_states(span, table, below, device=model.device, progress=progress)
    width = model.info.width
    return {
        layer: {story: rows[:, n * width : (n + 1) * width] for story, rows in pooled.items()}
        for n, layer in enumerate(span.read)
    }


def _span(model: LanguageModel, layers: Sequence[int], unchanged: int) -> LayerSpan | None:
    if unchanged < 1 or unchanged >= model.info.n_layers or min(layers) < unchanged:
        return None
    try:
        return LayerSpan(model.module, model.info.n_layers, unchanged + 1, tuple(layers))
    except InputError:
        return None
