"""Pooled states of all rows of some stories, as a span of layers gives them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float32, Int64

from brainaligner.aligner._layer_cache import LayerCache, whole_file
from brainaligner.aligner._span import LayerSpan
from brainaligner.aligner._token_table import TokenTable, text_groups
from brainaligner.core import Progress, array_digest, no_progress


def pooled_states(
    span: LayerSpan,
    table: TokenTable,
    below: Callable[[int], Float32[np.ndarray, "token width"]] | None,
    *,
    device: str | torch.device,
    progress: Progress,
) -> dict[str, Float32[np.ndarray, "time feature"]]:
    """Mean states of each row's own tokens, all read layers side by side; zeros without words.

    Parameters
    ----------
    span : LayerSpan
        Of a model on `device`, in evaluation mode.
    table : TokenTable
    below : callable or None
        Cached states of each text.
    device : str or torch.device
    progress : callable
    """
    found: np.ndarray | None = None
    texts, done = np.arange(len(table.tokens)), 0
    with torch.inference_mode():
        for part, group in text_groups(table, texts, below):
            on = {name: value.to(device) for name, value in group.items()}
            states = span.states(on["ids"], on["mask"], on.get("below"), on["pool"] > 0)
            read = torch.cat([states[k].float() for k in span.read], dim=-1)
            rows = torch.bmm(on["pool"][:, None], read)[:, 0].cpu().numpy()
            if found is None:
                found = np.zeros((len(table.tokens) + 1, rows.shape[1]), dtype=np.float32)
            found[part] = rows
            done += len(part)
            progress("reading texts", done, len(texts))
    assert found is not None
    return {story: found[rows] for story, rows in table.rows.items()}


def kept_pooled(
    span: LayerSpan,
    table: TokenTable,
    below: LayerCache,
    *,
    device: str | torch.device,
    progress: Progress,
) -> dict[str, Float32[np.ndarray, "time feature"]]:
    """`pooled_states` in float32, kept beside the states below: the next one reads them.

    Parameters
    ----------
    span, table, device, progress
        As there.
    below : LayerCache
        Of that table.
    """
    upper, width = _upper_digest(span), len(span.read) * below.width
    shapes = {story: (len(rows), width) for story, rows in table.rows.items()}
    states = {int(file.texts[0]): file.path for file in below.files}
    paths = {
        story: states[int(rows[rows >= 0][0])].with_suffix(
            f".{_pool_digest(table, rows, upper)}.npy"
        )
        for story, rows in table.rows.items()
        if (rows >= 0).any()
    }
    return {
        story: _read_or_pool(span, table, below, (story, shape, paths.get(story)), device=device)
        for story, shape in _told(shapes, progress)
    }


def _told(
    shapes: Mapping[str, tuple[int, int]], progress: Progress
) -> Iterator[tuple[str, tuple[int, int]]]:
    for n, (story, shape) in enumerate(shapes.items()):
        yield story, shape
        progress("pooled states", n + 1, len(shapes))


def _read_or_pool(
    span: LayerSpan,
    table: TokenTable,
    below: LayerCache,
    of: tuple[str, tuple[int, int], Path | None],
    *,
    device: str | torch.device,
) -> Float32[np.ndarray, "time feature"]:
    """Rows of a story, whose texts are batched by themselves: other stories change no digit."""
    story, shape, path = of
    if path is None:
        return np.zeros(shape, dtype=np.float32)
    kept = _kept(path, shape)
    if kept is not None:
        return kept
    part, places = table.of_stories([story])
    rows = pooled_states(
        span, part, lambda text: below(int(places[text])), device=device, progress=no_progress
    )[story]
    # another run may empty the folder: it is but kept for the next
    with suppress(FileNotFoundError), whole_file(path) as file, file.open("wb") as stream:
        np.save(stream, rows)
    return rows


def _kept(path: Path, shape: tuple[int, int]) -> Float32[np.ndarray, "time feature"] | None:
    try:
        kept: np.ndarray = np.load(path, allow_pickle=False)
    except (OSError, ValueError):  # not there, or cut short
        return None
    return kept if kept.shape == shape and kept.dtype == np.float32 else None


def _pool_digest(table: TokenTable, rows: Int64[np.ndarray, "time"], upper: str) -> str:
    """What the rows of a story follow from, beside the states that enter."""
    shares = [table.tokens[place].weights for place in rows[rows >= 0]]
    parts = (upper, array_digest(rows >= 0), array_digest(np.concatenate(shares)))
    return hashlib.sha256("".join(parts).encode()).hexdigest()[:32]


def _upper_digest(span: LayerSpan) -> str:
    """SHA-256 of the layers that run, and of what is read."""
    whole = hashlib.sha256(json.dumps(span.read).encode())
    for name, weight in span.upper_weights().items():
        whole.update(f"{name}{array_digest(weight.detach().float().cpu().numpy())}".encode())
    return whole.hexdigest()
