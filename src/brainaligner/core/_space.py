"""What the columns of a response matrix are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Int

from brainaligner.core._arrays import frozen_array
from brainaligner.core._errors import InputError, unknown_name

SPACE_KINDS = ("voxels", "components", "regions", "parcels")
FSAVERAGE5_VERTICES = 20_484


@dataclass(frozen=True, eq=False)
class Space:
    """The places that response columns stand for.

    A report names targets by `kind`, so that a component is never called a voxel.

    Parameters
    ----------
    kind : {"voxels", "components", "regions", "parcels"}
    size : int
        Number of targets (columns).
    labels : tuple of str, optional
        One name per target.
    vertices : int array, shape (target,), optional
        fsaverage5 vertex of each target: left hemisphere 0 to 10241, right 10242 to 20483,
        -1 where a target lies on no surface. Without it no cortex map can be drawn.

    Raises
    ------
    InputError
        If `kind` is unknown, or labels or vertices do not fit `size`.
    """

    kind: str
    size: int
    labels: tuple[str, ...] | None = None
    vertices: Int[np.ndarray, "target"] | None = None

    def __post_init__(self) -> None:
        if self.kind not in SPACE_KINDS:
            raise unknown_name("space", "kind", self.kind, SPACE_KINDS)
        if self.size < 1:
            raise InputError(
                "space",
                got=f"{self.size} {self.kind}",
                wanted="1 or more",
                do="Check that the responses have columns.",
            )
        lengths = {"labels": self.labels, "vertices": self.vertices}
        for name, value in lengths.items():
            if value is not None and len(value) != self.size:
                raise InputError(
                    f"space of {self.size} {self.kind}",
                    got=f"{len(value)} {name}",
                    wanted=f"{self.size}, one for each target",
                    do="Give one for each column.",
                )
        if self.vertices is not None:
            vertices = np.asarray(self.vertices)
            if vertices.min() < -1 or vertices.max() >= FSAVERAGE5_VERTICES:
                raise InputError(
                    "space vertices",
                    got=f"{vertices.min()} to {vertices.max()}",
                    wanted=f"-1 to {FSAVERAGE5_VERTICES - 1}",
                    do="Give fsaverage5 vertices, left hemisphere first.",
                )
            object.__setattr__(self, "vertices", frozen_array(vertices))

    @property
    def has_map(self) -> bool:
        """Whether a cortex map can be drawn."""
        return self.vertices is not None
