"""``brainaligner export``: a tuned model of a finished run as a checkpoint to share."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from export_trees import READERS, run_exportable
from safetensors.numpy import load_file, save_file
from study_trees import Cli, environment
from transformers import AutoModel, AutoModelForCausalLM, AutoModelForMaskedLM, AutoTokenizer
from tuning_trees import REPEATED, recipes

from brainaligner.core import BrainAlignerError, InputError
from brainaligner.study import ModelChoice, StudyConfig, export_models, load_study
from brainaligner.study._arm_roles import arm_roles
from brainaligner.study._export_record import without_places
from brainaligner.study._licences import base_model, hub_licence, licence_notes

SENTENCE = "we walked along the river until the bridge"
FIRST = ModelChoice(subject="UTS01")


@pytest.fixture(scope="module")
def made(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Results and store of a finished study. Tests must not change them."""
    return run_exportable(tmp_path_factory.mktemp("exported"), checkpoint)


@pytest.fixture
def copied(made: Path, tmp_path: Path) -> Path:
    """A copy, to break."""
    return shutil.copytree(made, tmp_path / "out")


@pytest.fixture(scope="module")
def run_json(made: Path) -> dict[str, Any]:
    return json.loads((made / "tuned" / "run.json").read_text(encoding="utf-8"))


def one_model(made: Path, arm: str, to: Path, **choice: Any) -> tuple[Path, Path]:
    """Export one model; return its folder and its checkpoint in the store."""
    (done,) = export_models(made / "tuned", arm, to, choice=ModelChoice(**choice))
    return done.folder, made / "store" / "tuning" / done.key / "model"


def states(folder: Path) -> torch.Tensor:
    """States of a sentence, by transformers alone."""
    model, tokenizer = (kind.from_pretrained(folder) for kind in (AutoModel, AutoTokenizer))
    with torch.no_grad():
        return model(**tokenizer(SENTENCE, return_tensors="pt")).last_hidden_state


def record_of(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "brainaligner.json").read_text(encoding="utf-8"))


def card_of(folder: Path) -> tuple[dict[str, Any], str]:
    """Front matter and text of a card."""
    text = (folder / "README.md").read_text(encoding="utf-8")
    start, front, body = text.split("---\n", 2)
    assert start == ""
    return yaml.safe_load(front), body


ONE = {
    "crossed": {"subject": "UTS01", "fold": 2},
    "text": {"seed": 1},
    "lora": {"subject": "UTS02"},
    "joint": {},
    "joint-z": {},
    "causal": {},
    "several": {"subject": "UTS01", "tuning": "lora"},
    "text.s0": {},
}


@pytest.mark.parametrize("arm", ONE)
def test_an_export_is_the_checkpoint_of_the_store(made: Path, arm: str, tmp_path: Path) -> None:
    folder, stored = one_model(made, arm, tmp_path / "model", **ONE[arm])
    weights = [path.name for path in stored.glob("*.safetensors")]
    assert weights
    for name in weights:
        assert (folder / name).read_bytes() == (stored / name).read_bytes()
    assert torch.equal(states(folder), states(stored))
    suffixes = {path.suffix for path in folder.iterdir()}
    assert suffixes == {".json", ".safetensors", ".md"}


def test_an_export_holds_the_model_that_was_asked_for(made: Path, tmp_path: Path) -> None:
    folder, stored = one_model(made, "crossed", tmp_path / "model", subject="UTS02", fold=3)
    recipe = recipes(made, "tuning")[stored.parent.name]
    brain = recipes(made, "brain")[recipe["inputs"]["brain"]]
    assert {entry["subject"] for entry in brain["lineage"]["fitted_on"]} == {"UTS02"}
    record = record_of(folder)
    assert (record["tuning"]["for"], record["tuning"]["fold"]) == (["UTS02"], 3)
    seen = {one["story"] for one in record["tuned_on"]["stories"]}
    assert seen == {*recipe["settings"]["train"], *recipe["settings"]["validation"]}
    assert record["tuned_on"]["held_out"] == sorted({"apple", "birch", "cedar"} - seen)


