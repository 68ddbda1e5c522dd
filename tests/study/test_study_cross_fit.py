"""Cross-fitted tuned arms, from the study file to scores: out of fold, aligned, averaged."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.linalg import orthogonal_procrustes
from study_trees import STORIES, Cli, artifacts, made_stages, merged, save_study
from tuning_trees import keys, recipes, recordings, save_listeners, tuned_study, tuning

from brainaligner.core import story_folds
from brainaligner.study import RunOptions, audit_run, load_study, run_study
from brainaligner.study import _features as features_stage

TRAIN = ("apple", "birch", "cedar", "daisy")
VALIDATION, TEST = "elder", "fig"
SPLIT = {"train": [*TRAIN], "validation": [VALIDATION], "test": [TEST], "test_repeated": None}
FOLDS = story_folds(TRAIN, 2)
SUBJECTS = ("UTS01", "UTS02")
DELAYS = (1, 2)


def study(checkpoint: Path, data: Path, tunings: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    subjects = {"dataset": {"subjects": ["UTS01"]}}
    return merged(merged(tuned_study(checkpoint, data, tunings), {"split": SPLIT} | subjects), more)


def listeners(folder: Path) -> Path:
    """Listeners whose stories were all heard once."""
    data = save_listeners(folder, SUBJECTS)
    facts = json.loads((data / "dataset.json").read_text(encoding="utf-8"))
    facts.pop("repeated")
    (data / "dataset.json").write_text(json.dumps(facts), encoding="utf-8")
    import h5py

    for subject in SUBJECTS:
        with h5py.File(data / f"{subject}.hf5", "a") as file:
            del file["repeats"]
    return data


def run(folder: Path, content: dict[str, Any]) -> Path:
    path = save_study(folder / "study.yaml", content)
    run_study(load_study(str(path)), RunOptions(folder / "out", threads=1))
    return folder / "out"


@pytest.fixture(scope="module")
def place(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished study: cross-fitted with and without brain, of another listener, and plain."""
    folder = tmp_path_factory.mktemp("crossed")
    data = listeners(folder / "data")
    tunings = {
        "pca": tuning(checkpoint, "pca", cross_fit=2),
        "other": tuning(checkpoint, "other", cross_fit=2),
        "text": tuning(checkpoint, cross_fit=2),
        "dipped": tuning(checkpoint, "pca"),
    }
    arms = {
        "both": {"features": ["pca", "text"]},
        "unscaled": {"features": ["pca"], "design": {"scaling": "none"}},
    }
    dataset = {"subjects": [*SUBJECTS]}
    run(folder, study(checkpoint, data, tunings, arms=arms, dataset=dataset))
    return folder


@pytest.fixture(scope="module")
def run_json(place: Path) -> dict[str, Any]:
    return json.loads((place / "out" / "tuned" / "run.json").read_text(encoding="utf-8"))


def _readout(place: Path, run_json: dict[str, Any], arm: str, subject: str) -> dict[str, Any]:
    key = run_json["recipes"][f"{arm}, {subject}: readout"]
    return recipes(place / "out", "readout")[key]


CROSSED = ("pca", "other", "text", "both", "unscaled")


