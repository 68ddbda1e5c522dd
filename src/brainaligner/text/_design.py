"""From features of one story to the rows of a regression."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, get_args

import numpy as np
from jaxtyping import Float, Float32, Float64

from brainaligner.core import Clock, InputError, Transcript, settle_types, unknown_name, zscore

Scaling = Literal["story", "none"]
Nuisance = Literal["none", "with", "alone"]

ONSET_ROWS = 5.0
"""Decay of the onset and offset columns of Z, in rows."""


@dataclass(frozen=True)
class DesignSettings:
    """How features become regression columns.

    Parameters
    ----------
    delays : tuple of int
        Rows by which features precede responses, counted from the row's window (so a delay
        of 1 on the "previous" clock is 2 on the row's own). ``(0,)`` means no delay.
    scaling : {"story", "none"}
        Standardise each feature within its story before delaying it (zeros of empty rows
        included), or leave it as it is.
    nuisance : {"none", "with", "alone"}
        No nuisance columns Z, Z beside the features, or Z and no features.
    nuisance_scale : float
        Factor on the standardised columns of Z: a large one makes ridge penalise them less,
        by its square. 10 to 100 were measured to give the same scores on ds003020.
    word_length : bool
        Put the mean length of each row's words, at the delays, beside the columns of Z.

    Raises
    ------
    InputError
        For an unknown choice, no delay or one given twice, a scale that is not positive, or
        word length or a scale without Z.
    """

    delays: tuple[int, ...] = (1, 2, 3, 4)
    scaling: Scaling = "story"
    nuisance: Nuisance = "none"
    nuisance_scale: float = 30.0
    word_length: bool = False

    def __post_init__(self) -> None:
        settle_types(self, where="design settings")
        for name, options in {"scaling": get_args(Scaling), "nuisance": get_args(Nuisance)}.items():
            if getattr(self, name) not in options:
                raise unknown_name("design settings", name, str(getattr(self, name)), options)
        if not self.delays or len(set(self.delays)) < len(self.delays):
            raise InputError(
                "design settings: delays",
                got=f"{list(self.delays)}",
                wanted="at least one delay, each once",
                do="Write [0] for no delay.",
            )
        if self.word_length and self.nuisance == "none":
            raise InputError(
                "design settings: word_length",
                got="word length without the nuisance columns",
                wanted="nuisance: with, or nuisance: alone",
                do="Word length is a column of Z: use Z, or leave it out.",
            )
        if not (math.isfinite(self.nuisance_scale) and self.nuisance_scale > 0):
            raise InputError(
                "design settings: nuisance_scale",
                got=f"{self.nuisance_scale}",
                wanted="a finite number above 0",
                do="Use 30, or nuisance: none to leave the columns out.",
            )
        if self.nuisance == "none" and self.nuisance_scale != DesignSettings.nuisance_scale:
            raise InputError(
                "design settings: nuisance_scale",
                got=f"{self.nuisance_scale:g}, without the nuisance columns",
                wanted="nuisance: with, or nuisance: alone",
                do="It weighs the columns of Z: use Z, or leave it out.",
            )


def add_delays(
    values: Float[np.ndarray, "time feature"], delays: Sequence[int]
) -> Float[np.ndarray, "time column"]:
    """Put delayed copies side by side: row t of block d holds row ``t - d``.

    Rows before the story's start (for negative delays, after its end) are zeros. One call per
    story, so that nothing crosses from one story to the next.

    Returns
    -------
    array, shape (time, len(delays) * feature)
        Blocks in the order of `delays`.
    """
    n_rows, width = values.shape
    delayed = np.zeros((n_rows, len(delays), width), dtype=values.dtype)
    for block, delay in enumerate(delays):
        kept = max(n_rows - abs(delay), 0)
        target, source = (n_rows - kept, 0) if delay > 0 else (0, n_rows - kept)
        delayed[target : target + kept, block] = values[source : source + kept]
    return delayed.reshape(n_rows, len(delays) * width)


def word_rate(
    transcript: Transcript, clock: Clock, n_rows: int, *, shift: int
) -> Float64[np.ndarray, "time"]:
    """Number of words with onset in each row's window (in words per TR).

    `shift` moves the windows by rows, as in `Clock.row_of`.
    """
    rows = clock.row_of(transcript.onsets, shift=shift)
    inside = rows[(rows >= 0) & (rows < n_rows)]
    return np.bincount(inside, minlength=n_rows).astype(np.float64)


def word_length(
    transcript: Transcript, clock: Clock, n_rows: int, *, shift: int
) -> Float64[np.ndarray, "time"]:
    """Mean length of the words with onset in each row's window (in characters); 0 without words.

    Every character counts, apostrophes too. `shift` moves the windows by rows.
    """
    rows = clock.row_of(transcript.onsets, shift=shift)
    inside = (rows >= 0) & (rows < n_rows)
    lengths = np.array([len(word) for word in transcript.words], dtype=np.float64)
    total = np.bincount(rows[inside], weights=lengths[inside], minlength=n_rows)
    count = np.bincount(rows[inside], minlength=n_rows)
    return np.asarray(total / np.maximum(count, 1))


def nuisance_columns(
    transcript: Transcript,
    clock: Clock,
    n_rows: int,
    *,
    shift: int,
    delays: Sequence[int],
    with_word_length: bool = False,
) -> Float64[np.ndarray, "time nuisance"]:
    """Z: what speech rate and the place in the story explain without any word's meaning.

    Columns: the word rate at each of `delays`, the row index t, ``exp(-t / 5)`` and
    ``exp(-(T - 1 - t) / 5)``, with t in rows and T rows in all; then, where it is asked for,
    the mean word length at each of `delays`. Each is standardised within the story (one without
    variance is zeros).

    Parameters
    ----------
    transcript : Transcript
    clock : Clock
    n_rows : int
    shift : int
        Rows by which the words' windows are moved, as in `word_rate`.
    delays : sequence of int
    with_word_length : bool
    """
    t = np.arange(n_rows, dtype=np.float64)
    rate = word_rate(transcript, clock, n_rows, shift=shift)
    place = np.stack([t, np.exp(-t / ONSET_ROWS), np.exp(-t[::-1] / ONSET_ROWS)], axis=1)
    columns = [add_delays(rate[:, None], delays), place]
    if with_word_length:
        length = word_length(transcript, clock, n_rows, shift=shift)
        columns.append(add_delays(length[:, None], delays))
    return zscore(np.concatenate(columns, axis=1))


def design_rows(
    bands: Sequence[Float[np.ndarray, "_ _"]],
    nuisance: Float[np.ndarray, "_ _"] | None,
    *,
    settings: DesignSettings,
) -> Float32[np.ndarray, "time column"]:
    """Build one story's regression rows: each band scaled and delayed, then scaled Z.

    Parameters
    ----------
    bands : sequence of arrays, each of shape (time, its features)
        Feature spaces of the story; not used where `settings.nuisance` is "alone".
    nuisance : array, shape (time, nuisance), or None
        As `nuisance_columns` gives it; not used where `settings.nuisance` is "none".
    settings : DesignSettings

    Raises
    ------
    InputError
        If nothing is left to put in, Z is wanted and not given, or lengths differ.
    """
    blocks: list[np.ndarray] = []
    if settings.nuisance != "alone":
        scaled = [zscore(band) if settings.scaling == "story" else band for band in bands]
        blocks += [add_delays(band, settings.delays) for band in scaled]
    if settings.nuisance != "none" and nuisance is not None:
        blocks.append(nuisance * settings.nuisance_scale)
    lengths = sorted({len(block) for block in blocks})
    if len(lengths) != 1 or (settings.nuisance != "none" and nuisance is None):
        raise InputError(
            "design",
            got=f"{len(bands)} bands, nuisance columns {'missing' if nuisance is None else 'given'}"
            f", row counts {lengths}",
            wanted="columns of one and the same length"
            + ("" if settings.nuisance == "none" else ", with nuisance columns"),
            do="Give every band, and Z where it is used, for the same rows.",
        )
    return np.concatenate(blocks, axis=1, dtype=np.float32, casting="same_kind")


def design_bands(
    widths: Sequence[int], n_nuisance: int, *, settings: DesignSettings
) -> tuple[slice, ...]:
    """Columns of each band in `design_rows`, in its order; Z, where used, is the last.

    Parameters
    ----------
    widths : sequence of int
        Features of each band, before delays.
    n_nuisance : int
        Columns of Z.
    """
    sizes = [] if settings.nuisance == "alone" else [len(settings.delays) * n for n in widths]
    sizes += [] if settings.nuisance == "none" else [n_nuisance]
    edges = np.cumsum([0, *sizes]).tolist()
    return tuple(slice(start, stop) for start, stop in pairwise(edges))
