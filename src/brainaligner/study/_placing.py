"""Where voxels lie, from the files of a ds003020 tree: on fsaverage5, and in parcels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np

from brainaligner.core import InputError, unknown_name
from brainaligner.data import (
    Atlas,
    Parcellation,
    anatomy_subjects,
    missing_for_fsaverage5,
    nearest_vertices,
    open_dataset,
    parcellate,
    read_anatomy,
    read_atlas,
    read_parcel_coordinates,
    write_fsaverage5_vertices,
)
from brainaligner.report import fsaverage5_sphere
from brainaligner.study._disk import replace_file, replacing, write_npz, writing_to
from brainaligner.study._progress import Reporter

Spheres = tuple[Path, Path]
Made = TypeVar("Made")
COVERAGE = ("subject", "label", "parcel", "route", "voxels")


@dataclass(frozen=True)
class Placement:
    """A subject whose voxels were placed on fsaverage5.

    Parameters
    ----------
    subject : str
    voxels, on_surface : int
        All of them, and those near enough to the cortex to have a vertex.
    median_mm : float
        Middle distance of all voxels to the cortical surface.
    path : str
        The file that was written.
    """

    subject: str
    voxels: int
    on_surface: int
    median_mm: float
    path: str


def of_each_subject(
    folder: Path,
    subjects: Sequence[str],
    make: Callable[[str], Made],
    reporter: Reporter,
    *,
    doing: str = "placing voxels",
) -> tuple[list[Made], dict[str, str]]:
    """Make something of each subject, and say of the others why it could not be made.

    Parameters
    ----------
    folder : Path
    subjects : sequence of str
        Empty for all that have a folder in ``pycortex-db``.
    make : callable
    reporter : Reporter
    doing : str
        What the reporter is told.

    Raises
    ------
    InputError
        For an unknown subject, before anything is made; or if it can be made of no subject.
    """
    known = anatomy_subjects(folder)
    for subject in subjects:
        if subject not in known:
            raise unknown_name(str(folder), "subject", subject, known)
    names = tuple(subjects) or known
    made, faults = [], {}
    for done, subject in enumerate(names, start=1):
        try:
            made.append(make(subject))
        except InputError as error:
            faults[subject] = " ".join(str(error).split())
        reporter(doing, done, len(names))
    if not made:
        raise InputError(
            str(folder),
            got=f"{doing} failed for all of {len(names)} subjects; "
            + "; ".join(f"{subject}: {fault}" for subject, fault in faults.items()),
            wanted="pycortex-db/ and freesurfer_subjdir/ of at least one subject",
            do="Download what is missing.",
        )
    return made, faults


def place_subject(folder: Path, subject: str) -> Placement:
    """Write one subject's ``fsaverage5_vertices.npy``.

    Raises
    ------
    InputError
        If files are missing (all are named) or do not fit each other, or the responses of
        the subject, where there are any, have other columns than the mask.
    """
    missing = missing_for_fsaverage5(folder, subject)
    if missing:
        raise InputError(
            subject, got=f"missing: {', '.join(missing)}", wanted="these files", do="Download them."
        )
    anatomy = read_anatomy(folder, subject)
    check_columns(folder, subject, len(anatomy.columns))
    with writing_to(anatomy.database):
        path = write_fsaverage5_vertices(folder, subject, fsaverage5_sphere())
    placed = np.load(path, allow_pickle=False) >= 0
    _, distance = nearest_vertices(anatomy)
    middle = round(float(np.median(distance)), 3)
    return Placement(subject, len(placed), int(placed.sum()), middle, str(path))


def check_columns(folder: Path, subject: str, n_voxels: int) -> None:
    """Refuse responses, where there are any, with other columns than the mask has voxels.

    Raises
    ------
    InputError
    """
    n_columns = n_voxels
    with suppress(InputError):  # surfaces may be placed before responses are downloaded
        n_columns = open_dataset("lebel2023", folder).n_columns(subject)
    if n_columns != n_voxels:
        raise InputError(
            subject,
            got=f"a mask of {n_voxels} voxels and responses with {n_columns} columns",
            wanted="the same number",
            do="Download the mask and the responses again.",
        )


def read_atlas_folder(folder: Path) -> Atlas:
    """Read the atlas of a folder: its ``.dlabel.nii``, and its volume.

    Raises
    ------
    InputError
        If there is not one label file, or not one volume (of several, the one with ``+2mm``).
    """
    names = sorted(path.name for path in folder.glob("*")) if folder.is_dir() else []
    labels = [name for name in names if name.endswith(".dlabel.nii")]
    volumes = [n for n in names if n.endswith((".nii", ".nii.gz")) and n not in labels]
    if len(volumes) > 1:
        volumes = [name for name in volumes if "+2mm" in name]
    if len(labels) != 1 or len(volumes) != 1:
        raise InputError(
            str(folder),
            got=f"{len(labels)} label files and {len(volumes)} volumes among {len(names)} files",
            wanted="one .dlabel.nii and one volume in MNI152, such as A424.dlabel.nii and "
            "A424+2mm.nii.gz",
            do="Give the folder of the atlas.",
        )
    return read_atlas(folder / labels[0], folder / volumes[0])


def read_coordinates(folder: Path, n_parcels: int) -> np.ndarray | None:
    """Centres of the parcels in MNI mm, shape (parcel, 3), where the atlas folder has them.

    Raises
    ------
    InputError
        If there are several such tables, or the one does not fit the atlas.
    """
    tables = sorted(folder.glob("*.dat"))
    if len(tables) > 1:
        raise InputError(
            str(folder),
            got=", ".join(path.name for path in tables),
            wanted="one table of coordinates, such as A424_Coordinates.dat",
            do="Remove the others.",
        )
    return read_parcel_coordinates(tables[0], n_parcels) if tables else None


def sphere_pair(left: Path | None, right: Path | None) -> Spheres | None:
    """Return both fsLR spheres, or None where neither is given.

    Raises
    ------
    InputError
        If one is given without the other, or is not there.
    """
    if left is None and right is None:
        return None
    given = [path for path in (left, right) if path is not None]
    absent = [str(path) for path in given if not path.is_file()]
    if left is None or right is None or absent:
        raise InputError(
            "--sphere-left and --sphere-right",
            got=f"no such file: {', '.join(absent)}" if absent else f"only {given[0]}",
            wanted="both spheres, or neither",
            do="Give tpl-fsLR_space-fsaverage_hemi-{L,R}_den-32k_sphere.surf.gii of TemplateFlow.",
        )
    return left, right


def place_parcels(
    folder: Path, subject: str, atlas: Atlas, spheres: Spheres | None
) -> Parcellation:
    """Return the parcels of one subject.

    Raises
    ------
    InputError
        As `place_subject`; nothing is written.
    """
    anatomy = read_anatomy(folder, subject)
    check_columns(folder, subject, len(anatomy.columns))
    return parcellate(anatomy, atlas, fslr_spheres=spheres)


def check_target(path: Path, suffix: str) -> None:
    """Refuse a file to write that has another ending, or a folder's place.

    Raises
    ------
    InputError
    """
    if path.suffix != suffix or path.is_dir():
        raise InputError(
            "--to", got=str(path), wanted=f"a file that ends with {suffix}", do="Name such a file."
        )


def save_parcels(
    path: Path, parcellations: Sequence[Parcellation], coordinates: np.ndarray | None = None
) -> Path:
    """Write matrices and, beside them, how many voxels each parcel has.

    Of each subject stand ``<subject>/data``, ``indices``, ``indptr`` and ``shape``: a
    ``scipy.sparse.csr_array`` (parcel, voxel) whose rows add up to 1, empty where a parcel has
    no voxel. ``names`` holds the names of the parcels, ``coordinates`` their centres in MNI
    mm, where they are given.

    Returns
    -------
    Path
        The table.
    """
    arrays = {"names": np.array(parcellations[0].names)}
    if coordinates is not None:
        arrays["coordinates"] = coordinates
    for one in parcellations:
        weights = one.weights
        for name in ("data", "indices", "indptr"):
            arrays[f"{one.subject}/{name}"] = getattr(weights, name)
        arrays[f"{one.subject}/shape"] = np.array(weights.shape, dtype=np.int64)
    lines = [line for one in parcellations for line in _coverage_lines(one)]
    table = "\n".join(["\t".join(COVERAGE), *lines, ""])
    beside = path.with_suffix(".tsv")
    replace_file(beside, table.encode())
    with replacing(path) as part:
        write_npz(part, arrays)
    return beside


def _coverage_lines(one: Parcellation) -> list[str]:
    rows = zip(one.names, one.by_surface.tolist(), one.voxels.tolist(), strict=True)
    return [
        f"{one.subject}\t{label}\t{name}\t{'surface' if surface else 'volume'}\t{voxels}"
        for label, (name, surface, voxels) in enumerate(rows, start=1)
    ]
