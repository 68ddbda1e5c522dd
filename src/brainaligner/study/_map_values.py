"""Values to be drawn, one for each voxel: from a run or a file, and where their maps go."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

import numpy as np
from jaxtyping import Float64

from brainaligner.core import InputError, unknown_name
from brainaligner.study._disk import npz_names, read_array
from brainaligner.study._record import read_run


@dataclass(frozen=True, eq=False)
class VoxelValues:
    """One value for each voxel of a subject.

    Parameters
    ----------
    name : str
        As it stands in its file.
    subject : str
    values : float64 array, shape (voxel,)
        NaN where there is none.
    """

    name: str
    subject: str
    values: Float64[np.ndarray, "voxel"]


def read_values(
    path: Path, known: Sequence[str], *, subjects: Sequence[str] = (), only: str = "*"
) -> list[VoxelValues]:
    """Read what is to be drawn.

    Parameters
    ----------
    path : Path
        A finished run (its ``scores.npz`` is read), an npz file, or an npy file.
    known : sequence of str
        All subjects of the dataset. An array is of the subject that is part of its name, as
        in ``layer4/UTS01/test/cut0``; where none is, of the one in `subjects`.
    subjects : sequence of str
        Whose values are wanted; empty for all.
    only : str
        Pattern of names, ``*`` for any letters.

    Raises
    ------
    InputError
        If there is no such file, an array has no subject or is no row of numbers, or nothing
        is left to draw.
    """
    for subject in subjects:
        if subject not in known:
            raise unknown_name("--subjects", "subject", subject, known)
    if path.is_dir():
        read_run(path)
        path = path / "scores.npz"
    names = _names_in(path)
    found = [
        VoxelValues(name, owner, _row(path, name))
        for name in names
        if fnmatchcase(name, only)
        and (owner := _owner(path, name, known, subjects))
        and (not subjects or owner in subjects)
    ]
    if not found:
        raise InputError(
            str(path),
            got=f"nothing to draw among {len(names)} arrays: {', '.join(names[:6])}",
            wanted=f"names that fit {only!r}" + (f" of {', '.join(subjects)}" * bool(subjects)),
            do="Change --only or --subjects.",
        )
    return found


def _names_in(path: Path) -> tuple[str, ...]:
    if path.suffix not in (".npz", ".npy") or not path.is_file():
        raise InputError(
            "--values",
            got=str(path),
            wanted="the folder of a finished run, an .npz or an .npy file",
            do="Give what is to be drawn.",
        )
    return npz_names(path) if path.suffix == ".npz" else (path.stem,)


def _owner(path: Path, name: str, known: Sequence[str], subjects: Sequence[str]) -> str:
    parts = [part for part in name.split("/") if part in known]
    if not parts and len(subjects) != 1:
        raise InputError(
            f"{path}: {name}",
            got="no subject in its name",
            wanted=f"one of {', '.join(known)} between slashes",
            do="Name the one subject with --subjects, or choose arrays with --only.",
        )
    return parts[0] if parts else subjects[0]


def _row(path: Path, name: str) -> Float64[np.ndarray, "_"]:
    if path.suffix == ".npz":
        values = read_array(path, name)
    else:
        try:
            values = np.load(path, allow_pickle=False)
        except (OSError, ValueError) as error:
            raise InputError(
                str(path), got=str(error), wanted="an array of numbers", do="Save it again."
            ) from error
    if values.ndim != 1 or values.dtype.kind not in "fiub":
        raise InputError(
            f"{path}: {name}",
            got=f"{values.dtype} array of shape {values.shape}",
            wanted="one number for each voxel",
            do="Choose other arrays with --only.",
        )
    return values.astype(np.float64)


def is_simulated(folder: Path, values: Path) -> bool:
    """Whether the tree, or the run that the values are of, says that it is simulated."""
    places = (folder, folder.parent, folder / "ds003020")
    tree = any((place / "SIMULATED.txt").exists() for place in places)
    return tree or (values.is_dir() and bool(read_run(values)["simulated"]))


def map_paths(folder: Path, values: Sequence[VoxelValues], form: str) -> dict[str, Path]:
    """Return the file of each map: its name, with ``_`` for all that a file name should not hold.

    Raises
    ------
    InputError
        If two maps would have one file, or `folder` is a file.
    """
    paths = {
        one.name: folder / f"{re.sub(r'[^A-Za-z0-9.+-]', '_', one.name)}.{form}" for one in values
    }
    if len(set(paths.values())) < len(paths) or folder.is_file():
        raise InputError(
            "--to",
            got=f"{folder}, {len(paths)} maps with {len(set(paths.values()))} file names",
            wanted="a folder, and another file for each map",
            do="Choose another folder, or fewer maps with --only.",
        )
    return paths