@pytest.mark.parametrize(
    ("arm", "head"), [("joint", AutoModelForMaskedLM), ("causal", AutoModelForCausalLM)]
)
def test_the_head_comes_with_it(made: Path, arm: str, head: Any, tmp_path: Path) -> None:
    folder, stored = one_model(made, arm, tmp_path / "model")
    ids = AutoTokenizer.from_pretrained(folder)(SENTENCE, return_tensors="pt")["input_ids"]
    with torch.no_grad():
        own, other = (head.from_pretrained(place)(ids).logits for place in (folder, stored))
    assert torch.equal(own, other)
    assert own.shape[-1] == 28
    assert f"`{head.__name__}`" in card_of(folder)[1]


def test_low_rank_updates_are_merged(made: Path, checkpoint: Path, tmp_path: Path) -> None:
    folder, _ = one_model(made, "lora", tmp_path / "model", subject="UTS01")
    tensors = load_file(folder / "model.safetensors")
    assert not [name for name in tensors if "lora" in name or "base_layer" in name]
    assert not (folder / "adapter_config.json").exists()
    plain = load_file(checkpoint / "model.safetensors")
    name = "encoder.layer.1.attention.self.query.weight"
    moved = tensors[f"bert.{name}"] - plain[name]
    assert abs(moved).max() > 1e-4
    assert torch.linalg.matrix_rank(torch.from_numpy(moved), rtol=1e-3) == 2
    assert record_of(folder)["tuning"]["settings"]["lora"]["rank"] == 2


BLOCKED = """
import sys
class Blocker:
    def find_spec(self, name, *rest):
        if name.split(".")[0] == "brainaligner":
            raise ImportError(name)
sys.meta_path.insert(0, Blocker())
try:
    import brainaligner
except ImportError:
    pass
else:
    raise SystemExit("brainaligner was not blocked")
import torch
from transformers import AutoModel, AutoTokenizer
model, tokenizer = (kind.from_pretrained(sys.argv[1]) for kind in (AutoModel, AutoTokenizer))
with torch.no_grad():
    states = model(**tokenizer(sys.argv[2], return_tensors="pt")).last_hidden_state
print(states.double().sum().item())
"""


@pytest.mark.parametrize("arm", ["joint", "causal"])
def test_it_loads_where_there_is_no_brainaligner(made: Path, arm: str, tmp_path: Path) -> None:
    folder, stored = one_model(made, arm, tmp_path / "model")
    done = subprocess.run(
        [sys.executable, "-c", BLOCKED, folder, SENTENCE],
        capture_output=True,
        text=True,
        env=environment(),
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) == pytest.approx(states(stored).double().sum().item())


def test_the_front_matter_is_what_the_hub_reads(made: Path, tmp_path: Path) -> None:
    folder, _ = one_model(made, "joint", tmp_path / "model")
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
    made: Path, run_json: dict[str, Any], group: str, cut: int, tmp_path: Path
) -> None:
    folder, _ = one_model(made, "joint", tmp_path / "model")
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


def test_only_readers_have_scores(made: Path, tmp_path: Path) -> None:
    folder, _ = one_model(made, "shifted", tmp_path / "model", subject="UTS02")
    assert {score["subject"] for score in record_of(folder)["scores"]} == {"UTS02"}


def test_a_cross_fitted_model_says_that_no_score_is_its_own(made: Path, tmp_path: Path) -> None:
    folder, _ = one_model(made, "crossed", tmp_path / "one", subject="UTS01", fold=1)
    assert "its rows come from 3 models, of which this is one" in card_of(folder)[1]
    assert record_of(folder)["scores_are_of"]["models_behind_them"] == 3
    both, _ = one_model(made, "several", tmp_path / "three", subject="UTS01", tuning="lora")
    assert "The arm reads several: rows come from 2 models" in card_of(both)[1]
    assert "the arm reads shifted." in card_of(both)[1]
    whole, _ = one_model(made, "joint", tmp_path / "two")
    assert "of which this is one" not in card_of(whole)[1]
    assert record_of(whole)["scores_are_of"]["models_behind_them"] == 1


