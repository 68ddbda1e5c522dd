"""Columns, surfaces and fsaverage5 vertices: loops by hand and planted places."""

from __future__ import annotations

import json
import shutil

import nibabel
import numpy as np
import pytest
from anatomy_trees import HALF, SETTINGS, fsaverage5

from brainaligner.core import InputError
from brainaligner.data import (
    anatomy_subjects,
    column_voxels,
    fsaverage5_vertices,
    nearest_vertices,
    open_dataset,
    read_anatomy,
    read_surface,
    write_fsaverage5_vertices,
)
from brainaligner.data._geometry import read_columns
from brainaligner.data._mni import MNI305_TO_MNI152, surface_to_mni152

SUBJECTS = ("SIM01", "SIM02")


@pytest.fixture(scope="module")
def anatomies(placed_tree):
    return {subject: read_anatomy(placed_tree, subject) for subject in SUBJECTS}


def planted_vertices(tree, subject):
    path = tree / f"derivative/pycortex-db/{subject}/fsaverage5_vertices.npy"
    return np.load(path, allow_pickle=False)


# ----------------------------------------------------------------------------- columns


def test_x_runs_fastest_then_y_then_z():
    mask = np.random.default_rng(0).random((3, 4, 5)) < 0.4
    expected = [(i, j, k) for k in range(5) for j in range(4) for i in range(3) if mask[i, j, k]]
    assert [tuple(row) for row in column_voxels(mask).tolist()] == expected


def test_columns_lie_where_their_vertices_lie_and_a_wrong_order_does_not(placed_tree, anatomies):
    for subject in SUBJECTS:
        grid = anatomies[subject].columns
        place = fsaverage5("white_matter")[planted_vertices(placed_tree, subject)]
        # The simulated scanner's mm are fsaverage's: a vertex lies inside its own voxel.
        assert np.abs(grid.scanner_mm - place).max() <= 1.3 + 1e-4
        order = np.lexsort(grid.index.T[::-1])  # (x, y, z) C order: what several scripts do
        wrong = grid.scanner_mm[order]
        assert np.median(np.linalg.norm(wrong - place, axis=1)) > 20


def test_matrices_xfm_places_columns_on_the_subjects_own_cortex(anatomies):
    for subject, size in zip(SUBJECTS, SETTINGS.n_voxels, strict=True):
        anatomy = anatomies[subject]
        assert len(anatomy.columns) == size
        _, distance = nearest_vertices(anatomy)
        assert distance.max() < 2.26  # half the diagonal of a voxel of 2.6 mm
        shift = np.linalg.norm(anatomy.columns.surface_mm - anatomy.columns.scanner_mm, axis=1)
        assert np.median(shift) > 3


def test_column_at_finds_each_voxel_and_nothing_else(anatomies):
    grid = anatomies["SIM01"].columns
    np.testing.assert_array_equal(grid.column_at(grid.index), np.arange(len(grid)))
    outside = np.array([[-1, 0, 0], [84, 0, 0], [0, 0, 54], [0, 0, 0]])
    assert (grid.column_at(outside) == -1).all()


# ---------------------------------------------------------------------------- surfaces


def test_fiducial_is_half_way_and_npz_is_read_as_gii_is(placed_tree, anatomies):
    database = placed_tree / "derivative/pycortex-db"
    assert (database / "SIM01/surfaces/pia_lh.gii").exists()
    assert (database / "SIM02/surfaces/pia_lh.npz").exists()
    for subject, suffix in (("SIM01", ".gii"), ("SIM02", ".npz")):
        for side, half in zip(("lh", "rh"), anatomies[subject].fiducial, strict=True):
            pia, white = (
                read_surface(database / subject / f"surfaces/{kind}_{side}{suffix}")
                for kind in ("pia", "wm")
            )
            np.testing.assert_allclose(half.points, (pia.points + white.points) / 2)
            np.testing.assert_array_equal(half.faces, pia.faces)
            thickness = np.linalg.norm(pia.points - white.points, axis=1)
            np.testing.assert_allclose(thickness, 2.5, atol=1e-4)
            edges = np.sort(
                np.concatenate(
                    [half.faces[:, [0, 1]], half.faces[:, [1, 2]], half.faces[:, [2, 0]]]
                ),
                axis=1,
            )
            _, counts = np.unique(edges, axis=0, return_counts=True)
            assert (counts == 2).all()  # closed
            assert len(half.points) - len(counts) + len(half.faces) == 2  # a sphere (Euler)


def test_every_column_holds_the_vertex_that_it_was_built_from(placed_tree, anatomies):
    for subject in SUBJECTS:
        left, right = anatomies[subject].vertex_columns
        counts = np.bincount(np.concatenate([left, right]) + 1)[1:]
        assert (counts > 0).mean() > 0.999
        vertices = planted_vertices(placed_tree, subject)
        assert (
            abs(
                (left >= 0).sum() / (right >= 0).sum()
                - (vertices < HALF).mean() / (vertices >= HALF).mean()
            )
            < 0.1
        )


