"""Values to be drawn, one for each voxel: from a run or a file, and where their maps go."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

import numpy as np
from jaxtyping import Float64

from brainaligner.core import InputError, Split, unknown_name
from brainaligner.data import says_simulated
from brainaligner.report import NOT_VALID
from brainaligner.study._ceilings import CEILINGS
from brainaligner.study._disk import DamagedArtifactError, npz_names, read_array
from brainaligner.study._record import damaged_record, read_run

SIMULATED = "SIMULATED DATA"


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
        Pattern of names, ``*`` for any letters. Noise ceilings of a run are taken only where it
        begins with ``ceilings/``: beside scores they would stretch the colour bar.

    Raises
    ------
    InputError
        If there is no such file, an array has no subject or is no row of numbers, or nothing
        is left to draw.
    """
    for subject in subjects:
        if subject not in known:
            raise unknown_name("--subjects", "subject", subject, known)
    of_run = path.is_dir()
    if of_run:
        read_run(path)
        path = path / "scores.npz"
    with _reading(path, of_run=of_run):
        names = _names_in(path)
    if of_run:
        names = tuple(name for name in names if _of_targets(name, only))
    with _reading(path, of_run=of_run):
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


@contextmanager
def _reading(path: Path, *, of_run: bool) -> Iterator[None]:
    """Say of a damaged file what helps: a run writes its own anew, another one is its owner's."""
    try:
        yield
    except DamagedArtifactError as error:
        if of_run:
            raise damaged_record(path, error.fault) from error
        raise _unreadable(path, error.fault) from error


def _unreadable(path: Path, fault: str) -> InputError:
    return InputError(str(path), got=fault, wanted="arrays of numbers", do="Save it again.")


def _of_targets(name: str, only: str) -> bool:
    """Whether an array of a run has a number for each target and is asked for."""
    return name != NOT_VALID and (not name.startswith(CEILINGS) or only.startswith(CEILINGS))


def map_label(source: Path, values: Sequence[VoxelValues]) -> str:
    """What the numbers of a run's maps are, or just that they are values."""
    if not source.is_dir():
        return "value"
    measures = {one.name.split("/")[-1] for one in values if one.name.startswith(CEILINGS)}
    if not measures:
        return "Pearson r"
    return measures.pop().replace("_", " ") if len(measures) == 1 else "noise ceiling"


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
            raise _unreadable(path, str(error)) from error
    if values.ndim != 1 or values.dtype.kind not in "fiub":
        raise InputError(
            f"{path}: {name}",
            got=f"{values.dtype} array of shape {values.shape}",
            wanted="one number for each voxel",
            do="Choose other arrays with --only.",
        )
    return values.astype(np.float64)


def map_warnings(folder: Path, values: Path) -> tuple[str, ...]:
    """What each title has to say first.

    That the tree or the run is simulated, that the audit found the run not valid, and that its
    stories are not held out.
    """
    simulated = says_simulated(folder)
    words = []
    if values.is_dir():
        run = read_run(values)
        simulated = simulated or bool(run["simulated"])
        words += [NOT_VALID] * (run.get("audit", {}).get("verdict") == "FAIL")
        words += [run["label"]] * (run["label"] != Split.label)
    return (*[SIMULATED] * simulated, *words)


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
