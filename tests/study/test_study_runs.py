"""Runs of tiny studies from end to end."""

from __future__ import annotations

import csv
import errno
import io
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from study_trees import (
    STORIES,
    Cli,
    StudyFile,
    artifacts,
    made_stages,
    responses,
    save_own_data,
    save_words,
    word_lines,
)

from brainaligner.study._disk import writing_to

FILES = {
    *("log.txt", "methods.md", "page.npz", "report.html", "run.json", "scores.npz"),
    *("study.yaml", "table.tsv", "significance.npz", "significance.tsv"),
}
ARM_STAGES = {"decomposition": 1, "readout": 4, "scores": 2, "story_scores": 2, "report": 1}


def _scores(folder: Path) -> dict[str, np.ndarray]:
    with np.load(folder / "scores.npz", allow_pickle=False) as archive:
        return {name: archive[name] for name in archive.files}


def _run_json(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "run.json").read_text(encoding="utf-8"))


def test_a_finished_run_leaves_all_files(finished: Path) -> None:
    folder = finished / "tiny"
    assert {path.name for path in folder.iterdir()} == FILES
    names = {
        f"{a}/{p}/test/cut{c}" for a in ("first", "second") for p in ("P1", "P2") for c in (0, 5)
    }
    assert set(_scores(folder)) == names
    rows = list(csv.DictReader(io.StringIO((folder / "table.tsv").read_text()), delimiter="\t"))
    assert rows
    assert not list((finished / "store" / "tmp").iterdir())


