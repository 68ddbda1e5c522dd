"""Images, surfaces and label files that nibabel reads, with the file's name in every error."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float64, Int64

from brainaligner.core import InputError
from brainaligner.data._files import download_fault, reading


@contextmanager
def imaging(path: Path, wanted: str) -> Iterator[None]:
    """As `reading`, for what nibabel raises besides."""
    from xml.parsers.expat import ExpatError

    from nibabel.filebasedimages import ImageFileError
    from nibabel.spatialimages import HeaderDataError

    fault = download_fault(path)
    if fault:
        raise InputError(str(path), got=fault, wanted=wanted, do="Download or copy the file.")
    with reading(path, wanted):
        try:
            yield
        except (ExpatError, HeaderDataError, ImageFileError, IndexError, TypeError) as error:
            raise OSError(error) from error


def load_image(path: Path, wanted: str) -> Any:
    """Open an image of any format that nibabel knows; its numbers are read when asked for.

    Raises
    ------
    InputError
        If the file is not there or not of a known format.
    """
    import nibabel

    with imaging(path, wanted):
        return nibabel.load(path)


def read_labels(path: Path, wanted: str) -> tuple[Int64[np.ndarray, "x y z"], np.ndarray]:
    """Read a volume of whole numbers and its affine (index to mm).

    Raises
    ------
    InputError
        If it has not three axes, or holds numbers that are not whole.
    """
    image = load_image(path, wanted)
    with imaging(path, wanted):
        values = np.asarray(image.dataobj)
    if values.ndim != 3 or not np.array_equal(values, np.rint(values)):
        raise InputError(
            str(path),
            got=f"{values.dtype} volume of shape {values.shape}",
            wanted=f"{wanted}: three axes and whole numbers",
            do="Give a label volume, resampled by nearest neighbour if at all.",
        )
    return values.astype(np.int64), np.asarray(image.affine, dtype=np.float64)


def apply_affine(
    affine: Float64[np.ndarray, "4 4"], points: Float64[np.ndarray, "point 3"]
) -> Float64[np.ndarray, "point 3"]:
    """Map points: ``x -> A x + b``."""
    return points @ affine[:3, :3].T + affine[:3, 3]
