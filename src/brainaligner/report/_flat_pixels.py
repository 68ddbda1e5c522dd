"""Flatmaps as pictures: which targets each pixel shows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Bool, Float, Float64, Int64

from brainaligner.core import InputError, frozen_array

if TYPE_CHECKING:
    from scipy.sparse import csr_array

HEIGHT = 1024
"""Pixels from top to bottom, as pycortex has them."""
WIDEST = 4
"""A picture is at most this many times as wide as high."""
GAP = 0.02
"""Between the hemispheres, as a share of the height."""


@dataclass(frozen=True, eq=False)
class FlatHemisphere:
    """One hemisphere, cut and flattened.

    Parameters
    ----------
    points : float array, shape (vertex, 2)
        x to the right and y up, in mm. Vertices that no face names may lie anywhere.
    faces : int64 array, shape (face, 3)
        Triangles of the map.
    targets : int64 array, shape (vertex,)
        The target at each vertex; -1 for none.

    Raises
    ------
    InputError
        If there are no faces, they have no extent, or there is not one target per vertex.
    """

    points: Float64[np.ndarray, "vertex 2"]
    faces: Int64[np.ndarray, "face 3"]
    targets: Int64[np.ndarray, "vertex"]

    def __post_init__(self) -> None:
        extent = np.ptp(self.points[np.unique(self.faces)], axis=0) if len(self.faces) else 0
        if not np.all(extent) or len(self.targets) != len(self.points):
            raise InputError(
                "flat surface",
                got=f"{len(self.faces)} faces, {len(self.points)} vertices with "
                f"{len(self.targets)} targets",
                wanted="a map with some width and height, and one target for each vertex",
                do="Get the flat surfaces from the release that the others are from.",
            )
        for name in ("points", "faces", "targets"):
            object.__setattr__(self, name, frozen_array(getattr(self, name)))


@dataclass(frozen=True, eq=False)
class FlatPixels:
    """What each pixel of a flatmap shows.

    Parameters
    ----------
    inside : bool array, shape (height, width)
        Pixels that show cortex; the first row is the top one.
    weights : sparse csr_array, shape (pixel, target)
        For the pixels inside, row by row: how much of each target a pixel shows.
    """

    inside: Bool[np.ndarray, "height width"]
    weights: csr_array

    def __post_init__(self) -> None:
        object.__setattr__(self, "inside", frozen_array(self.inside))

    @property
    def n_targets(self) -> int:
        """Targets that could be shown."""
        return int(self.weights.shape[1])

    def picture(self, values: Float[np.ndarray, "target"]) -> Float64[np.ndarray, "height width"]:
        """Weighted mean of the finite values in each pixel; NaN where there are none."""
        finite = np.isfinite(values)
        sums = self.weights @ np.where(finite, values, 0.0).astype(np.float64)
        amounts = self.weights @ finite.astype(np.float64)
        means = np.full(len(sums), np.nan)
        np.divide(sums, amounts, out=means, where=amounts > 0)
        drawn = np.full(self.inside.shape, np.nan)
        drawn[self.inside] = means
        return drawn

    def covered(self, values: Float[np.ndarray, "target"]) -> float:
        """Share of the cortex that shows a value."""
        shown = np.isfinite(self.picture(values)).sum()
        return float(shown / max(1, np.count_nonzero(self.inside)))


def flat_pixels(
    left: FlatHemisphere, right: FlatHemisphere, *, n_targets: int, height: int = HEIGHT
) -> FlatPixels:
    """Draw both hemispheres side by side; a pixel shows the target of its nearest vertex.

    "Nearest" is among the corners of the triangle that the pixel lies in.

    Parameters
    ----------
    left, right : FlatHemisphere
    n_targets : int
    height : int
        Of the picture, in pixels; less for a map more than four times as wide as high.
    """
    from scipy.sparse import csr_array

    points, faces = _side_by_side(left, right)
    targets = np.concatenate([left.targets, right.targets])
    used = points[np.unique(faces)]
    low, high = used.min(axis=0), used.max(axis=0)
    scale = min((height - 1) / (high - low)[1], WIDEST * height / (high - low)[0])
    place = np.column_stack([points[:, 0] - low[0], high[1] - points[:, 1]]) * scale
    columns, rows = (np.ceil((high - low) * scale).astype(int) + 1).tolist()
    face = _face_of_pixel(place, faces, (rows, columns))
    row, column = np.nonzero(face >= 0)
    corners = faces[face[row, column]]
    away = np.linalg.norm(place[corners] - np.column_stack([column, row])[:, None], axis=2)
    shown = targets[corners[np.arange(len(row)), away.argmin(axis=1)]]
    pixel = np.flatnonzero(shown >= 0)
    weights = csr_array((np.ones(len(pixel)), (pixel, shown[pixel])), shape=(len(row), n_targets))
    return FlatPixels(face >= 0, weights)


def _side_by_side(
    left: FlatHemisphere, right: FlatHemisphere
) -> tuple[Float64[np.ndarray, "vertex 2"], Int64[np.ndarray, "face 3"]]:
    """Both maps in one plane, left of 0 and right of it."""
    moved = []
    gap = GAP * max(np.ptp(half.points[half.faces][:, :, 1]) for half in (left, right))
    for half, edge, sign in ((left, np.max, -1), (right, np.min, 1)):
        points = half.points.copy()
        points[:, 0] += sign * gap / 2 - edge(points[half.faces][:, :, 0])
        moved.append(points)
    return np.concatenate(moved), np.concatenate([left.faces, right.faces + len(left.points)])


def _face_of_pixel(
    place: Float64[np.ndarray, "vertex 2"],
    faces: Int64[np.ndarray, "face 3"],
    shape: tuple[int, int],
) -> Int64[np.ndarray, "height width"]:
    """The triangle that lies over each pixel; -1 for none."""
    from PIL import Image, ImageDraw

    image = Image.new("I", (shape[1], shape[0]), 0)
    draw = ImageDraw.Draw(image)
    for number, corners in enumerate(place[faces].reshape(-1, 6).tolist(), start=1):
        draw.polygon(corners, fill=number, outline=number)
    return np.asarray(image).astype(np.int64) - 1
