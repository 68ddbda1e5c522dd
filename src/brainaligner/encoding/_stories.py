"""Designs and responses, read one story at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, Shaped

from brainaligner.core import InputError


@runtime_checkable
class Designs(Protocol):
    """A sequence of design matrices, one for each story (or piece of a story)."""

    def __len__(self) -> int:
        """Number of stories."""
        ...

    def design(self, i: int) -> Float[np.ndarray, "time feature"]:
        """Features of story `i`, float32 or float64, one row per TR."""
        ...


@runtime_checkable
class Stories(Designs, Protocol):
    """Designs together with the responses to them; both are read when asked for."""

    @property
    def n_targets(self) -> int:
        """Number of targets (voxels, components)."""
        ...

    def responses(self, i: int, targets: slice) -> Float[np.ndarray, "time target"]:
        """Responses to story `i` at a slice of targets, float32 or float64."""
        ...


@dataclass(frozen=True, eq=False)
class ArrayDesigns:
    """Designs that are in memory already."""

    designs: Sequence[Shaped[np.ndarray, "..."]]

    def __post_init__(self) -> None:
        for i, values in enumerate(self.designs):
            _check_design(values, i, np.shape(self.designs[0])[-1])

    def __len__(self) -> int:
        return len(self.designs)

    def design(self, i: int) -> Float[np.ndarray, "time feature"]:
        """Features of story `i`."""
        return self.designs[i]


@dataclass(frozen=True, eq=False)
class ArrayStories:
    """Designs and responses that are in memory already.

    Parameters
    ----------
    designs : sequence of float arrays, each (time, feature)
    matrices : sequence of float arrays, each (time, target)
        Responses, in the order of the designs.

    Raises
    ------
    InputError
        If lengths, rows, features or targets disagree, or a value is not finite.
    """

    designs: Sequence[Shaped[np.ndarray, "..."]]
    matrices: Sequence[Shaped[np.ndarray, "..."]]

    def __post_init__(self) -> None:
        for name, side in (("designs", self.designs), ("matrices", self.matrices)):
            if hasattr(side, "shape"):
                raise InputError(
                    f"stories: {name}",
                    got=f"one array of shape {tuple(side.shape)}",
                    wanted="a list of matrices, one for each story",
                    do="Write [array] for a single story.",
                )
        if len(self.designs) != len(self.matrices):
            raise InputError(
                "stories",
                got=f"{len(self.designs)} designs and {len(self.matrices)} response matrices",
                wanted="one response matrix for each design",
                do="Give both lists in the same order.",
            )
        if not self.designs:
            raise no_stories("stories")
        for i, (design, responses) in enumerate(zip(self.designs, self.matrices, strict=True)):
            _check_design(design, i, np.shape(self.designs[0])[-1])
            _check_responses(responses, i, (design.shape[0], self.n_targets))

    def __len__(self) -> int:
        return len(self.designs)

    @property
    def n_targets(self) -> int:
        """Number of targets."""
        return int(np.shape(self.matrices[0])[-1])

    def design(self, i: int) -> Float[np.ndarray, "time feature"]:
        """Features of story `i`."""
        return self.designs[i]

    def responses(self, i: int, targets: slice) -> Float[np.ndarray, "time target"]:
        """Responses to story `i` at a slice of targets."""
        return self.matrices[i][:, targets]


def as_designs(given: Designs | Sequence[Shaped[np.ndarray, "..."]]) -> Designs:
    """Return `given` as `Designs`, whether it reads lazily or is a list of arrays."""
    return given if isinstance(given, Designs) else ArrayDesigns(given)


def no_stories(where: str) -> InputError:
    """The error for an empty sequence of stories."""
    return InputError(where, got="no story", wanted="at least one", do="Name some stories.")


def read_design(
    designs: Designs, i: int, n_features: int | None = None
) -> Float[np.ndarray, "time feature"]:
    """Read the design of story `i`; refuse a wrong shape, a wrong dtype or NaN."""
    values = designs.design(i)
    _check_design(values, i, n_features)
    return np.ascontiguousarray(values)  # torch takes no negative strides


def read_responses(
    stories: Stories, i: int, targets: slice, shape: tuple[int, int]
) -> Float[np.ndarray, "time target"]:
    """Read responses to story `i`; refuse NaN, or a shape other than the expected one."""
    values = stories.responses(i, targets)
    _check_responses(values, i, shape)
    return np.ascontiguousarray(values)


def _check_design(values: np.ndarray, i: int, n_features: int | None) -> None:
    where = f"design {i} (counted from 0)"
    _check_matrix(where, values)
    if n_features not in (None, values.shape[1]):
        raise InputError(
            where,
            got=f"{values.shape[1]} features",
            wanted=f"{n_features}, as in the other stories",
            do="Make all designs with the same model, layers and delays.",
        )


def _check_responses(values: np.ndarray, i: int, shape: tuple[int, int]) -> None:
    where = f"responses {i} (counted from 0)"
    _check_matrix(where, values)
    if values.shape != shape:
        raise InputError(
            where,
            got=f"{values.shape[0]} rows and {values.shape[1]} targets",
            wanted=f"{shape[0]} rows, as in its design, and {shape[1]} targets",
            do="Check that designs and responses are of the same stories, trimmed alike.",
        )


def _check_matrix(where: str, values: np.ndarray) -> None:
    if values.ndim != 2 or 0 in values.shape or values.dtype not in (np.float32, np.float64):
        raise InputError(
            where,
            got=f"{values.dtype} array of shape {values.shape}",
            wanted="a non-empty float32 (or float64) matrix, one row per TR",
            do="Convert it with astype('float32').",
        )
    if not np.isfinite(values).all():
        raise InputError(
            where,
            got=f"{int((~np.isfinite(values)).sum())} values that are NaN or infinite",
            wanted="finite values",
            do="Replace them, and count them, where the data are read.",
        )
