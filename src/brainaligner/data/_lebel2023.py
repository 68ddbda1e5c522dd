"""ds003020: the natural-language fMRI dataset of LeBel et al. 2023.

Layout, timing and file formats: https://openneuro.org/datasets/ds003020 and the readers that
its authors published (https://github.com/HuthLab/deep-fMRI-dataset).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from jaxtyping import Float

from brainaligner.core import Clock, InputError, Space, Transcript
from brainaligner.data._archive import ArrayHeader, hdf_columns, hdf_has, hdf_header
from brainaligner.data._dataset import Dataset
from brainaligner.data._files import derivative_folders, download_fault, file_digest, reading
from brainaligner.data._parcel_coverage import PARCELS, ParcelCoverage, read_parcel_coverage
from brainaligner.data._problem import Problem, listed, problem_from
from brainaligner.data._respdict import read_respdict, respdict_problems
from brainaligner.data._textgrid import Tier, read_textgrid
from brainaligner.data._words import transcript_from_tier

RECORDINGS, TEXTGRIDS, SURFACES = "preprocessed_data", "TextGrids", "pycortex-db"
VERTICES = "fsaverage5_vertices.npy"
CLOCK = Clock(tr=2.0, first=11.0)
"""The sound starts 10 s into the run and the first ten rows are cut: row i is centred at
2 i + 11 s of story time."""

REPEATED = "wheretheressmoke"
"""The story that every subject heard several times (ten times, or five). Files that were saved
again without the single presentations still hold their mean."""

_DATA, _REPEATS = "data", "individual_repeats"


class Lebel2023(Dataset):
    """The tree of ds003020: ``preprocessed_data/<subject>/<story>.hf5`` and ``TextGrids/``.

    `folder` is the dataset, a folder that holds ``ds003020/``, or its derivative folder
    (``derivative`` up to 3.1.0, ``derivatives`` later). Every hf5 file has ``data`` (time,
    voxel), z-scored within its story; ``individual_repeats`` (repeat, time, voxel) where the
    story was heard several times. The second tier of a TextGrid holds the words. Where
    ``pycortex-db/<subject>/fsaverage5_vertices.npy`` stands (int32, one per voxel, -1: none),
    voxels can be drawn on the cortex.

    Files may hold parcel means instead (`convert_to_parcels`). Columns are then the parcels
    that have voxels, by name; `coverage` says which of the atlas's parcels are missing.
    """

    reader = "lebel2023"

    def __init__(self, folder: Path) -> None:
        root = derivative_folder(folder)
        grids = _files_by_stem(root / TEXTGRIDS, ".textgrid")
        faults = {path: fault for path in grids.values() if (fault := download_fault(path))}
        self._grids = {story: path for story, path in grids.items() if path not in faults}
        self._grid_faults = faults
        self._files, absent = _downloaded(root / RECORDINGS)
        self._rows = read_respdict(root)
        self._coverages: dict[tuple[str, str], ParcelCoverage | None] = {}
        super().__init__(root, subjects=tuple(sorted(self._files)), clock=CLOCK, absent=absent)
        if not (self._grids and self._files):
            raise InputError(
                str(root),
                got=f"{len(self._grids)} TextGrids and {len(self._files)} subjects with data",
                wanted="at least one of each that is downloaded",
                do="Download the TextGrids and one subject's responses "
                "(`datalad get`, or a sync with the bucket of OpenNeuro).",
            )

    def worded(self) -> tuple[str, ...]:
        """Return the stories that have a TextGrid, sorted."""
        return tuple(sorted(self._grids))

    def recorded(self, subject: str) -> tuple[str, ...]:
        """Return the stories for which a subject has an hf5 file."""
        return tuple(sorted(self._files[subject]))

    def coverage(self, subject: str) -> ParcelCoverage | None:
        """Return all parcels of the atlas and their voxels; None where columns are voxels.

        Raises
        ------
        InputError
            For an unknown subject, or a first file that cannot be read.
        """
        return self._coverage(subject, min(self.recordings(subject).values()))

    def _coverage(self, subject: str, name: str) -> ParcelCoverage | None:
        if (subject, name) not in self._coverages:
            self._coverages[subject, name] = read_parcel_coverage(self._files[subject][name])
        return self._coverages[subject, name]

    def _same_coverage(self, subject: str, name: str) -> ParcelCoverage | None:
        """Coverage of one file, which must be that of the subject's first file."""
        own, first = self._coverage(subject, name), self.coverage(subject)
        if (own and own.parcellation) != (first and first.parcellation):
            raise InputError(
                str(self._files[subject][name]),
                got="voxels, or parcels of another atlas or anatomy",
                wanted="what the subject's first file holds",
                do="Convert all stories of a subject in the same way.",
            )
        return own

    def _read_transcript(self, story: str) -> Transcript:
        path = self._grids[story]
        return transcript_from_tier(story, word_tier(path, read_textgrid(path)), path)

    def _header(self, subject: str, name: str) -> ArrayHeader:
        return self._covered_header(subject, name, _DATA)

    def _covered_header(self, subject: str, name: str, key: str) -> ArrayHeader:
        header = hdf_header(self._files[subject][name], key)
        coverage = self._same_coverage(subject, name)
        if coverage is None:
            return header
        return ArrayHeader((*header.shape[:-1], len(coverage.covered)), header.dtype)

    def _covered(self, subject: str, name: str, key: str, columns: slice) -> np.ndarray:
        path, coverage = self._files[subject][name], self._same_coverage(subject, name)
        if coverage is None:
            return hdf_columns(path, key, columns)
        return hdf_columns(path, key, slice(None))[..., coverage.covered[columns]]

    def _columns(self, subject: str, name: str, columns: slice) -> Float[np.ndarray, "time target"]:
        return self._covered(subject, name, _DATA, columns)

    def _repeats_header(self, subject: str, name: str) -> ArrayHeader | None:
        path = self._files[subject][name]
        return self._covered_header(subject, name, _REPEATS) if hdf_has(path, _REPEATS) else None

    def _repeats(
        self, subject: str, name: str, columns: slice
    ) -> Float[np.ndarray, "repeat time target"]:
        return self._covered(subject, name, _REPEATS, columns)

    def _expected_rows(self, story: str) -> int | None:
        return self._rows.get(story.casefold())

    def _announced_presentations(self, story: str) -> int:
        return 2 if story.casefold() == REPEATED else 1

    def _content_digest(self, subject: str, name: str) -> str:
        return file_digest(self._files[subject][name])

    def _read_space(self, subject: str, size: int) -> Space:
        coverage = self.coverage(subject)
        if coverage is not None:
            return coverage.space
        path = self.folder / SURFACES / subject / VERTICES
        vertices = _read_vertices(path, size) if path.exists() else None
        return Space("voxels", size, vertices=vertices)

    def _reader_problems(self) -> Iterator[Problem]:
        for path, fault in self._grid_faults.items():
            yield Problem("warning", str(path), fault, "a TextGrid", "Download the file.")
        for subject in sorted({name.split("/")[0] for name in self.absent}):
            yield _absence_problem(self.folder / RECORDINGS / subject, subject, self.absent)
        yield from respdict_problems(self.folder, self._rows, self.worded())
        for subject in self.subjects:
            if not self._in_parcels(subject):
                yield from self._mask_problems(subject)

    def _in_parcels(self, subject: str) -> bool:
        try:
            return self.space(subject).kind == PARCELS
        except InputError:
            return False

    def _mask_problems(self, subject: str) -> Iterator[Problem]:
        transforms = self.folder / SURFACES / subject / "transforms"
        for path in sorted(transforms.glob("*/mask_thick.nii.gz")):
            try:
                n_voxels, size = _mask_size(path), self.space(subject).size
            except InputError as error:
                yield problem_from(error)
                continue
            if n_voxels != size:
                yield Problem(
                    "error",
                    str(path),
                    f"a mask of {n_voxels} voxels",
                    f"{size}, the columns of this subject's responses",
                    "Download the mask and the responses again: voxels cannot be placed.",
                )


