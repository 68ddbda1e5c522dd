"""Regions and noise ceilings of a study, from the command line, on a simulated tree."""

from __future__ import annotations

import csv
import io
import json
import math
import shutil
from itertools import pairwise
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from study_trees import Cli, artifacts, made_stages, merged, run_process, save_study, tiny_study

from brainaligner.core import Split, StoryGroup
from brainaligner.data import open_dataset
from brainaligner.study import Store, _ceilings
from brainaligner.study._ceiling_stage import ceiling_task, ensure_ceilings
from brainaligner.study._progress import reporting

pytestmark = pytest.mark.usefixtures("unchecked")

SIZES = {"SIM01": 260, "SIM02": 220}
TREE = {"n_voxels": [*SIZES.values()], "signal": [1.5, 1.2], "n_repeats": 4, "n_directions": 4}
ANNOT = [f"freesurfer_subjdir/{{subject}}/label/{side}.aparc.annot" for side in ("lh", "rh")]
TRUTH = "../truth/{subject}_regions.csv"
STORY = "lanternkeeper"
CUTS = (0, 10)
MEASURES = ("explainable_variance", "signal_power", "total_power", "cc_max")


def _study(checkpoint: Path, tree: Path, **dataset: Any) -> dict[str, Any]:
    changes = {
        "dataset": {"reader": "lebel2023", "folder": str(tree), **dataset},
        "split": {"counts": [8, 2, 3]},
        "evaluation": {"cuts": [*CUTS]},
    }
    return merged(tiny_study(checkpoint, tree), changes)