def test_the_record_holds_recipe_lineage_and_digests(
    made: Path, run_json: dict[str, Any], tmp_path: Path
) -> None:
    folder, stored = one_model(made, "joint", tmp_path / "model")
    record = record_of(folder)
    key = stored.parent.name
    own = recipes(made, "tuning")[key]
    assert record["recipes"][key] == own
    assert record["audit"] == run_json["audit"]
    assert record["readouts"] == {
        f"joint, {s}: readout": run_json["recipes"][f"joint, {s}: readout"] for s in READERS
    }
    assert record["tuned_on"]["subjects"] == [*READERS]
    for story in record["tuned_on"]["stories"]:
        assert own["inputs"][f"text/{story['story']}"].startswith(story["text"])
        for subject in READERS:
            brain = recipes(made, "brain")[own["inputs"][f"brain/{subject}"]]
            assert brain["inputs"][f"responses/{story['story']}"] == story["responses"][subject]
    assert record["reading"]["clock"] == {"tr": 2.0, "first": 11.0}
    assert record["reading"]["text"]["layer"] == -1
    assert record["not_valid"] is None
    assert key in (folder / "README.md").read_text(encoding="utf-8")


def test_no_file_names_a_place_of_this_machine(made: Path, tmp_path: Path) -> None:
    done = export_models(made / "tuned", "crossed", tmp_path / "models", every=True)
    places = (str(made.parent), str(tmp_path), str(Path.home()) + os.sep, "/tmp/")
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


def test_the_data_are_not_needed(copied: Path, tmp_path: Path) -> None:
    path = copied / "tuned" / "study.yaml"
    study = yaml.safe_load(path.read_text(encoding="utf-8"))
    study["dataset"]["folder"] = str(tmp_path / "nowhere")
    path.write_text(yaml.safe_dump(study), encoding="utf-8")
    folder, stored = one_model(copied, "joint", tmp_path / "model")
    assert torch.equal(states(folder), states(stored))


@pytest.mark.parametrize(
    ("arm", "choice", "names"),
    [
        ("crossed", {}, [f"{s}-seed0-fold{k}" for s in READERS for k in (1, 2, 3)]),
        ("crossed", {"fold": 2}, [f"{s}-seed0-fold2" for s in READERS]),
        ("text", {}, ["all-subjects-seed0", "all-subjects-seed1"]),
        ("several", {}, [f"{t}-{s}-seed0" for s in READERS for t in ("shifted", "lora")]),
        ("joint", {}, ["all-subjects-seed0"]),
    ],
)
def test_all_models_go_into_subfolders(
    made: Path, arm: str, choice: dict[str, Any], names: list[str], tmp_path: Path
) -> None:
    to = tmp_path / "models"
    done = export_models(made / "tuned", arm, to, choice=ModelChoice(**choice), every=True)
    assert sorted(path.name for path in to.iterdir()) == sorted(names)
    assert len({one.key for one in done}) == len(names)
    for one in done:
        stored = made / "store" / "tuning" / one.key / "model" / "model.safetensors"
        assert (one.folder / "model.safetensors").read_bytes() == stored.read_bytes()
        assert record_of(one.folder)["tuning"]["key"] == one.key


REFUSED: dict[str, tuple[str, tuple[str, ...], list[str]]] = {
    "several models": (
        "crossed",
        (),
        ["6 models", "UTS02, seed 0, fold 3", "--subject and --fold"],
    ),
    "several folds": ("crossed", ("--subject", "UTS01"), ["3 models", "Give --fold, or --all"]),
    "several seeds": ("text", (), ["UTS01 and UTS02, seed 1", "Give --seed, or --all"]),
    "several subjects": ("lora", (), ["lora, UTS01", "Give --subject"]),
    "several tunings": ("several", ("--subject", "UTS01"), ["Give --tuning"]),
    "no such subject": ("joint", ("--subject", "UTS09"), ["nothing for subject UTS09", "one of"]),
    "no such seed": ("text", ("--seed", "7"), ["nothing for seed 7", "seed 1"]),
    "no such fold": ("crossed", ("--fold", "4"), ["nothing for fold 4"]),
    "no such fold, all": ("crossed", ("--fold", "0", "--all"), ["nothing for fold 0"]),
    "a fold of none": ("joint", ("--fold", "1"), ["nothing for fold 1"]),
    "no such tuning": ("several", ("--tuning", "text"), ["nothing for tuning text"]),
    "no such arm": ("jont", (), ["Did you mean 'joint'?"]),
    "a frozen arm": ("plain", (), ["reads no tuned model", "crossed, text, shifted, lora"]),
    "Z alone": ("nuisance-alone", (), ["reads no tuned model"]),
    "an untrained arm": ("untrained", (), ["reads no tuned model"]),
    "no store": ("joint", ("--out", "elsewhere"), ["the store that the run was made in"]),
}


