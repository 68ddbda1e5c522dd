"""From a subject's columns to the vertices of fsaverage5, through FreeSurfer's sphere.reg."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from jaxtyping import Float, Float64, Int32, Int64

from brainaligner.core import FSAVERAGE5_VERTICES, InputError
from brainaligner.data._files import download_fault
from brainaligner.data._geometry import Anatomy, anatomy_paths, nearest_vertices, read_anatomy
from brainaligner.data._lebel2023 import VERTICES
from brainaligner.data._surfaces import (
    HEMISPHERES,
    check_same_vertices,
    read_surface,
    surface_path,
)

WITHIN_MM = 3.0
"""Half a cortex (about 1.25 mm) and most of half a voxel's diagonal (2.25 mm): a voxel whose
centre is further away than this from mid-grey holds little cortex."""
_HALF = FSAVERAGE5_VERTICES // 2


def write_fsaverage5_vertices(
    folder: Path,
    subject: str,
    sphere: Float[np.ndarray, "vertex 3"],
    *,
    within_mm: float = WITHIN_MM,
) -> Path:
    """Write ``pycortex-db/<subject>/fsaverage5_vertices.npy``, from which maps are drawn.

    The `lebel2023` reader takes a subject's vertices from there. A file that stands there is
    replaced in one step.

    Parameters
    ----------
    folder : Path
        The dataset, a folder that holds ``ds003020/``, or its derivative folder.
    subject, sphere, within_mm
        As :func:`fsaverage5_vertices`.

    Returns
    -------
    Path
        The file.
    """
    anatomy = read_anatomy(folder, subject)
    vertices = fsaverage5_vertices(anatomy, sphere, within_mm=within_mm)
    path = anatomy.database / VERTICES
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    with part.open("wb") as file:
        np.save(file, vertices, allow_pickle=False)
    part.replace(path)
    return path


def missing_for_fsaverage5(folder: Path, subject: str) -> tuple[str, ...]:
    """Return the files that `write_fsaverage5_vertices` needs and that are not there.

    Raises
    ------
    InputError
        For an unknown subject (the nearest name is given).
    """
    database, freesurfer, files = anatomy_paths(folder, subject)
    spheres = [freesurfer / "surf" / f"{side}.sphere.reg" for side in HEMISPHERES]
    missing = [str(path) for path in (*files, *spheres) if download_fault(path)]
    for kind in ("wm", "pia"):
        for side in HEMISPHERES:
            try:
                fault = download_fault(surface_path(database, kind, side))
            except InputError:
                fault = "no such surface"
            if fault:
                missing.append(str(database / "surfaces" / f"{kind}_{side}.gii"))
    return tuple(missing)


def fsaverage5_vertices(
    anatomy: Anatomy, sphere: Float[np.ndarray, "vertex 3"], *, within_mm: float = WITHIN_MM
) -> Int32[np.ndarray, "column"]:
    """The fsaverage5 vertex of each column; -1 where the cortex is further than `within_mm`.

    Column -> nearest fiducial vertex -> its place on ``?h.sphere.reg`` -> nearest vertex of
    fsaverage5's sphere, in the same hemisphere.

    Parameters
    ----------
    anatomy : Anatomy
    sphere : float array, shape (20484, 3)
        fsaverage5's spheres, left hemisphere first, of any radius.
    within_mm : float
        Longest way from a column's centre to the fiducial surface.

    Raises
    ------
    InputError
        If `sphere` is no sphere of fsaverage5, or FreeSurfer's spheres are missing or have
        other vertices than pycortex's surfaces.
    """
    if not within_mm > 0:
        raise InputError(
            "within_mm", got=str(within_mm), wanted="a length above 0 mm", do="Give it in mm."
        )
    target = unit_sphere("fsaverage5 sphere", sphere, size=FSAVERAGE5_VERTICES)
    own = registered_spheres(anatomy)
    offsets = (0, _HALF)
    halves = (target[:_HALF], target[_HALF:])
    onto = np.concatenate(
        [nearest(half, points) + at for half, points, at in zip(halves, own, offsets, strict=True)]
    )
    vertex, distance = nearest_vertices(anatomy)
    return np.where(distance <= within_mm, onto[vertex], -1).astype(np.int32)


def registered_spheres(
    anatomy: Anatomy,
) -> tuple[Float64[np.ndarray, "_left 3"], Float64[np.ndarray, "_right 3"]]:
    """Unit vectors of each vertex on ``?h.sphere.reg``: its place in fsaverage's folding.

    Raises
    ------
    InputError
        If a sphere is missing, or has not the vertices of the fiducial surface.
    """
    spheres = []
    for side, fiducial in zip(HEMISPHERES, anatomy.fiducial, strict=True):
        path = anatomy.freesurfer / "surf" / f"{side}.sphere.reg"
        mesh = read_surface(path)
        check_same_vertices(str(path), "the sphere", mesh, "pycortex's surface", fiducial)
        spheres.append(unit_sphere(str(path), mesh.points, size=len(mesh.points)))
    return spheres[0], spheres[1]


def unit_sphere(
    where: str, points: Float[np.ndarray, "vertex 3"], *, size: int
) -> Float64[np.ndarray, "vertex 3"]:
    """Points scaled to length 1.

    Raises
    ------
    InputError
        If there are not `size` of them, or their lengths differ by more than a hundredth.
    """
    points = np.asarray(points, dtype=np.float64)
    radius = np.linalg.norm(points, axis=1)
    middle = float(np.median(radius))
    if len(points) != size or not middle > 0 or not (np.abs(radius / middle - 1) < 0.01).all():
        raise InputError(
            where,
            got=f"{len(points)} points at {radius.min():g} to {radius.max():g} mm from the origin",
            wanted=f"{size} points on a sphere around the origin",
            do="Give the registered sphere, not the white, pial or inflated surface.",
        )
    return points / radius[:, None]


def nearest(
    targets: Float64[np.ndarray, "_target 3"], points: Float64[np.ndarray, "_point 3"]
) -> Int64[np.ndarray, "_point"]:
    """Index of the target nearest to each point."""
    from scipy.spatial import KDTree

    return KDTree(targets).query(points)[1].astype(np.int64)
