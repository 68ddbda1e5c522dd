"""Studies that are laid out and not run: what their keys follow from, and what they will need."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from study_trees import N_ROWS, N_VOXELS, STORIES, merged, save_study, tiny_study, word_lines
from test_study_objectives import TINY
from tuning_trees import save_listeners, tuned_study, tuning

from brainaligner.core import InputError
from brainaligner.study import RunOptions, Store, _pricing, load_study
from brainaligner.study._cluster import run_on_cluster
from brainaligner.study._cluster_config import ClusterConfig
from brainaligner.study._lay_out import lay_out_study
from brainaligner.study._null_battery import other_tasks
from brainaligner.study._plan import Plan
from brainaligner.study._tuning_task import tuning_bytes


def laid_out(folder: Path, study: dict[str, Any]) -> tuple[Plan, Store]:
    """Lay out a study with its store in a folder."""
    config = load_study(str(save_study(folder / "study.yaml", study)))
    return lay_out_study(config, RunOptions(folder / "out"))


def brain_keys(plan: Plan) -> dict[str, str]:
    """Keys of the brain vectors by entry of ``brains``."""
    return {brain.name: brain.recipe.key for t in plan.tunings.values() for brain in t.brains}


def test_vectors_of_brainlm_follow_from_the_spacing_of_rows_where_they_are_resampled(
    checkpoint: Path, tmp_path: Path
) -> None:
    data = save_listeners(tmp_path / "data", ("UTS01",))
    brains = {"resampled": "brainlm", "as-is": "brainlm", "all": "all"}
    tunings = {name: tuning(checkpoint, brain) for name, brain in brains.items()}
    study = tuned_study(checkpoint, data, tunings)
    own = study["brains"]["brainlm"]
    study["brains"]["as-is"] = own | {"brainlm": {"hop": 16, "target_tr": None}}
    study["tunings"]["as-is"]["brain"] = "as-is"
    plan, _ = laid_out(tmp_path, study)
    brains = [brain for t in plan.tunings.values() for brain in t.brains]
    assert all("tr" not in brain.recipe.settings for brain in brains)  # of stores made before
    facts = json.loads((data / "dataset.json").read_text(encoding="utf-8"))
    (data / "dataset.json").write_text(json.dumps(facts | {"tr": 1.8}), encoding="utf-8")
    before, after = brain_keys(plan), brain_keys(laid_out(tmp_path, study)[0])
    assert {name for name in before if before[name] != after[name]} == {"brainlm"}


def test_vectors_follow_from_a_subjects_name_where_it_seeds_a_draw(
    checkpoint: Path, tmp_path: Path
) -> None:
    found = {}
    for name in ("UTS01", "listener"):
        data = save_listeners(tmp_path / name / "data", ("UTS01",))
        (data / "UTS01.hf5").rename(data / f"{name}.hf5")
        brains = ("all", "noise", "pca", "shifted")
        tunings = {brain: tuning(checkpoint, brain) for brain in brains}
        plan, _ = laid_out(tmp_path / name, tuned_study(checkpoint, data, tunings))
        found[name] = brain_keys(plan)
    changed = {brain for brain, key in found["UTS01"].items() if key != found["listener"][brain]}
    assert changed == {"noise", "shifted"}


def test_the_disk_holds_predictions_of_validation_stories(
    checkpoint: Path, sound_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan, store = laid_out(tmp_path, tiny_study(checkpoint, sound_data))
    whole = _pricing.bytes_needed(plan, store)
    monkeypatch.setattr(_pricing, "validation_view", lambda _: None)
    arms, subjects = 2, 2
    assert whole - _pricing.bytes_needed(plan, store) == arms * subjects * 4 * N_ROWS * N_VOXELS


def test_the_disk_holds_states_that_tunings_share(checkpoint: Path, tmp_path: Path) -> None:
    data = save_listeners(tmp_path / "data", ("UTS01",))
    found = {}
    for cache in ("off", "on"):
        settings = TINY | {"cache": cache}
        own = {"joint": merged(tuning(checkpoint, "all", objectives=settings), {"aligner": None})}
        plan, store = laid_out(tmp_path, tuned_study(checkpoint, data, own))
        found[cache] = _pricing.bytes_needed(plan, store)
    words = sum(map(len, (word_lines([story]) for story in STORIES)))
    assert found["on"] - found["off"] > 0.9 * 4 * 16 * words


def test_weights_of_either_format_take_room(checkpoint: Path, tmp_path: Path) -> None:
    data = save_listeners(tmp_path / "data", ("UTS01",))
    pickled = shutil.copytree(checkpoint, tmp_path / "pickled")
    torch.save(load_file(pickled / "model.safetensors"), pickled / "pytorch_model.bin")
    (pickled / "model.safetensors").unlink()
    for file in (checkpoint / "model.safetensors", pickled / "pytorch_model.bin"):
        study = tuned_study(file.parent, data, {"text": tuning(file.parent)})
        plan, store = laid_out(tmp_path, study)
        (task,) = plan.tunings.values()
        assert tuning_bytes(task, store) == 2 * file.stat().st_size


def test_features_of_another_subject_are_those_of_brains_that_are_its_own(
    checkpoint: Path, tmp_path: Path
) -> None:
    data = save_listeners(tmp_path / "data", ("UTS01", "UTS02"))
    on_objectives = merged(tuning(checkpoint, "all", objectives=TINY), {"aligner": None})
    tunings = {
        "own": tuning(checkpoint, "all"),
        "text": tuning(checkpoint),
        "own-objectives": on_objectives,
        "joint": on_objectives | {"subjects": "all"},
        "rest": on_objectives | {"subjects": "others"},
    }
    plan, _ = laid_out(tmp_path, tuned_study(checkpoint, data, tunings))
    tuned = {run.name: {t.tuned for t in other_tasks(plan, run.name)} for run in plan.runs}
    own = ("own", "own-objectives")
    assert tuned == {run.name: {run.name in own} for run in plan.runs}


def test_bands_are_not_decomposed(checkpoint: Path, sound_data: Path, tmp_path: Path) -> None:
    banded = {"banded": {"alphas": [1.0, 10.0], "n_iter": 4}}
    one_stage = {"reduced_rank": {"rank": [2], "alpha": [1.0], "form": "one-stage"}}
    for changes in (banded, one_stage):
        study = merged(tiny_study(checkpoint, sound_data), {"arms": {"second": changes}})
        plan, store = laid_out(tmp_path, study)
        stages = [s for s in _pricing.price(plan, store) if s.stage == "decomposition"]
        assert {stage.what.split(",")[0] for stage in stages} == {"first"}


def test_a_cluster_is_not_started_without_room_on_the_disk(
    checkpoint: Path, sound_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = save_study(tmp_path / "study.yaml", tiny_study(checkpoint, sound_data))
    full = shutil._ntuple_diskusage(2**40, 2**40, 2**10)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: full)
    with pytest.raises(InputError, match="free disk space"):
        run_on_cluster(load_study(str(path)), RunOptions(tmp_path / "out"), ClusterConfig())
    assert not (tmp_path / "out").exists()
