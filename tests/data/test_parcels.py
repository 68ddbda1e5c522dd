"""Parcels recover the labels that listeners were built from, by both routes."""

from __future__ import annotations

import nibabel
import numpy as np
import pytest
from anatomy_trees import HALF, SETTINGS, fsaverage5
from nibabel import cifti2
from nibabel.gifti import GiftiDataArray, GiftiImage

from brainaligner.core import InputError
from brainaligner.data import (
    coverage_report,
    parcellate,
    read_anatomy,
    read_atlas,
    read_parcel_coordinates,
)
from brainaligner.data._mni import MNI305_TO_MNI152
from brainaligner.data._parcels import surface_labels

FSLR = 32_492
PER_SIDE, DEEP = 40, 3  # parcels of each hemisphere, and away from the cortex
SUBJECTS = ("SIM01", "SIM02")


def lattice(n):
    """Evenly spread unit vectors."""
    i = np.arange(n) + 0.5
    polar, turn = np.arccos(1 - 2 * i / n), np.pi * (1 + 5**0.5) * i
    return np.c_[np.cos(turn) * np.sin(polar), np.sin(turn) * np.sin(polar), np.cos(polar)]


def parcel_of(directions, side):
    """The planted parcel of places on the sphere: right 1 to 40, left 41 to 80, as in A424."""
    label = 1 + (directions @ lattice(PER_SIDE).T).argmax(axis=1)
    return label + PER_SIDE * (side == 0)


def planted_parcels(tree, subject):
    """Parcel of each column, from the fsaverage5 vertex that it was built on."""
    path = tree / f"derivative/pycortex-db/{subject}/fsaverage5_vertices.npy"
    vertices = np.load(path, allow_pickle=False)
    sphere = fsaverage5("sphere")[vertices] / 100
    return np.where(vertices < HALF, parcel_of(sphere, 0), parcel_of(sphere, 1))


def write_sphere(path, points, side="", radius=250.0):
    array = GiftiDataArray((radius * points).astype(np.float32), intent="NIFTI_INTENT_POINTSET")
    faces = GiftiDataArray(np.array([[0, 1, 2]], np.int32), intent="NIFTI_INTENT_TRIANGLE")
    if side:
        array.meta["AnatomicalStructurePrimary"] = side
    nibabel.save(GiftiImage(darrays=[array, faces]), path)
    return path


def write_dlabel(path, names, left, right, wall):
    """Labels on both hemispheres without the medial wall, and one deep voxel."""
    parts = [
        cifti2.BrainModelAxis.from_mask(~wall, name=name)
        for name in ("CORTEX_LEFT", "CORTEX_RIGHT")
    ]
    deep = np.zeros((3, 3, 3), bool)
    deep[1, 1, 1] = True
    parts.append(cifti2.BrainModelAxis.from_mask(deep, "THALAMUS_LEFT", affine=np.eye(4)))
    table = {0: ("???", (0, 0, 0, 0))} | {i: (n, (1, 1, 1, 1)) for i, n in enumerate(names, 1)}
    values = np.concatenate([left[~wall], right[~wall], [len(names)]]).astype(np.float32)
    header = cifti2.Cifti2Header.from_axes(
        (cifti2.LabelAxis(["labels"], [table]), parts[0] + parts[1] + parts[2])
    )
    nibabel.save(cifti2.Cifti2Image(values[None], header), path)
    return path


@pytest.fixture(scope="module")
def atlas_files(tmp_path_factory):
    """An atlas in the form of A424, planted on the sphere; its volume is fsaverage5's own."""
    folder = tmp_path_factory.mktemp("atlas")
    names = [f"R_{i}" for i in range(PER_SIDE)] + [f"L_{i}" for i in range(PER_SIDE)]
    names += [f"deep_{i}" for i in range(DEEP)]
    points = lattice(FSLR)
    wall = points @ lattice(PER_SIDE)[7] > 0.995
    dlabel = write_dlabel(
        folder / "toy.dlabel.nii", names, parcel_of(points, 0), parcel_of(points, 1), wall
    )
    volume = folder / "toy.nii.gz"
    nibabel.save(planted_volume(), volume)
    spheres = tuple(
        write_sphere(folder / f"{side}.surf.gii", points, f"Cortex{side}")
        for side in ("Left", "Right")
    )
    return dlabel, volume, spheres


