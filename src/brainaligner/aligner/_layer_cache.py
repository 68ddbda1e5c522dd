"""States below the lowest trained layer, computed once and kept on the disk, story by story."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float32, Int64

from brainaligner.aligner._objective_settings import ObjectiveSettings
from brainaligner.aligner._span import LayerSpan
from brainaligner.aligner._token_table import GROUP_TOKENS, TokenTable
from brainaligner.core import InputError, Progress, array_digest
from brainaligner.text import TokenRow

_LEFT_FREE = 2**30
_LABEL = "states below the trained layers"


@dataclass(frozen=True, eq=False)
class StoryFile:
    """The file of one story's states; its name follows from the text and the lower layers.

    Parameters
    ----------
    path : Path
    texts : int64 array, shape (text,)
        Places in the table.
    tokens : sequence of TokenRow
        In the same order.
    width : int
        Numbers per token.
    """

    path: Path
    texts: Int64[np.ndarray, "text"]
    tokens: Sequence[TokenRow]
    width: int

    @cached_property
    def edges(self) -> Int64[np.ndarray, "text 2"]:
        """Where the tokens of each text begin and end."""
        ends = np.cumsum([len(row.ids) for row in self.tokens])
        return np.stack([np.concatenate([[0], ends[:-1]]), ends], axis=1)

    @property
    def shape(self) -> tuple[int, int]:
        """Of the states."""
        return int(self.edges[-1, 1]), self.width

    @property
    def n_bytes(self) -> int:
        """What the states take on the disk."""
        return 4 * self.shape[0] * self.shape[1]

    def read(self) -> np.ndarray | None:
        """The states where a whole file is there, else None."""
        try:
            kept: np.ndarray = np.load(self.path, mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError):  # not there, or cut short
            return None
        return kept if kept.shape == self.shape and kept.dtype == np.float32 else None


@dataclass(frozen=True, eq=False)
class LayerCache:
    """Kept states of the texts of some stories.

    Parameters
    ----------
    states : tuple of float32 arrays, shape (token of all texts of a story, width)
        On the disk.
    story : int64 array, shape (text,)
        Which of them holds a text.
    edges : int64 array, shape (text, 2)
        Where its tokens begin and end there.
    files : tuple of StoryFile
        Where they lie.
    """

    states: tuple[np.ndarray, ...]
    story: Int64[np.ndarray, "text"]
    edges: Int64[np.ndarray, "text 2"]
    files: tuple[StoryFile, ...]

    @property
    def width(self) -> int:
        """Numbers per token."""
        return self.files[0].width

    def __call__(self, text: int) -> Float32[np.ndarray, "token width"]:
        """States of one text."""
        start, stop = self.edges[text]
        return np.asarray(self.states[self.story[text]][start:stop])


def story_files(
    span: LayerSpan, table: TokenTable, folder: Path, *, width: int
) -> tuple[StoryFile, ...]:
    """Name the file of each story's states: equal names, equal states."""
    below = _lower_digest(span)
    found = []
    for rows in table.rows.values():
        texts = rows[rows >= 0].astype(np.int64)
        tokens = [table.tokens[text] for text in texts]
        if tokens:
            name = hashlib.sha256(below.encode())
            for row in tokens:
                name.update(array_digest(row.ids).encode())
            found.append(StoryFile(folder / f"{name.hexdigest()}.npy", texts, tokens, width))
    return tuple(found)


def _lower_digest(span: LayerSpan) -> str:
    """SHA-256 of how the model is built and of all weights but those of the layers above."""
    built = span.base.config.to_dict()
    kept = {name: built[name] for name in built if name not in _NO_PART_OF_THE_MODEL}
    text = json.dumps([type(span.base).__name__, span.entering, kept], sort_keys=True, default=str)
    whole = hashlib.sha256(text.encode())
    for name, weight in span.lower_weights().items():
        whole.update(f"{name}{array_digest(weight.detach().float().cpu().numpy())}".encode())
    return whole.hexdigest()


_NO_PART_OF_THE_MODEL = ("_name_or_path", "transformers_version", "architectures", "dtype")


