"""A simulated tree with all files that say where voxels lie, and an atlas on its sphere."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
from nibabel import cifti2
from nibabel.gifti import GiftiDataArray, GiftiImage

from brainaligner.data import (
    SimulationSettings,
    simulate_anatomy,
    simulate_tree,
    story_rows,
    story_transcripts,
)
from brainaligner.report import fsaverage5_coordinates, fsaverage5_sphere

SETTINGS = SimulationSettings(n_voxels=(700, 500), signal=(1.2, 0.9), n_repeats=3, seed=5)
STORIES = ("avalanche", "lanternkeeper")
FSLR = 32_492
PARCELS = (*(f"R_{i}" for i in range(6)), *(f"L_{i}" for i in range(6)), "deep")


def write_placed_tree(folder: Path) -> Path:
    """Two listeners; one story heard once, one three times."""
    rng = np.random.default_rng(0)
    transcripts = {story: story_transcripts()[story] for story in STORIES}
    features = {
        story: rng.standard_normal((story_rows(t), 4)).astype(np.float32)
        for story, t in transcripts.items()
    }
    simulate_tree(folder, transcripts, features, fsaverage5_coordinates(), settings=SETTINGS)
    simulate_anatomy(folder, fsaverage5_coordinates(), fsaverage5_sphere(), seed=5)
    return folder


def lattice(n: int) -> np.ndarray:
    """Evenly spread unit vectors."""
    i = np.arange(n) + 0.5
    polar, turn = np.arccos(1 - 2 * i / n), np.pi * (1 + 5**0.5) * i
    return np.c_[np.cos(turn) * np.sin(polar), np.sin(turn) * np.sin(polar), np.cos(polar)]


def planted_label(directions: np.ndarray, *, left: bool) -> np.ndarray:
    """Parcel of places on a sphere: right 1 to 6, left 7 to 12."""
    return 1 + (directions @ lattice(6).T).argmax(axis=1) + 6 * left


def write_atlas(folder: Path) -> tuple[Path, Path]:
    """Write ``toy.dlabel.nii``, ``toy+2mm.nii.gz`` and, apart, both fsLR spheres."""
    atlas = folder / "atlas"
    atlas.mkdir(parents=True)
    points = lattice(FSLR)
    whole = np.ones(FSLR, bool)
    left, right = (
        cifti2.BrainModelAxis.from_mask(whole, name=f"CORTEX_{side}") for side in ("LEFT", "RIGHT")
    )
    table = {0: ("???", (0, 0, 0, 0))} | {i: (n, (1, 1, 1, 1)) for i, n in enumerate(PARCELS, 1)}
    labels = [planted_label(points, left=True), planted_label(points, left=False)]
    header = cifti2.Cifti2Header.from_axes((cifti2.LabelAxis(["x"], [table]), left + right))
    values = np.concatenate(labels).astype(np.float32)[None]
    nibabel.save(cifti2.Cifti2Image(values, header), atlas / "toy.dlabel.nii")
    nibabel.save(_volume(), atlas / "toy+2mm.nii.gz")
    nibabel.save(_volume(), atlas / "toy.nii.gz")
    spheres = [_write_sphere(folder / f"{side}.surf.gii", points) for side in ("left", "right")]
    return spheres[0], spheres[1]


def _volume() -> nibabel.Nifti1Image:
    affine = np.array([[-2.0, 0, 0, 90], [0, 2, 0, -126], [0, 0, 2, -72], [0, 0, 0, 1]])
    place = nibabel.affines.apply_affine(np.linalg.inv(affine), fsaverage5_coordinates())
    halves = np.split(np.asarray(fsaverage5_sphere()) / 100, 2)
    data = np.zeros((91, 109, 91), np.float32)
    data[tuple(np.rint(place).astype(int).T)] = np.concatenate(
        [planted_label(halves[0], left=True), planted_label(halves[1], left=False)]
    )
    data[45, 50, 20] = len(PARCELS)
    return nibabel.Nifti1Image(data, affine)


def _write_sphere(path: Path, points: np.ndarray) -> Path:
    arrays = [
        GiftiDataArray((100 * points).astype(np.float32), intent="NIFTI_INTENT_POINTSET"),
        GiftiDataArray(np.array([[0, 1, 2]], np.int32), intent="NIFTI_INTENT_TRIANGLE"),
    ]
    nibabel.save(GiftiImage(darrays=arrays), path)
    return path
