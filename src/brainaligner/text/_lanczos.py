"""From word times to row centres with a windowed sinc."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float32, Float64

from brainaligner.core import Clock, InputError, Transcript
from brainaligner.text._settings import TextSettings


def lanczos_matrix(
    word_times: Float64[np.ndarray, "word"],
    row_centres: Float64[np.ndarray, "time"],
    *,
    lobes: int = 3,
    cutoff: float | None = None,
) -> Float64[np.ndarray, "time word"]:
    """Return L so that ``L @ word_values`` is low-passed and sampled at the row centres.

    ``L[i, j] = sinc(u) sinc(u / lobes)`` for ``|u| <= lobes`` and 0 elsewhere, with
    ``u = 2 cutoff (row_centres[i] - word_times[j])`` and ``sinc(u) = sin(pi u) / (pi u)``.
    Rows are not rescaled to sum to 1, so values grow with the word rate.

    Convention: `cutoff` is the edge of the pass band. The Huth-lab code (encoding-model-
    scaling-laws and deep-fMRI-dataset, ``lanczosinterp2D`` with ``window=3,
    cutoff_mult=1``) calls twice this number its cutoff: 1 / TR = 0.5 Hz there is 0.25 Hz
    here, the Nyquist frequency of a 2 s TR.

    The filter looks ``lobes / (2 cutoff)`` seconds ahead (and back): 6 s, or 3 TRs, by
    default. Rows therefore know words up to that far in their future.

    Parameters
    ----------
    word_times : float64 array, shape (word,), in seconds
    row_centres : float64 array, shape (time,), in seconds, evenly spaced
    lobes : int
        Zero crossings on each side that the window keeps.
    cutoff : float, in Hz, optional
        By default the rows' Nyquist frequency, ``1 / (2 tr)``.

    Raises
    ------
    InputError
        If `lobes` or `cutoff` is not positive, or one row alone leaves the cutoff unknown.
    """
    if cutoff is None and len(row_centres) > 1:
        cutoff = 0.5 / float(np.mean(np.diff(row_centres)))
    if cutoff is None or not (np.isfinite(cutoff) and cutoff > 0) or lobes < 1:
        raise InputError(
            "Lanczos filter",
            got=f"cutoff {cutoff} Hz, {lobes} lobes, {len(row_centres)} rows",
            wanted="a cutoff above 0 Hz (two rows or more give one) and at least one lobe",
            do="Give the cutoff in Hz; 0.25 suits a TR of 2 s.",
        )
    u = 2 * cutoff * (row_centres[:, None] - word_times[None, :])
    return np.where(np.abs(u) <= lobes, np.sinc(u) * np.sinc(u / lobes), 0.0)


def rows_from_states(
    states: Float32[np.ndarray, "text width"],
    transcript: Transcript,
    clock: Clock,
    n_rows: int,
    *,
    settings: TextSettings,
) -> Float32[np.ndarray, "time width"]:
    """Bring the states of `story_texts` to one row per TR.

    States of rows come back as they are. States of words are placed at word midpoints and
    resampled at the row centres, moved back by one row for the "previous" clock.
    """
    texts = len(transcript) if settings.resample == "lanczos" else n_rows
    if len(states) != texts:
        raise InputError(
            f"states of story {transcript.story!r}",
            got=f"{len(states)} rows of states",
            wanted=f"{texts}, one for each text of this story",
            do="Read the texts that story_texts gives for the same settings.",
        )
    if settings.resample == "window":
        return states
    centres = clock.centres(n_rows) + settings.shift * clock.tr
    matrix = lanczos_matrix(transcript.midpoints, centres, cutoff=0.5 / clock.tr)
    return (matrix @ states).astype(np.float32)
