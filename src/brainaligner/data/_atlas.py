"""The A424 atlas: parcels of the fsLR-32k cortex and of the MNI152 volume.

Labels 1 to 180 are the right and 181 to 360 the left parcels of HCP-MMP1, 361 to 396
Brainnetome subcortex, 397 to 424 cerebellar lobules. Its files are the user's to supply.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float64, Int64

from brainaligner.core import InputError, frozen_array
from brainaligner.data._images import imaging, load_image, read_labels

FSLR_VERTICES = 32_492
_CORTEX = ("CIFTI_STRUCTURE_CORTEX_LEFT", "CIFTI_STRUCTURE_CORTEX_RIGHT")


@dataclass(frozen=True, eq=False)
class Atlas:
    """Parcels by number: parcel ``p`` of a matrix is label ``p + 1``, 0 is no parcel.

    Parameters
    ----------
    names : tuple of str
        Name of labels 1, 2, ...
    left, right : int64 arrays, shape (32492,)
        Label of each fsLR-32k vertex; 0 on the medial wall.
    volume : int64 array, shape (x, y, z)
        Label of each voxel.
    to_mni : float64 array, shape (4, 4)
        From voxel index to MNI152 mm.

    Raises
    ------
    InputError
        If a label has no name.
    """

    names: tuple[str, ...]
    left: Int64[np.ndarray, "vertex"]
    right: Int64[np.ndarray, "vertex"]
    volume: Int64[np.ndarray, "x y z"]
    to_mni: Float64[np.ndarray, "4 4"]

    def __post_init__(self) -> None:
        for name in ("left", "right", "volume"):
            labels = getattr(self, name)
            if labels.min() < 0 or labels.max() > len(self.names):
                raise InputError(
                    f"atlas, {name!r}",
                    got=f"labels {labels.min()} to {labels.max()}",
                    wanted=f"0 to {len(self.names)}",
                    do="Give the volume and the label file of the same atlas.",
                )
            object.__setattr__(self, name, frozen_array(labels))

    @property
    def n_parcels(self) -> int:
        """Number of parcels."""
        return len(self.names)

    @property
    def on_cortex(self) -> np.ndarray:
        """Whether each parcel has vertices, shape (parcel,)."""
        counts = np.bincount(np.concatenate([self.left, self.right]), minlength=self.n_parcels + 1)
        return counts[1:] > 0


def read_atlas(dlabel: Path, volume: Path) -> Atlas:
    """Read an atlas from its CIFTI label file and its volume, such as those of A424.

    Parameters
    ----------
    dlabel : Path
        ``A424.dlabel.nii``: fsLR-32k vertices, and the names of all labels.
    volume : Path
        ``A424+2mm.nii.gz``, in MNI152. (The file without ``+2mm`` lacks label 120.)

    Raises
    ------
    InputError
        If a file is missing or of another kind, or labels are not 1, 2, ... with a name each.
    """
    names, cortex = _read_dlabel(dlabel)
    labels, affine = read_labels(volume, "a label volume in MNI152")
    return Atlas(names, cortex[_CORTEX[0]], cortex[_CORTEX[1]], labels, affine)


def read_parcel_coordinates(path: Path, n_parcels: int) -> Float64[np.ndarray, "parcel 3"]:
    """Read the centres of an atlas's parcels, such as ``A424_Coordinates.dat``.

    Parameters
    ----------
    path : Path
        A table of four columns: label 1, 2, ... in order, and X, Y, Z in MNI mm.
    n_parcels : int

    Raises
    ------
    InputError
        If it cannot be read, or is not such a table of so many parcels.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
        table = np.array([line.split() for line in lines if line.strip()], dtype=np.float64)
    except (OSError, ValueError) as error:
        raise _no_coordinates(path, str(error), n_parcels) from None
    if table.shape != (n_parcels, 4) or not np.isfinite(table).all():
        raise _no_coordinates(path, f"numbers of shape {table.shape}", n_parcels)
    if (table[:, 0] != np.arange(1, n_parcels + 1)).any():
        raise _no_coordinates(path, "labels that are not 1, 2, ... in order", n_parcels)
    return table[:, 1:]


def _no_coordinates(path: Path, got: str, n_parcels: int) -> InputError:
    return InputError(
        str(path),
        got=got,
        wanted=f"{n_parcels} lines of label, X, Y and Z",
        do="Give the coordinates that belong to the atlas.",
    )


def _read_dlabel(path: Path) -> tuple[tuple[str, ...], dict[str, np.ndarray]]:
    wanted = "a CIFTI label file (.dlabel.nii) on fsLR-32k"
    image = load_image(path, wanted)
    with imaging(path, wanted):
        if not hasattr(image.header, "get_axis"):
            raise ValueError("no CIFTI file")
        table, places = image.header.get_axis(0), image.header.get_axis(1)
        if not (hasattr(table, "label") and hasattr(places, "iter_structures")):
            raise ValueError("no labels on grayordinates")
        values = np.asarray(image.dataobj)[0].astype(np.int64)
        parts = {
            name: (values[rows], model.vertex, model.nvertices.get(name))
            for name, rows, model in places.iter_structures()
            if name in _CORTEX
        }
        names = {int(key): str(name) for key, (name, _) in table.label[0].items() if key != 0}
    sizes = {name: size for name, (_, _, size) in parts.items()}
    if sorted(names) != list(range(1, len(names) + 1)) or sizes != dict.fromkeys(
        _CORTEX, FSLR_VERTICES
    ):
        raise InputError(
            str(path),
            got=f"{len(names)} names, cortex of {sizes} vertices",
            wanted=f"labels 1, 2, ... with a name each, {FSLR_VERTICES} vertices a hemisphere",
            do="Give A424.dlabel.nii, or an atlas made in the same way.",
        )
    ordered = tuple(names[label] for label in sorted(names))
    return ordered, {name: _expanded(*part) for name, part in parts.items()}


def _expanded(labels: np.ndarray, vertices: np.ndarray, size: int) -> np.ndarray:
    """Labels of all vertices of a hemisphere; the medial wall, which CIFTI leaves out, is 0."""
    full = np.zeros(size, dtype=np.int64)
    full[vertices] = labels
    return full