@pytest.mark.parametrize("subject", SUBJECTS)
@pytest.mark.parametrize("arm", CROSSED)
def test_recipes_prove_that_every_row_is_out_of_fold(
    place: Path, run_json: dict[str, Any], arm: str, subject: str
) -> None:
    """Walk from a readout to the responses that each model behind its rows was tuned on."""
    out = place / "out"
    readout = _readout(place, run_json, arm, subject)
    trained = [story for story, *_ in readout["settings"]["train"]]
    assert set(trained) == set(TRAIN)
    stages = {stage: recipes(out, stage) for stage in ("features", "tuning", "brain", "head")}
    crossed = readout["settings"]["cross_fit"]
    assert len(crossed) == (2 if arm == "both" else 1)
    for place_of, folds in crossed.items():
        assert sorted(s for fold in folds for s in fold["held_out"]) == sorted(TRAIN)
        assert [tuple(fold["held_out"]) for fold in folds] == list(FOLDS)
        for fold in folds:
            key = readout["inputs"][f"{place_of}/fold{fold['fold']}"]
            tuned = stages["tuning"][stages["features"][key]["inputs"]["tuning"]]
            assert stages["features"][key]["inputs"]["tuning"] == fold["tuning"]
            settings = tuned["settings"]
            assert settings["train"] == fold["tuned_on"]
            assert settings["validation"] == fold["stopped_on"]
            seen = {*settings["train"], *settings["validation"]}
            assert seen == set(TRAIN) - set(fold["held_out"])
            head = stages["head"][tuned["inputs"]["head"]]
            brain = stages["brain"].get(tuned["inputs"].get("brain", ""))
            assert (brain is None) == (fold["brain_of"] is None) == (not fold["responses"])
            unseen = {*fold["held_out"], VALIDATION, TEST}
            for recipe in (tuned, head, *([brain] if brain else [])):
                assert not [story for story in unseen if story in json.dumps(recipe)]
            if brain:
                named = {n: d for n, d in brain["inputs"].items() if n.startswith("responses/")}
                assert named == {f"responses/{s}": d for s, d in fold["responses"].items()}
                assert set(fold["responses"]) == seen
                assert set(brain["settings"]["fitted_on"]) <= seen
                own = {readout["inputs"][f"responses/{s}"] for s in fold["held_out"]}
                assert not own & set(fold["responses"].values())
    assert readout["inputs"].keys() >= {f"responses/{s}" for s in (*TRAIN, VALIDATION)}
    assert f"responses/{TEST}" not in readout["inputs"]


def test_the_plain_protocol_is_marked_and_no_other_arm(run_json: dict[str, Any]) -> None:
    said = {f["where"] for f in run_json["findings"] if "without cross-fitting" in f["text"]}
    assert said == {"dipped"}
    assert "2 folds of training stories" in run_json["about"]["cross-fitting"]
    assert "dipped" not in run_json["about"]["cross-fitting"]


def test_the_audit_warns_of_the_plain_protocol_alone(run_json: dict[str, Any]) -> None:
    audit = run_json["audit"]
    assert not audit["faults"]
    named = [w["where"] for w in audit["warnings"] if w["name"] == "not-cross-fitted"]
    assert {where.split(",")[0] for where in named} == {"dipped"}
    assert "designs that entered follow from stored features and words" in audit["proven"]
    assert not {u["name"] for u in audit["unproven"]} & {"designs", "predictions"}


def test_features_of_folds_that_training_text_did_not_align_are_named(
    place: Path, tmp_path: Path
) -> None:
    """One fold's rotation is another orthogonal matrix: all numbers stay plausible."""
    out = shutil.copytree(place / "out", tmp_path / "out")
    path = sorted((out / "store" / "alignment").glob("*/rotation.npz"))[0]
    with np.load(path) as file:
        rotation = file["rotation"]
    np.savez(path, rotation=np.roll(rotation, 1, axis=1))
    named = {fault.name for fault in audit_run(out / "tuned", thorough=False).faults}
    assert "features-not-reproduced" in named


def test_arms_seeds_and_layers_share_what_they_can(place: Path) -> None:
    made = {stage: len(found) for stage, found in keys(place / "out", *_STAGES).items()}
    own, shared = 2 * len(SUBJECTS), 2  # models of a brain's folds; text alone knows no subject
    assert made == {
        "head": 3,  # one for each fold, one for the plain protocol: subjects share them
        "brain": 2 * own + len(SUBJECTS),
        "tuning": 2 * own + shared + len(SUBJECTS),
        "features": 1 + 2 * own + shared + len(SUBJECTS),
        "alignment": 3 * own + shared,  # unscaled features have their own
    }


_STAGES = ("head", "brain", "tuning", "features", "alignment")


def _delayed(rows: np.ndarray) -> np.ndarray:
    blocks = []
    for delay in DELAYS:
        block = np.zeros_like(rows)
        block[delay:] = rows[:-delay]
        blocks.append(block)
    return np.hstack(blocks)


def _z(rows: np.ndarray) -> np.ndarray:
    rows = rows.astype(np.float64)
    std = rows.std(axis=0)
    return (rows - rows.mean(axis=0)) / np.where(std > 0, std, 1.0)


