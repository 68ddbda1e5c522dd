"""Parcel means of the responses of ds003020: a copy hundreds of times smaller, verified."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from jaxtyping import Float64

from brainaligner.core import InputError, Progress, array_digest, no_progress
from brainaligner.data._atlas import Atlas
from brainaligner.data._convert import rounded
from brainaligner.data._copies import ConvertedFile, CopyRecipe, chunk_shape, convert_tree
from brainaligner.data._geometry import Anatomy, read_anatomy
from brainaligner.data._parcel_coverage import NAMES, PARCELLATION, PARCELS, VOXELS
from brainaligner.data._parcels import Parcellation, parcellate

_BLOCK_BYTES = 1 << 24
_ROUNDING = 2.0**-22
"""Relative error that float32 and another order of summing explain."""
_SUMMING = 1e-12
"""The same of float64 sums, relative to the sum of absolute values."""
Spheres = tuple[Path, Path]


def convert_to_parcels(
    tree: Path,
    target: Path,
    atlas: Atlas,
    *,
    fslr_spheres: Spheres | None = None,
    delete: bool = False,
    progress: Progress = no_progress,
) -> tuple[ConvertedFile, ...]:
    """Write parcel means of all responses of a tree, as a tree that the same reader opens.

    Every row of parcel ``p`` becomes ``sum_v W[p, v] x[v] / sum_v W[p, v]`` over the voxels
    ``v`` whose value is finite, W as `parcellate` gives it: a plain mean by the volume route,
    one weighted with counts of vertices by the surface route. A parcel without a finite value
    is NaN. ``data`` is float32 (time, parcel), all parcels of the atlas in its order;
    ``parcels/voxels`` says of how many voxels each was made, 0 where it is missing. Each copy
    is read back and compared with a second calculation from the original, one parcel after the
    other, before it gets its name; only then is the original removed. Files that were not
    downloaded (git-annex) are left out.

    Parameters
    ----------
    tree : Path
        A ds003020 tree with ``pycortex-db`` and ``freesurfer_subjdir``.
    target : Path
        Folder of the new tree, outside the derivative folder of the old one.
    atlas : Atlas
    fslr_spheres : (Path, Path), optional
        As `parcellate` takes them; without them all parcels go by the volume route.
    delete : bool
        Whether to remove each original after its copy is verified.
    progress : Progress
        In bytes of originals.

    Returns
    -------
    tuple of ConvertedFile
        Those whose original was there in this call.

    Raises
    ------
    InputError
        If a subject's anatomy is missing or broken, before anything is written; if a mask has
        other voxels than a file has columns; otherwise as `convert_responses`.
    """
    return convert_tree(
        tree,
        target,
        lambda subject: parcel_means(tree, subject, atlas, fslr_spheres),
        delete=delete,
        progress=progress,
    )


def parcel_means(
    tree: Path, subject: str, atlas: Atlas, fslr_spheres: Spheres | None
) -> ParcelMeans:
    """Return how a subject's responses are averaged.

    Raises
    ------
    InputError
        As `parcellate`; also if no voxel lies in any parcel.
    """
    anatomy = read_anatomy(tree, subject)
    parcellation = parcellate(anatomy, atlas, fslr_spheres=fslr_spheres)
    if not parcellation.voxels.any():
        raise InputError(
            f"parcels of {subject}",
            got="no voxel in any parcel",
            wanted="an atlas in MNI152 and this subject's anatomy",
            do="Check that atlas and anatomy are the right ones.",
        )
    return ParcelMeans(parcellation, _atlas_digest(atlas), _anatomy_digest(anatomy))


@dataclass(frozen=True, eq=False)
class ParcelMeans(CopyRecipe):
    """Means of parcels instead of voxels.

    Parameters
    ----------
    parcellation : Parcellation
    atlas, anatomy : str
        SHA-256 of the atlas, and of the subject's voxels, transform and cortex.
    """

    parcellation: Parcellation
    atlas: str
    anatomy: str

    @property
    def marks(self) -> dict[str, str]:
        """Kind, route, and the digests of atlas, anatomy and weights."""
        by_surface = int(self.parcellation.by_surface.sum())
        by_volume = len(self.parcellation.names) - by_surface
        return {
            "kind": PARCELS,
            "route": f"{by_surface} parcels by the surface, {by_volume} by the volume",
            "atlas_sha256": self.atlas,
            "anatomy_sha256": self.anatomy,
            PARCELLATION: _parcellation_digest(self.parcellation),
        }

    def write(self, path: Path, arrays: dict[str, h5py.Dataset]) -> None:
        """Write means block after block of rows, one sparse product each."""
        names = [name.encode("utf-8") for name in self.parcellation.names]
        for name, array in arrays.items():
            self._check_columns(f"{array.file.filename}, {name}", array.shape[-1])
        with h5py.File(path, "w") as file:
            file[NAMES], file[VOXELS] = np.array(names), self.parcellation.voxels
            for name, array in arrays.items():
                shape = (*array.shape[:-1], len(names))
                chunks = chunk_shape(shape, np.float32)
                copy = file.create_dataset(name, shape, np.float32, chunks=chunks)
                for rows in _row_blocks(array.shape):
                    means = _means(self.parcellation, array[rows].astype(np.float64))
                    copy[rows] = rounded(f"{array.file.filename}, {name}", means, "float32")

    def compare(self, path: Path, arrays: dict[str, h5py.Dataset]) -> None:
        """Calculate each parcel of the original again by itself, and compare with the copy."""
        with h5py.File(path, "r") as file:
            for name, array in arrays.items():
                for rows in _row_blocks(array.shape):
                    values, got = array[rows].astype(np.float64), file[name][rows]
                    for parcel in range(got.shape[1]):
                        if not _is_mean(self.parcellation, parcel, values, got[:, parcel]):
                            raise InputError(
                                str(path),
                                got=f"{name!r}: {self.parcellation.names[parcel]!r} differs from "
                                "the mean of its voxels",
                                wanted="the mean, within the rounding of float32",
                                do="Check the disk; the original was kept.",
                            )

    def _check_columns(self, where: str, n_columns: int) -> None:
        n_voxels = self.parcellation.weights.shape[1]
        if n_columns != n_voxels:
            raise InputError(
                where,
                got=f"{n_columns} columns",
                wanted=f"{n_voxels}, the voxels of the mask of {self.parcellation.subject}",
                do="Download the mask and the responses again.",
            )


def _row_blocks(shape: tuple[int, ...]) -> Iterator[tuple[Any, ...]]:
    """Cut an array into blocks of whole rows of one presentation that memory holds easily."""
    step = max(1, _BLOCK_BYTES // (8 * shape[-1]))
    for lead in np.ndindex(shape[:-2]):
        for start in range(0, shape[-2], step):
            yield (*lead, slice(start, min(start + step, shape[-2])))


def _means(
    parcellation: Parcellation, values: Float64[np.ndarray, "time column"]
) -> Float64[np.ndarray, "time parcel"]:
    """Weighted mean of the finite values of each parcel; NaN where there is none."""
    finite = np.isfinite(values)
    sums = (parcellation.weights @ np.where(finite, values, 0.0).T).T
    totals = (parcellation.weights @ finite.T.astype(np.float64)).T
    with np.errstate(invalid="ignore"):
        return sums / totals


def _is_mean(
    parcellation: Parcellation,
    parcel: int,
    values: Float64[np.ndarray, "time column"],
    got: np.ndarray,
) -> bool:
    """Whether these are the means of one parcel, gathered and summed without a sparse product."""
    start, stop = parcellation.weights.indptr[parcel : parcel + 2].tolist()
    own = values[:, parcellation.weights.indices[start:stop]]
    weights = np.where(np.isfinite(own), parcellation.weights.data[start:stop], 0.0)
    terms = np.where(weights > 0, own, 0.0) * weights
    total = weights.sum(axis=1)
    with np.errstate(invalid="ignore"):
        mean, size = terms.sum(axis=1) / total, np.abs(terms).sum(axis=1) / total
    off = np.abs(got - mean)
    near = off <= _ROUNDING * np.abs(mean) + _SUMMING * size + np.finfo(np.float32).tiny
    return bool((near | (np.isnan(got) & np.isnan(mean))).all())


def _parcellation_digest(parcellation: Parcellation) -> str:
    weights = parcellation.weights
    parts = (weights.indptr.astype(np.int64), weights.indices.astype(np.int64), weights.data)
    return _joined("\n".join(parcellation.names), str(weights.shape), *map(array_digest, parts))


def _atlas_digest(atlas: Atlas) -> str:
    arrays = (atlas.left, atlas.right, atlas.volume, atlas.to_mni)
    return _joined("\n".join(atlas.names), *map(array_digest, arrays))


def _anatomy_digest(anatomy: Anatomy) -> str:
    grid = anatomy.columns
    cortex = [part for half in anatomy.fiducial for part in (half.points, half.faces)]
    arrays = (grid.index, grid.to_scanner, grid.from_surface, *cortex)
    return _joined(str(grid.shape), *map(array_digest, arrays))


def _joined(*parts: str) -> str:
    return hashlib.sha256("\n\n".join(parts).encode("utf-8")).hexdigest()