@pytest.fixture(scope="module")
def sound_tree(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tree with anatomy, as the command line writes it. Tests must not change it."""
    folder = tmp_path_factory.mktemp("placed")
    simulation = {"features": "one", "tree": TREE}
    study = merged(tiny_study(checkpoint, folder), {"arms": {"second": None}})
    study["dataset"] = {"reader": "simulated", "simulation": simulation}
    path = save_study(folder / "simulated.yaml", study)
    done = run_process("data", "simulate", folder / "tree", "--study", path, "--anatomy")
    assert done.code == 0, done.err
    return folder / "tree"


@pytest.fixture(scope="module")
def sound_out(checkpoint: Path, sound_tree: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Output of a study with regions from csv files. Tests must not change it."""
    folder = tmp_path_factory.mktemp("regions")
    study = _study(checkpoint, sound_tree, regions={"files": [TRUTH]})
    done = run_process("run", save_study(folder / "s.yaml", study), "--out", folder / "out")
    assert done.code == 0, done.err
    return folder / "out"


def _scores(out: Path) -> dict[str, np.ndarray]:
    with np.load(out / "tiny/scores.npz", allow_pickle=False) as archive:
        return {name: archive[name] for name in archive.files}


def _results(out: Path) -> list[dict[str, Any]]:
    return json.loads((out / "tiny/run.json").read_text(encoding="utf-8"))["results"]


def _truth(tree: Path, subject: str) -> dict[str, list[int]]:
    """Columns of each region, line by line."""
    regions: dict[str, list[int]] = {}
    for line in (tree / f"truth/{subject}_regions.csv").read_text().splitlines()[1:]:
        column, label = line.split(",")
        if label:
            regions.setdefault(label, []).append(int(column))
    return regions


# ----------------------------------------------------------------------------- regions


def test_regions_score_what_a_plain_loop_over_scores_gives(
    sound_tree: Path, sound_out: Path
) -> None:
    scores, results = _scores(sound_out), _results(sound_out)
    truth = {subject: _truth(sound_tree, subject) for subject in SIZES}
    names = {name for regions in truth.values() for name in regions}
    assert len(results) == 2 * 2 * 2 * len(CUTS)
    for result in results:
        subject = result["subject"]
        place = f"{result['arm']}/{subject}/{result['group']}/cut{result['rows_cut']}"
        assert {one["region"] for one in result["regions"]} == names
        for one in result["regions"]:
            r = sorted(float(scores[place][i]) for i in truth[subject].get(one["region"], []))
            assert (one["n_targets"], one["n_scored"]) == (len(r), len(r))
            if not r:
                assert one["mean"] is one["median"] is None
                continue
            middle = (r[(len(r) - 1) // 2] + r[len(r) // 2]) / 2
            assert one["mean"] == pytest.approx(sum(r) / len(r), abs=1e-12)
            assert one["median"] == pytest.approx(middle, abs=1e-12)
            low, high = one["interval"]["low"], one["interval"]["high"]
            assert low is None or low < high


def test_the_table_of_regions_has_a_line_for_each(sound_out: Path) -> None:
    text = (sound_out / "tiny/regions.tsv").read_text(encoding="utf-8")
    lines = list(csv.DictReader(io.StringIO(text), delimiter="\t"))
    found = [one for result in _results(sound_out) for one in result["regions"]]
    assert len(lines) == len(found)
    for line, one in zip(lines, found, strict=True):
        assert line["region"] == one["region"]
        assert (float(line["r_mean"]) if line["r_mean"] else None) == one["mean"]
        assert int(line["n_targets"]) == one["n_targets"]
    page = (sound_out / "tiny/report.html").read_text(encoding="utf-8")
    assert "Regions of interest, no rows cut" in page
    assert f"{lines[0]['region']}, test" in page


def test_label_files_on_the_surface_lead_to_nearly_the_same(
    cli: Cli, checkpoint: Path, sound_tree: Path, sound_out: Path, tmp_path: Path
) -> None:
    out = shutil.copytree(sound_out, tmp_path / "out")
    before = artifacts(out)
    names = ["rh.region03", "lh.region05"]
    study = _study(checkpoint, sound_tree, regions={"files": ANNOT, "names": names})
    done = cli("run", save_study(tmp_path / "s.yaml", study), "--out", out)
    assert done.code == 0, done.err
    assert made_stages(before, artifacts(out)) == {"regions": 4, "report": 1}
    for new, old in zip(_results(out), _results(sound_out), strict=True):
        assert [one["region"] for one in new["regions"]] == names
        planted = {one["region"]: one["n_targets"] for one in old["regions"]}
        for one in new["regions"]:
            assert abs(one["n_targets"] - planted.get(one["region"], 0)) <= 4


def test_regions_change_no_other_stage_and_go_without_a_trace(
    cli: Cli, checkpoint: Path, sound_tree: Path, sound_out: Path, tmp_path: Path
) -> None:
    out = shutil.copytree(sound_out, tmp_path / "out")
    before = artifacts(out)
    with_regions = _study(checkpoint, sound_tree, regions={"files": [TRUTH]})
    path = save_study(tmp_path / "s.yaml", with_regions)
    assert cli("run", path, "--out", out).code == 0
    assert artifacts(out) == before
    done = cli("run", save_study(path, _study(checkpoint, sound_tree)), "--out", out)
    assert done.code == 0, done.err
    assert made_stages(before, artifacts(out)) == {"report": 1}
    assert not (out / "tiny/regions.tsv").exists()
    assert (out / "tiny/scores.npz").read_bytes() == (sound_out / "tiny/scores.npz").read_bytes()
    assert "Regions of interest" not in (out / "tiny/report.html").read_text(encoding="utf-8")


def test_a_region_that_one_subject_lacks_stays_blank(
    cli: Cli, checkpoint: Path, sound_tree: Path, sound_out: Path, tmp_path: Path
) -> None:
    out = shutil.copytree(sound_out, tmp_path / "out")
    labels = {"SIM01": ["0,both", "1,both", "3,left only"], "SIM02": ["5,both"]}
    for subject, lines in labels.items():
        (tmp_path / f"{subject}.csv").write_text("\n".join(["column,label", *lines]))
    regions = {"files": [str(tmp_path / "{subject}.csv")]}
    study = _study(checkpoint, sound_tree, regions=regions)
    assert cli("run", save_study(tmp_path / "s.yaml", study), "--out", out).code == 0
    for result in _results(out):
        both, left = result["regions"]
        assert (both["region"], left["region"]) == ("both", "left only")
        if result["subject"] == "SIM02":
            assert left["n_targets"] == 0
            assert left["mean"] is left["median"] is left["interval"]["low"] is None
    lines = (out / "tiny/regions.tsv").read_text(encoding="utf-8").splitlines()
    assert any("SIM02" in line and "left only\tvoxels\t0\t0\t\t\t\t\t" in line for line in lines)
    record = json.loads((out / "tiny/run.json").read_text(encoding="utf-8"))
    assert record["regions"]["SIM01"].keys() == record["regions"]["SIM02"].keys()
    assert record["regions"]["SIM01"]["both"] != record["regions"]["SIM02"]["both"]
    page = (out / "tiny/report.html").read_text(encoding="utf-8")
    assert "left only, test" in page


# ----------------------------------------------------------------------------- ceilings


def _plain_ceiling(repeats: list[np.ndarray]) -> dict[str, float]:
    """One target, from its single presentations, as the formulas are written."""
    n, rows = len(repeats), len(repeats[0])
    centred = [one - one.mean() for one in repeats]
    total = sum(float(np.var(one)) for one in centred) / n
    mean = sum(centred) / n
    signal = (n * float(np.var(mean)) - total) / (n - 1)
    z = [one / one.std() for one in centred]
    raw = 1 - sum(float(np.var(one - sum(z) / n)) for one in z) / n
    at = [(n * mean[t] ** 2 - sum(c[t] ** 2 for c in centred) / n) / (n - 1) for t in range(rows)]
    edges = np.linspace(0, rows, rows // 10 + 1).astype(int)
    sums = [sum(at[t] - signal for t in range(a, b)) for a, b in pairwise(edges)]
    error = math.sqrt(sum(s * s for s in sums) * len(sums) / (len(sums) - 1)) / rows
    seen = signal > 2 * error
    ceiling = (1 + (total / signal - 1) / n) ** -0.5 if seen else math.nan
    return {
        "explainable_variance": raw - (1 - raw) / (n - 1),
        "signal_power": signal,
        "total_power": total,
        "cc_max": ceiling,
    }


@pytest.mark.parametrize("cut", CUTS)
@pytest.mark.parametrize("subject", SIZES)
def test_ceilings_are_those_of_plain_numpy(
    sound_tree: Path, sound_out: Path, subject: str, cut: int
) -> None:
    path = sound_tree / f"derivative/preprocessed_data/{subject}/{STORY}.hf5"
    with h5py.File(path) as file:
        repeats = file["individual_repeats"][:].astype(np.float32).astype(np.float64)
    scores = _scores(sound_out)
    rows = repeats.shape[1]
    plain = [
        _plain_ceiling([one[cut : rows - cut, target] for one in repeats])
        for target in range(SIZES[subject])
    ]
    for name in MEASURES:
        found = scores[f"ceilings/{subject}/{STORY}/cut{cut}/{name}"]
        np.testing.assert_allclose(found, [one[name] for one in plain], rtol=1e-9, atol=1e-12)
    ceilings = [one["cc_max"] for one in plain]
    seen = [target for target, value in enumerate(ceilings) if math.isfinite(value)]
    assert 0.1 < len(seen) / len(plain) < 1
    for result in _results(sound_out):
        if (result["subject"], result["rows_cut"]) != (subject, cut):
            continue
        if result["group"] != STORY:
            assert result["ceiling"] is None
            continue
        r = scores[f"{result['arm']}/{subject}/{STORY}/cut{cut}"]
        summary = result["ceiling"]
        assert summary["cc_max"] == pytest.approx(sum(ceilings[i] for i in seen) / len(seen))
        assert summary["share"] == len(seen) / len(plain)
        ratio = sum(float(r[i]) for i in seen) / sum(ceilings[i] for i in seen)
        assert summary["cc_norm"] == pytest.approx(ratio)
        assert (summary["n_repeats"], summary["n_rows"]) == (4, rows - 2 * cut)


def test_ceilings_stand_beside_repeated_stories_only(sound_out: Path) -> None:
    text = (sound_out / "tiny/table.tsv").read_text(encoding="utf-8")
    for line in csv.DictReader(io.StringIO(text), delimiter="\t"):
        repeated = line["presentations"] == "repeated"
        for name in ("ceiling_repeats", "ceiling_share", "cc_max", "cc_norm"):
            assert (line[name] != "") == repeated
    record = json.loads((sound_out / "tiny/run.json").read_text(encoding="utf-8"))
    tables = [table for table in record["tables"] if "Noise ceiling" in table["title"]]
    assert len(tables) == len(CUTS)
    for table in tables:
        assert {row[1] for row in table["rows"]} == {f"{STORY} (repeated)"}
    page = (sound_out / "tiny/report.html").read_text(encoding="utf-8")
    assert page.count("sum of r over sum of CCmax") == len(CUTS)


def test_one_block_of_columns_gives_what_many_give(
    sound_tree: Path, sound_out: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    dataset = open_dataset("lebel2023", sound_tree)
    others = [story for story in dataset.stories("SIM01") if story != STORY]
    split = Split(tuple(others[2:]), (others[1],), (others[0],), (STORY,))
    group = StoryGroup(STORY, (STORY,), "repeated")
    task = ceiling_task(dataset, "SIM01", group, split, CUTS)
    monkeypatch.setattr(_ceilings, "_SLICE_CELLS", 4 * 85 * 7)
    store = Store(tmp_path / "store").open()
    with reporting() as reporter:
        found = ensure_ceilings(task, dataset, "x", store=store, reporter=reporter)
    for cut in CUTS:
        for name in MEASURES:
            expected = _scores(sound_out)[f"ceilings/SIM01/{STORY}/cut{cut}/{name}"]
            np.testing.assert_array_equal(getattr(found.by_cut[cut], name), expected)


def _own_repeats(data: Path, shape: tuple[int, ...] | None, *, announced: int = 3) -> None:
    """Make 'fig' a story heard several times by P1, as an HDF5 file; P2 has its mean alone."""
    with np.load(data / "P1.npz") as archive:
        stories = {name: archive[name] for name in archive.files}
    (data / "P1.npz").unlink()
    with h5py.File(data / "P1.hf5", "w") as file:
        for name, values in stories.items():
            file[name] = values
        if shape is not None:
            noise = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
            file["repeats/fig"] = noise
    facts = json.loads((data / "dataset.json").read_text()) | {"repeated": {"fig": announced}}
    (data / "dataset.json").write_text(json.dumps(facts))


def test_it_is_said_why_there_is_no_ceiling(
    cli: Cli, study_file: Any, data: Path, tmp_path: Path
) -> None:
    _own_repeats(data, (3, 48, 6))
    done = cli("run", study_file(data=data), "--out", tmp_path / "out")
    assert done.code == 0, done.err
    record = json.loads((tmp_path / "out/tiny/run.json").read_text(encoding="utf-8"))
    places = [f for f in record["findings"] if f["where"] != "whole study"]
    notes = {f["where"]: f["text"] for f in places if "ceiling" in f["text"]}
    assert notes.keys() == {"P1, fig, 5 rows cut", "P2, fig"}
    assert "40 rows or more" in notes["P1, fig, 5 rows cut"]
    assert "no single ones" in notes["P2, fig"]
    has = {
        (row["subject"], row["group"], row["rows_cut"])
        for row in record["results"]
        if row["ceiling"] is not None
    }
    assert has == {("P1", "fig", 0)}
    with np.load(tmp_path / "out/tiny/scores.npz") as archive:
        places = {name.rsplit("/", 1)[0] for name in archive.files if "ceilings" in name}
    assert places == {"ceilings/P1/fig/cut0"}
    (table,) = [table for table in record["tables"] if "Noise ceiling" in table["title"]]
    for row in table["rows"]:
        assert row[-3:] == ["n/a"] * 3


def test_within_one_story_the_ceiling_is_that_of_the_scored_rows(
    cli: Cli, study_file: Any, data: Path, tmp_path: Path
) -> None:
    _own_repeats(data, (3, 48, 6))
    with np.load(data / "P2.npz") as archive:
        np.savez(data / "P2.npz", fig=archive["fig"])
    words = (data / "words.csv").read_text().splitlines()
    kept = [line for line in words if line.startswith(("story,", "fig,"))]
    (data / "words.csv").write_text("\n".join(kept) + "\n")
    split = {"counts": None, "folds": 3, "gap": 2}
    study = study_file({"split": split, "evaluation": {"cuts": [0]}}, data=data)
    done = cli("run", study, "--out", tmp_path / "out")
    assert done.code == 0, done.err
    for result in _results(tmp_path / "out"):
        assert result["n_rows"] < 48
        if result["subject"] == "P1":
            assert result["ceiling"]["n_rows"] == result["n_rows"]
    with h5py.File(data / "P1.hf5") as file:
        repeats = file["repeats/fig"][:].astype(np.float64)
    rows = [*range(15), *range(17, 31), *range(33, 48)]
    found = _scores(tmp_path / "out")["ceilings/P1/fig/cut0/signal_power"]
    plain = [_plain_ceiling([one[rows, target] for one in repeats]) for target in range(6)]
    np.testing.assert_allclose(found, [one["signal_power"] for one in plain], rtol=1e-9)


# ----------------------------------------------------------------------------- bad input


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
    cli: Cli, checkpoint: Path, sound_tree: Path, tmp_path: Path, spoil: Any
) -> None:
    tree = shutil.copytree(sound_tree, tmp_path / "tree")
    said = spoil(tree)
    path = save_study(tmp_path / "s.yaml", _study(checkpoint, tree, regions={"files": ANNOT}))
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
    _own_repeats(data, shape, announced=announced)
    done = cli("run", study_file(data=data), "--out", tmp_path / "out")
    _assert_refused(done, said, tmp_path / "out")
