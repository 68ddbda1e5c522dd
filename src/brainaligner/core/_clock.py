"""The clock that ties response rows to story time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from brainaligner.core._errors import InputError


@dataclass(frozen=True)
class Clock:
    """When each row of a story's responses was measured.

    Row ``i`` is centred at ``first + i * tr`` seconds of story time and owns the window
    ``[first + (i - 1/2) tr, first + (i + 1/2) tr)``. For ds003020, ``first`` is 11 s, so
    row ``i`` owns ``[10 + 2i, 12 + 2i)``.

    Parameters
    ----------
    tr : float
        Repetition time, in seconds.
    first : float
        Centre of row 0, in seconds from the start of the story's sound.
    """

    tr: float = 2.0
    first: float = 11.0

    def __post_init__(self) -> None:
        if not (np.isfinite(self.tr) and self.tr > 0 and np.isfinite(self.first)):
            raise InputError(
                "clock",
                got=f"tr={self.tr}, first={self.first}",
                wanted="a finite first row and a repetition time above 0 s",
                do="Give both in seconds.",
            )

    def centres(self, n_rows: int) -> Float64[np.ndarray, "time"]:
        """Centre of each of the first `n_rows` rows, in seconds of story time."""
        return self.first + self.tr * np.arange(n_rows, dtype=np.float64)

    def row_of(self, times: Float64[np.ndarray, "event"], *, shift: int = 0) -> np.ndarray:
        """Index of the row whose (shifted) window holds each time; may be out of range.

        Parameters
        ----------
        times : array, in seconds of story time
        shift : int
            Rows by which the windows are moved in story time: 0 gives each row its own
            window, -1 the window of the row before (ds003020: ``[8 + 2i, 10 + 2i)``).
        """
        start = self.first - self.tr / 2 + shift * self.tr
        return np.floor((np.asarray(times) - start) / self.tr).astype(np.int64)