def _feature_rows(place: Path, key: str) -> dict[str, np.ndarray]:
    with np.load(place / "out" / "store" / "features" / key / "features.npz") as arrays:
        return {name: arrays[name].astype(np.float64) for name in arrays.files}


def _aligned_by_hand(
    place: Path, readout: dict[str, Any], *, scaled: bool
) -> Callable[[str], list[np.ndarray]]:
    """Design rows of a story from each model behind it, through scipy."""
    scale = _z if scaled else np.asarray
    (frozen,) = [k for k, r in recipes(place / "out", "features").items() if "model" in r["inputs"]]
    common = _feature_rows(place, frozen)
    models = []
    for fold in readout["settings"]["cross_fit"]["features/0"]:
        rows = _feature_rows(place, readout["inputs"][f"features/0/fold{fold['fold']}"])
        stacked = [np.vstack([scale(one[s]) for s in TRAIN]) for one in (rows, common)]
        turn, _ = orthogonal_procrustes(*stacked)
        models.append({story: _delayed(scale(values) @ turn) for story, values in rows.items()})
    held_out = [fold["held_out"] for fold in readout["settings"]["cross_fit"]["features/0"]]
    return lambda story: (
        [m[story] for m, own in zip(models, held_out, strict=True) if story in own]
        or [m[story] for m in models]
    )


@pytest.mark.parametrize(("arm", "scaled"), [("pca", True), ("text", True), ("unscaled", False)])
def test_predictions_are_the_mean_of_each_fold_models_predictions(
    place: Path, run_json: dict[str, Any], arm: str, scaled: bool
) -> None:
    """The whole readout by numpy and scipy: rotation, rows, alpha, ridge, averaged predictions."""
    readout = _readout(place, run_json, arm, "UTS01")
    rows, measured = _aligned_by_hand(place, readout, scaled=scaled), recordings("UTS01")
    x = np.vstack([rows(story)[0] for story in TRAIN])
    y = np.vstack([measured[story] for story in TRAIN]).astype(np.float64)
    assert [len(rows(story)) for story in (*TRAIN, VALIDATION, TEST)] == [1, 1, 1, 1, 2, 2]

    def predicted(story: str, alpha: float) -> np.ndarray:
        weights = np.linalg.solve(x.T @ x + alpha * np.eye(x.shape[1]), x.T @ y)
        return np.mean([design @ weights for design in rows(story)], axis=0)

    def score(alpha: float) -> float:
        pairs = zip(predicted(VALIDATION, alpha).T, measured[VALIDATION].T, strict=True)
        return float(np.mean([np.corrcoef(p, m)[0, 1] for p, m in pairs]))

    alpha = max((1.0, 100.0, 10000.0), key=score)
    folder = place / "out" / "store" / "readout" / run_json["recipes"][f"{arm}, UTS01: readout"]
    with np.load(folder / "alpha.npz") as arrays:
        assert arrays["alpha"][0] == alpha
    with np.load(folder / "predictions.npz") as arrays:
        found = np.hstack([arrays[name] for name in sorted(arrays.files)])
    np.testing.assert_allclose(found, predicted(TEST, alpha), atol=2e-4)


def test_tables_sum_up_folds_and_run_json_has_each(run_json: dict[str, Any]) -> None:
    facts = [t for t in run_json["tunings"] if (t["tuning"], t["subject"]) == ("pca", "UTS02")]
    assert [t["fold"] for t in facts] == [1, 2]
    assert len({t["model"] for t in facts}) == 2
    (table,) = [t for t in run_json["tables"] if "Tuned models" in t["title"]]
    rows = [dict(zip(table["columns"], row, strict=True)) for row in table["rows"]]
    assert len(rows) == 4 * len(SUBJECTS)
    (row,) = [r for r in rows if list(r.values())[:2] == ["UTS02, 0", "pca (brain: pca, 2 folds)"]]
    moved = np.mean([max(t["moved"].values()) for t in facts])
    bits = np.mean([t["bits"]["true"] for t in facts])
    assert row["moved most"] == f"{moved:.2%}"
    assert float(row["bits per masked token true"]) == pytest.approx(bits, abs=6e-4)
    assert {t["fold"] for t in run_json["tunings"] if t["tuning"] == "dipped"} == {None}


