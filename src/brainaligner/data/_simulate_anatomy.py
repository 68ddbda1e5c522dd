"""Cortex, transform and FreeSurfer folder of simulated listeners, as ds003020 has them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float, Float64, Int64

from brainaligner.core import FSAVERAGE5_VERTICES, InputError, Progress, no_progress
from brainaligner.data._files import read_json_object
from brainaligner.data._fsaverage import unit_sphere
from brainaligner.data._geometry import DATABASE, FREESURFER
from brainaligner.data._images import apply_affine, load_image
from brainaligner.data._lebel2023 import VERTICES
from brainaligner.data._simulate import NOTICE
from brainaligner.data._simulate_sphere import flattened, normals, sphere_faces
from brainaligner.data._surfaces import HEMISPHERES

N_REGIONS = 12
"""Regions of a hemisphere; the first is `unknown`, as the medial wall is in FreeSurfer."""
HALF_THICKNESS_MM = 1.25
SPHERE_MM = 100.0
JITTER_MM = 0.3
_HALF = FSAVERAGE5_VERTICES // 2
_NAMES = ("unknown", *(f"region{number:02d}" for number in range(1, N_REGIONS)))


@dataclass(frozen=True, eq=False)
class _Hemisphere:
    """One hemisphere of a listener, vertices in the listener's own order."""

    side: str
    order: Int64[np.ndarray, "vertex"]
    faces: Int64[np.ndarray, "face 3"]
    white: Float64[np.ndarray, "vertex 3"]
    pia: Float64[np.ndarray, "vertex 3"]
    sphere: Float64[np.ndarray, "vertex 3"]
    flat: Float64[np.ndarray, "vertex 3"]
    flat_faces: Int64[np.ndarray, "_flat 3"]
    regions: Int64[np.ndarray, "vertex"]


def simulate_anatomy(
    folder: Path,
    surface_coordinates: Float[np.ndarray, "vertex 3"],
    sphere_coordinates: Float[np.ndarray, "vertex 3"],
    *,
    seed: int = 0,
    progress: Progress = no_progress,
) -> None:
    """Add to a simulated tree all files that say where its voxels lie.

    Each listener has fsaverage5's cortex, turned, scaled and moved at random, its vertices in
    an order of its own; the voxels are those of the tree. Written are ``matrices.xfm`` and
    ``reference.nii.gz``, the pycortex surfaces ``wm``, ``pia`` and ``flat`` (.gii, and .npz
    for the second listener, as in ds003020), and FreeSurfer's ``white``, ``pial``,
    ``sphere.reg``, ``aparc.annot``, ``cortex.label``, ``orig.mgz`` and ``talairach.xfm``. The
    region that each column was built from stands in ``truth/<listener>_regions.csv``. Nothing
    that was there is changed.

    Parameters
    ----------
    folder : Path
        A tree that `simulate_tree` wrote.
    surface_coordinates : float array, shape (20484, 3)
        The same as the tree's: fsaverage5 vertices, left hemisphere first, in mm.
    sphere_coordinates : float array, shape (20484, 3)
        fsaverage5's spheres in the same order.
    seed : int
        The same seed gives the same bytes.
    progress : Progress

    Raises
    ------
    InputError
        If there is no simulated tree, if it has an anatomy, or the coordinates do not fit.
    """
    derivative = folder / "derivative"
    names = sorted(read_json_object(derivative / "subject_xfms.json"))
    if (derivative / FREESURFER).exists() or not (folder / NOTICE).exists():
        raise InputError(
            str(folder),
            got="no simulated tree, or one that has an anatomy",
            wanted="a tree as simulate_tree leaves it",
            do="Simulate into a new folder.",
        )
    if surface_coordinates.shape != (FSAVERAGE5_VERTICES, 3):
        raise InputError(
            "surface coordinates",
            got=f"an array of shape {surface_coordinates.shape}",
            wanted=f"({FSAVERAGE5_VERTICES}, 3)",
            do="Give the coordinates that the tree was simulated with.",
        )
    sphere = unit_sphere("fsaverage5 sphere", sphere_coordinates, size=FSAVERAGE5_VERTICES)
    surface = surface_coordinates.astype(np.float64)
    for number, name in enumerate(names):
        _write_listener(derivative, name, number, surface, sphere, seed)
        progress("simulating anatomy", number + 1, len(names))


