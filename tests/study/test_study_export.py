"""``brainaligner export``: a tuned model of a finished run as a checkpoint to share."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from export_trees import READERS, SENTENCE, card_of, one_model, record_of, stamp, states
from safetensors.numpy import load_file
from study_trees import Cli, environment
from transformers import AutoModelForCausalLM, AutoModelForMaskedLM, AutoTokenizer
from tuning_trees import recipes

from brainaligner.study import ModelChoice, export_models

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
def test_an_export_is_the_checkpoint_of_the_store(
    exportable: Path, arm: str, tmp_path: Path
) -> None:
    folder, stored = one_model(exportable, arm, tmp_path / "model", **ONE[arm])
    weights = [path.name for path in stored.glob("*.safetensors")]
    assert weights
    for name in weights:
        assert (folder / name).read_bytes() == (stored / name).read_bytes()
    assert torch.equal(states(folder), states(stored))
    suffixes = {path.suffix for path in folder.iterdir()}
    assert suffixes == {".json", ".safetensors", ".md"}


def test_an_export_holds_the_model_that_was_asked_for(exportable: Path, tmp_path: Path) -> None:
    folder, stored = one_model(exportable, "crossed", tmp_path / "model", subject="UTS02", fold=3)
    recipe = recipes(exportable, "tuning")[stored.parent.name]
    brain = recipes(exportable, "brain")[recipe["inputs"]["brain"]]
    assert {entry["subject"] for entry in brain["lineage"]["fitted_on"]} == {"UTS02"}
    record = record_of(folder)
    assert (record["tuning"]["for"], record["tuning"]["fold"]) == (["UTS02"], 3)
    seen = {one["story"] for one in record["tuned_on"]["stories"]}
    assert seen == {*recipe["settings"]["train"], *recipe["settings"]["validation"]}
    assert record["tuned_on"]["held_out"] == sorted({"apple", "birch", "cedar"} - seen)


@pytest.mark.parametrize(
    ("arm", "head"), [("joint", AutoModelForMaskedLM), ("causal", AutoModelForCausalLM)]
)
def test_the_head_comes_with_it(exportable: Path, arm: str, head: Any, tmp_path: Path) -> None:
    folder, stored = one_model(exportable, arm, tmp_path / "model")
    ids = AutoTokenizer.from_pretrained(folder)(SENTENCE, return_tensors="pt")["input_ids"]
    with torch.no_grad():
        own, other = (head.from_pretrained(place)(ids).logits for place in (folder, stored))
    assert torch.equal(own, other)
    assert own.shape[-1] == 28
    assert f"`{head.__name__}`" in card_of(folder)[1]


def test_low_rank_updates_are_merged(exportable: Path, checkpoint: Path, tmp_path: Path) -> None:
    folder, _ = one_model(exportable, "lora", tmp_path / "model", subject="UTS01")
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
def test_it_loads_where_there_is_no_brainaligner(
    exportable: Path, arm: str, tmp_path: Path
) -> None:
    folder, stored = one_model(exportable, arm, tmp_path / "model")
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


def test_the_data_are_not_needed(exportable_copy: Path, tmp_path: Path) -> None:
    path = exportable_copy / "tuned" / "study.yaml"
    study = yaml.safe_load(path.read_text(encoding="utf-8"))
    study["dataset"]["folder"] = str(tmp_path / "nowhere")
    path.write_text(yaml.safe_dump(study), encoding="utf-8")
    folder, stored = one_model(exportable_copy, "joint", tmp_path / "model")
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
    exportable: Path, arm: str, choice: dict[str, Any], names: list[str], tmp_path: Path
) -> None:
    to = tmp_path / "models"
    done = export_models(exportable / "tuned", arm, to, choice=ModelChoice(**choice), every=True)
    assert sorted(path.name for path in to.iterdir()) == sorted(names)
    assert len({one.key for one in done}) == len(names)
    for one in done:
        stored = exportable / "store" / "tuning" / one.key / "model" / "model.safetensors"
        assert (one.folder / "model.safetensors").read_bytes() == stored.read_bytes()
        assert record_of(one.folder)["tuning"]["key"] == one.key


def test_an_empty_folder_is_filled(exportable: Path, tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    folder, stored = one_model(exportable, "joint", tmp_path / "model")
    assert torch.equal(states(folder), states(stored))
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


@pytest.mark.usefixtures("unchecked")
def test_json_says_what_was_written(cli: Cli, exportable_copy: Path, tmp_path: Path) -> None:
    arguments = ("--arm", "text", "--all", "--json")
    done = cli("export", exportable_copy / "tuned", *arguments, "--to", tmp_path / "models")
    assert done.code == 0, done.err
    found = json.loads(done.out)
    assert found["not_valid"] is None
    assert [one["model"] for one in found["models"]] == [
        f"text, UTS01 and UTS02, seed {seed}" for seed in (0, 1)
    ]
    assert all((Path(one["folder"]) / "README.md").is_file() for one in found["models"])
    stamp(exportable_copy, audit={"verdict": "FAIL", "reason": "why"})
    done = cli("export", exportable_copy / "tuned", *arguments, "--to", tmp_path / "more")
    assert done.code == 4
    assert json.loads(done.out)["not_valid"] == "NOT VALID: why"


def test_help_has_examples(cli: Cli) -> None:
    for name in ("export", "embed"):
        shown = cli(name, "--help")
        assert shown.code == 0
        assert f"brainaligner {name}" in shown.out
        assert "Exit codes" in shown.out