@pytest.mark.usefixtures("unchecked")  # typer hands commands a Context of another class
@pytest.mark.parametrize("kind", REFUSED)
def test_bad_requests_are_refused_and_say_what_there_is(
    cli: Cli, made: Path, kind: str, tmp_path: Path
) -> None:
    arm, options, said = REFUSED[kind]
    done = cli("export", made / "tuned", "--arm", arm, "--to", tmp_path / "model", *options)
    assert done.code == 2
    assert len(done.lines) == 1
    assert [text for text in said if text not in done.lines[0]] == []
    assert not list(tmp_path.iterdir())


@pytest.mark.usefixtures("unchecked")
def test_a_folder_without_a_run_and_an_untuned_study_are_refused(
    cli: Cli, finished: Path, tmp_path: Path
) -> None:
    done = cli("export", tmp_path, "--arm", "joint", "--to", tmp_path / "model")
    assert (done.code, "no run.json" in done.err) == (2, True)
    done = cli("export", finished / "tiny", "--arm", "first", "--to", tmp_path / "model")
    assert (done.code, "This study tunes nothing" in done.err) == (2, True)
    assert not (tmp_path / "model").exists()


@pytest.mark.parametrize("kind", ["file", "full", "link", "dangling"])
def test_a_place_that_is_taken_is_refused_and_left_alone(
    made: Path, kind: str, tmp_path: Path
) -> None:
    to, other = tmp_path / "model", tmp_path / "other"
    other.mkdir()
    if kind == "file":
        to.write_text("mine")
    elif kind == "full":
        to.mkdir()
        (to / "mine.txt").write_text("mine")
    else:
        to.symlink_to(other if kind == "link" else tmp_path / "nothing")
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(InputError, match="already there"):
        export_models(made / "tuned", "joint", to)
    assert sorted(tmp_path.rglob("*")) == before


