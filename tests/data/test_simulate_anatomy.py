"""The simulated anatomy: real names, one seed one tree, nothing that was there is touched."""

from __future__ import annotations

import csv
import hashlib
import shutil

import nibabel
import numpy as np
import pytest
from anatomy_trees import fsaverage5

from brainaligner.core import InputError
from brainaligner.data import open_dataset, read_anatomy, simulate_anatomy

ADDED = ("surfaces", "freesurfer_subjdir", "matrices.xfm", "reference.nii.gz", "_regions.csv")


def digests(tree):
    return {
        str(path.relative_to(tree)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(tree.rglob("*"))
        if path.is_file()
    }


@pytest.fixture
def bare_tree(placed_tree, tmp_path):
    """The tree as it was before the anatomy."""
    tree = shutil.copytree(placed_tree, tmp_path / "tree")
    shutil.rmtree(tree / "derivative/freesurfer_subjdir")
    for subject in ("SIM01", "SIM02"):
        database = tree / "derivative/pycortex-db" / subject
        shutil.rmtree(database / "surfaces")
        for name in ("matrices.xfm", "reference.nii.gz"):
            (database / f"transforms/{subject}_auto" / name).unlink()
        (tree / f"truth/{subject}_regions.csv").unlink()
    return tree


def test_names_are_those_of_the_real_dataset(placed_tree):
    folder = placed_tree / "derivative/freesurfer_subjdir/SIM01"
    found = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    sides = ("lh", "rh")
    assert found == {
        *(f"surf/{side}.{kind}" for side in sides for kind in ("pial", "sphere.reg", "white")),
        *(f"label/{side}.{kind}" for side in sides for kind in ("aparc.annot", "cortex.label")),
        "mri/orig.mgz",
        "mri/transforms/talairach.xfm",
    }
    assert open_dataset("lebel2023", placed_tree).problems() == ()


def test_a_seed_gives_the_same_bytes_and_leaves_the_rest(placed_tree, bare_tree):
    before = digests(bare_tree)
    assert not any(word in name for name in before for word in ADDED)
    simulate_anatomy(bare_tree, fsaverage5("white_matter"), fsaverage5("sphere"), seed=3)
    after = digests(bare_tree)
    assert after == digests(placed_tree)
    assert before.items() <= after.items()


def test_another_seed_gives_another_anatomy(placed_tree, bare_tree):
    simulate_anatomy(bare_tree, fsaverage5("white_matter"), fsaverage5("sphere"), seed=4)
    old, new = digests(placed_tree), digests(bare_tree)
    changed = {name for name in old if old[name] != new[name]}
    assert {name for name in old if "surfaces" in name or "sphere" in name} <= changed
    assert not any(name.endswith(".hf5") for name in changed)


def test_regions_are_large_and_cover_the_cortex(placed_tree):
    with (placed_tree / "truth/SIM01_regions.csv").open() as file:
        labels = [row["label"] for row in csv.DictReader(file)]
    names, counts = np.unique(labels, return_counts=True)
    assert len(names) == 23  # eleven on each side, and the unlabelled
    assert counts.min() > 20


@pytest.mark.parametrize("subject", ["SIM01", "SIM02"])
def test_flat_surfaces_are_one_sheet_that_keeps_sizes(placed_tree, subject):
    """Each face is turned up, none overlaps another, and areas are those of the sphere."""
    for flat, sphere in zip(
        read_anatomy(placed_tree, subject).read_flat(),
        sides_of_sphere(placed_tree, subject),
        strict=True,
    ):
        ends = flat.points[flat.faces]
        area = np.cross(ends[:, 1] - ends[:, 0], ends[:, 2] - ends[:, 0])[:, 2] / 2
        assert (area > 0).all()
        corners = sphere[flat.faces] / 100
        across = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
        assert area.sum() == pytest.approx(
            3600 * np.linalg.norm(across, axis=1).sum() / 2, rel=0.01
        )
        assert len(flat.faces) > 0.8 * 20_480
        assert np.abs(flat.points[:, 2]).max() == 0


def sides_of_sphere(tree, subject):
    folder = tree / "derivative/freesurfer_subjdir" / subject / "surf"
    return [
        nibabel.freesurfer.read_geometry(folder / f"{side}.sphere.reg")[0] for side in ("lh", "rh")
    ]


def test_freesurfer_reads_alike_from_volume_and_surface(placed_tree):
    """c_ras links FreeSurfer's surface mm with pycortex's."""
    folder = placed_tree / "derivative/freesurfer_subjdir/SIM01"
    header = nibabel.load(folder / "mri/orig.mgz").header
    pial, _ = nibabel.freesurfer.read_geometry(folder / "surf/lh.pial")
    scanner = header.get_vox2ras() @ np.linalg.inv(header.get_vox2ras_tkr())
    path = placed_tree / "derivative/pycortex-db/SIM01/surfaces/pia_lh.gii"
    pia = nibabel.load(path).agg_data("pointset")
    np.testing.assert_allclose(nibabel.affines.apply_affine(scanner, pial), pia, atol=1e-3)
    assert np.abs(scanner[:3, 3]).max() > 1


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("surface", "sphere", "said"),
    [
        ("white_matter", "white_matter", "on a sphere"),
        ("short", "sphere", "20484, 3"),
        ("white_matter", "short", "20484 points"),
    ],
)
def test_bad_coordinates_are_refused(bare_tree, surface, sphere, said):
    kinds = {kind: fsaverage5(kind) for kind in ("white_matter", "sphere")}
    kinds["short"] = kinds["sphere"][:-1]
    with pytest.raises(InputError, match=said):
        simulate_anatomy(bare_tree, kinds[surface], kinds[sphere])


def test_only_a_bare_simulated_tree_is_taken(placed_tree, bare_tree):
    surfaces = (fsaverage5("white_matter"), fsaverage5("sphere"))
    with pytest.raises(InputError, match="one that has an anatomy"):
        simulate_anatomy(placed_tree, *surfaces)
    (bare_tree / "SIMULATED.txt").unlink()
    with pytest.raises(InputError, match="no simulated tree"):
        simulate_anatomy(bare_tree, *surfaces)
    with pytest.raises(InputError, match="no such file"):
        simulate_anatomy(bare_tree / "none", *surfaces)
