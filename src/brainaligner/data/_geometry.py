"""Where response columns lie: in the scanner's grid, in mm, on the subject's cortex.

Facts: the columns of a ds003020 recording are the voxels of ``mask_thick.nii.gz``; pycortex
reads a volume as (z, y, x) and takes voxels in C order (https://github.com/gallantlab/pycortex,
`Dataset` and `get_cortical_mask`), so x runs fastest.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float64, Int64, Shaped

from brainaligner.core import InputError, frozen_array, unknown_name
from brainaligner.data._files import derivative_folders, read_json_object
from brainaligner.data._images import apply_affine, imaging, load_image
from brainaligner.data._surfaces import (
    HEMISPHERES,
    Surface,
    fiducial_surfaces,
    flat_surfaces,
    surface_path,
)

DATABASE, FREESURFER = "pycortex-db", "freesurfer_subjdir"


@dataclass(frozen=True, eq=False)
class ColumnGrid:
    """The voxel of each response column.

    Parameters
    ----------
    shape : (int, int, int)
        Voxels of the functional volume along i, j and k (x, y and z).
    index : int64 array, shape (column, 3)
        The voxel (i, j, k) of each column.
    to_scanner : float64 array, shape (4, 4)
        From voxel index to scanner mm: the mask's own affine.
    from_surface : float64 array, shape (4, 4)
        From mm of the pycortex surfaces to voxel index: ``coord`` of ``matrices.xfm``.
    """

    shape: tuple[int, int, int]
    index: Int64[np.ndarray, "column 3"]
    to_scanner: Float64[np.ndarray, "4 4"]
    from_surface: Float64[np.ndarray, "4 4"]

    def __post_init__(self) -> None:
        for name in ("index", "to_scanner", "from_surface"):
            object.__setattr__(self, name, frozen_array(getattr(self, name)))

    def __len__(self) -> int:
        return len(self.index)

    @property
    def scanner_mm(self) -> Float64[np.ndarray, "column 3"]:
        """Centre of each voxel in scanner mm."""
        return apply_affine(self.to_scanner, self.index.astype(np.float64))

    @property
    def surface_mm(self) -> Float64[np.ndarray, "column 3"]:
        """Centre of each voxel in mm of the pycortex surfaces."""
        return apply_affine(np.linalg.inv(self.from_surface), self.index.astype(np.float64))

    @property
    def volume_index(self) -> Int64[np.ndarray, "column"]:
        """Place of each voxel in the volume read in C order over (z, y, x), as pycortex does."""
        i, j, k = self.index.T
        return np.ravel_multi_index((k, j, i), self.shape[::-1]).astype(np.int64)

    def column_at(self, index: Int64[np.ndarray, "place 3"]) -> Int64[np.ndarray, "place"]:
        """The column of each voxel (i, j, k); -1 outside the mask or the volume."""
        lookup = np.full(self.shape, -1, dtype=np.int64)
        lookup[tuple(self.index.T)] = np.arange(len(self))
        inside = ((index >= 0) & (index < np.array(self.shape))).all(axis=1)
        found = np.full(len(index), -1, dtype=np.int64)
        found[inside] = lookup[tuple(index[inside].T)]
        return found


@dataclass(frozen=True, eq=False)
class Anatomy:
    """One subject's columns and cortex.

    Parameters
    ----------
    subject : str
    columns : ColumnGrid
    fiducial : (Surface, Surface)
        Left and right cortex, half way between white matter and pia, in pycortex's mm.
    database, freesurfer : Path
        The subject's folders ``pycortex-db/<subject>`` and ``freesurfer_subjdir/<subject>``;
        the second need not exist.
    """

    subject: str
    columns: ColumnGrid
    fiducial: tuple[Surface, Surface]
    database: Path
    freesurfer: Path

    @property
    def vertex_columns(self) -> tuple[Int64[np.ndarray, "_left"], Int64[np.ndarray, "_right"]]:
        """The column in whose voxel each vertex of the left and right fiducial surface lies.

        -1 for a vertex outside the mask.
        """
        left, right = (vertex_columns(self.columns, half) for half in self.fiducial)
        return left, right

    def read_flat(self) -> tuple[Surface, Surface]:
        """Read the cut and flattened surfaces: x to the right and y up, left first.

        Raises
        ------
        InputError
            If there are none, or they have other vertices than the fiducial surfaces.
        """
        return flat_surfaces(self.database, self.fiducial)


def read_anatomy(folder: Path, subject: str) -> Anatomy:
    """Read where a subject's response columns and cortex lie.

    Parameters
    ----------
    folder : Path
        The dataset, a folder that holds ``ds003020/``, or its derivative folder.
    subject : str

    Raises
    ------
    InputError
        For an unknown subject (the nearest name is given), or a file that is missing or
        broken.
    """
    database, freesurfer, (mask, transform) = anatomy_paths(folder, subject)
    grid = read_columns(mask, transform)
    return Anatomy(subject, grid, fiducial_surfaces(database), database, freesurfer)


def anatomy_subjects(folder: Path) -> tuple[str, ...]:
    """Return the subjects that have a folder in ``pycortex-db``, sorted.

    Raises
    ------
    InputError
        If there is no such database.
    """
    database = _derivatives(folder) / DATABASE
    names = (path.name for path in database.iterdir() if path.is_dir())
    return tuple(sorted(name for name in names if not name.startswith(".")))


def anatomy_paths(folder: Path, subject: str) -> tuple[Path, Path, tuple[Path, Path]]:
    """Return a subject's pycortex folder, FreeSurfer folder, and files of mask and transform.

    Raises
    ------
    InputError
        For an unknown subject (the nearest name is given).
    """
    root = _derivatives(folder)
    database = root / DATABASE / subject
    known = anatomy_subjects(folder)
    if subject not in known:
        raise unknown_name(str(root / DATABASE), "subject", subject, known)
    transform = database / "transforms" / _transform_name(root, subject)
    files = transform / "mask_thick.nii.gz", transform / "matrices.xfm"
    return database, root / FREESURFER / subject, files


def pycortex_files(folder: Path, subject: str) -> dict[str, Path]:
    """Return the files from which pycortex draws a flatmap, by their place in its filestore.

    The transform is called ``functional`` there. The mask stands for pycortex's reference
    volume, of which the shape alone is used.

    Raises
    ------
    InputError
        For an unknown subject, or a surface that is missing.
    """
    database, _, (mask, transform) = anatomy_paths(folder, subject)
    paths = [surface_path(database, k, s) for k in ("flat", "pia", "wm") for s in HEMISPHERES]
    place = "transforms/functional"
    return {f"surfaces/{path.name}": path for path in paths} | {
        f"{place}/matrices.xfm": transform,
        f"{place}/reference.nii.gz": mask,
    }


def read_columns(mask: Path, transform: Path) -> ColumnGrid:
    """Read the voxels behind response columns.

    Raises
    ------
    InputError
        If the mask is empty or no volume, or the transform holds no 4 x 4 matrix ``coord``.
    """
    image = load_image(mask, "a NIfTI mask")
    with imaging(mask, "a NIfTI mask"):
        volume = np.asarray(image.dataobj)
    if volume.ndim != 3 or not volume.any():
        raise InputError(
            str(mask),
            got=f"a volume of shape {volume.shape} with {np.count_nonzero(volume)} voxels",
            wanted="three axes and at least one voxel",
            do="Download the mask again.",
        )
    affine = np.asarray(image.affine, dtype=np.float64)
    x, y, z = volume.shape
    return ColumnGrid((x, y, z), column_voxels(volume != 0), affine, read_coord(transform))


def column_voxels(mask: Bool[np.ndarray, "x y z"]) -> Int64[np.ndarray, "column 3"]:
    """The voxel (i, j, k) of each column: C order over (z, y, x), so that i runs fastest."""
    return np.argwhere(mask.T)[:, ::-1].astype(np.int64)


def read_coord(path: Path) -> Float64[np.ndarray, "4 4"]:
    """Read ``coord`` of a pycortex transform: from surface mm to voxel index.

    Raises
    ------
    InputError
        If it is no invertible affine.
    """
    content = read_json_object(path)
    if "coord" not in content:
        raise unknown_name(str(path), "matrix", "coord", content)
    try:
        matrix = np.asarray(content["coord"], dtype=np.float64)
    except (TypeError, ValueError):
        matrix = np.empty(0)
    if not is_affine(matrix):
        raise InputError(
            str(path),
            got=f"coord of shape {matrix.shape}",
            wanted="a 4 x 4 affine that can be inverted",
            do="Download the transform again.",
        )
    return matrix


def is_affine(matrix: Shaped[np.ndarray, "..."]) -> bool:
    """Whether this is a finite, invertible 4 x 4 affine."""
    return bool(
        matrix.shape == (4, 4)
        and np.isfinite(matrix).all()
        and np.allclose(matrix[3], [0, 0, 0, 1])
        and abs(np.linalg.det(matrix)) > 1e-9
    )


def vertex_columns(grid: ColumnGrid, surface: Surface) -> Int64[np.ndarray, "vertex"]:
    """The column in whose voxel each vertex lies; -1 outside the mask."""
    place = np.rint(apply_affine(grid.from_surface, surface.points)).astype(np.int64)
    return grid.column_at(place)


def nearest_vertices(
    anatomy: Anatomy,
) -> tuple[Int64[np.ndarray, "column"], Float64[np.ndarray, "column"]]:
    """The fiducial vertex nearest to each column's centre, and how far it is, in mm.

    Vertices of the right hemisphere are counted on from those of the left.
    """
    from scipy.spatial import KDTree

    points = np.concatenate([half.points for half in anatomy.fiducial])
    distance, vertex = KDTree(points).query(anatomy.columns.surface_mm)
    return vertex.astype(np.int64), distance


def _derivatives(folder: Path) -> Path:
    found = derivative_folders(folder, DATABASE)
    if len(found) != 1:
        raise InputError(
            str(folder),
            got=f"{DATABASE}/ in {len(found)} places",
            wanted=f"one folder with {DATABASE}/: the dataset itself or its derivative(s)/ folder",
            do="Check the path, or download the surfaces.",
        )
    return found[0]


def _transform_name(root: Path, subject: str) -> str:
    """As subject_xfms.json says; some subjects of ds003020 are left out there."""
    path = root / "subject_xfms.json"
    names = read_json_object(path) if path.exists() else {}
    return str(names.get(subject, f"{subject}_auto"))
