"""Label files of every kind lead back to the regions that listeners were built from."""

from __future__ import annotations

import csv
import dataclasses

import nibabel
import numpy as np
import pytest
from nibabel.gifti import GiftiDataArray, GiftiImage, GiftiLabel, GiftiLabelTable

from brainaligner.core import InputError
from brainaligner.data import read_anatomy, read_regions


@pytest.fixture(scope="module")
def anatomy(placed_tree):
    return read_anatomy(placed_tree, "SIM01")


@pytest.fixture(scope="module")
def planted(placed_tree, anatomy):
    """Label of each column, as the simulator wrote it, read by hand."""
    with (placed_tree / "truth/SIM01_regions.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [int(row["column"]) for row in rows] == list(range(len(anatomy.columns)))
    return np.array([row["label"] for row in rows])


def label_of_column(regions, size):
    labels = np.full(size, "", dtype=object)
    for name, columns in regions.items():
        assert (labels[columns] == "").all()  # no column twice
        assert (np.diff(columns) > 0).all()
        labels[columns] = name
    return labels


def test_csv_gives_what_stands_in_it(placed_tree, anatomy, planted):
    regions = read_regions(placed_tree / "truth/SIM01_regions.csv", anatomy)
    assert len(regions) == 22
    assert (label_of_column(regions, len(planted)) == planted).all()


def test_harmless_differences_of_a_csv_do_not_matter(anatomy, tmp_path):
    path = tmp_path / "areas.csv"
    path.write_bytes(b'label,note,column\r\n"V1, left",x, 7\r\n\r\n,,8\r\nV2,,9\r\nV2,,5')
    regions = read_regions(path, anatomy)
    assert {name: columns.tolist() for name, columns in regions.items()} == {
        "V1, left": [7],
        "V2": [5, 9],
    }


@pytest.mark.parametrize("subject", ["SIM01", "SIM02"])
def test_annotations_recover_the_planted_regions(placed_tree, subject):
    anatomy = read_anatomy(placed_tree, subject)
    truth = read_regions(placed_tree / f"truth/{subject}_regions.csv", anatomy)
    found = {}
    for side in ("lh", "rh"):
        found |= read_regions(anatomy.freesurfer / f"label/{side}.aparc.annot", anatomy)
    assert found.keys() == truth.keys()
    for name, columns in truth.items():
        shared = len(np.intersect1d(columns, found[name]))
        assert shared / len(np.union1d(columns, found[name])) > 0.9, name


def test_a_column_belongs_to_the_label_of_most_of_its_vertices(anatomy):
    path = anatomy.freesurfer / "label/lh.aparc.annot"
    labels, _, names = nibabel.freesurfer.read_annot(path)
    found = label_of_column(read_regions(path, anatomy), len(anatomy.columns))
    of_vertex = anatomy.vertex_columns[0]
    several = 0
    for column in np.unique(of_vertex[of_vertex >= 0])[:600]:
        votes = np.bincount(labels[of_vertex == column], minlength=len(names))
        best = np.flatnonzero(votes == votes.max())
        named = [f"lh.{names[i].decode()}" for i in best if names[i] != b"unknown"]
        assert found[column] == (named[0] if named else "")
        several += (votes > 0).sum() > 1
    assert several > 5


def test_a_freesurfer_label_is_one_region(anatomy, planted):
    path = anatomy.freesurfer / "label/rh.cortex.label"
    regions = read_regions(path, anatomy)
    assert list(regions) == ["rh.cortex"]
    cortex = np.flatnonzero(np.char.startswith(planted.astype(str), "rh."))
    shared = len(np.intersect1d(cortex, regions["rh.cortex"]))
    assert shared / len(np.union1d(cortex, regions["rh.cortex"])) > 0.98


def write_gifti_labels(path, labels, names, stated=""):
    table = GiftiLabelTable()
    for key, name in names.items():
        table.labels.append(GiftiLabel(key=key))
        table.labels[-1].label = name
    array = GiftiDataArray(labels.astype(np.int32), intent="NIFTI_INTENT_LABEL")
    if stated:
        array.meta["AnatomicalStructurePrimary"] = stated
    nibabel.save(GiftiImage(darrays=[array], labeltable=table), path)
    return path


@pytest.mark.parametrize(
    ("name", "stated"),
    [("lh.areas.label.gii", ""), ("sub_hemi-L.label.gii", ""), ("areas.gii", "CortexLeft")],
)
def test_gifti_labels_are_those_of_the_annotation(anatomy, tmp_path, name, stated):
    annot = anatomy.freesurfer / "label/lh.aparc.annot"
    labels, _, names = nibabel.freesurfer.read_annot(annot)
    keys = {7 * i: entry.decode() for i, entry in enumerate(names)} | {0: "???"}
    path = write_gifti_labels(tmp_path / name, 7 * labels, keys, stated)
    found, expected = read_regions(path, anatomy), read_regions(annot, anatomy)
    assert found.keys() == expected.keys()
    for region, columns in expected.items():
        np.testing.assert_array_equal(found[region], columns)


def test_a_volume_in_functional_space_labels_its_voxels(anatomy, tmp_path):
    volume = np.random.default_rng(0).integers(0, 4, anatomy.columns.shape).astype(np.int16)
    path = tmp_path / "areas.nii.gz"
    nibabel.save(nibabel.Nifti1Image(volume, anatomy.columns.to_scanner), path)
    regions = read_regions(path, anatomy)
    assert list(regions) == ["1", "2", "3"]
    for name, columns in regions.items():
        i, j, k = anatomy.columns.index[columns].T
        assert (volume[i, j, k] == int(name)).all()
    rest = np.setdiff1d(np.arange(len(anatomy.columns)), np.concatenate([*regions.values()]))
    i, j, k = anatomy.columns.index[rest].T
    assert (volume[i, j, k] == 0).all()


# --------------------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("areas.txt", b"1", "kind of label file"),
        ("areas.csv", b"", "nothing"),
        ("areas.csv", b"voxel,label\n0,V1\n", "column,label"),
        ("areas.csv", b"column,label\n", "no label"),
        ("areas.csv", b"column,label\n0,unknown\n", "no label"),
        ("areas.csv", b"column,label\n4000,V1\n", "0 to 3999"),
        ("areas.csv", b"column,label\n-1,V1\n", "'-1'"),
        ("areas.csv", b"column,label\n1.5,V1\n", "'1.5'"),
        ("areas.csv", b"column,label\n" + b"9" * 5000 + b",V1\n", "0 to 3999"),
        ("areas.csv", b'column,label\n0,"V1\n1,V2\n', "line 2: got a quote that is never"),
        ("areas.csv", b"column,label\n0," + b"V" * 131_073 + b"\n", "line 2: got field larger"),
        ("lh.aparc.annot", b"annot", "annotation"),
        ("lh.aparc.annot", bytes(40), "annotation"),
        ("lh.aparc.annot", b"\0\0\0\1" * 4, "annotation"),
        ("aparc.annot", None, "no such file"),
        ("areas.label", b"#!ascii\n1\n5 0 0 0 0\n", "one hemisphere"),
        ("lh.areas.label", b"#!ascii\n1\n99999 0 0 0 0\n", "10242 vertices of lh"),
        ("lh.areas.label", b"#!ascii\n1\n-4 0 0 0 0\n", "below 0"),
        ("lh.areas.label", b"#!ascii\n1\n" + b"9" * 30 + b" 0 0 0 0\n", "FreeSurfer label"),
        ("lh.areas.label", b"#!ascii\n2\n4 0 0 0 0\n4 0 0 0 0\n", "twice"),
        ("lh.areas.label", b"#!ascii\nmany\n", "FreeSurfer label"),
        ("lh.areas.label", b"#!ascii\n", "FreeSurfer label"),
        ("lh.areas.label", b"#!ascii\n3\n1 0 0 0 0\n2 0 0 0 0\n", "3 are announced"),
        ("lh.areas.gii", b"<GIFTI>", "GIFTI"),
        ("areas.nii.gz", b"volume", "label volume"),
    ],
)
def test_broken_label_files_are_refused(anatomy, tmp_path, name, content, said):
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=said):
        read_regions(path, anatomy)


