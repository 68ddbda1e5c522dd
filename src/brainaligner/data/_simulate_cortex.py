"""Where simulated voxels lie, and maps that vary smoothly over the cortex."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int, Int32, Shaped, UInt8

from brainaligner.core import FSAVERAGE5_VERTICES, InputError

GRID_SHAPE = (84, 84, 54)
"""Voxels of a ds003020 volume along x, y and z."""
VOXEL_MM = 2.6
N_WAVES = 512
N_PEAKS = 4
PEAK_MM = 25.0
FLOOR = 0.05
"""Signal-to-noise ratio far from every peak, as a share of the highest."""


@dataclass(frozen=True, eq=False)
class Cells:
    """Cells of the scanner's grid that hold cortex, in column order (by z, then y, then x).

    Parameters
    ----------
    index : int array, shape (cell, 3)
        Position in the grid: x, y, z.
    vertices : int32 array, shape (cell,)
        The fsaverage5 vertex that stands for each cell: the lowest of those inside.
    coordinates : float64 array, shape (cell, 3)
        Where that vertex lies, in mm.
    corner : float64 array, shape (3,)
        Where the grid begins, in mm.
    """

    index: Int[np.ndarray, "cell 3"]
    vertices: Int32[np.ndarray, "cell"]
    coordinates: Float64[np.ndarray, "cell 3"]
    corner: Float64[np.ndarray, "3"]

    def __len__(self) -> int:
        return len(self.vertices)

    def at(self, chosen: Int[np.ndarray, "voxel"]) -> Cells:
        """The cells at these positions."""
        return Cells(
            self.index[chosen], self.vertices[chosen], self.coordinates[chosen], self.corner
        )

    def mask(self) -> UInt8[np.ndarray, "x y z"]:
        """Volume with 1 in these cells and 0 elsewhere."""
        volume = np.zeros(GRID_SHAPE, dtype=np.uint8)
        volume[tuple(self.index.T)] = 1
        return volume

    def affine(self) -> Float64[np.ndarray, "4 4"]:
        """From grid index to mm (NIfTI convention: an index names a voxel's centre)."""
        affine = np.diag([VOXEL_MM, VOXEL_MM, VOXEL_MM, 1.0])
        affine[:3, 3] = self.corner + VOXEL_MM / 2
        return affine


def cortex_cells(surface_coordinates: Shaped[np.ndarray, "..."]) -> Cells:
    """Cells of an 84 x 84 x 54 grid of 2.6 mm voxels that fsaverage5 passes through.

    The grid is centred on the surface.

    Raises
    ------
    InputError
        If the coordinates are not (20484, 3) finite numbers, or do not fit the grid.
    """
    coordinates = _checked(surface_coordinates)
    low, high = coordinates.min(axis=0), coordinates.max(axis=0)
    corner = (low + high) / 2 - VOXEL_MM * np.array(GRID_SHAPE) / 2
    index = np.floor((coordinates - corner) / VOXEL_MM).astype(np.int64)
    flat = np.ravel_multi_index(tuple(index.T[::-1]), GRID_SHAPE[::-1])
    _, first = np.unique(flat, return_index=True)
    return Cells(index[first], first.astype(np.int32), coordinates[first], corner)


def _checked(surface_coordinates: np.ndarray) -> np.ndarray:
    where = "surface coordinates"
    coordinates = np.asarray(surface_coordinates)
    wanted = f"({FSAVERAGE5_VERTICES}, 3) finite numbers, in mm"
    if coordinates.shape != (FSAVERAGE5_VERTICES, 3) or coordinates.dtype.kind not in "fiu":
        raise InputError(
            where,
            got=f"{coordinates.dtype} array of shape {coordinates.shape}",
            wanted=wanted,
            do="Stack the left and the right hemisphere of fsaverage5.",
        )
    coordinates = coordinates.astype(np.float64)
    if not np.isfinite(coordinates).all():
        raise InputError(
            where, got="NaN or infinite values", wanted=wanted, do="Check the surface file."
        )
    extent = np.ptp(coordinates, axis=0)
    box = VOXEL_MM * np.array(GRID_SHAPE)
    if (extent >= box).any():
        raise InputError(
            where,
            got=f"a surface of {' x '.join(f'{mm:.0f}' for mm in extent)} mm",
            wanted=f"one that fits {' x '.join(f'{mm:.0f}' for mm in box)} mm",
            do="Give the pial or the white surface in mm, not an inflated one.",
        )
    return coordinates


def smooth_basis(
    coordinates: Float64[np.ndarray, "voxel 3"], *, fwhm: float, seed: int
) -> Float64[np.ndarray, "voxel wave"]:
    """Basis whose products with white coefficients are smooth maps of unit variance.

    Two places ``d`` mm apart correlate by about ``exp(-d^2 / (4 s^2))``,
    ``s = fwhm / sqrt(8 ln 2)``: what white noise has after smoothing by a Gaussian kernel of
    that width. Columns are cosines of random direction, frequency and phase (random Fourier
    features, Rahimi & Recht 2007); each row has length 1. The same place has the same row
    in every listener.
    """
    rng = np.random.default_rng((seed, 0))
    width = fwhm / np.sqrt(8 * np.log(2))
    frequencies = rng.normal(0, 1 / (np.sqrt(2) * width), (3, N_WAVES))
    waves = np.cos(coordinates @ frequencies + rng.uniform(0, 2 * np.pi, N_WAVES))
    return waves / np.linalg.norm(waves, axis=1, keepdims=True)


def signal_profile(
    coordinates: Float64[np.ndarray, "cell 3"], *, silent_share: float, seed: int
) -> Float64[np.ndarray, "cell"]:
    """Signal-to-noise ratio over the cortex as a share of its highest value.

    Zero within a ball that holds `silent_share` of the cells; outside, a floor and four
    Gaussian peaks (standard deviation 25 mm), rising from the ball's border within 10 mm.
    """
    rng = np.random.default_rng((seed, 1))
    from_anchor = _distances(coordinates, coordinates[rng.integers(len(coordinates))])
    order = np.argsort(from_anchor, kind="stable")
    silent, audible = np.split(order, [round(silent_share * len(order))])
    radius = from_anchor[silent[-1]] if len(silent) else -np.inf
    peaks = rng.choice(audible, min(N_PEAKS, len(audible)), replace=False)
    profile = np.full(len(order), FLOOR)
    for peak in peaks:
        distance = _distances(coordinates, coordinates[peak])
        profile += np.exp(-(distance**2) / (2 * PEAK_MM**2))
    profile *= 1 - np.exp(-np.maximum(from_anchor - radius, 0) / 5.0)
    profile[silent] = 0.0
    return profile / profile.max()


def _distances(coordinates: np.ndarray, place: np.ndarray) -> np.ndarray:
    return np.linalg.norm(coordinates - place, axis=1)