def test_a_lost_fold_alone_is_tuned_again(place: Path, tmp_path: Path) -> None:
    out = shutil.copytree(place / "out", tmp_path / "out")
    config = load_study(str(place / "study.yaml"))
    key = next(iter(recipes(out, "tuning")))
    model = (out / "store" / "tuning" / key / "model" / "model.safetensors").read_bytes()
    shutil.rmtree(out / "store" / "tuning" / key)
    before = artifacts(out)
    run_study(config, RunOptions(out, threads=1))
    assert made_stages(before, artifacts(out)) == {"tuning": 1}
    assert (out / "store" / "tuning" / key / "model" / "model.safetensors").read_bytes() == model


def test_a_plan_prices_each_fold_once(place: Path, cli: Cli, tmp_path: Path) -> None:
    done = cli("run", place / "study.yaml", "--out", tmp_path / "new", "--plan", "--json")
    assert done.code == 0, done.err
    assert not (tmp_path / "new").exists()
    stages = json.loads(done.out)["stages"]
    names = [stage["stage"] for stage in stages]
    for stage in (*_STAGES, "decomposition", "readout"):
        assert names.count(stage) == len(recipes(place / "out", stage)), stage
    assert len({(s["stage"], s["what"]) for s in stages}) == len(stages)
    assert all(s["flop"] > 0 for s in stages)
    large = (*_STAGES, "decomposition", "readout")  # diagnostics leave next to nothing
    assert all(s["disk"] > 0 for s in stages if s["stage"] in large)
    again = cli("run", place / "study.yaml", "--out", place / "out", "--plan", "--json")
    assert all(stage["done"] for stage in json.loads(again.out)["stages"])


def _means(out: Path) -> dict[str, float]:
    rows = csv.DictReader(
        (out / "tuned" / "table.tsv").read_text(encoding="utf-8").splitlines(), delimiter="\t"
    )
    return {r["arm"]: float(r["r_mean"]) for r in rows if r["rows_cut"] == "0"}


def test_models_that_did_not_move_score_as_the_frozen_one(checkpoint: Path, tmp_path: Path) -> None:
    """With a learning rate that changes no float32 weight all fold models are the same."""
    data = listeners(tmp_path / "data")
    still = {"learning_rate": 1e-30, "weight_decay": 0.0}
    tunings = {
        "still": tuning(checkpoint, "all", cross_fit=2, aligner=still),
        "once": tuning(checkpoint, "all", aligner=still),
    }
    out = run(tmp_path, study(checkpoint, data, tunings))
    with np.load(out / "tuned" / "scores.npz") as arrays:
        plain, still_r, once = (arrays[f"{a}/UTS01/test/cut0"] for a in ("plain", "still", "once"))
    np.testing.assert_allclose(still_r, plain, atol=1e-5)
    np.testing.assert_allclose(once, plain, atol=1e-6)
    for key in recipes(out, "alignment"):
        with np.load(out / "store" / "alignment" / key / "rotation.npz") as arrays:
            np.testing.assert_allclose(arrays["rotation"], np.eye(16), atol=1e-8)


