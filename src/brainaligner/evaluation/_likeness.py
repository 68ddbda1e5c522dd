"""How like two recordings are: whether a story, or a person, is there twice."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import scipy.fft
from jaxtyping import Float

_LAGS = 30  # rows over which the autocorrelation of responses is felt


@dataclass(frozen=True)
class StoryLikeness:
    """Two stories whose responses run most alike.

    Parameters
    ----------
    tested, trained : str
    r : float
        Correlation over rows and targets at the best alignment.
    lag : int
        Rows by which the training story has to be moved down.
    spread : float
        Root mean square of r over all pairs and alignments: what chance gives here.
    """

    tested: str
    trained: str
    r: float
    lag: int
    spread: float


def story_likeness(
    tested: Mapping[str, Float[np.ndarray, "_time target"]],
    trained: Mapping[str, Float[np.ndarray, "_time target"]],
) -> StoryLikeness:
    """Find the test story whose responses run most like those of a training story.

    Every pair is compared at every alignment: with each target brought to mean 0 and variance
    1 within its story, ``c[k] = sum over rows and targets of x[t - k] y[t]``, divided by the
    lengths of both (not of their overlap), by the fast Fourier transform. A story under two
    names gives 1 at its alignment, a copy of half of one about .5; noise of its own, or a
    second presentation, lowers it.

    Parameters
    ----------
    tested, trained : mappings of story to float array, shape (time, target)
        One subject's responses.
    """
    rows = [len(values) for side in (tested, trained) for values in side.values()]
    n = scipy.fft.next_fast_len(2 * max(rows), real=True)
    spectra = [{story: _spectrum(values, n) for story, values in side.items()}
               for side in (tested, trained)]  # fmt: skip
    curves = {
        (story, other): scipy.fft.irfft(np.einsum("fv,fv->f", own, np.conj(theirs)), n)
        for story, own in spectra[0].items()
        for other, theirs in spectra[1].items()
    }
    pair = max(curves, key=lambda names: float(curves[names].max()))
    at = int(np.argmax(curves[pair]))
    lag = at if at <= n // 2 else at - n
    near = np.arange(-min(rows) // 2, min(rows) // 2)  # alignments with much overlap
    spread = float(np.sqrt(np.mean([np.mean(curve[near] ** 2) for curve in curves.values()])))
    return StoryLikeness(*pair, float(curves[pair][at]), lag, spread)


def _spectrum(values: np.ndarray, n: int) -> np.ndarray:
    """Transform of a story padded with zeros, of size 1 over all rows and targets."""
    centred = values - values.mean(axis=0, dtype=np.float64)
    deviation = centred.std(axis=0)
    scaled = centred / np.where(deviation > 0, deviation, np.inf)
    size = float(np.linalg.norm(scaled))
    return np.asarray(scipy.fft.rfft((scaled / (size or 1.0)).astype(np.float32), n, axis=0))


def kernel_alignment(
    first: Float[np.ndarray, "time _target"],
    second: Float[np.ndarray, "time _target"],
    *,
    furthest: int = 0,
    strip: float = 0.0,
) -> float:
    """Linear centred kernel alignment of two response matrices to the same rows, up to 1.

    ``<K, L> / (|K| |L|)`` with ``K = X X'`` of columns brought to mean 0: order, sign and
    rotation of the columns do not change it (Kornblith et al. 2019, arXiv:1905.00414).
    NaN where one has no variance. With `furthest` it is the highest over all moves of one side
    against the other by up to so many rows, of what overlaps.

    Of very many noisy columns all kernels look alike: what is left of the noise in K is its
    autocorrelation, and what is left of the signal is what all who heard the story share. `strip`
    takes both out first: that share of the dimensions in which the sum of both is strongest, and
    what is alike at each of the first lags. One person twice still has 1, two people have little.

    Parameters
    ----------
    first, second : float arrays, shape (time, target)
        The numbers of targets may differ.
    furthest : int
        In rows.
    strip : float
        Share of the dimensions of the fewer columns or rows, 0 to below 1; 0 takes nothing out.
    """
    k, n = (_kernel(values - values.mean(axis=0, dtype=np.float64)) for values in (first, second))
    columns = min(first.shape[1], second.shape[1])
    moves = [move for move in range(-furthest, furthest + 1) if abs(move) < len(k)]
    pairs = [_overlap(k, n, move) for move in moves]
    if strip:
        pairs = [_stripped(*pair, round(strip * min(columns, len(pair[0]) - 1))) for pair in pairs]
    known = [value for value in (_cosine(*pair) for pair in pairs) if np.isfinite(value)]
    return max(known) if known else float("nan")


def _kernel(values: np.ndarray) -> np.ndarray:
    return np.asarray(values @ values.T, dtype=np.float64)


def _overlap(k: np.ndarray, n: np.ndarray, move: int) -> tuple[np.ndarray, np.ndarray]:
    """Centred kernels of the rows where t + move of the first meets t of the second."""
    ours = slice(max(move, 0), len(k) + min(move, 0))
    theirs = slice(max(-move, 0), len(n) - max(move, 0))
    return _centred(k[ours, ours]), _centred(n[theirs, theirs])


def _cosine(a: np.ndarray, b: np.ndarray) -> float:
    size = float(np.linalg.norm(a) * np.linalg.norm(b))
    return float((a * b).sum()) / size if size > 0 else float("nan")


def _centred(kernel: np.ndarray) -> np.ndarray:
    """The kernel of the same columns brought to mean 0 over these rows."""
    rows = kernel - kernel.mean(axis=0)
    return np.asarray(rows - rows.mean(axis=1, keepdims=True))


def _stripped(a: np.ndarray, b: np.ndarray, n_strongest: int) -> tuple[np.ndarray, np.ndarray]:
    """Both without the dimensions in which their sum is strongest, and without likeness at lags."""
    sizes = [float(np.linalg.norm(kernel)) or 1.0 for kernel in (a, b)]
    axes = np.linalg.eigh(a / sizes[0] + b / sizes[1])[1]
    left = axes[:, : len(a) - n_strongest]
    lags = np.stack([(left.T @ _lag(len(a), n) @ left).ravel() for n in range(_LAGS)], axis=1)
    gram = lags.T @ lags
    rest = [(left.T @ kernel @ left).ravel() for kernel in (a, b)]
    one, two = (r - lags @ np.linalg.lstsq(gram, lags.T @ r, rcond=None)[0] for r in rest)
    return one, two


def _lag(n_rows: int, lag: int) -> np.ndarray:
    """Ones where two rows are so far apart."""
    return np.eye(n_rows, k=lag) + (np.eye(n_rows, k=-lag) if lag else 0.0)
