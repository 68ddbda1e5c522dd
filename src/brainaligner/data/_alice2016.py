"""Region time courses of 28 listeners to a chapter of "Alice in Wonderland".

Brennan, Stabler, Van Wagenen, Luh and Hale 2016, Brain and Language 157-158, CC BY 4.0.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from jaxtyping import Float

from brainaligner.core import Clock, InputError, Space, Transcript, array_digest, zscore
from brainaligner.data._archive import ArrayHeader, NpzArchive
from brainaligner.data._dataset import Dataset
from brainaligner.data._files import located
from brainaligner.data._problem import Problem
from brainaligner.data._textgrid import read_textgrid
from brainaligner.data._words import transcript_from_tier

RESPONSES, STORY = "roi_timecourses.npz", "alice_ch1"
REGIONS = ("LATL", "RATL", "LPTL", "LIPL", "LPreM", "LIFG")
RADIUS = "6mm/"
CLOCK = Clock(tr=2.0, first=21.0)
"""Ten volumes of 2 s are dropped: row 0 starts at 20 s of TextGrid time."""


class Alice2016(Dataset):
    """Six left and right temporal, parietal and frontal regions (spheres of 6 mm), one story.

    Raw time courses are detrended (linear) and z-scored per region. With a single story
    nothing here can be a held-out story. `folder` is the dataset or a folder that holds
    ``alice2016/``. A listener whose time courses are all zero is left out, and said so.
    """

    reader = "alice2016"

    def __init__(self, folder: Path) -> None:
        folder = located(folder, self.reader, RESPONSES)
        self._archive = NpzArchive(folder / RESPONSES)
        self._grid = located(folder, self.reader, f"{STORY}.TextGrid") / f"{STORY}.TextGrid"
        names = sorted(name for name in self._archive.names() if name.startswith(RADIUS))
        empty = [name for name in names if not self._archive.columns(name, slice(None)).any()]
        super().__init__(
            folder,
            subjects=tuple(name.removeprefix(RADIUS) for name in names if name not in empty),
            clock=CLOCK,
            absent={name.removeprefix(RADIUS): "time courses that are all zero" for name in empty},
        )
        if not self.subjects:
            raise InputError(
                str(self._archive.path),
                got=f"no array named {RADIUS}<subject> with content",
                wanted=f"one array (time, {len(REGIONS)}) for each listener",
                do="Download the file again.",
            )

    def worded(self) -> tuple[str, ...]:
        """Return the one story."""
        return (STORY,)

    def recorded(self, subject: str) -> tuple[str, ...]:
        """Return the one story."""
        return (STORY,)

    def _read_transcript(self, story: str) -> Transcript:
        tiers = read_textgrid(self._grid)
        if not tiers:
            raise InputError(
                str(self._grid), got="no tier", wanted="a tier of words", do="Download it again."
            )
        return transcript_from_tier(story, tiers[0], self._grid)

    def _header(self, subject: str, name: str) -> ArrayHeader:
        return self._archive.header(f"{RADIUS}{subject}")

    def _columns(self, subject: str, name: str, columns: slice) -> Float[np.ndarray, "time target"]:
        raw = self._archive.columns(f"{RADIUS}{subject}", slice(None))
        return standardised(raw.astype(np.float64))[:, columns]

    def _content_digest(self, subject: str, name: str) -> str:
        return array_digest(self._archive.columns(f"{RADIUS}{subject}", slice(None)))

    def _read_space(self, subject: str, size: int) -> Space:
        return Space("regions", size, REGIONS)

    def _reader_problems(self) -> Iterator[Problem]:
        for subject, got in self.absent.items():
            yield Problem(
                "warning",
                f"{self._archive.path}, {RADIUS}{subject}",
                got,
                "measured time courses",
                f"Nothing: {subject} is left out of the subjects.",
            )


def standardised(raw: Float[np.ndarray, "time target"]) -> Float[np.ndarray, "time target"]:
    """Return columns less their least-squares line, divided by what is left's deviation.

    A value that is not finite counts as its column's mean and comes back as NaN. A column of
    which the line leaves rounding only (1e-7 of its largest value) becomes zeros.
    """
    finite = np.isfinite(raw)
    means = raw.sum(axis=0, where=finite) / np.maximum(finite.sum(axis=0), 1)
    filled = np.where(finite, raw, means)
    time = np.arange(len(raw), dtype=np.float64)
    line = np.column_stack([np.ones_like(time), time - time.mean()])
    weights, *_ = np.linalg.lstsq(line, filled, rcond=None)
    rest = filled - line @ weights
    rest[:, rest.std(axis=0) <= 1e-7 * np.abs(filled).max(axis=0)] = 0.0
    return np.where(finite, zscore(rest), np.nan)