def test_an_empty_folder_is_filled(made: Path, tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    folder, stored = one_model(made, "joint", tmp_path / "model")
    assert torch.equal(states(folder), states(stored))
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_a_folder_that_cannot_be_written_is_refused(made: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be written"):
        export_models(made / "tuned", "joint", tmp_path / "file" / "model")


DIES = """
import os, sys
from pathlib import Path
from brainaligner.study import export_models
from brainaligner.study import _export
_export.export_record = lambda *_: os._exit(9)
export_models(Path(sys.argv[1]), "joint", Path(sys.argv[2]))
"""


def test_an_export_that_is_killed_leaves_nothing_under_its_name(made: Path, tmp_path: Path) -> None:
    to = tmp_path / "model"
    done = subprocess.run(
        [sys.executable, "-c", DIES, made / "tuned", to],
        env=environment(),
        timeout=120,
        check=False,
    )
    assert done.returncode == 9
    assert not to.exists()
    (left,) = tmp_path.iterdir()  # weights were copied, and lie beside it
    assert list(left.rglob("model.safetensors"))
    one_model(made, "joint", to)
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_an_export_that_fails_takes_back_what_it_wrote(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> str:
        raise RuntimeError("planted")

    monkeypatch.setattr("brainaligner.study._export.render_card", fails)
    with pytest.raises(RuntimeError, match="planted"):
        export_models(made / "tuned", "joint", tmp_path / "model")
    assert not list(tmp_path.iterdir())


def stored_joint(copied: Path) -> Path:
    """Checkpoint of the joint tuning in a copied store."""
    run = json.loads((copied / "tuned" / "run.json").read_text(encoding="utf-8"))
    (model,) = {facts["model"] for facts in run["tunings"] if facts["tuning"] == "joint"}
    return copied / "store" / model


def test_damaged_checkpoints_are_refused(copied: Path, tmp_path: Path) -> None:
    stored, to = stored_joint(copied), tmp_path / "model"
    weights = stored / "model.safetensors"
    whole = weights.read_bytes()

    def refused(match: str) -> None:
        with pytest.raises(BrainAlignerError, match=match):
            export_models(copied / "tuned", "joint", to)
        assert not to.exists()

    (stored / "pytorch_model.bin").write_bytes(b"\x80\x04K\x01.")
    refused("pytorch_model.bin")
    (stored / "pytorch_model.bin").unlink()
    tensors = load_file(weights)
    save_file({**tensors, "bert.lora_A.weight": tensors["cls.predictions.bias"]}, weights)
    refused("not merged")
    weights.write_bytes(whole[: len(whole) // 2])
    refused("model.safetensors|damaged")
    weights.unlink()
    refused("no safetensors file")
    shutil.rmtree(stored)
    refused("damaged artifact")
    shutil.rmtree(stored.parent)
    refused("the store lacks the tunings")


def stamp(copied: Path, **changes: Any) -> None:
    """Change run.json."""
    path = copied / "tuned" / "run.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps(content | changes), encoding="utf-8")


@pytest.mark.usefixtures("unchecked")
def test_a_run_that_is_not_valid_is_stamped_and_has_its_code(
    cli: Cli, copied: Path, tmp_path: Path
) -> None:
    fault = {"name": "test-rows-in-fit", "where": "joint", "figure": "3", "sentence": "same rows"}
    audit = {"verdict": "FAIL", "reason": "same_rows in joint", "faults": [fault]}
    stamp(copied, audit=audit)
    to = tmp_path / "model"
    done = cli("export", copied / "tuned", "--arm", "joint", "--to", to)
    assert done.code == 4
    assert done.out.startswith("NOT VALID: same_rows in joint\n")
    front, body = card_of(to)
    assert body.splitlines()[0] == "NOT VALID: same_rows in joint"
    assert body.count("NOT VALID: ") >= 5  # above each table of scores too
    assert "not-valid" in front["tags"]
    assert "test-rows-in-fit: same rows" in body
    assert record_of(to)["not_valid"] == "NOT VALID: same_rows in joint"
    assert torch.equal(states(to), states(stored_joint(copied)))


@pytest.mark.usefixtures("unchecked")
def test_json_says_what_was_written(cli: Cli, copied: Path, tmp_path: Path) -> None:
    arguments = ("--arm", "text", "--all", "--json")
    done = cli("export", copied / "tuned", *arguments, "--to", tmp_path / "models")
    assert done.code == 0, done.err
    found = json.loads(done.out)
    assert found["not_valid"] is None
    assert [one["model"] for one in found["models"]] == [
        f"text, UTS01 and UTS02, seed {seed}" for seed in (0, 1)
    ]
    assert all((Path(one["folder"]) / "README.md").is_file() for one in found["models"])
    stamp(copied, audit={"verdict": "FAIL", "reason": "why"})
    done = cli("export", copied / "tuned", *arguments, "--to", tmp_path / "more")
    assert done.code == 4
    assert json.loads(done.out)["not_valid"] == "NOT VALID: why"


def test_simulated_listeners_are_labelled(copied: Path, tmp_path: Path) -> None:
    stamp(copied, simulated=True)
    folder, _ = one_model(copied, "joint", tmp_path / "model")
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


def test_a_random_brainlm_has_no_published_weights(made: Path, tmp_path: Path) -> None:
    folder, _ = one_model(made, "lora", tmp_path / "model", subject="UTS01")
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


def test_help_has_examples(cli: Cli) -> None:
    for name in ("export", "embed"):
        shown = cli(name, "--help")
        assert shown.code == 0
        assert f"brainaligner {name}" in shown.out
        assert "Exit codes" in shown.out
