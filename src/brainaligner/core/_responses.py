"""Measured and predicted numbers, one row per TR."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from brainaligner.core._arrays import all_finite, array_digest, frozen_array
from brainaligner.core._clock import Clock
from brainaligner.core._errors import InputError
from brainaligner.core._space import Space


def _check_matrix(where: str, values: np.ndarray, *, dims: int = 2) -> None:
    if values.ndim != dims or 0 in values.shape or not np.issubdtype(values.dtype, np.floating):
        raise InputError(
            where,
            got=f"{values.dtype} array of shape {values.shape}",
            wanted=f"a non-empty floating-point array with {dims} dimensions",
            do="Check the file that it came from.",
        )
    if not all_finite(values):
        bad = int((~np.isfinite(values)).sum())
        raise InputError(
            where,
            got=f"{bad} values that are NaN or infinite",
            wanted="finite values",
            do="Replace them (readers put 0 and count them) before building this value.",
        )


@dataclass(frozen=True, eq=False)
class Responses:
    """fMRI responses of one subject to one story.

    Parameters
    ----------
    subject, story : str
    values : float array, shape (time, target)
        One row per TR; the mean over presentations where there were several. Units as the
        dataset gives them (ds003020: z-scored within story).
    space : Space
        What the columns are.
    clock : Clock
        When the rows were measured, in story time.
    presentations : int
        How many presentations `values` averages: 1 means single-presentation.
    repeats : float array, shape (repeat, time, target), optional
        The single presentations, where the dataset has them.
    replaced : int
        How many NaN or infinite values the reader set to 0.

    Raises
    ------
    InputError
        If shapes disagree, or a value is not finite.
    """

    subject: str
    story: str
    values: Float[np.ndarray, "time target"]
    space: Space
    clock: Clock
    presentations: int = 1
    repeats: Float[np.ndarray, "repeat time target"] | None = None
    replaced: int = 0

    def __post_init__(self) -> None:
        where = f"responses of {self.subject} to {self.story!r}"
        _check_matrix(where, self.values)
        object.__setattr__(self, "values", frozen_array(self.values))
        if self.values.shape[1] != self.space.size:
            raise InputError(
                where,
                got=f"{self.values.shape[1]} columns",
                wanted=f"{self.space.size} {self.space.kind}",
                do="Use the space that belongs to these columns.",
            )
        if self.presentations < 1:
            raise InputError(
                where,
                got=f"{self.presentations} presentations",
                wanted="1 or more",
                do="Say how many presentations were averaged.",
            )
        if self.repeats is not None:
            self._check_repeats(where)

    def _check_repeats(self, where: str) -> None:
        assert self.repeats is not None
        _check_matrix(f"{where} (repeats)", self.repeats, dims=3)
        if self.repeats.shape[1:] != self.values.shape:
            raise InputError(
                where,
                got=f"repeats of shape {self.repeats.shape}",
                wanted=f"(repeat, {self.values.shape[0]}, {self.values.shape[1]})",
                do="Give repeats of the same rows and columns as the mean.",
            )
        object.__setattr__(self, "repeats", frozen_array(self.repeats))

    @property
    def n_rows(self) -> int:
        """Number of TRs."""
        return int(self.values.shape[0])

    def digest(self) -> str:
        """SHA-256 of the values; names do not enter."""
        return array_digest(self.values)


@dataclass(frozen=True, eq=False)
class Features:
    """Stimulus features of one story, one row per TR.

    Parameters
    ----------
    story : str
    values : float array, shape (time, feature)
    name : str
        What the columns are, for people: ``"embedded layer 4"``.

    Raises
    ------
    InputError
        If `values` is not a finite matrix.
    """

    story: str
    values: Float[np.ndarray, "time feature"]
    name: str = ""

    def __post_init__(self) -> None:
        _check_matrix(f"features {self.name!r} of {self.story!r}", self.values)
        object.__setattr__(self, "values", frozen_array(self.values))
