"""Spheres as meshes: their triangles, their flat maps, normals of what they become."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float64, Int64

FLAT_MM = 60.0
FLAT_EDGE = -0.8
"""Cosine of the angle from the lateral pole beyond which the map is cut: the medial wall."""


def sphere_faces(sphere: Float64[np.ndarray, "vertex 3"]) -> Int64[np.ndarray, "face 3"]:
    """Delaunay triangles of points on a sphere, seen counter-clockwise from outside."""
    from scipy.spatial import ConvexHull

    faces = ConvexHull(sphere).simplices.astype(np.int64)
    corners = sphere[faces]
    inward = np.linalg.det(corners) < 0
    faces[inward] = faces[inward][:, ::-1]
    return faces


def flattened(
    sphere: Float64[np.ndarray, "vertex 3"], *, outward: int
) -> tuple[Float64[np.ndarray, "vertex 3"], Bool[np.ndarray, "vertex"]]:
    """Lambert's equal-area map about the lateral pole, as seen from outside; what lies on it.

    `outward` is the sign of x at the lateral pole. Vertices off the map lie at its middle.
    """
    towards = outward * sphere[:, 0]
    kept = towards > FLAT_EDGE
    stretch = FLAT_MM * np.sqrt(2 / (1 + np.where(kept, towards, 1)))
    flat = np.column_stack([outward * sphere[:, 1], sphere[:, 2], 0 * towards])
    return np.where(kept, stretch, 0)[:, None] * flat, kept


def normals(points: np.ndarray, faces: np.ndarray) -> Float64[np.ndarray, "vertex 3"]:
    """Outward unit normal of each vertex."""
    corners = points[faces]
    of_faces = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normals = np.zeros_like(points)
    for corner in range(3):
        np.add.at(normals, faces[:, corner], of_faces)
    return normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)
