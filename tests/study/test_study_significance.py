"""Significance of each target in whole runs: what is tested, kept, shown and priced."""

from __future__ import annotations

import csv
import itertools
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from study_trees import (
    STORIES,
    Cli,
    StudyFile,
    artifacts,
    merged,
    run_process,
    save_own_data,
    save_study,
    tiny_study,
)

from brainaligner.evaluation import block_permutation, fdr_bh, fdr_by, target_gain
from brainaligner.study import _significance
from brainaligner.study._disk import write_npz
from brainaligner.study._readout import block_name

N_TARGETS, N_DRIVEN = 12, 5


def save_driven(folder: Path, n_rows: int = 90) -> Path:
    """Two listeners whose first targets rise at the start of each story; the rest is noise."""
    save_own_data(folder, n_rows=n_rows)
    for seed, subject in enumerate(("P1", "P2")):
        rng = np.random.default_rng(seed)
        stories = {}
        for story in STORIES:
            values = rng.standard_normal((n_rows, N_TARGETS))
            values[:, :N_DRIVEN] += 3 * np.exp(-np.arange(n_rows) / 5.0)[:, None]
            stories[story] = values.astype(np.float32)
        np.savez(folder / f"{subject}.npz", **stories)
    return folder


@pytest.fixture(scope="module")
def driven(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_driven(tmp_path_factory.mktemp("driven") / "data")


CHANGES = {
    "controls": None,
    "significance": {"permutations": 199},
    "arms": {"second": None},
}


def said(out: Path) -> dict[str, Any]:
    """What a finished run says of itself."""
    found: dict[str, Any] = json.loads((out / "tiny/run.json").read_text("utf-8"))
    return found


@pytest.fixture(scope="module")
def done(checkpoint: Path, driven: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The output folder of a finished run; tests must not change it."""
    folder = tmp_path_factory.mktemp("significance")
    study = save_study(folder / "study.yaml", merged(tiny_study(checkpoint, driven), CHANGES))
    ended = run_process("run", study, "--out", folder / "out", "--threads", "1")
    assert ended.code == 0, ended.err
    (folder / "out" / "screen.txt").write_text(ended.out, encoding="utf-8")
    return folder / "out"


@pytest.fixture(scope="module")
def run(done: Path) -> dict[str, Any]:
    return said(done)


def predictions_in(out: Path, run: dict[str, Any], arm: str) -> list[np.ndarray]:
    """Predictions of P1's test stories as they lie in the store."""
    folder = out / "store" / "readout" / run["recipes"][f"{arm}, P1: readout"]
    with np.load(folder / "predictions.npz") as archive:
        names = sorted(name for name in archive.files)
        return [archive[name] for name in names]


def responses_to(driven: Path, stories: list[str]) -> list[np.ndarray]:
    with np.load(driven / "P1.npz") as archive:
        return [archive[story] for story in stories]


def test_p_values_and_gains_are_those_of_the_stored_predictions(
    run: dict[str, Any], done: Path, driven: Path
) -> None:
    recipe = json.loads(
        next((done / "store/significance").glob("*/recipe.json")).read_text("utf-8")
    )
    (group,) = recipe["settings"]["groups"]
    y = responses_to(driven, group[1:])
    p, alone = (predictions_in(done, run, arm) for arm in ("first", "nuisance-alone"))
    kept = np.load(done / "tiny/significance.npz")
    for cut in (0, 5):
        sides = [[rows[cut : len(rows) - cut] for rows in side] for side in (p, y)]
        again = block_permutation(*sides, n_permutations=199, seed=0)
        np.testing.assert_array_equal(kept[f"first/P1/test/cut{cut}/p"], again.p)
        gain = target_gain(alone, p, y, cut=cut)
        np.testing.assert_allclose(kept[f"first/P1/test/cut{cut}/gain"], gain.difference)
        np.testing.assert_allclose(kept[f"first/P1/test/cut{cut}/gain_p"], gain.p)
        (line,) = [
            line
            for line in run["significance"]
            if (line["arm"], line["subject"], line["rows_cut"]) == ("first", "P1", cut)
        ]
        assert line["significant_bh"] == (fdr_bh(again.p) <= 0.05).sum()
        assert line["significant_by"] == (fdr_by(again.p) <= 0.05).sum()
        assert line["gain_over"] == "nuisance-alone"
        assert line["n_tested"] == N_TARGETS


def test_targets_that_are_read_a_few_at_a_time_get_the_same_p(
    cli: Cli,
    study_file: StudyFile,
    done: Path,
    driven: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(_significance, "TARGETS_AT_ONCE", 5)
    out = shutil.copytree(done, tmp_path / "out")
    shutil.rmtree(out / "store" / "significance")
    shutil.rmtree(out / "store" / "report")
    before = np.load(done / "tiny/significance.npz")
    (out / "tiny/significance.npz").unlink()
    study = study_file(CHANGES, data=driven)
    ended = cli("run", study, "--out", out)
    assert ended.code == 0, ended.err
    after = np.load(out / "tiny/significance.npz")
    assert set(after.files) == set(before.files)
    for name in before.files:
        if name.endswith(("/p", "/block_rows")):
            np.testing.assert_array_equal(before[name], after[name], err_msg=name)
        elif name.endswith(("/gain", "/gain_p")):  # of fewer than 8 stories: on blocks
            np.testing.assert_allclose(after[name], before[name], atol=1e-12, err_msg=name)


@pytest.mark.parametrize("edges", [(0, 12), (0, 7, 12), (0, 1, 5, 11, 12)])
def test_columns_are_put_together_from_the_blocks_that_hold_them(
    tmp_path: Path, edges: tuple[int, ...]
) -> None:
    values = np.arange(48.0, dtype=np.float32).reshape(4, 12)
    blocks = {
        block_name(piece, a): (piece + 1) * values[:, a:b]
        for piece in (0, 1, 10)
        for a, b in itertools.pairwise(edges)
    }
    write_npz(tmp_path / "predictions.npz", blocks)
    for start in range(12):
        for stop in range(start + 1, 13):
            found = _significance._columns(tmp_path / "predictions.npz", 1, slice(start, stop))
            np.testing.assert_array_equal(found, 2 * values[:, start:stop])


def test_onsets_are_significant_for_z_alone_and_no_gain_of_the_words(run: dict[str, Any]) -> None:
    lines = {
        (line["arm"], line["subject"]): line
        for line in run["significance"]
        if line["rows_cut"] == 0
    }
    for subject in ("P1", "P2"):
        alone = lines["nuisance-alone", subject]
        assert alone["significant_bh"] >= N_DRIVEN - 1
        assert alone["gain_over"] is None
        assert alone["better_bh"] is None
        assert lines["first", subject]["better_bh"] == 0


def test_it_stands_in_file_page_and_terminal_with_what_it_is_about(
    run: dict[str, Any], done: Path
) -> None:
    with (done / "tiny/significance.tsv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    assert [row["arm"] for row in rows] == [line["arm"] for line in run["significance"]]
    assert {row["over"] for row in rows} == {"all targets"}
    page = (done / "tiny/report.html").read_text("utf-8")
    assert "Significant voxels of each arm, 0 rows cut" in page
    assert "Benjamini-Yekutieli" in page
    assert "in an arm with the nuisance block Z, about Z too" in page
    words = " ".join((done / "screen.txt").read_text("utf-8").split())
    assert "significant targets, group test, 5 rows cut at each end" in words
    for line in run["significance"]:
        place = done / "store" / "significance" / line["recipe"] / "recipe.json"
        assert place.is_file()
    assert run["recipes"]["first, P1: significance"] in {
        one["recipe"] for one in run["significance"]
    }


def test_another_rate_permutes_nothing_again_and_a_study_may_leave_the_tests_out(
    cli: Cli, study_file: StudyFile, run: dict[str, Any], done: Path, driven: Path, tmp_path: Path
) -> None:
    out = shutil.copytree(done, tmp_path / "out")
    study = study_file(CHANGES, data=driven)
    before = artifacts(out)
    assert cli("run", study, "--out", out, "--set", "significance.q=0.5").code == 0
    made = {path.split("/")[0] for path in artifacts(out).keys() - before.keys()}
    assert made == {"report"}
    second = said(out)
    assert {line["q"] for line in second["significance"]} == {0.5}
    counts = [[line["significant_bh"] for line in one["significance"]] for one in (run, second)]
    assert all(a <= b for a, b in zip(*counts, strict=True))
    third = cli("run", study, "--out", out, "--set", "significance=null")
    assert third.code == 0, third.err
    assert said(out)["significance"] == []
    assert "significant targets" not in third.out
    for name in ("significance.npz", "significance.tsv"):
        assert not (out / "tiny" / name).exists()


def test_repeated_stories_have_rows_of_their_own(
    cli: Cli, study_file: StudyFile, driven: Path, tmp_path: Path
) -> None:
    facts = json.loads((driven / "dataset.json").read_text("utf-8"))
    folder = tmp_path / "repeated"
    folder.mkdir()
    for path in driven.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    facts["repeated"] = {"fig": 5}
    (folder / "dataset.json").write_text(json.dumps(facts), encoding="utf-8")
    sides = {"train": ["apple", "birch", "cedar"], "validation": ["daisy"]}
    split = {"counts": None, **sides, "test": ["elder"], "test_repeated": ["fig"]}
    study = study_file({**CHANGES, "split": split}, data=folder)
    ended = cli("run", study, "--out", tmp_path / "out")
    assert ended.code == 0, ended.err
    run = said(tmp_path / "out")
    kinds = {(line["group"], line["presentations"]) for line in run["significance"]}
    assert kinds == {("test", "single"), ("fig", "repeated")}
    assert "group fig" not in ended.out.partition("significant targets")[2].partition("arm")[0]


def test_checks_are_priced_with_what_they_check(
    cli: Cli, study_file: StudyFile, done: Path, driven: Path, tmp_path: Path
) -> None:
    study = study_file(CHANGES, data=driven)

    def planned(*more: str) -> dict[str, list[dict[str, Any]]]:
        priced = cli("run", study, "--out", tmp_path / "out", "--plan", "--json", *more)
        assert priced.code == 0, priced.err
        stages: dict[str, list[dict[str, Any]]] = {}
        for stage in json.loads(priced.out)["stages"]:
            stages.setdefault(stage["stage"], []).append(stage)
        return stages

    plain, nulls, off = planned(), planned("--nulls"), planned("--set", "significance=null")
    checks = {"significance", "test_checks", "null_refit", "lag_curve", "reduced",
              "story_likeness", "simulation_check", "contrast"}  # fmt: skip
    assert checks <= set(plain)
    assert len(plain["significance"]) == 4 * 2  # first, two controls without words, untrained
    assert len(plain["contrast"]) == 3 * 2  # all arms but one
    assert "significance" not in off
    assert len(nulls["null_refit"]) == len(plain["null_refit"]) + 2 * 2 * 2
    assert len(nulls["other_refit"]) == 2 * 2
    assert all(stage["flop"] > 0 for kind in checks for stage in nulls[kind])
    shutil.copytree(done / "store", tmp_path / "out" / "store")
    after = planned()
    assert all(stage["done"] for kind in checks for stage in after[kind])