def planted_volume():
    """A 2 mm volume in MNI152 with the parcel of the fsaverage5 vertices in each voxel."""
    affine = np.array([[-2.0, 0, 0, 90], [0, 2, 0, -126], [0, 0, 2, -72], [0, 0, 0, 1]])
    place = nibabel.affines.apply_affine(
        np.linalg.inv(affine) @ MNI305_TO_MNI152, fsaverage5("white_matter")
    )
    index = tuple(np.rint(place).astype(int).T)
    sphere = fsaverage5("sphere") / 100
    data = np.zeros((91, 109, 91), np.float32)
    data[index] = np.r_[parcel_of(sphere[:HALF], 0), parcel_of(sphere[HALF:], 1)]
    data[45, 50:53, 20] = 2 * PER_SIDE + 1 + np.arange(DEEP)  # in the brain stem
    return nibabel.Nifti1Image(data, affine)


@pytest.fixture(scope="module")
def atlas(atlas_files):
    return read_atlas(*atlas_files[:2])


@pytest.fixture(scope="module")
def by_surface(placed_tree, atlas, atlas_files):
    return {
        subject: parcellate(read_anatomy(placed_tree, subject), atlas, fslr_spheres=atlas_files[2])
        for subject in SUBJECTS
    }


@pytest.fixture(scope="module")
def by_volume(placed_tree, atlas):
    return {subject: parcellate(read_anatomy(placed_tree, subject), atlas) for subject in SUBJECTS}


def recovered(parcellation):
    """The parcel in which each column weighs most vertices; 0 where it is in none."""
    counts = parcellation.weights.toarray() * parcellation.voxels[:, None]
    return np.where(counts.any(axis=0), 1 + counts.argmax(axis=0), 0)


# ----------------------------------------------------------------------------- recovery


@pytest.mark.parametrize("subject", SUBJECTS)
def test_surface_route_recovers_the_planted_parcels(placed_tree, by_surface, subject):
    found, true = recovered(by_surface[subject]), planted_parcels(placed_tree, subject)
    walled = found == 0
    assert walled.mean() < 0.02
    assert (found == true)[~walled].mean() > 0.97
    left = np.isin(true, np.arange(PER_SIDE + 1, 2 * PER_SIDE + 1))
    assert ((found > PER_SIDE) == left)[~walled].mean() > 0.995


def away_from_borders(tree, subject, mm):
    """Columns built on vertices further than this from the border of their planted parcel."""
    path = tree / f"derivative/pycortex-db/{subject}/fsaverage5_vertices.npy"
    places = fsaverage5("sphere")[np.load(path, allow_pickle=False)] / 100
    near, other = np.sort(places @ lattice(PER_SIDE).T, axis=1)[:, :-3:-1].T
    return 100 * (near - other) / 2 > mm  # seeds are less than 2 radii apart


@pytest.mark.parametrize("subject", SUBJECTS)
def test_away_from_borders_every_column_enters_its_planted_parcel(
    placed_tree, by_surface, by_volume, subject
):
    inner = away_from_borders(placed_tree, subject, 2.0) & (recovered(by_surface[subject]) > 0)
    assert inner.mean() > 0.5
    rows = planted_parcels(placed_tree, subject)[inner] - 1
    for parcellation in (by_surface[subject], by_volume[subject]):
        inside = parcellation.weights.toarray()[rows, np.flatnonzero(inner)] > 0
        assert inside.mean() > 0.97
    assert (by_surface[subject].weights.toarray()[rows, np.flatnonzero(inner)] > 0).all()


@pytest.mark.parametrize("subject", SUBJECTS)
def test_volume_route_recovers_the_planted_parcels(placed_tree, by_volume, subject):
    found, true = recovered(by_volume[subject]), planted_parcels(placed_tree, subject)
    assert (found > 0).all()
    assert (found == true).mean() > 0.93


def test_vertices_get_the_label_of_the_nearest_fslr_vertex(placed_tree, atlas, atlas_files):
    anatomy = read_anatomy(placed_tree, "SIM01")
    labels = surface_labels(anatomy, atlas, atlas_files[2])
    for side, name, of_fslr in ((0, "lh", atlas.left), (1, "rh", atlas.right)):
        path = anatomy.freesurfer / f"surf/{name}.sphere.reg"
        own = nibabel.freesurfer.read_geometry(path)[0][:400] / 100
        expected = of_fslr[(own @ lattice(FSLR).T).argmax(axis=1)]
        np.testing.assert_array_equal(labels[side][:400], expected)


def test_mean_of_a_parcel_is_that_of_its_vertices(placed_tree, atlas, atlas_files, by_surface):
    anatomy = read_anatomy(placed_tree, "SIM01")
    labels = np.concatenate(surface_labels(anatomy, atlas, atlas_files[2]))
    columns = np.concatenate(anatomy.vertex_columns)
    values = np.random.default_rng(0).standard_normal((5, 4000)).astype(np.float32)
    means = by_surface["SIM01"].average(values)
    assert means.dtype == np.float32
    for parcel in (0, 17, 2 * PER_SIDE - 1):
        inside = columns[(labels == parcel + 1) & (columns >= 0)]
        np.testing.assert_allclose(means[:, parcel], values[:, inside].mean(1), atol=1e-6)


