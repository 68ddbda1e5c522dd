"""Parcels of a study's voxels, from the file that ``brainaligner data parcels`` writes."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float32, Float64

from brainaligner.core import InputError, array_digest
from brainaligner.data import Dataset

if TYPE_CHECKING:
    from scipy.sparse import csr_array

_COLUMNS_AT_ONCE = 8_192
_PARTS = ("data", "indices", "indptr", "shape")


@dataclass(frozen=True, eq=False)
class ParcelFile:
    """Parcels of one subject.

    Parameters
    ----------
    weights : sparse float64 array, shape (parcel, column), or None
        Rows add up to 1, those of missing parcels are empty. None: the file has no matrix of
        this subject.
    coordinates : float64 array, shape (parcel, 3)
        Centre of each parcel in MNI mm.
    digest : str
        SHA-256 of both.
    """

    weights: csr_array | None
    coordinates: Float64[np.ndarray, "parcel 3"]
    digest: str


def read_parcel_file(path: Path, subject: str) -> ParcelFile:
    """Read the parcels of one subject.

    Raises
    ------
    InputError
        If the file is not there or damaged, or has no coordinates.
    """
    from scipy.sparse import csr_array

    arrays = _arrays(path)
    coordinates = _coordinates(path, arrays)
    parts = {part: arrays[f"{subject}/{part}"] for part in _PARTS if f"{subject}/{part}" in arrays}
    digest = ":".join(array_digest(np.asarray(part)) for part in [coordinates, *parts.values()])
    if not parts:
        return ParcelFile(None, coordinates, digest)
    try:
        data, indices, indptr, shape = (parts[part] for part in _PARTS)
        weights = csr_array((data, indices, indptr), shape=tuple(int(n) for n in shape))
        weights.check_format(full_check=True)  # an index out of range would end the process
    except (KeyError, TypeError, ValueError) as error:
        raise _unreadable(path, f"a matrix of {subject} that does not fit ({error})") from None
    if weights.shape[0] != len(coordinates):
        raise _unreadable(path, f"{weights.shape[0]} parcels, {len(coordinates)} coordinates")
    if not np.isfinite(weights.data).all():
        raise _unreadable(path, f"weights of {subject} that are not finite")
    return ParcelFile(weights, coordinates, digest)


def _arrays(path: Path) -> dict[str, np.ndarray]:
    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except (OSError, ValueError, AttributeError, TypeError, EOFError) as error:
        raise _unreadable(path, f"a file that cannot be read ({error})") from None
    except (zipfile.BadZipFile, zlib.error, NotImplementedError) as error:
        raise _unreadable(path, f"a damaged file ({error})") from None


def _coordinates(path: Path, arrays: Mapping[str, np.ndarray]) -> Float64[np.ndarray, "parcel 3"]:
    """Centres of the parcels, checked."""
    found = arrays.get("coordinates")
    if found is None:
        raise _unreadable(path, "no coordinates of parcels")
    if found.ndim != 2 or found.shape[1] != 3 or found.dtype.kind not in "fiu":
        raise _unreadable(path, f"coordinates of shape {found.shape}, {found.dtype}")
    if not np.isfinite(found).all():
        raise _unreadable(path, "coordinates that are not finite")
    return found.astype(np.float64)


def _unreadable(path: Path, got: str) -> InputError:
    return InputError(
        str(path),
        got=got,
        wanted="what 'brainaligner data parcels' writes",
        do="Make it again, with the folder of the atlas that holds A424_Coordinates.dat.",
    )


@dataclass(frozen=True, eq=False)
class AveragedParcels:
    """Parcel means of voxel responses, story by story.

    Parameters
    ----------
    dataset : Dataset
    subject : str
    weights : sparse float64 array, shape (parcel, column)
    """

    dataset: Dataset
    subject: str
    weights: csr_array

    @property
    def coverage(self) -> tuple[int, ...]:
        """Voxels of each parcel."""
        return tuple(np.diff(self.weights.indptr).tolist())

    def parcels(self, story: str) -> Float32[np.ndarray, "time parcel"]:
        """Means of a story; NaN in the columns of missing parcels."""
        n_rows, n_columns = self.dataset.n_rows(self.subject, story), self.weights.shape[1]
        means = np.zeros((n_rows, self.weights.shape[0]))
        by_column = self.weights.tocsc()
        for start in range(0, n_columns, _COLUMNS_AT_ONCE):
            columns = slice(start, min(start + _COLUMNS_AT_ONCE, n_columns))
            values = self.dataset.responses(self.subject, story, columns).values
            means += (by_column[:, columns] @ values.T.astype(np.float64)).T
        means[:, np.array(self.coverage) == 0] = np.nan
        return means.astype(np.float32)


@dataclass(frozen=True, eq=False)
class MeasuredParcels:
    """Responses that are parcels already, such as ``fetch --as parcels`` leaves."""

    dataset: Dataset
    subject: str

    @property
    def coverage(self) -> tuple[int, ...]:
        """Voxels of each parcel; 1 where a dataset of parcels does not say."""
        known = self.dataset.coverage(self.subject)
        if known is None:
            return (1,) * self.dataset.space(self.subject).size
        return tuple(known.voxels.tolist())

    def parcels(self, story: str) -> Float32[np.ndarray, "time parcel"]:
        """Responses of a story; NaN in the columns of missing parcels."""
        values = self.dataset.responses(self.subject, story).values
        known = self.dataset.coverage(self.subject)
        return values if known is None else known.all_parcels(values)


def parcel_series(
    dataset: Dataset, subject: str, file: ParcelFile | None
) -> AveragedParcels | MeasuredParcels | None:
    """Parcel means of a subject, or None where there is no way to them.

    Raises
    ------
    InputError
        If the matrix was made for other columns.
    """
    space = dataset.space(subject)
    if file is None or file.weights is None:
        return MeasuredParcels(dataset, subject) if space.kind == "parcels" else None
    if file.weights.shape[1] != space.size:
        raise InputError(
            f"parcels of {subject}",
            got=f"a matrix for {file.weights.shape[1]} columns",
            wanted=f"one for {space.size} {space.kind}",
            do="Make the parcels from the anatomy of the same data.",
        )
    return AveragedParcels(dataset, subject, file.weights)
