"""Broken data, split files and checkpoints: one clear line, exit code 2, nothing left behind."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import h5py
import numpy as np
import pytest
from study_trees import (
    N_ROWS,
    NAMED,
    STORIES,
    Cli,
    StudyFile,
    assert_refused,
    responses,
    save_lebel_tree,
    save_words,
    word_lines,
)

pytestmark = pytest.mark.usefixtures("unchecked")


class Broken(NamedTuple):
    """How to break a sound dataset, and what is then said."""

    breaks: Callable[[Path], object]
    said: str


def _save(folder: Path, change: Callable[[dict[str, np.ndarray]], object]) -> None:
    arrays = responses(STORIES)
    change(arrays)
    np.savez(folder / "P1.npz", **arrays)


def _lines(folder: Path, change: Callable[[list[str]], object]) -> None:
    lines = word_lines(STORIES)
    change(lines)
    save_words(folder, lines)


def _truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def _corrupt(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(bytes(content))


DATA: dict[str, Broken] = {
    "truncated npz": Broken(lambda d: _truncate(d / "P1.npz"), "P1.npz"),
    "damaged npz": Broken(lambda d: _corrupt(d / "P1.npz"), "P1.npz"),
    "wrong dtype": Broken(
        lambda d: _save(d, lambda a: a.update(fig=np.ones((N_ROWS, 6), dtype=int))), "int64"
    ),
    "pickled": Broken(
        lambda d: _save(d, lambda a: a.update(fig=np.array([{}], dtype=object))), "pickled"
    ),
    "another width": Broken(
        lambda d: _save(d, lambda a: a.update(fig=a["fig"][:, :4])), "4 columns"
    ),
    "too few rows for the words": Broken(
        lambda d: _save(d, lambda a: a.update(fig=a["fig"][:20])), "20 rows"
    ),
    "wrong row count": Broken(
        lambda d: (d / "respdict.json").write_text(json.dumps({"fig": 99})), "wanted 79 rows"
    ),
    "empty text": Broken(
        lambda d: save_words(d, [*word_lines(STORIES[:5]), "fig,sp,9.0,9.5", "fig,{br},12.0,12.5"]),
        "no words",
    ),
    "duplicate word times": Broken(lambda d: _lines(d, lambda w: w.insert(1, w[0])), "same times"),
    "words beyond the end": Broken(
        lambda d: _lines(d, lambda w: w.append("fig,late,500.0,500.5")), "a word at 500 s"
    ),
    "words out of order": Broken(lambda d: _lines(d, lambda w: w.reverse()), "after a word at"),
    "time is a word": Broken(lambda d: _lines(d, lambda w: w.append("fig,x,soon,later")), "soon"),
    "no word table": Broken(lambda d: (d / "words.csv").unlink(), "0 word tables"),
    "no responses": Broken(
        lambda d: [(d / f"{s}.npz").unlink() for s in ("P1", "P2")], "no file of responses"
    ),
    "facts with a wrong key": Broken(
        lambda d: (d / "dataset.json").write_text('{"TR": 2}'), "unknown key 'TR'"
    ),
    "facts not JSON": Broken(lambda d: (d / "dataset.json").write_text("tr = 2"), "no valid JSON"),
    "labels of another number": Broken(
        lambda d: (d / "dataset.json").write_text('{"labels": ["a"]}'), "1 labels"
    ),
    "a subject without test stories": Broken(
        lambda d: np.savez(d / "P2.npz", **responses(STORIES[:4])), "split for subject P2"
    ),
    "repeated story called test": Broken(
        lambda d: _rename_fig(d, "test"), "a repeated story called 'test'"
    ),
}


def _rename_fig(folder: Path, name: str) -> None:
    stories = [name if story == "fig" else story for story in STORIES]
    save_words(folder, word_lines(stories))
    for seed, subject in enumerate(("P1", "P2")):
        np.savez(folder / f"{subject}.npz", **responses(stories, seed=seed))
    (folder / "dataset.json").write_text(json.dumps({"repeated": {name: 2}}))


@pytest.mark.parametrize("kind", DATA)
def test_broken_data_are_refused(
    cli: Cli, study_file: StudyFile, data: Path, tmp_path: Path, kind: str
) -> None:
    DATA[kind].breaks(data)
    split = NAMED if kind != "repeated story called test" else {"counts": [3, 1, 1]}
    done = cli("run", study_file({"split": split}, data=data), "--out", tmp_path / "out")
    assert_refused(done, DATA[kind].said, tmp_path / "out")


def _cut_textgrid(tree: Path) -> None:
    path = tree / "derivative" / "TextGrids" / "cedar.TextGrid"
    path.write_text(path.read_text()[:1500], encoding="utf-8")


def _recording(tree: Path) -> Path:
    return tree / "derivative" / "preprocessed_data" / "UTS01" / "cedar.hf5"


def _other_rows(tree: Path) -> None:
    with h5py.File(_recording(tree), "w") as file:
        file["data"] = responses(["cedar"], n_rows=N_ROWS - 1)["cedar"]


TREES = {
    "truncated hf5": Broken(lambda tree: _truncate(_recording(tree)), "cedar.hf5"),
    "empty hf5": Broken(lambda tree: _recording(tree).write_bytes(b""), "cedar.hf5"),
    "TextGrid cut short": Broken(_cut_textgrid, "cedar.TextGrid"),
    "wrong row count": Broken(_other_rows, "47 rows"),
}


@pytest.mark.parametrize("kind", TREES)
def test_a_broken_tree_is_refused(
    cli: Cli, study_file: StudyFile, tmp_path: Path, kind: str
) -> None:
    tree = save_lebel_tree(tmp_path / "ds003020")
    TREES[kind].breaks(tree)
    changes = {"dataset": {"reader": "lebel2023"}, "split": {"counts": [2, 1, 1]}}
    done = cli("run", study_file(changes, data=tree), "--out", tmp_path / "out")
    assert_refused(done, TREES[kind].said, tmp_path / "out")
    check = cli("data", "check", tree, "--reader", "lebel2023")
    assert check.code == 2
    assert TREES[kind].said in check.out + check.err


SPLIT_FILES = {
    "not JSON": ("train: apple", "cannot be read"),
    "a list": ("[]", "a JSON list"),
    "extra key": (json.dumps({"trian": []}), "trian"),
    "empty": ("{}", "no list"),
    "unknown story": (
        json.dumps({"train": ["aple"], "validation": ["birch"], "test": ["fig"]}),
        "Did you mean 'apple'?",
    ),
}


@pytest.mark.parametrize("kind", SPLIT_FILES)
def test_a_bad_split_file_is_refused(
    cli: Cli, study_file: StudyFile, data: Path, tmp_path: Path, kind: str
) -> None:
    text, said = SPLIT_FILES[kind]
    (data / "split.json").write_text(text, encoding="utf-8")
    path = study_file({"split": {"counts": None, "file": "split.json"}}, data=data)
    assert_refused(cli("run", path, "--out", tmp_path / "out"), said, tmp_path / "out")


@pytest.mark.parametrize(
    ("breaks", "said"),
    [
        (lambda folder: (folder / "model.safetensors").unlink(), "no weights"),
        (lambda folder: (folder / "tokenizer.json").unlink(), "no tokenizer"),
        (lambda folder: (folder / "config.json").write_text("{"), "config.json"),
        (lambda folder: _truncate(folder / "model.safetensors"), "weights that fail"),
    ],
    ids=["weights", "tokenizer", "config", "truncated weights"],
)
def test_an_incomplete_checkpoint_is_refused(
    cli: Cli,
    study_file: StudyFile,
    checkpoint: Path,
    tmp_path: Path,
    breaks: Callable[[Path], object],
    said: str,
) -> None:
    broken = shutil.copytree(checkpoint, tmp_path / "model")
    breaks(broken)
    path = study_file({"features": {"one": {"model": str(broken)}}})
    assert_refused(cli("run", path, "--out", tmp_path / "out"), said, tmp_path / "out")
