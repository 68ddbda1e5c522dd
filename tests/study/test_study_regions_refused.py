"""Regions and single presentations that are refused before any work, in one clear line."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from region_trees import ANNOT, SIZES, region_study, save_own_repeats
from study_trees import Cli, save_study

pytestmark = pytest.mark.usefixtures("unchecked")


def _assert_refused(done: Any, said: str, out: Path) -> None:
    assert done.code == 2, (done.code, done.err)
    errors = [line for line in done.lines if line.startswith("error: ")]
    assert len(errors) == 1, done.err
    assert ": got " in errors[0]
    assert "; wanted " in errors[0]
    assert said in errors[0], errors[0]
    assert "Traceback" not in done.err
    assert not out.exists(), sorted(out.rglob("*"))


REGIONS: dict[str, tuple[Any, str]] = {
    "a list": (["x.csv"], "study.dataset.regions: got ['x.csv']"),
    "a word": ("x.csv", "study.dataset.regions"),
    "unknown key": ({"file": ["x.csv"]}, "Did you mean 'files'?"),
    "no key": ({}, "study.dataset.regions.files: got nothing"),
    "files as text": ({"files": "x.csv"}, "study.dataset.regions.files"),
    "no file": ({"files": []}, "regions.files: got none"),
    "a file twice": ({"files": ["x.csv", "x.csv"]}, "each once"),
    "no name": ({"files": ["x.csv"], "names": []}, "regions.names: got none"),
    "a name twice": ({"files": ["x.csv"], "names": ["a", "a"]}, "regions.names: got a, a"),
    "a number as name": ({"files": ["x.csv"], "names": [3]}, "study.dataset.regions.names"),
    "placeholder": ({"files": ["{subjct}.csv"]}, "Did you mean 'subject'?"),
    "story as placeholder": ({"files": ["{story}.csv"]}, "unknown placeholder 'story'"),
    "a missing file": ({"files": ["{subject}_rois.csv"]}, "P1_rois.csv, "),
    "a folder": ({"files": ["."]}, "no such file"),
}


@pytest.mark.parametrize("kind", REGIONS)
def test_a_bad_regions_section_is_refused(
    cli: Cli, study_file: Any, tmp_path: Path, kind: str
) -> None:
    regions, said = REGIONS[kind]
    path = study_file({"dataset": {"regions": regions}})
    _assert_refused(cli("run", path, "--out", tmp_path / "out"), said, tmp_path / "out")


TABLES: dict[str, tuple[str | bytes, str]] = {
    "empty": ("", "a first line of nothing"),
    "other columns": ("voxel,roi\n1,V1\n", "a first line of voxel, roi"),
    "no line": ("column,label\n", "no label in any"),
    "no label": ("column,label\n0,\n1,unknown\n", "no label in any"),
    "column too high": ("column,label\n6,V1\n", "column '6'; wanted a whole number from 0 to 5"),
    "negative column": ("column,label\n-1,V1\n", "column '-1'"),
    "a fraction": ("column,label\n1.5,V1\n", "column '1.5'"),
    "no column": ("column,label\n,V1\n", "column ''"),
    "not text": (b"\xff\xfe\x00\xd8", "rois.csv"),
}


@pytest.mark.parametrize("kind", TABLES)
def test_a_bad_table_of_regions_is_refused(
    cli: Cli, study_file: Any, data: Path, tmp_path: Path, kind: str
) -> None:
    content, said = TABLES[kind]
    content = content.encode() if isinstance(content, str) else content
    (data / "rois.csv").write_bytes(content)
    path = study_file({"dataset": {"regions": {"files": ["rois.csv"]}}}, data=data)
    _assert_refused(cli("run", path, "--out", tmp_path / "out"), said, tmp_path / "out")


def test_regions_that_clash_or_that_nobody_has_are_refused(
    cli: Cli, study_file: Any, data: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    for name in ("a.csv", "b.csv"):
        (data / name).write_text("column,label\n1,visual\n")
    path = study_file({"dataset": {"regions": {"files": ["a.csv", "b.csv"]}}}, data=data)
    _assert_refused(cli("run", path, "--out", out), "'visual', which another file of P1", out)
    regions = {"files": ["a.csv"], "names": ["visaul"]}
    path = study_file({"dataset": {"regions": regions}}, data=data)
    _assert_refused(cli("run", path, "--out", out), "Did you mean 'visual'?", out)


def test_label_files_need_voxels_and_an_anatomy(
    cli: Cli, study_file: Any, data: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    (data / "lh.aparc.annot").write_bytes(b"x")
    path = study_file({"dataset": {"regions": {"files": ["lh.aparc.annot"]}}}, data=data)
    _assert_refused(cli("run", path, "--out", out), "pycortex-db/ in 0 places", out)
    facts = json.loads((data / "dataset.json").read_text()) | {"space": "components"}
    (data / "dataset.json").write_text(json.dumps(facts))
    _assert_refused(cli("run", path, "--out", out), "only voxels lie at a place", out)


def test_regions_of_a_simulation_on_the_way_are_refused(
    cli: Cli, study_file: Any, tmp_path: Path
) -> None:
    dataset = {
        "reader": "simulated",
        "folder": None,
        "simulation": {"features": "one"},
        "regions": {"files": ["x.csv"]},
    }
    done = cli("run", study_file({"dataset": dataset}), "--out", tmp_path / "out")
    _assert_refused(done, "data simulate FOLDER --anatomy", tmp_path / "out")


def _swap_masks(tree: Path) -> str:
    masks = [
        tree / f"derivative/pycortex-db/{s}/transforms/{s}_auto/mask_thick.nii.gz" for s in SIZES
    ]
    first, second = (mask.read_bytes() for mask in masks)
    masks[0].write_bytes(second)
    masks[1].write_bytes(first)
    return "a mask of 220 voxels and responses with 260 columns"


def _swap_annotations(tree: Path) -> str:
    (tree / "derivative/freesurfer_subjdir/SIM02/label/lh.aparc.annot").write_bytes(b"\0" * 40)
    return "lh.aparc.annot"


def _drop_label(tree: Path) -> str:
    (tree / "derivative/freesurfer_subjdir/SIM02/label/rh.aparc.annot").unlink()
    return "no such file"


def _drop_transform(tree: Path) -> str:
    (tree / "derivative/pycortex-db/SIM01/transforms/SIM01_auto/matrices.xfm").unlink()
    return "matrices.xfm"


def _drop_subject(tree: Path) -> str:
    shutil.rmtree(tree / "derivative/pycortex-db/SIM02")
    return "unknown subject 'SIM02'"


@pytest.mark.parametrize(
    "spoil", [_swap_masks, _swap_annotations, _drop_label, _drop_transform, _drop_subject]
)
def test_label_files_of_another_subject_or_none_are_refused(
    cli: Cli, checkpoint: Path, labelled_tree: Path, tmp_path: Path, spoil: Any
) -> None:
    tree = shutil.copytree(labelled_tree, tmp_path / "tree")
    said = spoil(tree)
    path = save_study(tmp_path / "s.yaml", region_study(checkpoint, tree, regions={"files": ANNOT}))
    _assert_refused(cli("run", path, "--out", tmp_path / "out"), said, tmp_path / "out")


@pytest.mark.parametrize(
    ("shape", "announced", "said"),
    [
        ((3, 47, 6), 3, "wanted (repeat, 48, 6), as the mean"),
        ((3, 48, 5), 3, "wanted (repeat, 48, 6), as the mean"),
        ((48, 6), 3, "repeats of P1, story 'fig'"),
        ((2, 48, 6), 3, "got 2 single presentations; wanted 3"),
        ((1, 48, 6), 2, "got 1 single presentations; wanted 2"),
    ],
    ids=["rows", "columns", "dims", "fewer than said", "one"],
)
def test_repeats_that_do_not_fit_are_refused(
    cli: Cli,
    study_file: Any,
    data: Path,
    tmp_path: Path,
    shape: tuple[int, ...],
    announced: int,
    said: str,
) -> None:
    save_own_repeats(data, shape, announced=announced)
    done = cli("run", study_file(data=data), "--out", tmp_path / "out")
    _assert_refused(done, said, tmp_path / "out")