# ------------------------------------------------------------------------------ missing


def test_missing_parcels_stay_visible(by_surface, by_volume):
    for parcellation in (*by_surface.values(), *by_volume.values()):
        assert parcellation.missing == ("deep_0", "deep_1", "deep_2")
        means = parcellation.average(np.ones((4, parcellation.weights.shape[1]), np.float32))
        assert np.isnan(means[:, -DEEP:]).all()
        np.testing.assert_allclose(means[:, :-DEEP], 1, rtol=1e-6)
        assert parcellation.space.kind == "parcels"
        assert parcellation.space.labels == parcellation.names
        report = coverage_report(parcellation)
        assert "missing (3): deep_0, deep_1, deep_2" in report


def test_the_route_is_said_aloud(by_surface, by_volume):
    said = coverage_report(by_volume["SIM01"])
    assert "No fsLR sphere was given" in said
    assert "surface route:" not in said
    assert not by_volume["SIM01"].by_surface.any()
    said = coverage_report(by_surface["SIM01"])
    assert "surface route: 80 parcels" in said
    assert "volume route: 3 parcels, 3 without a voxel" in said
    assert "not TemplateFlow's file" in said
    assert by_surface["SIM01"].by_surface.sum() == 2 * PER_SIDE


def test_weights_are_sparse_and_rows_add_up_to_one(by_surface):
    weights = by_surface["SIM01"].weights
    assert weights.shape == (2 * PER_SIDE + DEEP, SETTINGS.n_voxels[0])
    sums = np.asarray(weights.sum(axis=1)).ravel()
    np.testing.assert_allclose(sums[: 2 * PER_SIDE], 1)
    assert (sums[2 * PER_SIDE :] == 0).all()
    assert weights.nnz < 2 * SETTINGS.n_voxels[0]


def test_deep_parcels_take_no_column_of_the_cortex(placed_tree, atlas_files, tmp_path):
    """A volume that calls everything deep: the surface keeps its columns."""
    image = planted_volume()
    data = np.where(image.get_fdata() > 0, 2 * PER_SIDE + 1, 0).astype(np.float32)
    nibabel.save(nibabel.Nifti1Image(data, image.affine), tmp_path / "deep.nii.gz")
    anatomy = read_anatomy(placed_tree, "SIM01")
    atlas = read_atlas(atlas_files[0], tmp_path / "deep.nii.gz")
    both = parcellate(anatomy, atlas, fslr_spheres=atlas_files[2])
    in_cortex = both.weights[: 2 * PER_SIDE].toarray().any(axis=0)
    deep = both.weights[2 * PER_SIDE].toarray() > 0
    assert in_cortex.sum() > 3900
    assert not (in_cortex & deep).any()
    np.testing.assert_array_equal(deep, ~in_cortex)  # the medial wall is left to the volume
    assert (parcellate(anatomy, atlas).voxels[: 2 * PER_SIDE] == 0).all()


# ---------------------------------------------------------------------------- real atlas


@pytest.fixture(scope="module")
def a424(real_data):
    return read_atlas(real_data / "a424/A424.dlabel.nii", real_data / "a424/A424+2mm.nii.gz")


def test_the_real_atlas_has_its_424_parcels(a424, real_data):
    assert a424.n_parcels == 424
    assert (a424.names[0], a424.names[180], a424.names[360]) == ("R_V1_ROI", "L_V1_ROI", "mAmyg_L")
    assert a424.on_cortex[:360].all()
    assert not a424.on_cortex[360:].any()
    assert ((a424.left == 0) | (a424.left > 180)).all()
    assert (a424.right <= 180).all()
    assert set(np.unique(a424.volume)) == set(range(425))
    middles = np.loadtxt(real_data / "a424/A424_Coordinates.dat", usecols=(1, 2, 3))
    for label in (1, 180, 181, 360, 361, 424):
        place = np.argwhere(a424.volume == label).mean(axis=0)
        at = nibabel.affines.apply_affine(a424.to_mni, place)
        assert np.linalg.norm(at - middles[label - 1]) < 15