def test_learning_by_heart_misleads_without_cross_fitting_alone(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A planted double dip: features hold the responses of stories the model was tuned on."""
    data, measured = listeners(tmp_path / "data"), recordings("UTS01")
    states = features_stage._states

    def by_heart(space: Any, layers: Any, *rest: Any) -> Any:
        made = states(space, layers, *rest)
        if "tuning" not in space.recipe.inputs:
            return made
        folder = tmp_path / "out" / "store" / "tuning" / space.recipe.inputs["tuning"]
        seen = json.loads((folder / "recipe.json").read_text(encoding="utf-8"))["settings"]
        for layer in made.values():
            for story, rows in layer.items():
                if story in (*seen["train"], *seen["validation"]):
                    # row t is read at t + 1: the delays of the design bring it to its responses
                    rows[:-1, :8] = 5 * measured[story][1:]
        return made

    monkeypatch.setattr(features_stage, "_states", by_heart)
    ridge = {"ridge": {"selection": "leave_story_out"}}
    tunings = {
        "dipped": tuning(checkpoint, "all"),
        "crossed": tuning(checkpoint, "all", cross_fit=2),
    }
    out = run(tmp_path, study(checkpoint, data, tunings, defaults=ridge))
    record = json.loads((out / "tuned" / "run.json").read_text(encoding="utf-8"))

    def inner(arm: str) -> float:
        key = record["recipes"][f"{arm}, UTS01: readout"]
        with np.load(out / "store" / "readout" / key / "alpha.npz") as arrays:
            return float(arrays["validation_r"].mean(axis=1).max())

    assert inner("dipped") > 0.8  # training stories look as if they were understood
    assert inner("crossed") < 0.2  # responses are noise: there is nothing to understand
    assert all(abs(r) < 0.3 for r in _means(out).values())


def test_a_subject_without_a_story_keeps_the_folds_of_all(checkpoint: Path, tmp_path: Path) -> None:
    import h5py

    data = listeners(tmp_path / "data")
    with h5py.File(data / "UTS02.hf5", "a") as file:
        del file[FOLDS[0][0]]
    tunings = {"text": tuning(checkpoint, cross_fit=4)}
    content = study(checkpoint, data, tunings, dataset={"subjects": [*SUBJECTS]})
    from brainaligner.study._lay_out import lay_out_study, price_plan

    path = save_study(tmp_path / "study.yaml", content)
    options = RunOptions(tmp_path / "out", threads=1)
    stages, _ = price_plan(*lay_out_study(load_study(str(path)), options), options)
    tuned = [stage.what for stage in stages if stage.stage == "tuning"]
    missing = [k for k, fold in enumerate(story_folds(TRAIN, 4), 1) if FOLDS[0][0] in fold]
    kept = [k for k in range(1, 5) if k not in missing]
    assert sorted(tuned) == sorted(
        [f"text, UTS01, seed 0, fold {k} of 4" for k in range(1, 5)]
        + [f"text, UTS02, seed 0, fold {k} of 4" for k in kept]
    )


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "one fold": ({"cross_fit": 1}, "two folds or more, or null"),
    "no fold": ({"cross_fit": 0}, "two folds or more, or null"),
    "less than none": ({"cross_fit": -5}, "two folds or more, or null"),
    "a word": ({"cross_fit": "all"}, "tunings.one.cross_fit"),
    "a half": ({"cross_fit": 2.5}, "tunings.one.cross_fit"),
    "a list": ({"cross_fit": [2]}, "tunings.one.cross_fit"),
    "more folds than stories": ({"cross_fit": 5}, "5 folds of 4 training stories"),
    "nothing left to learn from": ({"cross_fit": 2, "validation_stories": 2}, "fold 1 of 2"),
    "a near miss": ({"crossfit": 2}, "Did you mean 'cross_fit'?"),
}


@pytest.mark.parametrize("kind", BAD)
def test_bad_folds_are_refused(
    place: Path, checkpoint: Path, cli: Cli, tmp_path: Path, kind: str
) -> None:
    changes, said = BAD[kind]
    content = study(checkpoint, place / "data", {"one": tuning(checkpoint, **changes)})
    path = save_study(tmp_path / "study.yaml", content)
    done = cli("run", path, "--out", tmp_path / "out")
    assert done.code == 2
    assert done.lines[-1].startswith("error: ")
    assert said in done.lines[-1]
    assert not (tmp_path / "out").exists()


def test_different_numbers_of_folds_in_one_study_are_refused(
    place: Path, checkpoint: Path, cli: Cli, tmp_path: Path
) -> None:
    tunings = {"one": tuning(checkpoint, cross_fit=2), "two": tuning(checkpoint, cross_fit=3)}
    path = save_study(tmp_path / "study.yaml", study(checkpoint, place / "data", tunings))
    done = cli("run", path, "--out", tmp_path / "out")
    assert done.code == 2
    assert "one number in a study" in done.lines[-1]


def test_a_tuning_is_cross_fitted_unless_the_study_says_otherwise(
    place: Path, checkpoint: Path, tmp_path: Path
) -> None:
    entry = {"model": str(checkpoint)}
    path = save_study(tmp_path / "study.yaml", study(checkpoint, place / "data", {"one": entry}))
    assert load_study(str(path)).tunings["one"].cross_fit == 5
    assert set(STORIES) == {*TRAIN, VALIDATION, TEST}
