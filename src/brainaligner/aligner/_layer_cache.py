"""States below the lowest trained layer, computed once and kept on the disk."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float32

from brainaligner.aligner._objective_settings import ObjectiveSettings
from brainaligner.aligner._span import LayerSpan
from brainaligner.aligner._token_table import GROUP_TOKENS
from brainaligner.core import InputError, Progress
from brainaligner.text import TokenRow

_LEFT_FREE = 2**30


@dataclass(frozen=True, eq=False)
class LayerCache:
    """Kept states of some texts.

    Parameters
    ----------
    states : float32 array, shape (token of all texts, width)
        Often on the disk.
    edges : int64 array, shape (text + 1,)
        Where each text's tokens begin.
    """

    states: np.ndarray
    edges: np.ndarray

    def __call__(self, text: int) -> Float32[np.ndarray, "token width"]:
        """States of one text."""
        return np.asarray(self.states[self.edges[text] : self.edges[text + 1]])


def cache_bytes(tokens: Sequence[TokenRow], width: int) -> int:
    """What the states of some texts take (in bytes)."""
    return 4 * width * sum(len(row.ids) for row in tokens)


def wants_cache(settings: ObjectiveSettings, first: int, n_bytes: int, folder: Path) -> bool:
    """Whether lower layers are computed once.

    Raises
    ------
    InputError
        If that is asked for and cannot be: no layer lies below, or the disk is too small.
    """
    if settings.cache == "off" or settings.drops_below:
        return False
    free = shutil.disk_usage(folder).free - _LEFT_FREE
    if first > 1 and n_bytes <= free:
        return True
    if settings.cache == "auto":
        return False
    raise InputError(
        "objectives, cache",
        got="'on', and all layers are trained" if first == 1 else f"{n_bytes / 2**30:.1f} GiB",
        wanted="a layer below the trained ones"
        if first == 1
        else f"at most the {max(free, 0) / 2**30:.1f} GiB that are free in {folder}",
        do="Use cache: auto, or train fewer layers." if first == 1 else "Use cache: auto.",
    )


def keep_states(
    span: LayerSpan,
    tokens: Sequence[TokenRow],
    path: Path,
    *,
    width: int,
    pad: int,
    device: torch.device,
    progress: Progress,
) -> LayerCache:
    """Compute what enters the lowest trained layer, in float32 and evaluation mode.

    Parameters
    ----------
    span : LayerSpan
    tokens : sequence of TokenRow
    path : Path
        A file that may be written; one that is there is written anew.
    width, pad : int
        Numbers per token, and the id under the padding.
    device : torch.device
        Where the model is.
    progress : callable
    """
    lengths = np.array([len(row.ids) for row in tokens], dtype=np.int64)
    edges = np.concatenate([[0], np.cumsum(lengths)])
    kept = np.lib.format.open_memmap(path, "w+", np.float32, (int(edges[-1]), width))
    order = np.argsort(-lengths, kind="stable")
    done = 0
    with torch.inference_mode():
        while done < len(order):
            size = max(1, GROUP_TOKENS // int(lengths[order[done]]))
            part = order[done : done + size]
            ids = torch.full((len(part), int(lengths[part].max())), pad)
            mask = torch.zeros_like(ids)
            for n, text in enumerate(part):
                ids[n, : lengths[text]] = torch.from_numpy(tokens[text].ids)
                mask[n, : lengths[text]] = 1
            states = span.lower(ids.to(device), mask.to(device)).float().cpu().numpy()
            for n, text in enumerate(part):
                kept[edges[text] : edges[text + 1]] = states[n, : lengths[text]]
            done += size
            progress("states below the trained layers", min(done, len(order)), len(order))
    return LayerCache(kept, edges)
