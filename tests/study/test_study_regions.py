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
from region_trees import ANNOT, CUTS, SIZES, region_study, save_own_repeats
from study_trees import Cli, artifacts, made_stages, run_process, save_study

from brainaligner.core import Split, StoryGroup
from brainaligner.data import open_dataset
from brainaligner.study import Store, _ceilings
from brainaligner.study._ceiling_stage import ceiling_task, ensure_ceilings
from brainaligner.study._progress import reporting

pytestmark = pytest.mark.usefixtures("unchecked")
TRUTH = "../truth/{subject}_regions.csv"
STORY = "lanternkeeper"
MEASURES = ("explainable_variance", "signal_power", "total_power", "cc_max")


@pytest.fixture(scope="module")
def sound_out(
    checkpoint: Path, labelled_tree: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """Output of a study with regions from csv files. Tests must not change it."""
    folder = tmp_path_factory.mktemp("regions")
    study = region_study(checkpoint, labelled_tree, regions={"files": [TRUTH]})
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
    labelled_tree: Path, sound_out: Path
) -> None:
    scores, results = _scores(sound_out), _results(sound_out)
    truth = {subject: _truth(labelled_tree, subject) for subject in SIZES}
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
    cli: Cli, checkpoint: Path, labelled_tree: Path, sound_out: Path, tmp_path: Path
) -> None:
    out = shutil.copytree(sound_out, tmp_path / "out")
    before = artifacts(out)
    names = ["rh.region03", "lh.region05"]
    study = region_study(checkpoint, labelled_tree, regions={"files": ANNOT, "names": names})
    done = cli("run", save_study(tmp_path / "s.yaml", study), "--out", out)
    assert done.code == 0, done.err
    assert made_stages(before, artifacts(out)) == {"regions": 4, "report": 1}
    for new, old in zip(_results(out), _results(sound_out), strict=True):
        assert [one["region"] for one in new["regions"]] == names
        planted = {one["region"]: one["n_targets"] for one in old["regions"]}
        for one in new["regions"]:
            assert abs(one["n_targets"] - planted.get(one["region"], 0)) <= 4


def test_regions_change_no_other_stage_and_go_without_a_trace(
    cli: Cli, checkpoint: Path, labelled_tree: Path, sound_out: Path, tmp_path: Path
) -> None:
    out = shutil.copytree(sound_out, tmp_path / "out")
    before = artifacts(out)
    with_regions = region_study(checkpoint, labelled_tree, regions={"files": [TRUTH]})
    path = save_study(tmp_path / "s.yaml", with_regions)
    assert cli("run", path, "--out", out).code == 0
    assert artifacts(out) == before
    done = cli("run", save_study(path, region_study(checkpoint, labelled_tree)), "--out", out)
    assert done.code == 0, done.err
    assert made_stages(before, artifacts(out)) == {"report": 1}
    assert not (out / "tiny/regions.tsv").exists()
    assert (out / "tiny/scores.npz").read_bytes() == (sound_out / "tiny/scores.npz").read_bytes()
    assert "Regions of interest" not in (out / "tiny/report.html").read_text(encoding="utf-8")


def test_a_region_that_one_subject_lacks_stays_blank(
    cli: Cli, checkpoint: Path, labelled_tree: Path, sound_out: Path, tmp_path: Path
) -> None:
    out = shutil.copytree(sound_out, tmp_path / "out")
    labels = {"SIM01": ["0,both", "1,both", "3,left only"], "SIM02": ["5,both"]}
    for subject, lines in labels.items():
        (tmp_path / f"{subject}.csv").write_text("\n".join(["column,label", *lines]))
    regions = {"files": [str(tmp_path / "{subject}.csv")]}
    study = region_study(checkpoint, labelled_tree, regions=regions)
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
    labelled_tree: Path, sound_out: Path, subject: str, cut: int
) -> None:
    path = labelled_tree / f"derivative/preprocessed_data/{subject}/{STORY}.hf5"
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
    labelled_tree: Path, sound_out: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    dataset = open_dataset("lebel2023", labelled_tree)
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


def test_it_is_said_why_there_is_no_ceiling(
    cli: Cli, study_file: Any, data: Path, tmp_path: Path
) -> None:
    save_own_repeats(data, (3, 48, 6))
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
    save_own_repeats(data, (3, 48, 6))
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
