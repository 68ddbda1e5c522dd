"""An exported model in an environment that has torch and transformers, and nothing of ours."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from transformers import AutoModel, AutoModelForMaskedLM, AutoTokenizer

from acceptance.runs import ROOT, run_command

Result = dict[str, Any]

SENTENCES = ("the old boat drifted slowly past a quiet town", "rain fell on the river")
WORDS = " ".join(SENTENCES).split()
STORIES = tuple(f"story{i}" for i in range(6))
N_ROWS, N_TARGETS = 60, 12
INSTALLED = ("torch", "transformers")
FORBIDDEN = {"brainaligner", "peft", "accelerate", "himalaya", "h5py"}

STUDY = {
    "name": "tiny",
    "dataset": {"reader": "folder"},
    "split": {"train": [*STORIES[:3]], "validation": [STORIES[3]], "test": [*STORIES[4:]]},
    "features": {"tuned": {"tuning": "tuned"}},
    "brains": {"all": {"encoder": {"kind": "all"}}},
    "tunings": {
        "tuned": {
            "brain": "all",
            "validation_stories": 1,
            "cross_fit": None,
            "head": {"epochs": 1},
            "aligner": {"epochs": 1, "lora": {"rank": 4}, "learning_rate": 1e-3},
        }
    },
    "arms": {"tuned": {"features": ["tuned"]}},
    "controls": [],
}

CHECK = """
import importlib.metadata as metadata, importlib.util as util, json, sys
import torch
from transformers import AutoModel, AutoModelForMaskedLM, AutoTokenizer
folder, sentences = sys.argv[1], sys.argv[2:]
kinds = (AutoTokenizer, AutoModel, AutoModelForMaskedLM)
tokenizer, model, headed = (kind.from_pretrained(folder) for kind in kinds)
with torch.no_grad():
    ids = [tokenizer(sentence, return_tensors="pt") for sentence in sentences]
    states = [model(**one).last_hidden_state[0].tolist() for one in ids]
    logits = [headed(**one).logits[0, 1, :50].tolist() for one in ids]
exec(compile(sys.stdin.read(), "card", "exec"), {})
print(json.dumps({
    "states": states,
    "logits": logits,
    "packages": sorted(one.metadata["Name"].lower() for one in metadata.distributions()),
    "ours": util.find_spec("brainaligner") is not None,
}))
"""


def exported_model_in_clean_environment(scratch: Path) -> Result:
    """Export the low-rank tuned MiniLM of a small study; load and run it without us."""
    model = _export(scratch)
    python = _clean_python(scratch / "venv")
    found = _ask(python, model)
    away = {name: _away(found[name], own) for name, own in _own_outputs(model).items()}
    packages = set(found["packages"])
    return {
        "passed": max(away.values()) <= 1e-6
        and not found["ours"]
        and not packages & FORBIDDEN
        and set(INSTALLED) <= packages,
        "largest_difference": away,
        "packages": len(packages),
        "pinned": [_pinned(name) for name in INSTALLED],
        "size_mib": round((model / "model.safetensors").stat().st_size / 2**20, 1),
    }


def _export(scratch: Path) -> Path:
    data, study, model = scratch / "data", scratch / "study.yaml", scratch / "model"
    for folder in (data, model, scratch / "runs"):
        shutil.rmtree(folder, ignore_errors=True)
    _save_listener(data)
    study.write_text(yaml.safe_dump(STUDY), encoding="utf-8")
    log = scratch / "log.txt"
    run_command("run", str(study), "--data", str(data), "--out", str(scratch / "runs"), log=log)
    arguments = ("export", str(scratch / "runs" / "tiny"), "--arm", "tuned", "--to", str(model))
    run_command(*arguments, log=log)
    return model


def _save_listener(folder: Path) -> None:
    save_made_up(folder, ["P1"], n_rows=N_ROWS, words_per_row=2)


def save_made_up(folder: Path, subjects: Sequence[str], *, n_rows: int, words_per_row: int) -> None:
    """Made-up words, and noise in the place of each listener's responses: SIMULATED."""
    rng = np.random.default_rng(0)
    folder.mkdir(parents=True)
    lines = ["story,word,onset_s,offset_s"]
    for story in STORIES:
        onsets = np.sort(rng.uniform(0, 2 * n_rows, words_per_row * n_rows))
        words = rng.choice(WORDS, len(onsets))
        lines += [f"{story},{w},{t:.4f},{t + 0.1:.4f}" for w, t in zip(words, onsets, strict=True)]
    (folder / "words.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    for subject in subjects:
        rows = {s: rng.standard_normal((n_rows, N_TARGETS)).astype(np.float32) for s in STORIES}
        np.savez(folder / f"{subject}.npz", **rows)


def _pinned(name: str) -> str:
    """The line of constraints.txt for a package."""
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    return next(line for line in lines if line.startswith(f"{name}=="))


def _clean_python(folder: Path) -> Path:
    """Make the environment where it is not there yet; return its interpreter."""
    python = folder / "bin" / "python"
    if not (folder / "whole").exists():
        shutil.rmtree(folder, ignore_errors=True)
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        for name in INSTALLED:
            pip = [str(python), "-m", "pip", "install", "--quiet", _pinned(name)]
            subprocess.run([*pip, "--constraint", str(ROOT / "constraints.txt")], check=True)
        (folder / "whole").touch()
    return python


def _ask(python: Path, model: Path) -> Result:
    """What the model gives there; the code of its card is run too."""
    card = (model / "README.md").read_text(encoding="utf-8")
    block = re.search(r"^```python\n(.*?)^```", card, re.MULTILINE | re.DOTALL)
    assert block is not None
    done = subprocess.run(
        [str(python), "-I", "-c", CHECK, str(model), *SENTENCES],
        input=block[1].replace("FOLDER", str(model)),
        capture_output=True,
        text=True,
        check=True,
    )
    found: Result = json.loads(done.stdout.splitlines()[-1])
    return found


def _own_outputs(model: Path) -> dict[str, list[np.ndarray]]:
    """The same here, from the checkpoint of the store."""
    (stored,) = (model.parent / "runs" / "store" / "tuning").glob("*/model")
    kinds = (AutoTokenizer, AutoModel, AutoModelForMaskedLM)
    tokenizer, plain, headed = (kind.from_pretrained(stored) for kind in kinds)
    with torch.no_grad():
        ids = [tokenizer(sentence, return_tensors="pt") for sentence in SENTENCES]
        states = [plain(**one).last_hidden_state[0].numpy() for one in ids]
        logits = [headed(**one).logits[0, 1, :50].numpy() for one in ids]
    return {"states": states, "logits": logits}


def _away(found: list[Any], own: list[np.ndarray]) -> float:
    pairs = zip(found, own, strict=True)
    return max(float(np.abs(np.array(one, dtype=np.float32) - other).max()) for one, other in pairs)


CHECKS = {"exported_model_in_clean_environment": exported_model_in_clean_environment}
