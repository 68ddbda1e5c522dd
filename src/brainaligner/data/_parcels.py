"""Response columns -> parcels of an atlas, by the cortical surface and by the volume."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float, Float32, Float64, Int64
from scipy.sparse import csr_array

from brainaligner.core import InputError, Space, frozen_array
from brainaligner.data._atlas import FSLR_VERTICES, Atlas
from brainaligner.data._files import file_digest
from brainaligner.data._fsaverage import nearest, registered_spheres, unit_sphere
from brainaligner.data._geometry import Anatomy
from brainaligner.data._images import apply_affine, load_image
from brainaligner.data._mni import surface_to_mni152
from brainaligner.data._surfaces import read_surface, stated_hemisphere

WITHIN_MM = 4.0
KNOWN_LEFT_SPHERE = "31987d139b6c"
"""How the SHA-256 of TemplateFlow's left fsLR-32k sphere in fsaverage space begins."""


@dataclass(frozen=True, eq=False)
class Parcellation:
    """Which columns make up each parcel, by which route.

    Parameters
    ----------
    subject : str
    names : tuple of str
        The parcels, in the order of the atlas.
    weights : sparse float64 array, shape (parcel, column)
        Each row adds up to 1; that of a missing parcel is empty.
    by_surface : bool array, shape (parcel,)
        Whether the surface route placed the parcel; the others go by the affine volume route.
    notes : tuple of str
        What was done, and what a reader of results must know.
    """

    subject: str
    names: tuple[str, ...]
    weights: csr_array
    by_surface: np.ndarray
    notes: tuple[str, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "by_surface", frozen_array(self.by_surface))

    @property
    def voxels(self) -> Int64[np.ndarray, "parcel"]:
        """How many columns each parcel has."""
        return np.diff(self.weights.indptr).astype(np.int64)

    @property
    def missing(self) -> tuple[str, ...]:
        """Names of the parcels without any column."""
        return tuple(name for name, n in zip(self.names, self.voxels, strict=True) if n == 0)

    @property
    def space(self) -> Space:
        """What the columns of parcel responses are."""
        return Space("parcels", len(self.names), labels=self.names)

    def average(self, values: Float[np.ndarray, "time column"]) -> Float32[np.ndarray, "time _p"]:
        """Mean of each parcel's columns; NaN, never 0, in a missing parcel.

        Raises
        ------
        InputError
            If the columns are not those that were parcellated.
        """
        if values.ndim != 2 or values.shape[1] != self.weights.shape[1]:
            raise InputError(
                f"responses of {self.subject}",
                got=f"an array of shape {values.shape}",
                wanted=f"(time, {self.weights.shape[1]})",
                do="Give all columns of the subject whose mask was parcellated.",
            )
        means = (self.weights @ values.T).T.astype(np.float32)
        means[:, self.voxels == 0] = np.nan
        return means


def parcellate(
    anatomy: Anatomy,
    atlas: Atlas,
    *,
    fslr_spheres: tuple[Path, Path] | None = None,
    within_mm: float = WITHIN_MM,
) -> Parcellation:
    """Place a subject's columns in the parcels of an atlas.

    *Surface route*, for parcels of the cortex: vertex -> place on ``?h.sphere.reg`` ->
    nearest vertex of the fsLR sphere in fsaverage space -> label -> the column in whose voxel
    the fiducial vertex lies; weights are counts of vertices. *Volume route*, for all others,
    and for all where no fsLR sphere is given: voxel centre -> MNI152 by affines -> label of
    the nearest voxel of the atlas within `within_mm`; weights are equal. A column with cortex
    in it by the surface route enters no parcel by the volume route.

    Parameters
    ----------
    anatomy : Anatomy
    atlas : Atlas
    fslr_spheres : (Path, Path), optional
        Left and right ``tpl-fsLR_space-fsaverage_hemi-{L,R}_den-32k_sphere.surf.gii`` of
        TemplateFlow. The files are the user's to supply.
    within_mm : float

    Raises
    ------
    InputError
        If a file is missing or does not fit the others.
    """
    if not within_mm > 0:
        raise InputError(
            "within_mm", got=str(within_mm), wanted="a length above 0 mm", do="Give it in mm."
        )
    by_volume = _volume_labels(anatomy, atlas, within_mm)
    if fslr_spheres is None:
        counts, placed = _counts(by_volume, atlas), np.zeros(atlas.n_parcels, dtype=bool)
    else:
        cortex, placed = _surface_counts(anatomy, atlas, fslr_spheres), atlas.on_cortex
        taken = np.diff(cortex.tocsc().indptr) > 0
        left_over = (by_volume > 0) & ~taken & ~placed[by_volume - 1]
        counts = cortex + _counts(np.where(left_over, by_volume, 0), atlas)
    notes = route_notes(fslr_spheres, within_mm=within_mm)
    return Parcellation(anatomy.subject, atlas.names, _row_normalised(counts), placed, notes)


def surface_labels(
    anatomy: Anatomy, atlas: Atlas, fslr_spheres: tuple[Path, Path]
) -> tuple[Int64[np.ndarray, "_left"], Int64[np.ndarray, "_right"]]:
    """Label of each vertex of the subject's left and right cortex; 0 on the medial wall.

    Raises
    ------
    InputError
        If an fsLR sphere is missing, is not one of 32492 vertices, or says that it is of the
        other hemisphere.
    """
    left, right = (_fslr_sphere(path, side) for side, path in enumerate(fslr_spheres))
    own_left, own_right = registered_spheres(anatomy)
    return atlas.left[nearest(left, own_left)], atlas.right[nearest(right, own_right)]