def test_real_volume_route_places_fsaverage_in_the_right_lobes(placed_tree, a424):
    found = parcellate(read_anatomy(placed_tree, "SIM01"), a424)
    anatomy = read_anatomy(placed_tree, "SIM01")
    places = anatomy.columns.scanner_mm  # fsaverage's mm
    v1 = [a424.names.index(name) for name in ("R_V1_ROI", "L_V1_ROI")]
    for parcel, sign in zip(v1, (1, -1), strict=True):
        columns = found.weights[[parcel]].indices
        assert len(columns) >= 10
        x, y, z = places[columns].mean(axis=0)
        assert 0 < sign * x < 25
        assert y < -65
        assert -20 < z < 20
    assert (found.voxels[:360] > 0).mean() > 0.9
    assert found.voxels[[a424.names.index("Right_X")]].item() == 0
    assert "Right_X" in found.missing
    assert "No fsLR sphere" in coverage_report(found)


def test_real_labels_reach_vertices_through_any_sphere(placed_tree, a424, atlas_files):
    both = parcellate(read_anatomy(placed_tree, "SIM02"), a424, fslr_spheres=atlas_files[2])
    assert both.by_surface.sum() == 360
    right = both.weights[:180].toarray().any(axis=0)
    path = placed_tree / "derivative/pycortex-db/SIM02/fsaverage5_vertices.npy"
    of_right = np.load(path, allow_pickle=False) >= HALF
    assert (right == of_right).mean() > 0.9


# ----------------------------------------------------------------------------- bad input


def test_bad_spheres_are_refused(placed_tree, atlas, atlas_files, tmp_path):
    anatomy, (left, right) = read_anatomy(placed_tree, "SIM01"), atlas_files[2]
    few = write_sphere(tmp_path / "few.surf.gii", lattice(100))
    flat = write_sphere(tmp_path / "flat.surf.gii", lattice(FSLR) * [1, 2, 1])
    for pair, said in (
        ((right, left), "other hemisphere"),
        ((few, right), "32492 points"),
        ((left, flat), "registered sphere"),
        ((tmp_path / "none.surf.gii", right), "no such file"),
    ):
        with pytest.raises(InputError, match=said):
            parcellate(anatomy, atlas, fslr_spheres=pair)
    with pytest.raises(InputError, match="above 0 mm"):
        parcellate(anatomy, atlas, within_mm=-1.0)


def test_bad_atlases_are_refused(atlas_files, tmp_path):
    dlabel, volume, (sphere, _) = atlas_files
    wrong = tmp_path / "wrong.nii.gz"
    for data, said in (
        (np.full((3, 3, 3), 0.5, np.float32), "whole numbers"),
        (np.full((3, 3, 3), 99, np.float32), "0 to 83"),
        (np.zeros((3, 3, 3, 2), np.float32), "three axes"),
    ):
        nibabel.save(nibabel.Nifti1Image(data, np.eye(4)), wrong)
        with pytest.raises(InputError, match=said):
            read_atlas(dlabel, wrong)
    for path in (volume, sphere):
        with pytest.raises(InputError, match="CIFTI label file"):
            read_atlas(path, volume)
    with pytest.raises(InputError, match="no such file"):
        read_atlas(tmp_path / "none.dlabel.nii", volume)
    points, small = lattice(FSLR), np.zeros(FSLR, bool)
    gap = write_dlabel(tmp_path / "few.dlabel.nii", ["a"] * 3, *2 * [parcel_of(points, 1)], small)
    with pytest.raises(InputError, match="0 to 3"):
        read_atlas(gap, volume)


def test_responses_of_other_columns_are_refused(by_volume):
    with pytest.raises(InputError, match="4000"):
        by_volume["SIM01"].average(np.ones((4, 3999), np.float32))


def test_coordinates_of_the_real_atlas_are_those_of_its_table(real_data):
    found = read_parcel_coordinates(real_data / "a424/A424_Coordinates.dat", 424)
    assert found.shape == (424, 3)
    assert found[0].tolist() == [14, -78, 4]
    assert len(np.unique(found[:, 1])) == 77
    unstable = np.argsort(found[:, 1], kind="quicksort")
    stable = sorted(range(424), key=found[:, 1].tolist().__getitem__)
    assert np.argsort(found[:, 1], kind="stable").tolist() == stable
    assert sorted(unstable.tolist()) == sorted(stable)


@pytest.mark.parametrize(
    "text",
    ["", "1 2 3\n2 3 4\n", "1 0 0 0\n3 0 0 0\n", "1 0 0 0\n2 0 nan 0\n", "1 0 0 0\n", "one two"],
    ids=["empty", "three columns", "label missing", "NaN", "too few", "words"],
)
def test_other_tables_of_coordinates_are_refused(tmp_path, text):
    (tmp_path / "some.dat").write_text(text)
    with pytest.raises(InputError, match=r"some\.dat"):
        read_parcel_coordinates(tmp_path / "some.dat", 2)