def derivative_folder(folder: Path) -> Path:
    """Return the folder that holds ``preprocessed_data``, at or up to two levels under `folder`.

    Raises
    ------
    InputError
        If there is none, if there are two, or if it has no TextGrids.
    """
    found = derivative_folders(folder, RECORDINGS)
    if len(found) != 1 or not (found[0] / TEXTGRIDS).is_dir():
        raise InputError(
            str(folder),
            got=f"{RECORDINGS}/ in {len(found)} places"
            + ("" if len(found) != 1 else f", without {TEXTGRIDS}/ beside it"),
            wanted=f"one folder with {RECORDINGS}/ and {TEXTGRIDS}/: the dataset itself or its "
            "derivative(s)/ folder",
            do="Check the path, and that `lebel2023` is the right reader for this dataset.",
        )
    return found[0]


def word_tier(path: Path, tiers: tuple[Tier, ...]) -> Tier:
    """Return the tier of the words: the second, or the only one (as the official reader does).

    Raises
    ------
    InputError
        If there is no tier.
    """
    if not tiers:
        raise InputError(
            str(path), got="no tier", wanted="a tier of words", do="Download the file again."
        )
    return tiers[min(1, len(tiers) - 1)]


def _files_by_stem(folder: Path, suffix: str) -> dict[str, Path]:
    return {
        path.stem.strip(): path
        for path in sorted(folder.iterdir())
        if path.suffix.lower() == suffix and not path.name.startswith(".")
    }