# -------------------------------------------------------------------------- fsaverage5


@pytest.mark.parametrize("subject", SUBJECTS)
def test_columns_find_their_fsaverage5_vertex(placed_tree, anatomies, subject):
    anatomy = anatomies[subject]
    found = fsaverage5_vertices(anatomy, 37 * fsaverage5("sphere"), within_mm=4.0)
    assert found.dtype == np.int32
    assert (found >= 0).all()
    # By hand: the nearest fsaverage5 vertex in the listener's own, affinely moved, space.
    own = moved_surface(placed_tree, subject)
    gaps = np.linalg.norm(anatomy.columns.surface_mm[:300, None] - own[None], axis=2)
    np.testing.assert_array_equal(found[:300], gaps.argmin(axis=1))
    planted = planted_vertices(placed_tree, subject)
    assert (found == planted).mean() > 0.75
    assert ((found < HALF) == (planted < HALF)).mean() > 0.99  # the halves touch


def moved_surface(tree, subject):
    """fsaverage5 in the listener's mm, by the transform file alone."""
    path = tree / f"derivative/pycortex-db/{subject}/transforms/{subject}_auto/matrices.xfm"
    to_scanner = np.array(json.loads(path.read_text())["magnet"])
    return nibabel.affines.apply_affine(np.linalg.inv(to_scanner), fsaverage5("white_matter"))


def test_the_native_order_of_vertices_is_not_fsaverage5s(anatomies):
    half = anatomies["SIM01"].fiducial[0].points
    assert np.median(np.linalg.norm(half - fsaverage5("white_matter")[:HALF], axis=1)) > 20


def test_columns_far_from_the_cortex_have_no_vertex(anatomies):
    anatomy = anatomies["SIM01"]
    _, distance = nearest_vertices(anatomy)
    found = fsaverage5_vertices(anatomy, fsaverage5("sphere"), within_mm=1.0)
    np.testing.assert_array_equal(found == -1, distance > 1.0)
    assert 0.1 < (found == -1).mean() < 0.9


def test_the_written_file_is_what_the_reader_takes(placed_tree, tmp_path):
    tree = shutil.copytree(placed_tree, tmp_path / "tree")
    before = open_dataset("lebel2023", tree).space("SIM02").vertices
    path = write_fsaverage5_vertices(tree, "SIM02", fsaverage5("sphere"))
    assert path.name == "fsaverage5_vertices.npy"
    after = open_dataset("lebel2023", tree).space("SIM02").vertices
    np.testing.assert_array_equal(np.load(path, allow_pickle=False), after)
    assert (before == after).mean() > 0.75
    assert not list(path.parent.glob("*.part"))
    assert open_dataset("lebel2023", tree).problems() == ()


# --------------------------------------------------------------------------------- MNI


def test_chain_of_affines_leads_to_mni152(anatomies):
    for subject in SUBJECTS:
        anatomy = anatomies[subject]
        found = nibabel.affines.apply_affine(surface_to_mni152(anatomy), anatomy.columns.surface_mm)
        expected = nibabel.affines.apply_affine(MNI305_TO_MNI152, anatomy.columns.scanner_mm)
        np.testing.assert_allclose(found, expected, atol=0.01)


def test_published_example_of_mni305_and_mni152():
    # The worked point of FreeSurfer's page: (10, -20, 35) and (10.695, -18.409, 36.137).
    found = nibabel.affines.apply_affine(MNI305_TO_MNI152, [10.0, -20.0, 35.0])
    np.testing.assert_allclose(found, [10.695, -18.409, 36.137], atol=5e-3)  # four printed digits


# --------------------------------------------------------------------------- bad input


@pytest.fixture
def own_tree(placed_tree, tmp_path):
    """Geometry alone, to be broken."""
    for part in ("derivative/pycortex-db/SIM01", "derivative/freesurfer_subjdir/SIM01"):
        shutil.copytree(placed_tree / part, tmp_path / "tree" / part)
    return tmp_path / "tree"


DATABASE = "derivative/pycortex-db/SIM01"
TRANSFORM = f"{DATABASE}/transforms/SIM01_auto"
FREESURFER = "derivative/freesurfer_subjdir/SIM01"