def test_a_volume_whose_header_announces_a_length_below_zero_is_refused(anatomy, tmp_path):
    path = tmp_path / "areas.nii"
    nibabel.save(nibabel.Nifti1Image(np.ones((3, 3, 3), np.int16), np.eye(4)), path)
    content = bytearray(path.read_bytes())
    content[47] = 255  # the higher byte of the third axis, an int16
    path.write_bytes(content)
    with pytest.raises(InputError, match="cannot be read"):
        read_regions(path, anatomy)


def test_labels_of_other_surfaces_and_volumes_are_refused(anatomy, tmp_path):
    few = write_gifti_labels(tmp_path / "lh.few.gii", np.ones(163_842), {1: "V1"})
    with pytest.raises(InputError, match="163842 vertices"):
        read_regions(few, anatomy)
    path = tmp_path / "areas.nii.gz"
    grid = anatomy.columns
    for shape, affine, said in (
        ((4, 4, 4), grid.to_scanner, "Resample"),
        (grid.shape, 2 * grid.to_scanner, "another place"),
    ):
        nibabel.save(nibabel.Nifti1Image(np.ones(shape, np.int16), affine), path)
        with pytest.raises(InputError, match=said):
            read_regions(path, anatomy)
    nibabel.save(nibabel.Nifti1Image(np.zeros(grid.shape, np.int16), grid.to_scanner), path)
    with pytest.raises(InputError, match="no label"):
        read_regions(path, dataclasses.replace(anatomy))
