"""A desk on which the documents' commands find what they name, all of it SIMULATED."""

from __future__ import annotations

import gzip
import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from placed_trees import SETTINGS, write_atlas, write_placed_tree
from study_trees import Outcome, responses, save_checkpoint, save_study, textgrid, word_lines

from brainaligner.study import RunOptions, load_study, main, run_study

SUBJECTS = ("UTS01", "UTS02", "UTS03")
STORIES = tuple(f"story{i}" for i in range(13))
REPEATED = "wheretheressmoke"
N_ROWS = 30
SPLIT = {
    "train": STORIES[:9],
    "validation": STORIES[9:11],
    "test": STORIES[11:],
    "test_repeated": [REPEATED],
}
Call = Callable[..., Outcome]
"""Calls the command line in this process."""


def save_recordings(folder: Path) -> None:
    """Write three listeners that the readers `folder` and `lebel2023-pcs` both read."""
    folder.mkdir()
    stories = (*STORIES, REPEATED)
    lines = ["story,word,onset_s,offset_s", *word_lines(stories, n_rows=N_ROWS)]
    with gzip.open(folder / "words.csv.gz", "wt", encoding="utf-8") as file:
        file.write("\n".join(lines) + "\n")
    for seed, subject in enumerate(SUBJECTS):
        arrays = responses(stories, n_rows=N_ROWS, seed=seed)
        np.savez(folder / f"{subject}.npz", **arrays)
    volumes = dict.fromkeys(stories, N_ROWS + 20)
    (folder / "respdict.json").write_text(json.dumps(volumes), encoding="utf-8")
    (folder / "split.json").write_text(json.dumps(SPLIT), encoding="utf-8")


def desk_study(model: str) -> dict[str, Any]:
    """A study with the names that the documents use, which takes seconds."""
    text = {"layer": -1, "context_rows": 2}
    aligner = {
        "epochs": 1,
        "patience": None,
        "learning_rate": 1e-3,
        "warmup_steps": None,
        "warmup_share": 0.1,
        "accumulation": 1,
    }
    own = {"model": model, "context_rows": 2, "validation_stories": 1, "head": {"epochs": 1}}
    return {
        "name": "my-study",
        "dataset": {"reader": "folder", "folder": "FOLDER", "subjects": ["UTS01"]},
        "split": {"counts": [10, 2, 2]},
        "features": {
            "plain": {"model": model, "text": text},
            "es": {"tuning": "es", "text": text},
            "tuned": {"tuning": "tuned", "text": text},
        },
        "brains": {"all": {"encoder": {"kind": "all"}}},
        "tunings": {
            "es": {**own, "brain": "all", "cross_fit": 2, "aligner": aligner},
            "tuned": {**own, "cross_fit": None, "aligner": aligner},
        },
        "defaults": {"design": {"delays": [1, 2]}, "ridge": {"alphas": [1, 100, 10000]}},
        "arms": {name: {"features": [name]} for name in ("plain", "es", "tuned")},
        "evaluation": {"n_bootstrap": 20, "n_shifts": 20, "cuts": [0]},
        "controls": [],
        "significance": None,
        "null_draws": 2,
        "other_listeners": {"shown": False},
    }


def save_texts(folder: Path) -> None:
    """Write the texts that `embed` reads."""
    (folder / "sentences.txt").write_text("we walked along the river\nshe laughed\n")
    lines = [line.partition(",")[2] for line in word_lines(["tale"], n_rows=6)]
    (folder / "words.csv").write_text("\n".join(["word,onset_s,offset_s", *lines]) + "\n")
    (folder / "story.TextGrid").write_text(textgrid(["we", "walked", "along"]))


def save_cortex(folder: Path) -> None:
    """Write a tree with anatomy, an atlas, and scores of its voxels as a run keeps them."""
    write_placed_tree(folder / "tree")
    write_atlas(folder)
    run = folder / "runs" / "on-cortex"
    run.mkdir(parents=True)
    rng = np.random.default_rng(0)
    sizes = zip(("SIM01", "SIM02"), SETTINGS.n_voxels, strict=True)
    scores = {f"plain/{subject}/test/cut0": rng.uniform(0, 0.3, n) for subject, n in sizes}
    np.savez(run / "scores.npz", **scores)
    said = {"title": "Drawn", "label": "held-out stories", "simulated": True}
    (run / "run.json").write_text(json.dumps(said | {"findings": [], "results": []}))
    np.savez(folder / "weights.npz", **{"first/SIM02": rng.uniform(0, 1, SETTINGS.n_voxels[1])})


@pytest.fixture(scope="session")
def sound_desk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Data, models, study files and finished runs. Tests must not change it."""
    folder = tmp_path_factory.mktemp("documents") / "desk"
    folder.mkdir()
    save_recordings(folder / "FOLDER")
    save_checkpoint(folder / "tiny")
    save_texts(folder)
    save_cortex(folder)
    (folder / "cluster.yaml").write_text("kind: local\n", encoding="utf-8")
    save_study(folder / "my-study.yaml", desk_study("tiny"))
    save_study(folder / "embedded-study.yaml", desk_study("embedded"))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        run_study(load_study("my-study.yaml"), RunOptions(Path("runs"), threads=1))
        run_study(load_study("baseline"), RunOptions(Path("runs"), "FOLDER", threads=1))
    shutil.copytree(folder / "runs" / "my-study", folder / "runs" / "demo")
    return folder


@pytest.fixture
def desk(sound_desk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the desk to work on, as the current folder."""
    copy = shutil.copytree(sound_desk, tmp_path / "desk")
    monkeypatch.chdir(copy)
    return copy


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Call:
    """Call `main` as the console script does."""
    monkeypatch.delenv("BRAINALIGNER_DATA", raising=False)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")

    def called(*words: str) -> Outcome:
        monkeypatch.setattr(sys, "argv", ["brainaligner", *words])
        capsys.readouterr()
        with pytest.raises(SystemExit) as stopped:
            main()
        out, err = capsys.readouterr()
        return Outcome(int(stopped.value.code or 0), out, err)

    return called