def recordings_of(subject: Path) -> dict[str, Path]:
    """Story -> its hf5 file in a subject's folder, downloaded or not; hidden files are none."""
    return _files_by_stem(subject, ".hf5")


def _downloaded(folder: Path) -> tuple[dict[str, dict[str, Path]], dict[str, str]]:
    files: dict[str, dict[str, Path]] = {}
    absent: dict[str, str] = {}
    for subject in sorted(path for path in folder.iterdir() if path.is_dir()):
        recordings = recordings_of(subject)
        faults = {name: download_fault(path) for name, path in recordings.items()}
        present = {name: path for name, path in recordings.items() if not faults[name]}
        absent |= {f"{subject.name}/{name}": fault for name, fault in faults.items() if fault}
        if present:
            files[subject.name] = present
        elif not subject.name.startswith("."):
            absent[subject.name] = f"{len(recordings)} hf5 files, none of them downloaded"
    return files, absent


def _absence_problem(folder: Path, subject: str, absent: dict[str, str]) -> Problem:
    stories = sorted(name.split("/")[1] for name in absent if name.startswith(f"{subject}/"))
    got = absent.get(subject) or f"{len(stories)} files without content: {listed(stories)}"
    do = "Download them, or leave them out."
    return Problem("warning", str(folder), f"not downloaded: {got}", "hf5 files", do)


def _read_vertices(path: Path, size: int) -> np.ndarray:
    with (
        reading(path, "an int array, one fsaverage5 vertex for each voxel"),
        path.open("rb") as file,
    ):
        vertices = np.lib.format.read_array(file, allow_pickle=False)
    if not np.issubdtype(vertices.dtype, np.integer) or vertices.shape != (size,):
        raise InputError(
            str(path),
            got=f"{vertices.dtype} array of shape {vertices.shape}",
            wanted=f"an int array of shape ({size},), one vertex for each voxel",
            do="Write it again for these responses, or remove it.",
        )
    return vertices


def _mask_size(path: Path) -> int:
    import nibabel
    from nibabel.filebasedimages import ImageFileError

    with reading(path, "a NIfTI mask"):
        try:
            image = nibabel.load(path)
        except ImageFileError as error:
            raise OSError(error) from error
        return int(np.count_nonzero(np.asarray(image.dataobj)))
