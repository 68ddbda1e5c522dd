"""Which parcels a file of parcel means has, and of how many voxels each was made."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
from jaxtyping import Float, Int64

from brainaligner.core import InputError, Space, frozen_array
from brainaligner.data._archive import own_dataset
from brainaligner.data._files import reading

PARCELS = "parcels"
NAMES, VOXELS = f"{PARCELS}/names", f"{PARCELS}/voxels"
PARCELLATION = "parcellation_sha256"


@dataclass(frozen=True, eq=False)
class ParcelCoverage:
    """All parcels of an atlas, and how many voxels of one subject lie in each.

    Parameters
    ----------
    names : tuple of str
        In the order of the atlas.
    voxels : int64 array, shape (parcel,)
        0 for a missing parcel: responses have no column for it.
    parcellation : str
        SHA-256 of the weights by which voxels were averaged.
    """

    names: tuple[str, ...]
    voxels: Int64[np.ndarray, "parcel"]
    parcellation: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "voxels", frozen_array(self.voxels))

    @property
    def covered(self) -> Int64[np.ndarray, "_column"]:
        """The parcels that have voxels: those behind the columns of responses."""
        return np.flatnonzero(self.voxels).astype(np.int64)

    @property
    def missing(self) -> tuple[str, ...]:
        """Names of the parcels without a voxel."""
        return tuple(name for name, n in zip(self.names, self.voxels, strict=True) if n == 0)

    @property
    def space(self) -> Space:
        """What the columns of responses are: the covered parcels, by name."""
        return Space(
            PARCELS, len(self.covered), labels=tuple(self.names[i] for i in self.covered.tolist())
        )

    def all_parcels(
        self, values: Float[np.ndarray, "*rows column"]
    ) -> Float[np.ndarray, "*rows parcel"]:
        """Give every parcel of the atlas its column: NaN, never 0, where it is missing.

        Parameters
        ----------
        values : float array, shape (..., covered parcel)
            Such as `Responses.values` or `Responses.repeats`, with all columns.

        Raises
        ------
        InputError
            If the columns are not the covered parcels.
        """
        if values.shape[-1] != len(self.covered):
            raise InputError(
                "parcel responses",
                got=f"{values.shape[-1]} columns",
                wanted=f"{len(self.covered)}, one for each parcel with voxels",
                do="Give all columns of the subject that this coverage belongs to.",
            )
        whole = np.full((*values.shape[:-1], len(self.names)), np.nan, dtype=values.dtype)
        whole[..., self.covered] = values
        return whole


def read_parcel_coverage(path: Path) -> ParcelCoverage | None:
    """Return what a file of responses says of its parcels; None where it holds voxels.

    Raises
    ------
    InputError
        If the file cannot be read, or names and numbers of voxels do not fit its columns.
    """
    with reading(path, "an intact file of responses"), h5py.File(path, "r") as file:
        if file.attrs.get("kind") != PARCELS:
            return None
        labels, voxels, data = (own_dataset(path, file, key) for key in (NAMES, VOXELS, "data"))
        shape = (data.shape or ())[-1:]
        if not shape or labels.shape != shape or voxels.shape != shape:
            raise ValueError("names, voxels and columns of its parcels do not fit")
        names, counts = labels[:].tolist(), voxels[:]
        texts = h5py.check_string_dtype(labels.dtype) is not None
        if not texts or counts.dtype.kind not in "iu" or counts.min() < 0 or not counts.any():
            raise ValueError("names or numbers of voxels of its parcels are none")
        return ParcelCoverage(
            tuple(name.decode("utf-8") for name in names),
            counts.astype(np.int64),
            str(file.attrs[PARCELLATION]),
        )