def test_what_fails_late_leaves_its_log(
    cli: Cli, study_file: StudyFile, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        with writing_to(out):
            raise OSError(errno.ENOSPC, "No space left on device")

    shutil.rmtree(out / "tiny")
    shutil.rmtree(out / "store" / "scores")  # made again
    monkeypatch.setattr("brainaligner.study._run.ensure_significances", fail)
    done = cli("run", study_file(), "--out", out)
    assert done.code == 2
    assert "no space left to write" in " ".join(done.err.split())
    assert "first, P1: fitted" in (out / "tiny" / "log.txt").read_text(encoding="utf-8")


def test_a_second_run_does_no_work(cli: Cli, study_file: StudyFile, out: Path) -> None:
    before = artifacts(out)
    done = cli("run", study_file(), "--out", out)
    assert done.code == 0, done.err
    assert artifacts(out) == before


def test_its_own_study_file_finds_the_same_artifacts(cli: Cli, out: Path) -> None:
    before = artifacts(out)
    assert cli("run", out / "tiny" / "study.yaml", "--out", out).code == 0
    assert artifacts(out) == before


@pytest.mark.parametrize(
    ("changes", "made"),
    [
        (
            {"defaults": {"ridge": {"alphas": [1, 50]}}},
            {"readout": 8, "scores": 4, "story_scores": 4, "report": 1},
        ),
        ({"features": {"two": {"text": {"layer": 0}}}}, {"features": 1, **ARM_STAGES}),
        ({"features": {"two": {"text": {"layer": -1}}}}, {"report": 1}),
        (
            {"arms": {"third": {"features": ["one", "two"]}}},
            ARM_STAGES,
        ),
        ({"arms": {"twin": {"features": ["one"]}}}, {"report": 1}),
        ({"arms": {"second": {"design": {"delays": [1]}}}}, ARM_STAGES),
        ({"evaluation": {"seed": 1}}, {"scores": 4, "report": 1}),
        ({"title": "Another title"}, {"report": 1}),
        ({"features": {"unused": {"model": "embedded"}}}, {"report": 1}),
    ],
    ids=["alphas", "layer", "same layer", "arm", "twin", "delays", "seed", "title", "unused"],
)
def test_a_change_recomputes_only_what_depends_on_it(
    cli: Cli, study_file: StudyFile, out: Path, changes: dict[str, Any], made: dict[str, int]
) -> None:
    before = artifacts(out)
    done = cli("run", study_file(changes), "--out", out)
    assert done.code == 0, done.err
    assert made_stages(before, artifacts(out)) == made


def test_arms_that_differ_in_name_only_are_both_listed(
    cli: Cli, study_file: StudyFile, out: Path
) -> None:
    assert cli("run", study_file({"arms": {"twin": {"features": ["one"]}}}), "--out", out).code == 0
    scores = _scores(out / "tiny")
    np.testing.assert_array_equal(scores["first/P1/test/cut0"], scores["twin/P1/test/cut0"])
    arms = {row["arm"] for row in _run_json(out / "tiny")["results"]}
    assert arms == {"first", "second", "twin"}


def test_changed_responses_of_a_test_story_leave_the_fit_alone(
    cli: Cli, study_file: StudyFile, data: Path, tmp_path: Path
) -> None:
    out = tmp_path / "fresh"
    split = {
        "split": {
            "counts": None,
            "train": list(STORIES[:3]),
            "validation": [STORIES[3]],
            "test": list(STORIES[4:]),
        }
    }
    assert cli("run", study_file(split, data=data), "--out", out).code == 0
    before = artifacts(out)
    changed = responses(STORIES, seed=0)
    changed["fig"] = changed["fig"][::-1].copy()
    np.savez(data / "P1.npz", **changed)
    assert cli("run", study_file(split, data=data), "--out", out).code == 0
    assert made_stages(before, artifacts(out)) == {"scores": 2, "report": 1}


@pytest.mark.parametrize(
    ("arguments", "tolerance"),
    [(["--threads", "2"], 1e-6), (["--batch-tokens", "40"], 1e-4), (["--target-block", "2"], 1e-5)],
    ids=["threads", "batches", "targets"],
)
def test_how_it_runs_changes_no_result(
    cli: Cli,
    study_file: StudyFile,
    finished: Path,
    tmp_path: Path,
    arguments: list[str],
    tolerance: float,
) -> None:
    threads = torch.get_num_threads()
    try:
        done = cli("run", study_file(), "--out", tmp_path / "fresh", *arguments)
    finally:
        torch.set_num_threads(threads)
    assert done.code == 0, done.err
    usual, other = _scores(finished / "tiny"), _scores(tmp_path / "fresh" / "tiny")
    assert usual.keys() == other.keys()
    for name in usual:
        np.testing.assert_allclose(other[name], usual[name], atol=tolerance)


def test_every_kind_of_arm_runs(cli: Cli, study_file: StudyFile, tmp_path: Path) -> None:
    arms = {
        "left-out": {"features": ["one"], "ridge": {"selection": "leave_story_out"}},
        "per-target": {"features": ["one"], "ridge": {"alpha": "per_target"}},
        "banded": {
            "features": ["one", "two"],
            "design": {"nuisance": "with"},
            "banded": {"n_iter": 3, "alphas": [1, 100]},
        },
        "banded-left-out": {
            "features": ["one", "two"],
            "banded": {"n_iter": 2, "selection": "leave_story_out"},
        },
        "lanczos": {"features": ["lanczos"]},
        "with-nuisance": {"features": ["one"], "design": {"nuisance": "with"}},
        "nuisance-alone": {"features": ["one"], "design": {"nuisance": "alone"}},
        "scaled": {
            "features": ["one"],
            "design": {"scaling": "none"},
            "ridge": {"intercept": True, "scaling": "training"},
        },
    }
    features = {
        "lanczos": {"model": "x", "text": {"layer": 1, "resample": "lanczos", "context_words": 3}}
    }
    path = study_file({"arms": {"first": None, "second": None, **arms}, "features": features})
    text = path.read_text().replace("model: x", "model: " + _model_of(path))
    path.write_text(text)
    done = cli("run", path, "--out", tmp_path / "out")
    assert done.code == 0, done.err
    results = _run_json(tmp_path / "out" / "tiny")["results"]
    assert {row["arm"] for row in results} == set(arms)
    assert all(np.isfinite(row["mean"]) for row in results)
    spread = {row["arm"]: row["mean"] for row in results if row["subject"] == "P1"}
    assert len({round(mean, 6) for mean in spread.values()}) == len(arms), "two arms are the same"


def _model_of(path: Path) -> str:
    import yaml

    return yaml.safe_load(path.read_text())["features"]["one"]["model"]


def test_nuisance_alone_does_not_depend_on_features(
    cli: Cli, study_file: StudyFile, tmp_path: Path
) -> None:
    arms = {
        "first": None,
        "second": None,
        "alone": {"features": ["one"], "design": {"nuisance": "alone"}},
    }
    out = tmp_path / "out"
    assert cli("run", study_file({"arms": arms}), "--out", out).code == 0
    before = artifacts(out)
    assert not any(path.startswith("features/") for path in before)
    other = study_file({"arms": arms, "features": {"one": {"text": {"layer": 2}}}})
    assert cli("run", other, "--out", out).code == 0
    assert made_stages(before, artifacts(out)) == {"report": 1}


def test_parts_of_one_story_are_labelled_everywhere(
    cli: Cli, study_file: StudyFile, tmp_path: Path
) -> None:
    folder = save_own_data(tmp_path / "alice", stories=["alice"], n_rows=150)
    np.savez(folder / "P1.npz", alice=_with_nan(responses(["alice"], n_rows=150)["alice"]))
    changes = {"split": {"counts": None, "folds": 5, "gap": 6}}
    path = study_file(changes, data=folder)
    done = cli("run", path, "--out", tmp_path / "out")
    assert done.code == 0, done.err
    run = tmp_path / "out" / "tiny"
    assert _run_json(run)["label"] == "within one story"
    assert {row["label"] for row in _run_json(run)["results"]} == {"within one story"}
    assert {row["n_rows"] for row in _run_json(run)["results"] if row["rows_cut"] == 0} <= {
        150 - 6 * n for n in range(10)
    }
    for text in (done.out, (run / "table.tsv").read_text(), (run / "report.html").read_text()):
        assert "within one story" in text.lower()
    # ten folds and arms read the same NaN: they are counted once
    notes = [f for f in _run_json(run)["findings"] if "NaN" in f["text"]]
    assert [(note["where"], note["text"].split()[0]) for note in notes] == [("P1", "150")]


def _with_nan(values: np.ndarray) -> np.ndarray:
    values = values.copy()
    values[:, 2] = np.nan
    return values


def test_nan_and_constant_columns_work_and_are_reported(
    cli: Cli, study_file: StudyFile, data: Path, tmp_path: Path
) -> None:
    faulty = responses(STORIES, seed=0)
    for story in STORIES:
        faulty[story][:, 1] = 3.5
    faulty["apple"][:4, 0] = [np.nan, np.inf, -np.inf, np.nan]
    np.savez(data / "P1.npz", **faulty)
    done = cli("run", study_file(data=data), "--out", tmp_path / "out")
    assert done.code == 0, done.err
    run = tmp_path / "out" / "tiny"
    findings = {(f["where"], f["text"]) for f in _run_json(run)["findings"]}
    assert ("P1", "4 NaN or infinite values were set to 0") in findings
    assert any("1 of 6 voxels have no variance" in text for _, text in findings)
    scores = _scores(run)
    assert np.isnan(scores["first/P1/test/cut0"]).tolist() == [False, True] + [False] * 4
    assert np.isfinite(scores["first/P2/test/cut0"]).all()


def test_a_subject_with_fewer_stories_works_with_a_warning(
    cli: Cli, study_file: StudyFile, data: Path, tmp_path: Path
) -> None:
    split = {
        "split": {
            "counts": None,
            "train": list(STORIES[:3]),
            "validation": [STORIES[3]],
            "test": list(STORIES[4:]),
        }
    }
    kept = responses([s for s in STORIES if s not in ("birch", "fig")], seed=1)
    kept["apple"] = kept["apple"][:-3]  # and one story was stopped early
    np.savez(data / "P2.npz", **kept)
    done = cli("run", study_file(split, data=data), "--out", tmp_path / "out")
    assert done.code == 0, done.err
    warned = [f for f in _run_json(tmp_path / "out" / "tiny")["findings"] if f["where"] == "P2"]
    assert warned[0]["severity"] == "warn"
    assert "2 stories" in warned[0]["text"]
    assert "WARN P2: has no responses to 2 stories of the division (birch, fig)" in done.out
    rows = _run_json(tmp_path / "out" / "tiny")["results"]
    assert {row["n_stories"] for row in rows if row["subject"] == "P2"} == {1}


def test_an_untidy_folder_is_checked_and_runs(
    cli: Cli, study_file: StudyFile, tmp_path: Path
) -> None:
    folder = tmp_path / "untidy"
    folder.mkdir()
    lines = word_lines([" Apple", "BIRCH ", "cedar", "Daisy", "elder", "fig", "unheard"])
    text = "\r\n".join(["Story;Word;Onset_s;Offset_s", *(x.replace(",", ";") for x in lines)])
    (folder / "Words.CSV").write_bytes(b"\xef\xbb\xbf" + text.encode())
    np.savez(folder / "Ann Lee.npz", **responses(STORIES, seed=4))
    np.savez(folder / "bo.npz", **{s: v for s, v in responses(STORIES).items() if s != "fig"})
    done = cli("data", "check", folder)
    assert done.code == 0, done.err
    assert "unheard" in done.out
    assert "fig" in done.out
    assert "Ann Lee: 6 stories, 288 rows, 6 voxels" in done.out
    done = cli("run", study_file(data=folder), "--out", tmp_path / "out")
    assert done.code == 0, done.err
    assert "first/Ann Lee/test/cut0" in _scores(tmp_path / "out" / "tiny")


def test_repeated_stories_and_odd_names_are_scored_apart(
    cli: Cli, study_file: StudyFile, tmp_path: Path
) -> None:
    stories = ["a/b", "50% off", ".", "plain", "ünï", "[red]x[/red]", "twice"]
    folder = save_own_data(tmp_path / "odd", stories=stories[:2])
    save_words(folder, word_lines(stories))
    for seed, subject in enumerate(("P1", "P2")):
        np.savez(folder / f"{subject}.npz", **responses(stories, seed=seed))
    (folder / "dataset.json").write_text(json.dumps({"repeated": {"twice": 2}}))
    done = cli("run", study_file(data=folder), "--out", tmp_path / "out")
    assert done.code == 0, done.err
    groups = {
        row["group"]: row["presentations"]
        for row in _run_json(tmp_path / "out" / "tiny")["results"]
    }
    assert groups == {"test": "single", "twice": "repeated"}
    assert cli("show", tmp_path / "out" / "tiny").code == 0


def test_a_simulated_tree_is_read_by_the_real_reader(
    cli: Cli, study_file: StudyFile, checkpoint: Path, tmp_path: Path
) -> None:
    tree = {"n_voxels": [40, 30], "signal": [1.0, 0.8], "n_repeats": 2, "n_directions": 4}
    path = study_file(
        {
            "dataset": {
                "reader": "simulated",
                "folder": None,
                "simulation": {"features": "one", "tree": tree},
            },
        }
    )
    done = cli("data", "simulate", tmp_path / "tree", "--study", path)
    assert done.code == 0, done.err
    assert sorted(p.name for p in (tmp_path / "tree").iterdir() if p.name.startswith(".")) == []
    assert [p.name for p in tmp_path.iterdir() if "making" in p.name] == []
    done = cli("data", "check", tmp_path / "tree", "--reader", "lebel2023")
    assert done.code == 0, done.err
    assert "ERROR" not in done.out
    changes = {
        "dataset": {"reader": "lebel2023", "folder": None},
        "arms": {"second": None},
        "split": {"counts": [8, 2, 3]},
    }
    done = cli("run", study_file(changes), "--data", tmp_path / "tree", "--out", tmp_path / "out")
    assert done.code == 0, done.err
    simulated = study_file(
        {
            "dataset": {
                "reader": "simulated",
                "folder": None,
                "simulation": {"features": "one", "tree": tree},
            },
            "arms": {"second": None},
            "split": {"counts": [8, 2, 3]},
            "name": "simulated",
        }
    )
    done = cli("run", simulated, "--out", tmp_path / "out")
    assert done.code == 0, done.err
    assert "SIMULATED" in done.out
    real, made = (_scores(tmp_path / "out" / name) for name in ("tiny", "simulated"))
    for name in real:
        np.testing.assert_array_equal(real[name], made[name])
