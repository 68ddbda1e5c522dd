"""Small numeric helpers that every room needs in the same form."""

from __future__ import annotations

import hashlib

import numpy as np
from jaxtyping import Float, Shaped


def frozen_array(array: np.ndarray) -> np.ndarray:
    """Return a read-only view of `array`; the caller's own array stays as it was."""
    view = np.asarray(array).view()
    view.flags.writeable = False
    return view


def all_finite(values: Float[np.ndarray, "..."]) -> bool:
    """Whether no value is NaN or infinite.

    A finite sum of squares proves it, in one fast pass and without a second array: once NaN or
    infinite, a sum stays so. One that is not finite may have overflowed: every value is looked at.
    """
    if values.dtype in (np.float32, np.float64):
        flat = values.ravel(order="K")
        with np.errstate(over="ignore", invalid="ignore"):
            if np.isfinite(np.dot(flat, flat)):
                return True
    return bool(np.isfinite(values).all())


def array_digest(array: Shaped[np.ndarray, "..."]) -> str:
    """SHA-256 of an array's dtype, shape and values (little-endian, C order)."""
    contiguous = np.ascontiguousarray(array)
    if contiguous.dtype.byteorder == ">":
        contiguous = contiguous.astype(contiguous.dtype.newbyteorder("<"))
    head = f"{contiguous.dtype.str}{contiguous.shape}".encode()
    return hashlib.sha256(head + contiguous.tobytes()).hexdigest()


MANY_OFF_CENTRE = 0.5
"""Share of off-centre columns from which on responses do not look standardised."""


def off_centre_share(
    means: Float[np.ndarray, "column"], deviations: Float[np.ndarray, "column"]
) -> float:
    """Share of columns whose mean over time lies beyond one standard deviation from 0."""
    return float(np.mean(np.abs(means) > deviations))


def zscore(values: Float[np.ndarray, "time column"]) -> Float[np.ndarray, "time column"]:
    """Standardise each column over time: ``(x - mean) / std`` with ``ddof = 0``.

    A column without variance becomes zeros, never NaN. Sums run in float64 and the
    result has the dtype of `values`.
    """
    mean = values.mean(axis=0, dtype=np.float64)
    std = values.std(axis=0, dtype=np.float64)
    constant = std <= 1e-7 * np.maximum(np.abs(mean), 1e-30)
    scaled = (values - mean) / np.where(constant, 1.0, std)
    scaled[:, constant] = 0.0
    return scaled.astype(values.dtype, copy=False)
