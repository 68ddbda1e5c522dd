"""The card and the record of an exported model: scores, lineage, licences and stamps."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from export_trees import READERS, card_of, one_model, record_of, stamp, states, stored_joint
from study_trees import Cli
from tuning_trees import REPEATED, recipes

from brainaligner.study import StudyConfig, export_models, load_study
from brainaligner.study._arm_roles import arm_roles
from brainaligner.study._export_record import without_places
from brainaligner.study._licences import base_model, hub_licence, licence_notes


@pytest.fixture(scope="module")
def run_json(exportable: Path) -> dict[str, Any]:
    return json.loads((exportable / "tuned" / "run.json").read_text(encoding="utf-8"))


def test_the_front_matter_is_what_the_hub_reads(exportable: Path, tmp_path: Path) -> None:
    folder, _ = one_model(exportable, "joint", tmp_path / "model")
    front, _ = card_of(folder)
    assert front["library_name"] == "transformers"
    assert front["license"] == "other"
    assert "base_model" not in front  # a folder of one's own has no name on the hub
    assert "language" not in front
    assert {"brain", "fmri", "brainaligner"} <= set(front["tags"])
    assert not {"not-valid", "simulated-data"} & set(front["tags"])


def score_lines(body: str, heading: str) -> dict[str, list[str]]:
    """Cells of one table of scores, by arm."""
    table = body.split(f"### {heading}\n")[1].split("###")[0].split("##")[0]
    rows = [line.strip("|").split("|") for line in table.splitlines() if line.startswith("|")]
    return {cells[0].strip(): [cell.strip() for cell in cells[1:]] for cells in rows[2:]}


@pytest.mark.parametrize("cut", [0, 5])
@pytest.mark.parametrize("group", ["test", REPEATED])
def test_scores_stand_beside_those_of_every_control(
    exportable: Path, run_json: dict[str, Any], group: str, cut: int, tmp_path: Path
) -> None:
    folder, _ = one_model(exportable, "joint", tmp_path / "model")
    rows = f"{cut} rows cut at each end of each story" if cut else "no rows cut"
    repeated = "" if group == "test" else " (repeated presentations, averaged)"
    shown = score_lines(card_of(folder)[1], f"{group}{repeated}, {rows}")
    assert next(iter(shown)) == "joint (of this model)"
    arms = {arm.removesuffix(" (of this model)"): cells for arm, cells in shown.items()}
    assert arms["nuisance-alone"][0].startswith("Z alone")
    assert arms["untrained"][0] == "untrained network"
    assert arms["plain"][0].startswith("frozen")
    assert arms["text.s1"][0] == "tuned on text alone"
    assert arms["shifted"][0] == "tuned on its brain moved in time"
    assert arms["joint-z"][0] == "tuned on brain activity (all), with Z"
    found = [r for r in run_json["results"] if (r["group"], r["rows_cut"]) == (group, cut)]
    assert {result["arm"] for result in found} == arms.keys() - {"other listeners"}
    for result in found:
        cell = arms[result["arm"]][1 + READERS.index(result["subject"])]
        mean = 0.0 if abs(result["mean"]) < 5e-4 else result["mean"]
        assert cell.split()[0] == f"{mean:.3f}"
        low = result["interval"]["low"]
        assert ("[" in cell) == (low is not None)


def test_only_readers_have_scores(exportable: Path, tmp_path: Path) -> None:
    folder, _ = one_model(exportable, "shifted", tmp_path / "model", subject="UTS02")
    assert {score["subject"] for score in record_of(folder)["scores"]} == {"UTS02"}


def test_a_cross_fitted_model_says_that_no_score_is_its_own(
    exportable: Path, tmp_path: Path
) -> None:
    folder, _ = one_model(exportable, "crossed", tmp_path / "one", subject="UTS01", fold=1)
    assert "its rows come from 3 models, of which this is one" in card_of(folder)[1]
    assert record_of(folder)["scores_are_of"]["models_behind_them"] == 3
    both, _ = one_model(exportable, "several", tmp_path / "three", subject="UTS01", tuning="lora")
    assert "The arm reads several: rows come from 2 models" in card_of(both)[1]
    assert "the arm reads shifted." in card_of(both)[1]
    whole, _ = one_model(exportable, "joint", tmp_path / "two")
    assert "of which this is one" not in card_of(whole)[1]
    assert record_of(whole)["scores_are_of"]["models_behind_them"] == 1


def test_the_record_holds_recipe_lineage_and_digests(
    exportable: Path, run_json: dict[str, Any], tmp_path: Path
) -> None:
    folder, stored = one_model(exportable, "joint", tmp_path / "model")
    record = record_of(folder)
    key = stored.parent.name
    own = recipes(exportable, "tuning")[key]
    assert record["recipes"][key] == own
    assert record["audit"] == run_json["audit"]
    assert record["readouts"] == {
        f"joint, {s}: readout": run_json["recipes"][f"joint, {s}: readout"] for s in READERS
    }
    assert record["tuned_on"]["subjects"] == [*READERS]
    for story in record["tuned_on"]["stories"]:
        assert own["inputs"][f"text/{story['story']}"].startswith(story["text"])
        for subject in READERS:
            brain = recipes(exportable, "brain")[own["inputs"][f"brain/{subject}"]]
            assert brain["inputs"][f"responses/{story['story']}"] == story["responses"][subject]
    assert record["reading"]["clock"] == {"tr": 2.0, "first": 11.0}
    assert record["reading"]["text"]["layer"] == -1
    assert record["not_valid"] is None
    assert key in (folder / "README.md").read_text(encoding="utf-8")


def test_no_file_names_a_place_of_this_machine(exportable: Path, tmp_path: Path) -> None:
    done = export_models(exportable / "tuned", "crossed", tmp_path / "models", every=True)
    places = (str(exportable.parent), str(tmp_path), str(Path.home()) + os.sep, "/tmp/")
    for one in done:
        for path in one.folder.glob("*[!s]"):  # all but safetensors
            text = path.read_text(encoding="utf-8")
            assert not [place for place in places if place in text], path


def test_places_are_hidden_and_digests_and_links_are_not(tmp_path: Path) -> None:
    path = tmp_path / "study.yaml"
    study = {"name": "a", "dataset": {"reader": "folder", "folder": "/data with space/x"}}
    study |= {"features": {"f": {"model": "~/m"}}, "arms": {"b": {"features": ["f"]}}}
    path.write_text(yaml.safe_dump(study), encoding="utf-8")
    config = load_study(str(path))
    hidden = {
        "in /data with space/x/words.csv": "in (a folder)/words.csv",
        "~/m": "(a folder)",
        "see '/home/who/else/file' now": "see '(a folder)' now",
        "folder/338dbe": "folder/338dbe",
        "319ab7/48/2.0/11.0": "319ab7/48/2.0/11.0",
        "https://huggingface.co/a/b": "https://huggingface.co/a/b",
        "r and/or 1 / 2": "r and/or 1 / 2",
    }
    assert without_places([*hidden], config) == [*hidden.values()]
    assert without_places({"a": {"/x/y/z": [1, None]}}, config) == {"a": {"(a folder)": [1, None]}}


@pytest.mark.usefixtures("unchecked")
def test_a_run_that_is_not_valid_is_stamped_and_has_its_code(
    cli: Cli, exportable_copy: Path, tmp_path: Path
) -> None:
    fault = {"name": "test-rows-in-fit", "where": "joint", "figure": "3", "sentence": "same rows"}
    audit = {"verdict": "FAIL", "reason": "same_rows in joint", "faults": [fault]}
    stamp(exportable_copy, audit=audit)
    to = tmp_path / "model"
    done = cli("export", exportable_copy / "tuned", "--arm", "joint", "--to", to)
    assert done.code == 4
    assert done.out.startswith("NOT VALID: same_rows in joint\n")
    front, body = card_of(to)
    assert body.splitlines()[0] == "NOT VALID: same_rows in joint"
    assert body.count("NOT VALID: ") >= 5  # above each table of scores too
    assert "not-valid" in front["tags"]
    assert "test-rows-in-fit: same rows" in body
    assert record_of(to)["not_valid"] == "NOT VALID: same_rows in joint"
    assert torch.equal(states(to), states(stored_joint(exportable_copy)))


def test_simulated_listeners_are_labelled(exportable_copy: Path, tmp_path: Path) -> None:
    stamp(exportable_copy, simulated=True)
    folder, _ = one_model(exportable_copy, "joint", tmp_path / "model")
    front, body = card_of(folder)
    assert body.startswith("SIMULATED DATA\n")
    assert body.count("### SIMULATED DATA: ") == 4
    assert "simulated-data" in front["tags"]
    assert record_of(folder)["simulated"] is True


def config_of(tmp_path: Path, model: str, reader: str, brain: dict[str, Any]) -> StudyConfig:
    study = {
        "name": "a",
        "dataset": {"reader": reader},
        "features": {"t": {"tuning": "t"}},
        "brains": {"b": brain},
        "tunings": {"t": {"model": model, "brain": "b"}},
        "arms": {"arm": {"features": ["t"]}},
    }
    path = tmp_path / "study.yaml"
    path.write_text(yaml.safe_dump(study), encoding="utf-8")
    return load_study(str(path))


ALL = {"encoder": {"kind": "all"}}
BRAINLM = {"brainlm": {}, "checkpoint": "weights"}


@pytest.mark.parametrize(
    ("model", "reader", "brain", "licence", "said"),
    [
        ("embedded", "lebel2023", ALL, "apache-2.0", {"data": "CC0", "base model": "apache-2.0"}),
        ("embedded", "lebel2023-pcs", BRAINLM, "other", {"BrainLM weights": "CC BY-NC-ND 4.0"}),
        ("gpt2", "alice2016", ALL, "mit", {"data": "CC BY 4.0"}),
        ("who/knows", "folder", ALL, "other", {"data": "own data", "base model": "not known"}),
        ("/a/folder", "folder", ALL, "other", {"base model": "not known"}),
    ],
)
def test_licences_are_said_as_far_as_they_are_known(
    model: str,
    reader: str,
    brain: dict[str, Any],
    licence: str,
    said: dict[str, str],
    tmp_path: Path,
) -> None:
    config = config_of(tmp_path, model, reader, brain)
    base = base_model(model, is_folder=False)
    assert (base is None) == model.startswith("/")
    assert hub_licence(config, "t", base)["license"] == licence
    notes = licence_notes(config, "t", base)
    assert all(notes[name].startswith(text) for name, text in said.items())
    assert ("BrainLM weights" in notes) == (brain is BRAINLM)


def test_a_random_brainlm_has_no_published_weights(exportable: Path, tmp_path: Path) -> None:
    folder, _ = one_model(exportable, "lora", tmp_path / "model", subject="UTS01")
    assert "BrainLM weights" not in record_of(folder)["licences"]
    assert record_of(folder)["tuning"]["what"].endswith("(BrainLM with random weights)")


@pytest.mark.parametrize(
    ("brain", "role"),
    [
        (ALL, "tuned on brain activity (all)"),
        (ALL | {"subject": "next"}, "tuned on another listener's brain"),
        ({"encoder": {"kind": "noise"}}, "tuned on noise"),
        ({"encoder": {"kind": "constant"}}, "tuned on a constant vector"),
        ({"encoder": {"kind": "pca", "shift": True}}, "tuned on its brain moved in time"),
        (BRAINLM, "tuned on brain activity (BrainLM with its published weights)"),
    ],
)
def test_every_kind_of_control_has_its_name(
    brain: dict[str, Any], role: str, tmp_path: Path
) -> None:
    assert arm_roles(config_of(tmp_path, "embedded", "folder", brain))["arm"] == role
