"""Cortical surfaces: pycortex's .gii and .npz files, and FreeSurfer's own."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float64, Int64

from brainaligner.core import InputError, frozen_array
from brainaligner.data._images import imaging, load_image

HEMISPHERES = ("lh", "rh")
_SUFFIXES = (".gii", ".npz")


@dataclass(frozen=True, eq=False)
class Surface:
    """A triangle mesh.

    Parameters
    ----------
    points : float64 array, shape (vertex, 3)
        In mm.
    faces : int64 array, shape (face, 3)
        The vertices of each triangle.

    Raises
    ------
    InputError
        If there are no vertices, a point is not finite, or a face names no vertex.
    """

    points: Float64[np.ndarray, "vertex 3"]
    faces: Int64[np.ndarray, "face 3"]

    def __post_init__(self) -> None:
        finite = len(self.points) > 0 and np.isfinite(self.points).all()
        named = self.faces.size == 0 or (
            self.faces.min() >= 0 and self.faces.max() < len(self.points)
        )
        if not (finite and named):
            raise InputError(
                "surface",
                got=f"{len(self.points)} points and {len(self.faces)} faces that do not fit",
                wanted="finite points, and faces that name them",
                do="Download the surface again.",
            )
        object.__setattr__(self, "points", frozen_array(self.points))
        object.__setattr__(self, "faces", frozen_array(self.faces))


def read_surface(path: Path) -> Surface:
    """Read a mesh: GIFTI (.gii), pycortex (.npz with `pts`, `polys`) or FreeSurfer geometry.

    Raises
    ------
    InputError
        If the file is missing, of another format, or broken.
    """
    readers = {".gii": _read_gifti, ".npz": _read_npz}
    points, faces = readers.get(path.suffix, _read_freesurfer)(path)
    if points.ndim != 2 or points.shape[1] != 3 or faces.ndim != 2 or faces.shape[1] != 3:
        raise InputError(
            str(path),
            got=f"arrays of shape {points.shape} and {faces.shape}",
            wanted="(vertex, 3) points and (face, 3) faces",
            do="Download the surface again.",
        )
    return Surface(points.astype(np.float64), faces.astype(np.int64))


def _read_gifti(path: Path) -> tuple[np.ndarray, np.ndarray]:
    wanted = "a GIFTI surface with points and triangles"
    image = load_image(path, wanted)
    with imaging(path, wanted):
        kinds = ("NIFTI_INTENT_POINTSET", "NIFTI_INTENT_TRIANGLE")
        points, faces = (image.get_arrays_from_intent(kind)[0].data for kind in kinds)
        return np.asarray(points), np.asarray(faces)


def _read_npz(path: Path) -> tuple[np.ndarray, np.ndarray]:
    with (
        imaging(path, "an npz file with arrays pts and polys"),
        np.load(path, allow_pickle=False) as arrays,
    ):
        return arrays["pts"], arrays["polys"]


def _read_freesurfer(path: Path) -> tuple[np.ndarray, np.ndarray]:
    from nibabel.freesurfer import read_geometry

    with imaging(path, "a FreeSurfer surface"):
        points, faces = read_geometry(path)
        return np.asarray(points), np.asarray(faces)


def stated_hemisphere(image: Any) -> int | None:
    """The hemisphere that a GIFTI image says it is of: 0 left, 1 right, None unsaid."""
    metas = [dict(image.meta), *(dict(array.meta) for array in image.darrays)]
    stated = {str(meta.get("AnatomicalStructurePrimary", "")).lower() for meta in metas}
    sides = {side for word, side in (("cortexleft", 0), ("cortexright", 1)) if word in stated}
    return sides.pop() if len(sides) == 1 else None


def subject_surfaces(database: Path, kind: str) -> tuple[Surface, Surface]:
    """Read ``surfaces/<kind>_{lh,rh}`` of a subject's pycortex folder, whichever its format.

    Raises
    ------
    InputError
        If either is missing.
    """
    left, right = (read_surface(surface_path(database, kind, side)) for side in HEMISPHERES)
    return left, right


def fiducial_surfaces(database: Path) -> tuple[Surface, Surface]:
    """The surfaces half way between white matter and pia: ``(wm + pia) / 2``, left first.

    Raises
    ------
    InputError
        If the two do not have the same vertices.
    """
    pairs = zip(
        HEMISPHERES,
        subject_surfaces(database, "wm"),
        subject_surfaces(database, "pia"),
        strict=True,
    )
    left, right = (_halfway(database, side, white, pia) for side, white, pia in pairs)
    return left, right


def flat_surfaces(database: Path, fiducial: tuple[Surface, Surface]) -> tuple[Surface, Surface]:
    """Cut and flattened surfaces: x to the right and y up, faces of what lies on the map only.

    Vertices are those of the fiducial surfaces; those that no face names lie anywhere.

    Parameters
    ----------
    database : Path
        A subject's pycortex folder.
    fiducial : (Surface, Surface)
        Left and right.

    Raises
    ------
    InputError
        If there are none (pycortex makes them by hand, so many subjects have none), or they
        have other vertices.
    """
    flat = subject_surfaces(database, "flat")
    for side, mesh, reference in zip(HEMISPHERES, flat, fiducial, strict=True):
        check_same_vertices(str(database), f"flat_{side}", mesh, f"pia_{side}", reference)
    return flat


def _halfway(database: Path, side: str, white: Surface, pia: Surface) -> Surface:
    check_same_vertices(str(database), f"wm_{side}", white, f"pia_{side}", pia)
    return Surface((white.points + pia.points) / 2, pia.faces)


def check_same_vertices(
    where: str, name: str, mesh: Surface, other: str, reference: Surface
) -> None:
    """Refuse two meshes of one hemisphere that do not have the same number of vertices."""
    if len(mesh.points) != len(reference.points):
        raise InputError(
            where,
            got=f"{len(mesh.points)} vertices in {name} and {len(reference.points)} in {other}",
            wanted="the same vertices in both",
            do="Get both from the same release of the dataset.",
        )


def surface_path(database: Path, kind: str, side: str) -> Path:
    """Return the file of one surface of a subject's pycortex folder.

    Raises
    ------
    InputError
        If there is none.
    """
    stem = database / "surfaces" / f"{kind}_{side}"
    for suffix in _SUFFIXES:
        path = stem.with_name(stem.name + suffix)
        if path.exists() or path.is_symlink():
            return path
    raise InputError(
        str(stem),
        got="no such surface, neither .gii nor .npz",
        wanted="the surfaces of this subject",
        do="Download pycortex-db/<subject>/surfaces.",
    )
