"""From the mm of a subject's pycortex surfaces to MNI152, by affines alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from jaxtyping import Float64

from brainaligner.core import InputError
from brainaligner.data._files import decode_text, read_bytes
from brainaligner.data._geometry import Anatomy, is_affine
from brainaligner.data._images import apply_affine, imaging, load_image
from brainaligner.data._surfaces import (
    HEMISPHERES,
    check_same_vertices,
    read_surface,
    subject_surfaces,
)

MNI305_TO_MNI152 = np.array(
    [
        [0.9975, -0.0073, 0.0176, -0.0429],
        [0.0146, 1.0009, -0.0024, 1.5496],
        [-0.0130, -0.0093, 0.9971, 1.1840],
        [0.0, 0.0, 0.0, 1.0],
    ]
)
"""https://surfer.nmr.mgh.harvard.edu/fswiki/CoordinateSystems, case 8."""
_LARGEST_MISFIT_MM = 0.1


def surface_to_mni152(anatomy: Anatomy) -> Float64[np.ndarray, "4 4"]:
    """Affine from pycortex's surface mm to MNI152 mm.

    pycortex mm -> tkrRAS (fitted on the vertices that ``pia`` and ``?h.pial`` share) ->
    scanner RAS (``orig.mgz``) -> MNI305 (``talairach.xfm``) -> MNI152. Twelve degrees of
    freedom: expect errors of 5 to 10 mm in the cortex.

    Raises
    ------
    InputError
        If a FreeSurfer file is missing or broken, the two pial surfaces are not the same
        up to an affine, or left and right come out exchanged.
    """
    folder = anatomy.freesurfer
    chain = (
        MNI305_TO_MNI152,
        read_talairach(folder / "mri" / "transforms" / "talairach.xfm"),
        _scanner_from_tkr(folder / "mri" / "orig.mgz"),
        _tkr_from_surface(anatomy),
    )
    affine = np.linalg.multi_dot(chain)
    left, right = (apply_affine(affine, half.points)[:, 0].mean() for half in anatomy.fiducial)
    if left >= right:
        raise InputError(
            str(folder),
            got=f"the left hemisphere at x = {left:.0f} mm and the right at {right:.0f} mm",
            wanted="left of right in MNI152",
            do="Check that surfaces, orig.mgz and talairach.xfm are this subject's.",
        )
    return affine


def _tkr_from_surface(anatomy: Anatomy) -> Float64[np.ndarray, "4 4"]:
    pairs = []
    for side, pia in zip(HEMISPHERES, subject_surfaces(anatomy.database, "pia"), strict=True):
        path = anatomy.freesurfer / "surf" / f"{side}.pial"
        pial = read_surface(path)
        check_same_vertices(str(path), "the surface", pial, "pycortex's pia", pia)
        pairs.append((pia.points, pial.points))
    ours, theirs = (np.concatenate(points) for points in zip(*pairs, strict=True))
    affine = fit_affine(ours, theirs)
    misfit = np.sqrt(((apply_affine(affine, ours) - theirs) ** 2).sum(axis=1).mean())
    if misfit > _LARGEST_MISFIT_MM:
        raise InputError(
            str(anatomy.freesurfer / "surf"),
            got=f"pial surfaces {misfit:.2f} mm off pycortex's after the best affine",
            wanted=f"the same surfaces, within {_LARGEST_MISFIT_MM} mm",
            do="Get both from the same release of the dataset.",
        )
    return affine


def fit_affine(
    points: Float64[np.ndarray, "point 3"], targets: Float64[np.ndarray, "point 3"]
) -> Float64[np.ndarray, "4 4"]:
    """The affine that maps `points` onto `targets` with least squares."""
    design = np.column_stack([points, np.ones(len(points))])
    affine = np.eye(4)
    affine[:3] = np.linalg.lstsq(design, targets, rcond=None)[0].T
    return affine


def _scanner_from_tkr(path: Path) -> Float64[np.ndarray, "4 4"]:
    wanted = "FreeSurfer's orig.mgz"
    image = load_image(path, wanted)
    with imaging(path, wanted):
        header = image.header
        if not hasattr(header, "get_vox2ras_tkr"):
            raise ValueError("no FreeSurfer volume")
        to_scanner, to_tkr = header.get_vox2ras(), header.get_vox2ras_tkr()
    return np.asarray(to_scanner @ np.linalg.inv(to_tkr), dtype=np.float64)


def read_talairach(path: Path) -> Float64[np.ndarray, "4 4"]:
    """Read an MNI transform file: scanner RAS to MNI305.

    Raises
    ------
    InputError
        If it holds no ``Linear_Transform`` of twelve numbers.
    """
    wanted = "an MNI transform file with a Linear_Transform of twelve numbers"
    text = decode_text(path, read_bytes(path, wanted))
    _, found, rest = text.partition("Linear_Transform")
    affine = np.eye(4)
    try:
        numbers = [float(word) for word in rest.partition("=")[2].partition(";")[0].split()]
        affine[:3] = np.reshape(numbers, (3, 4))
    except ValueError:
        found = ""
    if not found or not is_affine(affine):
        raise InputError(
            str(path), got="none that can be inverted", wanted=wanted, do="Download it again."
        )
    return affine
