"""Models tuned on objectives, from the study file to scores and audit."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from study_trees import merged, save_study
from test_study_cross_fit import SPLIT, SUBJECTS, TRAIN, listeners
from tuning_trees import recipes, tuned_study

from brainaligner.aligner import StoryMaterial
from brainaligner.core import story_folds
from brainaligner.study import RunOptions, audit_run, load_study, run_study
from brainaligner.study._lay_out import lay_out_study
from brainaligner.study._progress import SilentReporter
from brainaligner.study._tuning import ensure_tuning

TINY = {
    "predict": {},
    "read_layers": [-1],
    "trained_layers": 1,
    "stretch": 12,
    "stretches": 2,
    "learning_rate": 1e-3,
    "evaluations": 1,
    "heads": {"delays": [1, 2], "rank": 3, "alpha": 100.0},
}
LANGUAGE = {"predict": None, "language": {"share": 0.5}}  # None takes the key out


def objectives(checkpoint: Path, brain: str | None = "all", **more: Any) -> dict[str, Any]:
    own = {"model": str(checkpoint), "validation_stories": 1, "objectives": TINY, "cross_fit": 4}
    whose = {"subjects": "all", "head": {"epochs": 1}}
    return merged(own | whose | ({"brain": brain} if brain else {}), more)


def study(checkpoint: Path, data: Path, tunings: dict[str, Any], **more: Any) -> dict[str, Any]:
    return merged(tuned_study(checkpoint, data, tunings), {"split": SPLIT} | more)


def run(folder: Path, content: dict[str, Any]) -> Path:
    path = save_study(folder / "study.yaml", content)
    run_study(load_study(str(path)), RunOptions(folder / "out", threads=1))
    return folder / "out"


REDUCED = {"rank": [2], "alpha": [100.0], "cross_fit": 4}
TUNINGS: dict[str, Callable[[Path], dict[str, Any]]] = {
    "joint": lambda model: objectives(model),
    "text": lambda model: objectives(model, None, objectives=LANGUAGE),
    "rest": lambda model: objectives(model, subjects="others"),
    "own": lambda model: objectives(model, subjects="own") | {"cross_fit": None},
}


@pytest.fixture(scope="module")
def place(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished study: tuned together, on text alone, on others' brains, and on each brain."""
    folder = tmp_path_factory.mktemp("objectives")
    tunings = {name: make(checkpoint) for name, make in TUNINGS.items()}
    arms = {
        "reduced": {"features": ["joint"], "reduced_rank": REDUCED},
        "beside": {"features": ["joint", "plain"], "reduced_rank": REDUCED},
    }
    run(folder, study(checkpoint, listeners(folder / "data"), tunings, arms=arms))
    return folder


@pytest.fixture(scope="module")
def run_json(place: Path) -> dict[str, Any]:
    return json.loads((place / "out" / "tuned" / "run.json").read_text(encoding="utf-8"))


def test_only_tunings_that_hide_brain_activity_have_a_version_of_their_own(
    checkpoint: Path, tmp_path: Path
) -> None:
    tunings = {
        "joint": objectives(checkpoint),
        "hidden": objectives(checkpoint, objectives={"masked_brain": {}}),
        "masked": {"brain": "all", "validation_stories": 1, "cross_fit": 4, "head": {"epochs": 1}},
    }
    path = save_study(
        tmp_path / "study.yaml", study(checkpoint, listeners(tmp_path / "data"), tunings)
    )
    plan, _ = lay_out_study(load_study(str(path)), RunOptions(tmp_path / "out"))
    versions = {(task.name, task.recipe.version) for task in plan.tunings.values()}
    assert versions == {("joint", 1), ("hidden", 2), ("masked", 1)}


def test_brains_enter_in_one_order_whatever_the_order_of_subjects(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = listeners(tmp_path / "data")
    entered: list[list[str]] = []

    def note(before: object, train: StoryMaterial, *_: object, **__: object) -> None:
        entered.append([*train.responses])
        raise KeyboardInterrupt

    monkeypatch.setattr("brainaligner.study._objective_tuning.align", note)
    keys = []
    for subjects in (SUBJECTS, SUBJECTS[::-1]):
        content = study(checkpoint, data, {"joint": objectives(checkpoint)})
        content["dataset"]["subjects"] = list(subjects)
        path = save_study(tmp_path / "study.yaml", content)
        options = RunOptions(tmp_path / "out", threads=1)
        plan, store = lay_out_study(load_study(str(path)), options)
        task = next(iter(plan.tunings.values()))
        keys.append(task.recipe.key)
        with pytest.raises(KeyboardInterrupt):
            ensure_tuning(task, store=store.open(), options=options, reporter=SilentReporter())
    assert keys[0] == keys[1]
    assert entered[0] == entered[1] == sorted(SUBJECTS)


def test_subjects_share_a_joint_model_and_no_other(place: Path) -> None:
    made = recipes(place / "out", "tuning").values()
    counts = {}
    for recipe in made:
        brains = tuple(sorted(name for name in recipe["inputs"] if name.startswith("brain")))
        counts[brains] = counts.get(brains, 0) + 1
    one, two = (f"brain/{subject}" for subject in SUBJECTS)
    # Joint and text: four folds each; on the other: four folds for each subject; own: one each.
    assert counts == {(one, two): 4, (): 4, (one,): 5, (two,): 5}


def test_models_of_a_fold_saw_no_brain_of_its_stories(place: Path) -> None:
    folds = story_folds(TRAIN, 4)
    brains = recipes(place / "out", "brain")
    for recipe in recipes(place / "out", "tuning").values():
        seen = {*recipe["settings"]["train"], *recipe["settings"]["validation"]}
        assert seen <= set(TRAIN)
        for name, key in recipe["inputs"].items():
            if name.startswith("brain/"):
                read = {n for n in brains[key]["inputs"] if n.startswith("responses/")}
                assert {n.removeprefix("responses/") for n in read} == seen
        out = set(TRAIN) - seen
        assert tuple(sorted(out)) in folds or not out


def test_subjects_share_the_projection_of_joint_features(
    place: Path, run_json: dict[str, Any]
) -> None:
    projections = recipes(place / "out", "projection")
    assert len(projections) == 2  # reduced, beside
    for arm in ("reduced", "beside"):
        keys = {run_json["recipes"][f"{arm}, {subject}: readout"] for subject in SUBJECTS}
        assert len(keys) == 2
    for recipe in projections.values():
        assert {n.split("/")[1] for n in recipe["inputs"] if n.startswith("responses/")} == set(
            SUBJECTS
        )


def test_the_run_is_audited_and_every_arm_scored(place: Path, run_json: dict[str, Any]) -> None:
    arms = {row["arm"] for row in run_json["results"]}
    assert {"plain", "reduced", "beside", *TUNINGS} <= arms
    audit = audit_run(place / "out" / "tuned")
    assert {fault.name for fault in audit.faults} == set()
    warned = {warning.name: warning.where for warning in audit.warnings}
    assert warned.keys() == {"not-cross-fitted"}
    assert warned["not-cross-fitted"].startswith("own")