def _write_listener(
    derivative: Path, name: str, number: int, surface: np.ndarray, sphere: np.ndarray, seed: int
) -> None:
    rng = np.random.default_rng((seed, 5, number))
    own = _own_space(rng)
    halves = (slice(None, _HALF), slice(_HALF, None))
    hemispheres = [
        _hemisphere(side, apply_affine(own, surface[half]), sphere[half], rng)
        for side, half in zip(HEMISPHERES, halves, strict=True)
    ]
    database = derivative / DATABASE / name
    _write_transform(database / "transforms" / f"{name}_auto", np.linalg.inv(own))
    surfaces = database / "surfaces"
    surfaces.mkdir()
    for half in hemispheres:
        write = _write_npz if number == 1 else _write_gifti
        for kind, points, faces in (
            ("wm", half.white, half.faces),
            ("pia", half.pia, half.faces),
            ("flat", half.flat, half.flat_faces),
        ):
            write(surfaces / f"{kind}_{half.side}", points, faces)
    _write_freesurfer(derivative / FREESURFER / name, hemispheres, np.linalg.inv(own), rng)
    regions = np.concatenate([_unsorted(half) for half in hemispheres])
    vertices = np.load(database / VERTICES, allow_pickle=False)
    _write_truth(derivative.parent / "truth" / f"{name}_regions.csv", regions, vertices)


def _own_space(rng: np.random.Generator) -> Float64[np.ndarray, "4 4"]:
    """From fsaverage's mm to a listener's: a few degrees, per cents and millimetres away."""
    from scipy.spatial.transform import Rotation

    affine = np.eye(4)
    turn = Rotation.from_euler("xyz", rng.normal(0, 4, 3), degrees=True).as_matrix()
    affine[:3, :3] = turn * rng.uniform(0.95, 1.05, 3)
    affine[:3, 3] = rng.normal(0, 5, 3)
    return affine


def _hemisphere(
    side: str, points: np.ndarray, sphere: np.ndarray, rng: np.random.Generator
) -> _Hemisphere:
    order = rng.permutation(_HALF)
    moved = SPHERE_MM * sphere[order] + rng.normal(0, JITTER_MM, (_HALF, 3))
    moved *= SPHERE_MM / np.linalg.norm(moved, axis=1, keepdims=True)
    faces = sphere_faces(sphere[order])
    across = HALF_THICKNESS_MM * normals(points[order], faces)
    flat, kept = flattened(sphere[order], outward=1 if side == "rh" else -1)
    return _Hemisphere(
        side,
        order,
        faces,
        points[order] - across,
        points[order] + across,
        moved,
        flat,
        faces[kept[faces].all(axis=1)],
        _nearest_seed(sphere[order]),
    )


def _nearest_seed(sphere: Float64[np.ndarray, "vertex 3"]) -> Int64[np.ndarray, "vertex"]:
    """Number of the nearest of evenly spread places (a Fibonacci lattice on the sphere)."""
    i = np.arange(N_REGIONS) + 0.5
    polar, turn = np.arccos(1 - 2 * i / N_REGIONS), np.pi * (1 + 5**0.5) * i
    seeds = np.column_stack(
        [np.cos(turn) * np.sin(polar), np.sin(turn) * np.sin(polar), np.cos(polar)]
    )
    return (sphere @ seeds.T).argmax(axis=1)


def _unsorted(half: _Hemisphere) -> Int64[np.ndarray, "vertex"]:
    """Regions in the order of fsaverage5's vertices."""
    regions = np.empty(_HALF, dtype=np.int64)
    regions[half.order] = half.regions
    return regions


def _write_transform(folder: Path, to_scanner: Float64[np.ndarray, "4 4"]) -> None:
    import nibabel

    mask = load_image(folder / "mask_thick.nii.gz", "the mask of a simulated listener")
    coord = np.linalg.inv(np.asarray(mask.affine, dtype=np.float64)) @ to_scanner
    content = {"coord": coord.tolist(), "magnet": to_scanner.tolist()}
    (folder / "matrices.xfm").write_text(json.dumps(content) + "\n", encoding="utf-8")
    volume = np.asarray(mask.dataobj).astype(np.float32)
    nibabel.save(nibabel.Nifti1Image(volume, mask.affine), folder / "reference.nii.gz")


