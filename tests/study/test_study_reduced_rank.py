"""Arms that read a reduced-rank projection, from the study file to the store."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from study_trees import STORIES, Cli, StudyFile, responses, save_own_data

from brainaligner.study import load_study

TALES = (*STORIES, "grape", "hazel", "iris")
TRAINED = TALES[:6]
NAMED = {"train": list(TRAINED), "validation": ["grape"], "test": ["hazel", "iris"]}
RANKS = {"rank": [2, 4], "alpha": [10, 1000]}


def changes(**arms: Any) -> dict[str, Any]:
    """The tiny study with one arm for each keyword, which says what its projection is."""
    common = {"features": ["one", "two"], "design": {"nuisance": "with"}}
    made = {name: common | {"reduced_rank": asked} for name, asked in arms.items()}
    return {"split": {"counts": None} | NAMED, "arms": {"first": None, "second": None} | made}


@pytest.fixture
def nine(tmp_path: Path) -> Path:
    """Nine stories, two subjects, to break."""
    return save_own_data(tmp_path / "nine", stories=TALES)


def recipes(out: Path, stage: str) -> dict[str, dict[str, Any]]:
    """Recipes of a stage, by key."""
    found = (out / "store" / stage).glob("*/recipe.json")
    return {path.parent.name: json.loads(path.read_text()) for path in found}


def rewrite(data: Path, subject: str, story: str, *, seed: int) -> None:
    """Give a subject other responses to one story."""
    with np.load(data / f"{subject}.npz") as archive:
        kept = {name: archive[name] for name in archive.files}
    kept[story] = responses([story], seed=seed)[story]
    np.savez(data / f"{subject}.npz", **kept)


def kernels(out: Path, key: str) -> list[np.ndarray]:
    """``W W'`` of each fold's projection, without its scale: what no rotation changes."""
    with np.load(out / "store" / "projection" / key / "projection.npz") as archive:
        names = sorted(name for name in archive.files if name.startswith("weights/"))
        weights = [archive[name] for name in names]
    return [w @ w.T / np.trace(w @ w.T) for w in weights]


def test_a_study_of_all_forms_runs_and_says_so(
    cli: Cli, study_file: StudyFile, nine: Path, tmp_path: Path
) -> None:
    study = study_file(
        changes(
            fixed={"rank": [3], "alpha": [100]},
            chosen=RANKS,
            whole=RANKS | {"form": "one-stage"},
            folds=RANKS | {"cross_fit": 3},
        ),
        data=nine,
    )
    out = tmp_path / "out"
    done = cli("run", study, "--out", out)
    assert done.code == 0, done.err
    page = (out / "tiny" / "report.html").read_text()
    for words in (
        "two-stage reduced-rank regression over all subjects",
        "cross-fitted in 3 folds",
        "no ridge after",
        "rank 3, first alpha 100, then",
    ):
        assert words in page
    found = recipes(out, "projection").values()
    assert len(found) == 4
    for recipe in found:
        read = {name for name in recipe["inputs"] if name.startswith("responses/")}
        stories = {name.split("/")[2] for name in read}
        chooses = len(recipe["settings"]["reduced_rank"]["rank"]) > 1
        assert stories == set(TRAINED) | ({"grape"} if chooses else set())
        assert {name.split("/")[1] for name in read} == {"P1", "P2"}
    once = sorted(recipes(out, "projection"))
    assert cli("run", study, "--out", out).code == 0
    assert sorted(recipes(out, "projection")) == once


def test_what_a_test_story_does_to_the_brain_changes_no_projection(
    cli: Cli, study_file: StudyFile, nine: Path, tmp_path: Path
) -> None:
    study = study_file(changes(chosen=RANKS), data=nine)
    assert cli("run", study, "--out", tmp_path / "out").code == 0
    before = set(recipes(tmp_path / "out", "projection"))
    rewrite(nine, "P2", "iris", seed=99)
    assert cli("run", study, "--out", tmp_path / "out").code == 0
    assert set(recipes(tmp_path / "out", "projection")) == before
    rewrite(nine, "P2", "apple", seed=98)
    assert cli("run", study, "--out", tmp_path / "out").code == 0
    assert len(recipes(tmp_path / "out", "projection")) == 2


def test_a_storys_rows_come_from_a_projection_that_knows_no_brain_that_heard_it(
    cli: Cli, study_file: StudyFile, nine: Path, tmp_path: Path
) -> None:
    study = study_file(changes(folds={"rank": [3], "alpha": [100], "cross_fit": 3}), data=nine)
    out = tmp_path / "out"
    assert cli("run", study, "--out", out).code == 0
    ((first, recipe),) = recipes(out, "projection").items()
    folds = recipe["settings"]["folds"]
    assert sorted(story for fold in folds for story in fold) == sorted(TRAINED)
    rewrite(nine, "P2", "cedar", seed=98)
    assert cli("run", study, "--out", out).code == 0
    (second,) = set(recipes(out, "projection")) - {first}
    own = next(i for i, fold in enumerate(folds) if "cedar" in fold)
    for i, (a, b) in enumerate(zip(kernels(out, first), kernels(out, second), strict=True)):
        if i == own:
            np.testing.assert_allclose(a, b, atol=1e-9)
        else:
            assert np.abs(a - b).max() > 1e-3


def test_stories_that_a_subject_lacks_are_not_fitted_to_and_still_read(
    cli: Cli, study_file: StudyFile, nine: Path, tmp_path: Path
) -> None:
    with np.load(nine / "P2.npz") as archive:
        kept = {name: archive[name] for name in archive.files if name != "birch"}
    np.savez(nine / "P2.npz", **kept)
    study = study_file(changes(fixed={"rank": [2], "alpha": [10]}), data=nine)
    out = tmp_path / "out"
    done = cli("run", study, "--out", out)
    assert done.code == 0, done.err
    ((key, recipe),) = recipes(out, "projection").items()
    assert "responses/P1/birch" not in recipe["inputs"]
    choice = json.loads((out / "store/projection" / key / "choice.json").read_text())
    assert choice["left_out"] == ["birch"]
    readouts = recipes(out, "readout").values()
    assert any("responses/birch" in readout["inputs"] for readout in readouts)


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"reduced_rank": {"rank": [0]}}, "rank"),
    ({"reduced_rank": {"rnak": [2]}}, "rnak"),
    ({"reduced_rank": {"form": "none"}}, "form"),
    ({"reduced_rank": {"cross_fit": 1}}, "cross_fit"),
    ({"reduced_rank": {"cross_fit": 3, "form": "one-stage"}}, "cross_fit"),
    ({"reduced_rank": {}, "banded": {}}, "banded"),
    ({"reduced_rank": {}, "design": {"nuisance": "alone"}}, "nuisance"),
    (
        {"reduced_rank": {"form": "one-stage"}, "ridge": {"selection": "leave_story_out"}},
        "leave_story_out",
    ),
    ({"reduced_rank": {"rank": [2], "alpha": [1], "cross_fit": 7}}, "7 or more"),
]


@pytest.mark.parametrize(("arm", "word"), REFUSED)
def test_it_refuses_before_any_work(
    cli: Cli, study_file: StudyFile, nine: Path, tmp_path: Path, arm: dict[str, Any], word: str
) -> None:
    asked = changes() | {"arms": {"first": None, "second": None, "x": {"features": ["one"]} | arm}}
    done = cli("run", study_file(asked, data=nine), "--out", tmp_path / "out")
    assert done.code == 2
    assert word in done.err
    assert not (tmp_path / "out").exists()


def test_a_rank_beyond_the_data_is_refused(
    cli: Cli, study_file: StudyFile, nine: Path, tmp_path: Path
) -> None:
    asked = changes(wide={"rank": [13], "alpha": [1]})
    done = cli("run", study_file(asked, data=nine), "--out", tmp_path / "out")
    assert done.code == 2
    assert "at most 12" in done.err


def test_the_packaged_frontier_has_every_row_of_the_table() -> None:
    config = load_study("linear-frontier")
    referenced = [name for name, arm in config.arms.items() if arm.reference]
    assert len(referenced) == 12
    chosen = config.arms["chosen-with-nuisance"].reduced_rank
    assert chosen is not None
    assert chosen.n_choices > 1
    assert not config.arms["chosen-with-nuisance"].reference