@pytest.mark.parametrize(
    ("path", "content", "said"),
    [
        (f"{TRANSFORM}/mask_thick.nii.gz", b"not a mask", "mask"),
        (f"{TRANSFORM}/mask_thick.nii.gz", None, "no such file"),
        (f"{TRANSFORM}/matrices.xfm", b"{", "JSON"),
        (f"{TRANSFORM}/matrices.xfm", b'{"magnet": []}', "coord"),
        (f"{TRANSFORM}/matrices.xfm", b'{"coord": [[1, 2], [3, 4]]}', "4 x 4"),
        (f"{TRANSFORM}/matrices.xfm", b'{"coord": "here"}', "4 x 4"),
        (
            f"{TRANSFORM}/matrices.xfm",
            json.dumps({"coord": np.zeros((4, 4)).tolist()}).encode(),
            "inverted",
        ),
        (f"{DATABASE}/surfaces/pia_lh.gii", None, "neither .gii nor .npz"),
        (f"{DATABASE}/surfaces/wm_rh.gii", b"<xml>", "GIFTI"),
        (f"{DATABASE}/surfaces/wm_rh.gii", b"/annex/objects/MD5-1", "git-annex"),
    ],
)
def test_broken_geometry_is_refused(own_tree, path, content, said):
    target = own_tree / path
    target.unlink()
    if content is not None:
        target.write_bytes(content)
    with pytest.raises(InputError, match=said):
        read_anatomy(own_tree, "SIM01")


@pytest.mark.parametrize(
    ("path", "content", "said"),
    [
        ("surf/lh.pial", None, "no such file"),
        ("surf/lh.pial", b"pial", "FreeSurfer surface"),
        ("mri/orig.mgz", None, "no such file"),
        ("mri/orig.mgz", b"volume", "orig.mgz"),
        ("mri/transforms/talairach.xfm", None, "no such file"),
        ("mri/transforms/talairach.xfm", b"MNI Transform File\n", "twelve numbers"),
        ("mri/transforms/talairach.xfm", b"Linear_Transform =\n1 0 0 0\n;", "twelve numbers"),
        ("mri/transforms/talairach.xfm", b"Linear_Transform =" + b" 0" * 12 + b";", "inverted"),
        (
            "mri/transforms/talairach.xfm",
            b"Linear_Transform = -1 0 0 0 0 1 0 0 0 0 1 0;",
            "left of right",
        ),
    ],
)
def test_broken_freesurfer_files_are_refused(own_tree, path, content, said):
    target = own_tree / FREESURFER / path
    target.unlink()
    if content is not None:
        target.write_bytes(content)
    with pytest.raises(InputError, match=said):
        surface_to_mni152(read_anatomy(own_tree, "SIM01"))


def test_another_persons_freesurfer_surfaces_are_refused(own_tree):
    path = own_tree / FREESURFER / "surf/lh.pial"
    points, faces = nibabel.freesurfer.read_geometry(path)
    nibabel.freesurfer.write_geometry(path, points[::-1], faces)
    with pytest.raises(InputError, match="off pycortex's"):
        surface_to_mni152(read_anatomy(own_tree, "SIM01"))
    nibabel.freesurfer.write_geometry(path, points[:-1], faces[(faces < HALF - 1).all(1)])
    with pytest.raises(InputError, match="10241 vertices"):
        surface_to_mni152(read_anatomy(own_tree, "SIM01"))


@pytest.mark.parametrize(
    ("sphere", "said"),
    [
        (fsaverage5("white_matter"), "not the white"),
        (fsaverage5("sphere")[:HALF], "20484 points"),
        (np.zeros((20484, 3)), "on a sphere"),
    ],
)
def test_what_is_no_fsaverage5_sphere_is_refused(anatomies, sphere, said):
    with pytest.raises(InputError, match=said):
        fsaverage5_vertices(anatomies["SIM01"], sphere)


def test_bad_names_places_and_lengths_are_refused(placed_tree, anatomies, tmp_path):
    with pytest.raises(InputError, match="SIM01"):
        read_anatomy(placed_tree, "SIM1")
    with pytest.raises(InputError, match="0 places"):
        read_anatomy(tmp_path, "SIM01")
    with pytest.raises(InputError, match="above 0 mm"):
        fsaverage5_vertices(anatomies["SIM01"], fsaverage5("sphere"), within_mm=0.0)


def test_a_link_between_the_two_names_of_the_derivative_folder_is_no_second_one(
    placed_tree, tmp_path
):
    (tmp_path / "derivative").symlink_to(placed_tree / "derivative")
    (tmp_path / "derivatives").symlink_to("derivative")
    assert anatomy_subjects(tmp_path) == anatomy_subjects(placed_tree)
    (tmp_path / "derivatives").unlink()
    (tmp_path / "derivatives" / "pycortex-db").mkdir(parents=True)
    with pytest.raises(InputError, match="in 2 places"):
        anatomy_subjects(tmp_path)


def test_an_empty_mask_is_refused(tmp_path):
    path = tmp_path / "mask_thick.nii.gz"
    nibabel.save(nibabel.Nifti1Image(np.zeros((3, 3, 3), np.uint8), np.eye(4)), path)
    with pytest.raises(InputError, match="at least one voxel"):
        read_columns(path, tmp_path / "matrices.xfm")
