"""Region files that a study names, read for each subject before any work."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Int64

from brainaligner.core import InputError, array_digest, unknown_name
from brainaligner.data import Anatomy, Dataset, read_anatomy, read_column_labels, read_regions

Regions = Mapping[str, Int64[np.ndarray, "_column"]]
_SUBJECT = "subject"


@dataclass(frozen=True)
class RegionsConfig:
    """Regions of interest, by file.

    Parameters
    ----------
    files : tuple of str
        Label files, as `brainaligner.data.read_regions` takes them, beside the responses or
        absolute. ``{subject}`` stands for the name of each subject; a file without it serves
        all of them.
    names : tuple of str, optional
        Regions to score, in this order. Default: all that the files hold.
    """

    files: tuple[str, ...]
    names: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        for name, given in (("files", self.files), ("names", self.names)):
            if given is not None and (not given or len(set(given)) < len(given)):
                raise InputError(
                    f"regions.{name}",
                    got=", ".join(given) or "none",
                    wanted="each once, at least one",
                    do="Correct the list.",
                )
        for file in self.files:
            for place in re.findall(r"\{(.*?)\}", file):
                if place != _SUBJECT:
                    raise unknown_name(f"regions.files, {file!r}", "placeholder", place, [_SUBJECT])


def study_regions(
    config: RegionsConfig | None, dataset: Dataset, subjects: Sequence[str]
) -> dict[str, Regions]:
    """Columns of each region of each subject.

    Parameters
    ----------
    config : RegionsConfig, optional
        None where a study names no regions.
    dataset : Dataset
    subjects : sequence of str

    Returns
    -------
    dict of subject to mapping of region to int64 array, shape (column,)
        Every subject has the regions of all, in one order; one that it lacks is empty.

    Raises
    ------
    InputError
        For files that are missing (all are named), broken or of another subject, a region
        that stands in two files, and a name that no subject's files hold.
    """
    if config is None:
        return {}
    paths = {subject: _paths(config, dataset.folder, subject) for subject in subjects}
    _refuse_missing([path for of_subject in paths.values() for path in of_subject])
    found = {subject: _subject_regions(dataset, subject, paths[subject]) for subject in subjects}
    known = dict.fromkeys(name for regions in found.values() for name in regions)
    for name in config.names or ():
        if name not in known:
            raise unknown_name("dataset.regions.names", "region", name, known)
    names, none = config.names or tuple(known), np.empty(0, dtype=np.int64)
    return {
        subject: {name: regions.get(name, none) for name in names}
        for subject, regions in found.items()
    }


def region_digests(regions: Regions) -> list[list[str]]:
    """Name and content of each region, in their order."""
    return [[name, array_digest(columns)] for name, columns in regions.items()]


def _paths(config: RegionsConfig, folder: Path, subject: str) -> list[Path]:
    names = [file.replace(f"{{{_SUBJECT}}}", subject) for file in config.files]
    return [folder / Path(name).expanduser() for name in names]


def _refuse_missing(paths: Sequence[Path]) -> None:
    missing = [str(path) for path in dict.fromkeys(paths) if not path.is_file()]
    if missing:
        raise InputError(
            "dataset.regions.files",
            got=f"no such file: {', '.join(missing)}",
            wanted="label files beside the responses, or absolute paths",
            do="Check the pattern, or leave out subjects without files with dataset.subjects.",
        )


def _subject_regions(dataset: Dataset, subject: str, paths: Sequence[Path]) -> Regions:
    size = dataset.space(subject).size
    placed = [path for path in paths if path.suffix != ".csv"]
    anatomy = _anatomy(dataset, subject, placed[0]) if placed else None
    regions: dict[str, np.ndarray] = {}
    for path in paths:
        if path.suffix == ".csv" or anatomy is None:
            found = read_column_labels(path, size, subject=subject)
        else:
            found = read_regions(path, anatomy)
        twice = sorted(found.keys() & regions.keys())
        if twice:
            raise InputError(
                str(path),
                got=f"region {twice[0]!r}, which another file of {subject} holds too",
                wanted="each region in one file",
                do="Leave one file out, or write both into a csv file under other names.",
            )
        regions |= found
    return regions


def _anatomy(dataset: Dataset, subject: str, path: Path) -> Anatomy:
    """Where the columns lie; read only for files that speak of places."""
    space = dataset.space(subject)
    if space.kind != "voxels":
        raise InputError(
            str(path),
            got=f"labels of places for the {space.size} {space.kind} of {subject}",
            wanted="a csv file with a line column,label: only voxels lie at a place",
            do="Write such a file.",
        )
    anatomy = read_anatomy(dataset.folder, subject)
    if len(anatomy.columns) != space.size:
        raise InputError(
            f"regions of {subject}",
            got=f"a mask of {len(anatomy.columns)} voxels and responses with {space.size} columns",
            wanted="the same number",
            do="Download the mask and the responses again.",
        )
    return anatomy
