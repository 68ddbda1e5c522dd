"""Stage ``flatmap``: which targets each pixel of a subject's cut and flattened cortex shows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from brainaligner.core import InputError
from brainaligner.data import file_digest, pycortex_files
from brainaligner.report import Flatmap, FlatPixels, pycortex_version
from brainaligner.study._disk import read_npz, write_npz
from brainaligner.study._flatmaps import PIXELS, flatmap_words
from brainaligner.study._prepare import Prepared
from brainaligner.study._progress import Reporter
from brainaligner.study._store import Recipe, Store

VERSION = 1
HEIGHT = 512
"""Pixels from top to bottom: a page shows them about as large."""
_READER = "lebel2023"


@dataclass(frozen=True, eq=False)
class FlatmapTask:
    """The flatmap of one subject by one road.

    Parameters
    ----------
    folder : Path
        Of the dataset.
    subject : str
    road : {"pycortex", "flat"}
    files : mapping of str to Path
        Surfaces, mask and transform.
    """

    folder: Path
    subject: str
    road: str
    files: Mapping[str, Path]

    @cached_property
    def recipe(self) -> Recipe:
        """The content of the files, and by what they are laid out."""
        by = pycortex_version() if self.road == "pycortex" else None
        settings = {"road": self.road, "height": HEIGHT, "pycortex": by}
        inputs = {name: file_digest(path) for name, path in self.files.items()}
        return Recipe("flatmap", VERSION, settings, inputs)

    def write(self, folder: Path) -> None:
        """Lay out the cortex and write the artifact."""
        pixels = PIXELS[self.road](self.folder, self.subject, HEIGHT)
        weights = pixels.weights
        arrays = {
            "inside": pixels.inside,
            "data": weights.data.astype(np.float32),
            "indices": weights.indices.astype(np.int32),
            "indptr": weights.indptr.astype(np.int32),
            "shape": np.array(weights.shape, dtype=np.int64),
        }
        write_npz(folder / "pixels.npz", arrays)

    def read(self, folder: Path) -> Flatmap:
        """Read the artifact."""
        from scipy.sparse import csr_array

        arrays = read_npz(folder / "pixels.npz")
        parts = (arrays["data"], arrays["indices"], arrays["indptr"])
        weights = csr_array(parts, shape=tuple(arrays["shape"].tolist()))
        how = flatmap_words(self.road)
        return Flatmap(FlatPixels(arrays["inside"], weights), how, self.recipe.key)


def flatmap_tasks(prepared: Prepared) -> Iterator[list[FlatmapTask]]:
    """The roads to each subject's flatmap, the best one first.

    Subjects have some whose targets are voxels, with flat surfaces beside the responses.
    """
    dataset = prepared.dataset
    if dataset.reader != _READER:
        return
    for subject in prepared.division.splits:
        if dataset.space(subject).kind != "voxels":
            continue
        try:
            files = pycortex_files(dataset.folder, subject)
        except InputError:
            continue
        if all(path.is_file() for path in files.values()):
            roads = [road for road in PIXELS if road != "pycortex" or pycortex_version()]
            yield [FlatmapTask(dataset.folder, subject, road, files) for road in roads]


def ensure_flatmaps(prepared: Prepared, *, store: Store, reporter: Reporter) -> dict[str, Flatmap]:
    """Lay out the cortex of each subject that has flat surfaces, where that is still to do.

    A flatmap is a picture and no result: of surfaces that cannot be laid out the log says why,
    and the subject is drawn on fsaverage5.
    """
    subjects, found = list(flatmap_tasks(prepared)), {}
    for done, roads in enumerate(subjects, start=1):
        for task in roads:
            try:
                made = store.ensure(task.recipe, task.write)
            except InputError as error:
                fault = " ".join(str(error).split())
                reporter.line(f"{task.subject}: no flatmap by {task.road}: {fault}")
            else:
                found[task.subject] = task.read(made)
                break
        reporter("flatmap", done, len(subjects))
    return found
