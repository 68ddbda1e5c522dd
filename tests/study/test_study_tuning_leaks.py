"""What a tuned model may know of the brain: changed responses, compared keys and bytes."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from study_trees import save_study
from tuning_trees import (
    keys,
    recipes,
    recordings,
    save_listeners,
    save_recordings,
    tuned_study,
    tuning,
)

from brainaligner.study import RunOptions, load_study, run_study

SUBJECT = "UTS01"
TRAINED = ("brain", "head", "tuning", "features")


def _run(folder: Path, checkpoint: Path) -> Path:
    study = tuned_study(
        checkpoint,
        folder / "data",
        {"es": tuning(checkpoint, "es"), "all": tuning(checkpoint, "all")},
    )
    path = save_study(folder / "study.yaml", study)
    run_study(load_study(str(path)), RunOptions(folder / "out", threads=1))
    return folder / "out"


def _changed(folder: Path, stories: Sequence[str]) -> None:
    """Write the same listener with other responses to some stories."""
    save_listeners(folder / "data", [SUBJECT])
    arrays = recordings(SUBJECT)
    rng = np.random.default_rng(99)
    for story in stories:
        arrays[story] = rng.standard_normal(arrays[story].shape).astype(np.float32)
    save_recordings(folder / "data", SUBJECT, arrays)


@pytest.fixture(scope="module")
def before(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("leaks")
    save_listeners(folder / "data", [SUBJECT])
    return _run(folder, checkpoint)


def _contents(out: Path, stage: str) -> dict[str, bytes]:
    """Payload of each artifact of a stage: all its npz files, by key."""
    paths = sorted((out / "store" / stage).glob("*/*.npz"))
    return {f"{path.parent.name}/{path.name}": path.read_bytes() for path in paths}


def test_test_responses_reach_nothing_but_scores(
    before: Path, checkpoint: Path, tmp_path: Path
) -> None:
    _changed(tmp_path, ["elder", "fig"])
    out = _run(tmp_path, checkpoint)
    stages = (*TRAINED, "decomposition", "readout")
    assert keys(out, *stages) == keys(before, *stages)
    for stage in stages:
        assert _contents(out, stage) == _contents(before, stage)
    assert not keys(out, "scores")["scores"] & keys(before, "scores")["scores"]


def test_validation_responses_of_the_ridge_reach_the_ridge_alone(
    before: Path, checkpoint: Path, tmp_path: Path
) -> None:
    _changed(tmp_path, ["daisy"])
    out = _run(tmp_path, checkpoint)
    assert keys(out, *TRAINED) == keys(before, *TRAINED)
    assert not keys(out, "readout")["readout"] & keys(before, "readout")["readout"]


def _selected(out: Path) -> tuple[dict[str, object], dict[str, np.ndarray]]:
    """Provenance and vectors of the encoding selection."""
    (key,) = [
        key
        for key, recipe in recipes(out, "brain").items()
        if recipe["settings"]["kind"] == "encoding_selection"
    ]
    folder = out / "store" / "brain" / key
    facts = json.loads((folder / "provenance.json").read_text(encoding="utf-8"))
    with np.load(folder / "vectors.npz") as arrays:
        return facts, {name: arrays[name] for name in arrays.files}


def test_validation_responses_of_the_aligner_select_nothing(
    before: Path, checkpoint: Path, tmp_path: Path
) -> None:
    (validation,) = {r["settings"]["validation"][0] for r in recipes(before, "tuning").values()}
    assert validation in ("apple", "birch", "cedar")
    _changed(tmp_path, [validation])
    out = _run(tmp_path, checkpoint)
    (facts, vectors), (known, were) = _selected(out), _selected(before)
    assert facts == known
    assert facts["columns"]
    assert validation not in facts["fitted_on"] + facts["chosen_on"]
    assert set(vectors) == {"apple", "birch", "cedar"}
    for story, values in vectors.items():
        assert np.array_equal(values, were[story]) == (story != validation)


def test_evaluation_features_follow_from_the_tuned_weights_alone(
    before: Path, checkpoint: Path, tmp_path: Path
) -> None:
    """All responses change after training: with the old weights, the old features come back."""
    _changed(tmp_path, ["apple", "birch", "cedar", "daisy", "elder", "fig"])
    out = _run(tmp_path, checkpoint)

    def by_brain(place: Path) -> dict[str, str]:
        kinds = {key: r["settings"]["kind"] for key, r in recipes(place, "brain").items()}
        found = recipes(place, "tuning").items()
        return {kinds[recipe["inputs"]["brain"]]: key for key, recipe in found}

    def features(place: Path) -> dict[str, bytes]:
        kinds = {key: kind for kind, key in by_brain(place).items()}
        return {
            kinds.get(recipe["inputs"].get("tuning", ""), "plain"): (
                place / "store" / "features" / key / "features.npz"
            ).read_bytes()
            for key, recipe in recipes(place, "features").items()
        }

    now, then = features(out), features(before)
    assert set(now) == {"plain", "all", "encoding_selection"}
    assert now["plain"] == then["plain"]
    assert now["all"] != then["all"]  # the weights did follow from the responses
    for kind, key in by_brain(out).items():
        model = out / "store" / "tuning" / key / "model"
        shutil.rmtree(model)
        shutil.copytree(before / "store" / "tuning" / by_brain(before)[kind] / "model", model)
    shutil.rmtree(out / "store" / "features")
    _run(tmp_path, checkpoint)
    assert features(out) == then