def _fslr_sphere(path: Path, side: int) -> Float64[np.ndarray, "vertex 3"]:
    image = load_image(path, "a GIFTI sphere of fsLR-32k")
    stated = stated_hemisphere(image) if path.suffix == ".gii" else None
    if stated not in (None, side):
        raise InputError(
            str(path),
            got="a sphere that says it is of the other hemisphere",
            wanted="the left sphere first, then the right",
            do="Exchange the two files.",
        )
    return unit_sphere(str(path), read_surface(path).points, size=FSLR_VERTICES)


def _surface_counts(anatomy: Anatomy, atlas: Atlas, fslr_spheres: tuple[Path, Path]) -> csr_array:
    labels = np.concatenate(surface_labels(anatomy, atlas, fslr_spheres))
    columns = np.concatenate(anatomy.vertex_columns)
    return _label_counts(labels, columns, (atlas.n_parcels, len(anatomy.columns)))


def _volume_labels(anatomy: Anatomy, atlas: Atlas, within_mm: float) -> Int64[np.ndarray, "column"]:
    """Label of the atlas voxel nearest to each column's centre; 0 beyond `within_mm`."""
    from scipy.spatial import KDTree

    labelled = np.argwhere(atlas.volume > 0)
    places = apply_affine(atlas.to_mni, labelled.astype(np.float64))
    centres = apply_affine(surface_to_mni152(anatomy), anatomy.columns.surface_mm)
    distance, found = KDTree(places).query(centres, distance_upper_bound=within_mm)
    labels = np.append(atlas.volume[tuple(labelled.T)], 0)  # a miss points past the end
    return np.where(np.isfinite(distance), labels[found], 0)


def _counts(labels: Int64[np.ndarray, "column"], atlas: Atlas) -> csr_array:
    return _label_counts(labels, np.arange(len(labels)), (atlas.n_parcels, len(labels)))


def _label_counts(
    labels: Int64[np.ndarray, "place"], columns: Int64[np.ndarray, "place"], shape: tuple[int, int]
) -> csr_array:
    """How many places of each label lie in each column; label 0 and column -1 are none."""
    kept = (labels > 0) & (columns >= 0)
    ones = np.ones(int(kept.sum()))
    return csr_array((ones, (labels[kept] - 1, columns[kept])), shape=shape)


def _row_normalised(counts: csr_array) -> csr_array:
    weights = counts.tocsr().astype(np.float64)
    weights.sum_duplicates()
    totals = np.asarray(weights.sum(axis=1), dtype=np.float64)
    weights.data /= np.repeat(totals, np.diff(weights.indptr))
    return weights


def route_notes(
    fslr_spheres: tuple[Path, Path] | None, *, within_mm: float = WITHIN_MM
) -> tuple[str, ...]:
    """Say by which routes `parcellate` goes with these spheres, and what to expect of them."""
    return tuple(_notes(fslr_spheres, within_mm))


def _notes(fslr_spheres: tuple[Path, Path] | None, within_mm: float) -> Iterator[str]:
    if fslr_spheres is None:
        yield (
            "No fsLR sphere was given: every parcel was placed by the affine volume route. "
            "Expect errors of 5 to 10 mm in the cortex."
        )
    else:
        yield (
            "Parcels of the cortex were placed by the surface route (sphere.reg, nearest fsLR-32k "
            "vertex), the others by the affine volume route."
        )
        if not file_digest(fslr_spheres[0]).startswith(KNOWN_LEFT_SPHERE):
            yield (
                f"The left fsLR sphere ({fslr_spheres[0].name}) is not TemplateFlow's file of "
                f"known checksum ({KNOWN_LEFT_SPHERE}...): check that it lies in fsaverage space."
            )
    yield f"Volume route: the nearest labelled voxel within {within_mm:g} mm decides."


def coverage_report(parcellation: Parcellation) -> str:
    """Say by which route, and how many of the parcels have how many voxels.

    Returns
    -------
    str
        Lines of text; missing parcels by name.
    """
    voxels, by_surface = parcellation.voxels, parcellation.by_surface
    columns = len(np.unique(parcellation.weights.indices))
    lines = [
        f"{parcellation.subject}: {columns} of {parcellation.weights.shape[1]} voxels lie in "
        f"{int((voxels > 0).sum())} of {len(voxels)} parcels"
    ]
    lines += parcellation.notes
    for name, own in (("surface", by_surface), ("volume", ~by_surface)):
        if own.any():
            lines.append(f"{name} route: {_spread(voxels[own])}")
    missing = parcellation.missing
    lines.append(f"missing ({len(missing)}): {', '.join(missing) or 'none'}")
    return "\n".join(lines)


def _spread(voxels: Float64[np.ndarray, "_"] | Int64[np.ndarray, "_"]) -> str:
    few = int(((voxels > 0) & (voxels < 10)).sum())
    return (
        f"{len(voxels)} parcels, {int((voxels == 0).sum())} without a voxel, {few} with 1 to 9, "
        f"median {np.median(voxels):g}, most {voxels.max()}"
    )
