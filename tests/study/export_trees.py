"""A finished study of tuned models of several kinds, to export from."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import torch
from study_trees import merged, save_study
from tuning_trees import SPLIT, SUBJECTS, save_listeners, tuned_study, tuning

from brainaligner.study import RunOptions, load_study, run_study

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
