"""A finished study of tuned models of several kinds, and what is exported from it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import torch
import yaml
from study_trees import merged, save_study
from tuning_trees import SPLIT, SUBJECTS, save_listeners, tuned_study, tuning

from brainaligner.study import ModelChoice, RunOptions, export_models, load_study, run_study

LORA = {"aligner": {"lora": {"rank": 2}, "learning_rate": 0.05}}
OBJECTIVES = {
    "predict": {},
    "language": {"share": 0.5},
    "trained_layers": 1,
    "stretch": 12,
    "stretches": 2,
    "learning_rate": 1e-3,
    "evaluations": 1,
    "heads": {"delays": [1, 2], "rank": 3, "alpha": 100.0},
}
READERS = SUBJECTS[:2]
SENTENCE = "we walked along the river until the bridge"


def objectives(model: Path, brain: str, **more: Any) -> dict[str, Any]:
    """An entry of ``tunings`` with objectives, in the plain protocol."""
    own = {"model": str(model), "validation_stories": 1, "objectives": OBJECTIVES}
    own |= {"cross_fit": None, "subjects": "all", "head": {"epochs": 1}}
    return merged(own | {"brain": brain}, more)


def save_causal(folder: Path, checkpoint: Path) -> Path:
    """Write a random GPT-2 with its head, and the tokenizer of another checkpoint."""
    from transformers import GPT2Config, GPT2LMHeadModel

    folder.mkdir(parents=True)
    for path in checkpoint.glob("tokenizer*"):
        shutil.copy(path, folder)
    torch.manual_seed(5)
    sizes = {"n_embd": 16, "n_layer": 2, "n_head": 2, "n_positions": 96}
    GPT2LMHeadModel(
        GPT2Config(vocab_size=28, bos_token_id=2, eos_token_id=3, **sizes)
    ).save_pretrained(folder)
    return folder


def exportable_study(checkpoint: Path, causal: Path, data: Path) -> dict[str, Any]:
    """Cross-fitted, text alone, shifted, low-rank, joint and causal tunings, and their controls."""
    silent = {"objectives": {"language": None}}
    tunings = {
        "crossed": tuning(checkpoint, "all", cross_fit=3),
        "text": tuning(checkpoint, seeds=[0, 1]),
        "shifted": tuning(checkpoint, "shifted"),
        "lora": tuning(checkpoint, "brainlm", **LORA),
        "joint": objectives(checkpoint, "all"),
        "causal": objectives(causal, "all", **silent),
    }
    arms = {
        "joint-z": {"features": ["joint"], "design": {"nuisance": "with"}},
        "several": {"features": ["shifted", "lora"]},
    }
    return tuned_study(
        checkpoint,
        data,
        tunings,
        arms=arms,
        dataset={"subjects": [*READERS]},
        split={k: v for k, v in SPLIT.items() if v is not None},
        controls=["nuisance-alone", "untrained"],
    )


def run_exportable(folder: Path, checkpoint: Path) -> Path:
    """Run that study; return the folder of results and store."""
    data = save_listeners(folder / "data", READERS)
    causal = save_causal(folder / "causal", checkpoint)
    path = save_study(folder / "study.yaml", exportable_study(checkpoint, causal, data))
    run_study(load_study(str(path)), RunOptions(folder / "out", threads=1))
    return folder / "out"


def one_model(made: Path, arm: str, to: Path, **choice: Any) -> tuple[Path, Path]:
    """Export one model; return its folder and its checkpoint in the store."""
    (done,) = export_models(made / "tuned", arm, to, choice=ModelChoice(**choice))
    return done.folder, made / "store" / "tuning" / done.key / "model"


def states(folder: Path) -> torch.Tensor:
    """States of a sentence, by transformers alone."""
    from transformers import AutoModel, AutoTokenizer

    model, tokenizer = (kind.from_pretrained(folder) for kind in (AutoModel, AutoTokenizer))
    with torch.no_grad():
        return model(**tokenizer(SENTENCE, return_tensors="pt")).last_hidden_state


def record_of(folder: Path) -> dict[str, Any]:
    """The record of an export, brainaligner.json."""
    return json.loads((folder / "brainaligner.json").read_text(encoding="utf-8"))


def card_of(folder: Path) -> tuple[dict[str, Any], str]:
    """Front matter and text of a card."""
    text = (folder / "README.md").read_text(encoding="utf-8")
    start, front, body = text.split("---\n", 2)
    assert start == ""
    return yaml.safe_load(front), body


def stored_joint(made: Path) -> Path:
    """Checkpoint of the joint tuning in a copied store."""
    run = json.loads((made / "tuned" / "run.json").read_text(encoding="utf-8"))
    (model,) = {facts["model"] for facts in run["tunings"] if facts["tuning"] == "joint"}
    return made / "store" / model


def stamp(made: Path, **changes: Any) -> None:
    """Change run.json."""
    path = made / "tuned" / "run.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps(content | changes), encoding="utf-8")
