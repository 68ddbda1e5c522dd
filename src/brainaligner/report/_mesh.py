"""The fsaverage5 surface, which nilearn ships, and values painted on its vertices."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int, Int64

from brainaligner.core import FSAVERAGE5_VERTICES, frozen_array

FILL_MM = 6.0
GAP_MM = 12.0
HALF = FSAVERAGE5_VERTICES // 2


@dataclass(frozen=True, eq=False)
class Hemisphere:
    """One half of fsaverage5: where it lies, how it is drawn, how it folds."""

    white: Float[np.ndarray, "vertex 3"]
    inflated: Float[np.ndarray, "vertex 3"]
    faces: Int[np.ndarray, "face 3"]
    sulci: Float[np.ndarray, "vertex"]


def fsaverage5_coordinates() -> Float[np.ndarray, "vertex 3"]:
    """Place of each fsaverage5 vertex on the white-matter surface.

    Returns
    -------
    float64 array, shape (20484, 3)
        Millimetres, left hemisphere first. The white surface is taken because there the
        two banks of a sulcus lie further apart than on the pial one.
    """
    return np.concatenate([half.white for half in hemispheres()])


@functools.cache
def fsaverage5_sphere() -> Float[np.ndarray, "vertex 3"]:
    """Place of each fsaverage5 vertex on the sphere to which FreeSurfer registers subjects.

    Returns
    -------
    float64 array, shape (20484, 3)
        Left hemisphere first.
    """
    from nilearn.datasets import load_fsaverage

    parts = load_fsaverage("fsaverage5")["sphere"].parts
    halves = [np.asarray(parts[side].coordinates, np.float64) for side in ("left", "right")]
    return frozen_array(np.concatenate(halves))


@dataclass(frozen=True, eq=False)
class CortexMesh:
    """Both inflated hemispheres of fsaverage5, side by side, to be turned by hand.

    Parameters
    ----------
    coordinates : float64 array, shape (20484, 3)
        Millimetres, left hemisphere first; the halves are moved apart.
    faces : int64 array, shape (40960, 3)
        Vertices of each triangle.
    sulci : bool array, shape (20484,)
        Whether a vertex lies in a sulcus.
    """

    coordinates: Float[np.ndarray, "vertex 3"]
    faces: Int[np.ndarray, "face 3"]
    sulci: Bool[np.ndarray, "vertex"]


def cortex_mesh() -> CortexMesh:
    """Give the surface on which `on_vertices` paints values."""
    left, right = hemispheres()
    beside = np.array([[1.0, 0.0, 0.0]])
    halves = (
        left.inflated - beside * (left.inflated[:, 0].max() + GAP_MM / 2),
        right.inflated - beside * (right.inflated[:, 0].min() - GAP_MM / 2),
    )
    return CortexMesh(
        np.concatenate(halves),
        np.concatenate([left.faces, right.faces + HALF]),
        np.concatenate([left.sulci, right.sulci]) > 0,
    )


@functools.cache
def hemispheres() -> tuple[Hemisphere, Hemisphere]:
    """Left and right half."""
    from nilearn.datasets import load_fsaverage, load_fsaverage_data

    meshes = load_fsaverage("fsaverage5")
    sulci = load_fsaverage_data("fsaverage5", data_type="sulcal").data.parts
    left, right = (
        Hemisphere(
            white=np.asarray(meshes["white_matter"].parts[side].coordinates, dtype=np.float64),
            inflated=np.asarray(meshes["inflated"].parts[side].coordinates, dtype=np.float64),
            faces=np.asarray(meshes["inflated"].parts[side].faces, dtype=np.int64),
            sulci=np.asarray(sulci[side], dtype=np.float64),
        )
        for side in ("left", "right")
    )
    return left, right


def on_vertices(
    vertices: Int[np.ndarray, "target"], values: Float[np.ndarray, "target"]
) -> Float[np.ndarray, "vertex"]:
    """Mean of the targets at each vertex, gaps filled from nearby; NaN elsewhere."""
    placed = (vertices >= 0) & np.isfinite(values)
    at = vertices[placed]
    counts = np.bincount(at, minlength=FSAVERAGE5_VERTICES)
    sums = np.bincount(at, weights=values[placed], minlength=FSAVERAGE5_VERTICES)
    means = np.full(FSAVERAGE5_VERTICES, np.nan)
    np.divide(sums, counts, out=means, where=counts > 0)
    shown = shown_vertices(counts > 0)
    return np.where(shown >= 0, means[np.maximum(shown, 0)], np.nan)


def shown_vertices(full: Bool[np.ndarray, "vertex"]) -> Int64[np.ndarray, "vertex"]:
    """The vertex whose value each vertex shows: its own, or that of the nearest full one.

    Parameters
    ----------
    full : bool array, shape (20484,)
        Which vertices have values of their own, left hemisphere first.

    Returns
    -------
    int64 array, shape (20484,)
        -1 where no full one lies within 6 mm along the white surface.
    """
    left, right = (
        _nearest_full(half, own)
        for half, own in zip(hemispheres(), (full[:HALF], full[HALF:]), strict=True)
    )
    return np.concatenate([left, np.where(right >= 0, right + HALF, -1)])


def _nearest_full(
    half: Hemisphere, full: Bool[np.ndarray, "vertex"]
) -> Int64[np.ndarray, "vertex"]:
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import dijkstra

    places = np.flatnonzero(full)
    if len(places) == 0:
        return np.full(len(full), -1)
    ends = np.concatenate([half.faces[:, [i, (i + 1) % 3]] for i in range(3)])
    lengths = np.linalg.norm(half.white[ends[:, 0]] - half.white[ends[:, 1]], axis=1)
    # A closed, consistently oriented mesh lists each edge once in each direction.
    edges = coo_array((lengths, (ends[:, 0], ends[:, 1])), shape=(len(full), len(full))).tocsr()
    _, _, nearest = dijkstra(
        edges, indices=places, min_only=True, limit=FILL_MM, return_predecessors=True
    )
    return np.where(nearest >= 0, nearest, -1).astype(np.int64)