def _write_npz(stem: Path, points: np.ndarray, faces: np.ndarray) -> None:
    np.savez(
        stem.with_name(f"{stem.name}.npz"),
        pts=points.astype(np.float32),
        polys=faces.astype(np.uint32),
    )


def _write_gifti(stem: Path, points: np.ndarray, faces: np.ndarray) -> None:
    import nibabel
    from nibabel.gifti import GiftiDataArray, GiftiImage

    arrays = [
        GiftiDataArray(points.astype(np.float32), intent="NIFTI_INTENT_POINTSET"),
        GiftiDataArray(faces.astype(np.int32), intent="NIFTI_INTENT_TRIANGLE"),
    ]
    nibabel.save(GiftiImage(darrays=arrays), stem.with_name(f"{stem.name}.gii"))


def _write_freesurfer(
    folder: Path,
    hemispheres: list[_Hemisphere],
    to_mni305: Float64[np.ndarray, "4 4"],
    rng: np.random.Generator,
) -> None:
    import nibabel

    for child in ("surf", "label", "mri/transforms"):
        (folder / child).mkdir(parents=True)
    centre = rng.normal(0, 8, 3)
    to_scanner = np.array([[-1.0, 0, 0, 128], [0, 0, 1, -128], [0, -1, 0, 128], [0, 0, 0, 1]])
    to_scanner[:3, 3] += centre  # c_ras: where the middle of a conformed volume lies
    volume = np.zeros((256, 256, 256), dtype=np.uint8)
    nibabel.save(nibabel.MGHImage(volume, to_scanner), folder / "mri" / "orig.mgz")
    rows = [" ".join(f"{x:.9f}" for x in row) for row in to_mni305[:3]]
    (folder / "mri" / "transforms" / "talairach.xfm").write_text(
        "MNI Transform File\n% simulated\n\nTransform_Type = Linear;\nLinear_Transform =\n"
        + "\n".join(rows)
        + ";\n",
        encoding="ascii",
    )
    for half in hemispheres:
        _write_hemisphere(folder, half, centre)


def _write_hemisphere(folder: Path, half: _Hemisphere, centre: np.ndarray) -> None:
    from nibabel.freesurfer import write_annot, write_geometry

    meshes = {
        "white": half.white - centre,
        "pial": half.pia - centre,
        "sphere.reg": half.sphere,
    }
    for kind, points in meshes.items():
        path = folder / "surf" / f"{half.side}.{kind}"
        write_geometry(path, points, half.faces, create_stamp="simulated")
    grey = np.arange(N_REGIONS) * 20
    colours = np.column_stack([grey, grey, grey + 1, 0 * grey])
    path = folder / "label" / f"{half.side}.aparc.annot"
    write_annot(path, half.regions, colours, list(_NAMES), fill_ctab=True)
    cortex = np.flatnonzero(half.regions)
    lines = [
        f"{v} {x:.3f} {y:.3f} {z:.3f} 0.0000000000"
        for v, (x, y, z) in zip(cortex.tolist(), meshes["white"][cortex].tolist(), strict=True)
    ]
    head = ["#!ascii label, simulated", str(len(lines))]
    path = folder / "label" / f"{half.side}.cortex.label"
    path.write_text("\n".join(head + lines) + "\n", encoding="ascii")


def _write_truth(path: Path, regions: np.ndarray, vertices: np.ndarray) -> None:
    sides = (HEMISPHERES[vertex >= _HALF] for vertex in vertices.tolist())
    labels = (_NAMES[region] for region in regions[vertices].tolist())
    lines = [
        f"{column},{'' if label == 'unknown' else f'{side}.{label}'}"
        for column, (side, label) in enumerate(zip(sides, labels, strict=True))
    ]
    path.write_text("\n".join(["column,label", *lines]) + "\n", encoding="ascii")
