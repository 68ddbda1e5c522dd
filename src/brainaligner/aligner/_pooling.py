"""Pooled states of all rows of some stories, as a span of layers gives them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from jaxtyping import Float32

from brainaligner.aligner._settings import Precision
from brainaligner.aligner._span import LayerSpan
from brainaligner.aligner._token_table import TokenTable, text_groups
from brainaligner.core import Progress


def pooled_states(
    span: LayerSpan,
    table: TokenTable,
    below: Callable[[int], Float32[np.ndarray, "token width"]] | None,
    *,
    device: str | torch.device,
    progress: Progress,
    precision: Precision = "float32",
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
    precision : {"float32", "bfloat16", "float16"}
        Of products in the layers, under autocast.
    """
    found: np.ndarray | None = None
    texts, done = np.arange(len(table.tokens)), 0
    kind, dtype = torch.device(device).type, getattr(torch, precision)
    with torch.inference_mode():
        for part, group in text_groups(table, texts, below):
            on = {name: value.to(device) for name, value in group.items()}
            with torch.autocast(kind, dtype, enabled=precision != "float32"):
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
