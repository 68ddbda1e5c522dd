"""Responses read block by block of targets, standardised on the way."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float32, Float64, Int64

from brainaligner.brain._material import BrainMaterial, Recording
from brainaligner.brain._settings import EncoderOptions, Standardise
from brainaligner.core import InputError, Progress, zscore

Facts = dict[str, float | str]

_FLAT = 1e-7  # relative standard deviation under which float32 values are one constant


def labelled_seed(seed: int, *labels: str) -> int:
    """A seed of its own for each purpose, story or subject, whatever their order."""
    digest = hashlib.sha256("\x1f".join((str(seed), *labels)).encode()).digest()
    return int.from_bytes(digest[:8], "little")


def target_slices(n_targets: int, target_block: int) -> list[slice]:
    """Consecutive slices over all targets."""
    starts = range(0, n_targets, target_block)
    return [slice(start, min(start + target_block, n_targets)) for start in starts]


def read_block(
    recording: Recording, story: str, targets: slice
) -> Float[np.ndarray, "time target"]:
    """Read some targets of one story; refuse a wrong shape, a wrong dtype or NaN."""
    values = recording.responses(story, targets)
    wanted = (recording.rows(story), targets.stop - targets.start)
    if values.shape != wanted or values.dtype not in (np.float32, np.float64):
        raise InputError(
            f"responses to {story!r}",
            got=f"{values.dtype} array of shape {values.shape}",
            wanted=f"a float32 or float64 array of shape {wanted}",
            do="Check the recording's rows and columns.",
        )
    if not np.isfinite(values).all():
        raise InputError(
            f"responses to {story!r}",
            got=f"{int((~np.isfinite(values)).sum())} values that are NaN or infinite",
            wanted="finite values",
            do="Replace them, and count them, where the data are read.",
        )
    return values


@dataclass(frozen=True, eq=False)
class TargetReader:
    """Standardised responses of some stories, one block of targets after the other.

    Parameters
    ----------
    material : BrainMaterial
    standardise : {"training", "story", "none"}
        As in `BrainSettings`; statistics come from ``material.fitted_on``.
    options : EncoderOptions
    progress : Progress
    columns : int64 array, shape (kept,), optional
        Targets to keep, in increasing order; all where it is left out.
    """

    material: BrainMaterial
    standardise: Standardise
    options: EncoderOptions
    progress: Progress
    columns: Int64[np.ndarray, "kept"] | None = None

    @property
    def width(self) -> int:
        """Targets that are kept."""
        return self.material.recording.n_targets if self.columns is None else len(self.columns)

    def blocks(
        self, stories: Sequence[str]
    ) -> Iterator[tuple[slice, dict[str, Float32[np.ndarray, "_ _"]]]]:
        """Yield places among the kept targets, and story -> (time, target) at these places."""
        slices = target_slices(self.material.recording.n_targets, self.options.target_block)
        done = 0
        for i, targets in enumerate(slices):
            inside = self._inside(targets)
            if inside.size:
                place = slice(done, done := done + inside.size)
                yield place, self._standardised(stories, targets, inside)
            self.progress("reading responses", i + 1, len(slices))

    def _inside(self, targets: slice) -> Int64[np.ndarray, "_"]:
        """Kept targets within a slice, counted from its start."""
        if self.columns is None:
            return np.arange(targets.stop - targets.start)
        first, last = np.searchsorted(self.columns, [targets.start, targets.stop])
        return self.columns[first:last] - targets.start

    def _standardised(
        self, stories: Sequence[str], targets: slice, inside: Int64[np.ndarray, "_"]
    ) -> dict[str, Float32[np.ndarray, "_ _"]]:
        recording = self.material.recording
        fitted = sorted(self.material.fitted_on) if self.standardise == "training" else ()
        names = dict.fromkeys((*fitted, *stories))
        values = {story: read_block(recording, story, targets)[:, inside] for story in names}
        if self.standardise == "story":
            values = {story: zscore(rows) for story, rows in values.items()}
        elif self.standardise == "training":
            mean, scale = training_statistics([values[story] for story in fitted])
            values = {story: (values[story] - mean) * scale for story in stories}
        return {story: values[story].astype(np.float32) for story in stories}


def training_statistics(
    stories: Sequence[Float[np.ndarray, "_time target"]],
) -> tuple[Float64[np.ndarray, "target"], Float64[np.ndarray, "target"]]:
    """Mean over all rows and ``1 / standard deviation``, 0 for a target without variance."""
    n_rows = sum(len(rows) for rows in stories)
    first = stories[0][0].astype(np.float64)  # taken off first: a constant leaves no rounding
    moved = sum((rows - first).sum(axis=0) for rows in stories) / n_rows
    squares = sum(((rows - first - moved) ** 2).sum(axis=0) for rows in stories)
    spread, mean = np.sqrt(squares / n_rows), first + moved
    varies = spread > _FLAT * np.abs(mean)
    return mean, np.where(varies, 1.0 / np.where(varies, spread, 1.0), 0.0)


def kept_rows(reader: TargetReader) -> dict[str, Float32[np.ndarray, "_ kept"]]:
    """The kept targets of all stories to encode, standardised."""
    recording, given = reader.material.recording, reader.material.given
    out = {s: np.empty((recording.rows(s), reader.width), dtype=np.float32) for s in given}
    for place, block in reader.blocks(given):
        for story, rows in block.items():
            out[story][:, place] = rows
    return out


def scale_fact(standardise: Standardise) -> Facts:
    """How targets were scaled, in words, for the provenance."""
    words = {
        "training": "z-scored by the statistics of the training stories",
        "story": "z-scored within each story",
        "none": "as recorded",
    }
    return {"scale": words[standardise]}


def scaled_on(reader: TargetReader) -> tuple[str, ...]:
    """Stories whose statistics scale the others: none where each story has its own."""
    return reader.material.fitted_on if reader.standardise == "training" else ()
