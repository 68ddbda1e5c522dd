"""What drives simulated responses, and the noise on top."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import gamma

import numpy as np
from jaxtyping import Float64
from scipy.signal import lfilter

from brainaligner.core import Clock, Transcript, zscore


@dataclass(frozen=True, eq=False)
class Drivers:
    """Time courses that responses are weighted sums of.

    Parameters
    ----------
    courses : mapping of story to float64 array, shape (time, driver)
        After the haemodynamic response, centred within the story. The last is word rate.
    directions : float64 array, shape (feature, driver - 1)
        The feature weights of the other drivers.
    covariance : float64 array, shape (driver, driver)
        Over all rows of all stories.
    """

    courses: Mapping[str, np.ndarray]
    directions: Float64[np.ndarray, "feature direction"]
    covariance: Float64[np.ndarray, "driver driver"]


def haemodynamic_response(tr: float) -> Float64[np.ndarray, "lag"]:
    """Response to a brief event at lags 0, tr, 2 tr, ... below 32 s, summing to 1.

    ``h(t) = t^5 e^-t / Gamma(6) - t^15 e^-t / (6 Gamma(16))``, t in seconds: the canonical
    double gamma of SPM (``spm_hrf`` with its default parameters 6, 16, 1, 1, 6). It peaks
    at 5 s and undershoots near 15 s.
    """
    t = np.arange(0, 32, tr)
    response = (t**5 / gamma(6) - t**15 / (6 * gamma(16))) * np.exp(-t)
    return response / response.sum()


def word_counts(transcript: Transcript, n_rows: int) -> Float64[np.ndarray, "time 1"]:
    """Words with onset in each row's own window, ``[10 + 2 i, 12 + 2 i)`` s."""
    rows = Clock().row_of(transcript.onsets)
    inside = rows[(rows >= 0) & (rows < n_rows)]
    return np.bincount(inside, minlength=n_rows).astype(np.float64)[:, None]


def story_drivers(
    transcripts: Mapping[str, Transcript],
    features: Mapping[str, np.ndarray],
    *,
    n_directions: int,
) -> Drivers:
    """Drivers of every story.

    Features and word counts are standardised within the story. The directions are the
    leading principal components of the pooled features, each scaled to unit variance, so
    that a few stories suffice to learn the weights. Rows before the first are zeros.
    """
    standard = {story: zscore(features[story].astype(np.float64)) for story in transcripts}
    directions = _leading_directions(standard, n_directions)
    response = haemodynamic_response(Clock().tr)
    courses = {}
    for story, values in standard.items():
        rate = zscore(word_counts(transcripts[story], len(values)))
        course = lfilter(response, [1.0], np.hstack([values @ directions, rate]), axis=0)
        courses[story] = course - course.mean(axis=0)
    pooled = np.concatenate(list(courses.values()))
    return Drivers(courses, directions, pooled.T @ pooled / len(pooled))


def _leading_directions(standard: Mapping[str, np.ndarray], n_directions: int) -> np.ndarray:
    pooled = np.concatenate(list(standard.values()))
    variances, vectors = np.linalg.eigh(pooled.T @ pooled / len(pooled))
    kept = np.flatnonzero(variances > 1e-9 * variances[-1])[::-1][:n_directions]
    directions = vectors[:, kept] / np.sqrt(variances[kept])
    largest = np.abs(directions).argmax(axis=0)
    return directions * np.sign(directions[largest, np.arange(len(kept))])  # else arbitrary


def driver_weights(
    direction_maps: Float64[np.ndarray, "direction voxel"],
    covariance: Float64[np.ndarray, "driver driver"],
    *,
    snr: Float64[np.ndarray, "voxel"],
    word_rate_share: float,
) -> Float64[np.ndarray, "driver voxel"]:
    """Weights that give each voxel a signal of variance `snr`.

    The part of the directions and the part of word rate are first scaled to the variances
    ``1 - word_rate_share`` and `word_rate_share`, then their sum to `snr`. Word rate raises
    the response of every voxel.
    """
    n = len(direction_maps)
    maps = np.vstack([direction_maps, np.ones((1, direction_maps.shape[1]))])
    meaning = _variances(maps[:n], covariance[:n, :n])
    rate = _variances(maps[n:], covariance[n:, n:])
    maps[:n] *= np.sqrt((1 - word_rate_share) * _inverse(meaning))
    maps[n:] *= np.sqrt(word_rate_share * _inverse(rate))
    return maps * np.sqrt(snr * _inverse(_variances(maps, covariance)))


def _variances(weights: np.ndarray, covariance: np.ndarray) -> np.ndarray:
    return np.einsum("iv,ij,jv->v", weights, covariance, weights, optimize=True)


def _inverse(values: np.ndarray) -> np.ndarray:
    """``1 / x``, and 0 where x is 0."""
    return np.divide(1.0, values, out=np.zeros_like(values), where=values > 0)


def smooth_noise(
    basis: Float64[np.ndarray, "voxel wave"],
    n_rows: int,
    *,
    ar: float,
    rng: np.random.Generator,
) -> Float64[np.ndarray, "time voxel"]:
    """Noise ``n_t = ar n_{t-1} + sqrt(1 - ar^2) e_t``, smooth over the cortex.

    It starts in its stationary state, is centred over the rows, and is scaled so that its
    expected variance over the rows is 1.
    """
    shocks = rng.standard_normal((n_rows, basis.shape[1]))
    shocks[1:] *= np.sqrt(1 - ar**2)
    noise = lfilter([1.0], [1.0, -ar], shocks, axis=0) @ basis.T
    noise -= noise.mean(axis=0)
    return noise / np.sqrt(_centred_variance(n_rows, ar))


def _centred_variance(n_rows: int, ar: float) -> float:
    """Expected variance around its own mean of a unit-variance AR(1) series.

    ``1 - (1/T^2) sum_ij ar^|i-j|``.
    """
    lags = np.arange(1, n_rows)
    total = n_rows + 2 * ((n_rows - lags) * ar**lags).sum()
    return float(1 - total / n_rows**2)
