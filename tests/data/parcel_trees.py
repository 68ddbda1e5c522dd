"""A listener with anatomy as if published, and a toy atlas that is planted on the sphere."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import nibabel
import numpy as np
from anatomy_trees import HALF, fsaverage5
from fetch_runs import NAMES
from nibabel import cifti2
from nibabel.gifti import GiftiDataArray, GiftiImage

from brainaligner.data import (
    SimulationSettings,
    simulate_anatomy,
    simulate_tree,
    story_rows,
    story_transcripts,
)

PARCELS = ("R_front", "R_back", "L_front", "L_back", "deep")
N_VOXELS = 400
_FSLR = 32_492


def publish_placed(folder: Path) -> dict[str, bytes]:
    """Simulate one listener with anatomy under real path names; path -> content."""
    spoken = story_transcripts()
    transcripts = {
        name: dataclasses.replace(spoken[story], story=name) for story, name in NAMES.items()
    }
    rng = np.random.default_rng(0)
    features = {
        story: rng.standard_normal((story_rows(transcript), 3)).astype(np.float32)
        for story, transcript in transcripts.items()
    }
    settings = SimulationSettings(
        n_voxels=(N_VOXELS,), signal=(1.0,), n_repeats=2, repeated_story="wheretheressmoke"
    )
    surface, sphere = fsaverage5("white_matter"), fsaverage5("sphere")
    simulate_tree(folder, transcripts, features, surface, settings=settings)
    simulate_anatomy(folder, surface, sphere)
    return {
        path.relative_to(folder).as_posix().replace("SIM01", "UTS03"): path.read_bytes()
        for path in sorted((folder / "derivative").rglob("*"))
        if path.is_file()
    }


def planted_parcel(directions: np.ndarray, *, left: bool) -> np.ndarray:
    """Parcel of places on a sphere: right 1 and 2, left 3 and 4."""
    return 1 + (directions[:, 1] < 0) + 2 * left


def write_atlas(folder: Path) -> tuple[Path, Path, Path]:
    """Write an atlas with a parcel that has no voxel; return its folder and both fsLR spheres."""
    atlas = folder / "atlas"
    atlas.mkdir(parents=True)
    i = np.arange(_FSLR) + 0.5
    polar, turn = np.arccos(1 - 2 * i / _FSLR), np.pi * (1 + 5**0.5) * i
    points = np.c_[np.cos(turn) * np.sin(polar), np.sin(turn) * np.sin(polar), np.cos(polar)]
    whole = np.ones(_FSLR, bool)
    axes = [cifti2.BrainModelAxis.from_mask(whole, name=f"CORTEX_{s}") for s in ("LEFT", "RIGHT")]
    table = {0: ("???", (0, 0, 0, 0))} | {n: (p, (1, 1, 1, 1)) for n, p in enumerate(PARCELS, 1)}
    labels = np.r_[planted_parcel(points, left=True), planted_parcel(points, left=False)]
    header = cifti2.Cifti2Header.from_axes((cifti2.LabelAxis(["x"], [table]), axes[0] + axes[1]))
    image = cifti2.Cifti2Image(labels[None].astype(np.float32), header)
    nibabel.save(image, atlas / "toy.dlabel.nii")
    nibabel.save(_volume(), atlas / "toy+2mm.nii.gz")
    left, right = (_write_sphere(folder / f"{s}.surf.gii", points) for s in ("left", "right"))
    return atlas, left, right


def _volume() -> nibabel.Nifti1Image:
    affine = np.array([[-2.0, 0, 0, 90], [0, 2, 0, -126], [0, 0, 2, -72], [0, 0, 0, 1]])
    place = nibabel.affines.apply_affine(np.linalg.inv(affine), fsaverage5("white_matter"))
    sphere = fsaverage5("sphere") / 100
    data = np.zeros((91, 109, 91), np.float32)
    data[tuple(np.rint(place).astype(int).T)] = np.r_[
        planted_parcel(sphere[:HALF], left=True), planted_parcel(sphere[HALF:], left=False)
    ]
    data[45, 50, 20] = len(PARCELS)  # in the brain stem
    return nibabel.Nifti1Image(data, affine)


def _write_sphere(path: Path, points: np.ndarray) -> Path:
    arrays = [
        GiftiDataArray((100 * points).astype(np.float32), intent="NIFTI_INTENT_POINTSET"),
        GiftiDataArray(np.array([[0, 1, 2]], np.int32), intent="NIFTI_INTENT_TRIANGLE"),
    ]
    nibabel.save(GiftiImage(darrays=arrays), path)
    return path