def wants_cache(
    settings: ObjectiveSettings, first: int, files: Sequence[StoryFile], folder: Path
) -> bool:
    """Whether lower layers are computed once.

    Raises
    ------
    InputError
        If that is asked for and cannot be: no layer lies below, or the disk is too small.
    """
    if settings.cache == "off" or settings.drops_below:
        return False
    missing, free = _missing(files), _free(folder)
    if first > 1 and missing <= free:
        return True
    if settings.cache == "auto":
        return False
    raise InputError(
        "objectives, cache",
        got="'on', and all layers are trained" if first == 1 else f"{missing / 2**30:.1f} GiB",
        wanted="a layer below the trained ones"
        if first == 1
        else f"at most the {max(free, 0) / 2**30:.1f} GiB that are free in {folder}",
        do="Use cache: auto, or train fewer layers." if first == 1 else "Use cache: auto.",
    )


def room_for(files: Sequence[StoryFile], folder: Path) -> bool:
    """Whether the disk takes the files that are not there yet."""
    return _missing(files) <= _free(folder)


def _missing(files: Sequence[StoryFile]) -> int:
    return sum(file.n_bytes for file in files if file.read() is None)


def _free(folder: Path) -> int:
    return shutil.disk_usage(folder).free - _LEFT_FREE


def keep_states(
    span: LayerSpan,
    files: Sequence[StoryFile],
    *,
    pad: int,
    device: torch.device,
    progress: Progress,
) -> LayerCache:
    """Compute what enters the lowest trained layer where no file has it yet.

    In float32 and evaluation mode.

    Parameters
    ----------
    span : LayerSpan
    files : sequence of StoryFile
        Of all stories of one table; their folder exists.
    pad : int
        Id under the padding.
    device : torch.device
        Where the model is.
    progress : callable
    """
    n_texts = sum(len(file.texts) for file in files)
    story, edges = np.zeros(n_texts, np.int64), np.zeros((n_texts, 2), np.int64)
    states = []
    for n, file in enumerate(files):
        states.append(_read_or_make(file, span, pad, device))
        story[file.texts], edges[file.texts] = n, file.edges
        progress(_LABEL, n + 1, len(files))
    return LayerCache(tuple(states), story, edges, tuple(files))


def _read_or_make(file: StoryFile, span: LayerSpan, pad: int, device: torch.device) -> np.ndarray:
    """States of a story; a process that is done may empty the folder at any moment."""
    while (kept := file.read()) is None:
        with suppress(FileNotFoundError):  # emptied while this one wrote: once more
            _make(file, span, pad, device)
    return kept


def _make(file: StoryFile, span: LayerSpan, pad: int, device: torch.device) -> None:
    """Compute the states; the file is there whole or not at all.

    It is written, not mapped: a disk that fills under a map ends the process without a word.
    """
    with whole_file(file.path) as part, part.open("wb") as stream:
        descr = np.lib.format.dtype_to_descr(np.dtype(np.float32))
        header = {"descr": descr, "fortran_order": False, "shape": file.shape}
        np.lib.format.write_array_header_1_0(stream, header)
        first = stream.tell()
        for n, values in _lower_states(span, file.tokens, pad, device):
            start, stop = file.edges[n]
            stream.seek(first + 4 * file.width * int(start))
            stream.write(values[: stop - start].tobytes())
        stream.flush()
        os.fsync(stream.fileno())


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Give a file to write in `path`'s place: it is there whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.stem}.{os.getpid()}.{uuid.uuid4().hex[:8]}.part")
    try:
        yield part
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def _lower_states(
    span: LayerSpan, tokens: Sequence[TokenRow], pad: int, device: torch.device
) -> Iterator[tuple[int, Float32[np.ndarray, "token width"]]]:
    """States of each text by its number, padding behind them; texts of like length together."""
    lengths = np.array([len(row.ids) for row in tokens], dtype=np.int64)
    order, done = np.argsort(-lengths, kind="stable"), 0
    while done < len(order):
        size = max(1, GROUP_TOKENS // int(lengths[order[done]]))
        part = order[done : done + size]
        ids = torch.full((len(part), int(lengths[part].max())), pad)
        mask = torch.zeros_like(ids)
        for n, text in enumerate(part):
            ids[n, : lengths[text]] = torch.from_numpy(tokens[text].ids)
            mask[n, : lengths[text]] = 1
        with torch.inference_mode():
            states = span.lower(ids.to(device), mask.to(device)).float().cpu().numpy()
        yield from zip(part.tolist(), states, strict=True)
        done += size
