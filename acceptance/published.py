"""The published study: priced at its real size, and run on components of real listeners."""

from __future__ import annotations

import csv
import gzip
import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import torch

from acceptance.runs import DATA, run_command

Result = dict[str, Any]
VOXELS = {"UTS01": 81_126, "UTS02": 94_251, "UTS03": 95_556}
REPEATED, N_REPEATS, N_PARCELS = "wheretheressmoke", 10, 424
HUGE = (
    "{hidden_size: 1280, num_hidden_layers: 32, num_attention_heads: 16, intermediate_size: 5120, "
    "decoder_hidden_size: 512, decoder_num_hidden_layers: 8, decoder_num_attention_heads: 16, "
    "decoder_intermediate_size: 2048, image_size: [434, 434], patch_size: 14}"
)
COMPONENTS = ("components-table1-1e-4", "components-table1", "components-table2")


def published_plan(scratch: Path) -> Result:
    """Price both tables at their size: 84 stories, three listeners, BERT-large, BrainLM 650M.

    Words and rows are those of the dataset. The HDF5 files have its shapes and no numbers in them,
    the weights of both models are random.
    """
    tree, model = scratch / "tree", scratch / "bert-large"
    if not (tree / "derivative" / "parcels.npz").exists():
        _write_empty_tree(tree / "derivative")
    if not (model / "model.safetensors").exists():
        _write_bert_large(model)
    plans = {name: _plan(name, tree, model) for name in ("report-table1", "report-table2")}
    todo = {name: [s for s in plan["stages"] if not s["done"]] for name, plan in plans.items()}
    return {
        "passed": all(len(stages) > 20 for stages in todo.values()),
        "operations_per_second": plans["report-table1"]["operations_per_second"],
        "hours": {
            name: round(sum(s["seconds"] for s in stages) / 3600) for name, stages in todo.items()
        },
        "petaflop": {n: round(sum(s["flop"] for s in todo[n]) / 1e15, 1) for n in plans},
        "petaflop_by_stage": {n: _by_stage(todo[n]) for n in plans},
        "disk_gib": {n: round(sum(s["disk"] for s in todo[n]) / 2**30, 1) for n in plans},
        "memory_gib": {n: round(max(s["memory"] for s in todo[n]) / 2**30, 1) for n in plans},
        "stages": {n: len(todo[n]) for n in plans},
    }


def _plan(name: str, tree: Path, model: Path) -> Result:
    features = {
        "report-table1": ["plain"],
        "report-table2": [],
    }[name]
    tunings = {
        "report-table1": ["brainlm", "high-ev", "es"],
        "report-table2": ["brainlm", *(f"brainlm-{rate}" for rate in (30, 45, 60, 75, 90))],
    }[name]
    changes = [
        *(f"features.{entry}.model={model}" for entry in features),
        *(f"tunings.{entry}.model={model}" for entry in tunings),
        "brains.brainlm.checkpoint=null",
        f"brains.brainlm.random={HUGE}",
    ]
    call = [sys.executable, "-m", "brainaligner", "run", name, "--plan", "--json"]
    call += ["--data", str(tree), "--out", str(tree.parent / "runs")]
    call += [word for change in changes for word in ("--set", change)]
    done = subprocess.run(call, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr[-2000:])
    plan: Result = json.loads(done.stdout)
    return plan


def _by_stage(stages: list[Result]) -> dict[str, float]:
    total: dict[str, float] = {}
    for stage in stages:
        total[stage["stage"]] = total.get(stage["stage"], 0.0) + stage["flop"]
    return {name: round(flop / 1e15, 2) for name, flop in total.items()}


def _write_empty_tree(derivative: Path) -> None:
    source = Path(DATA) / "lebel2023-pcs"
    scans: Mapping[str, int] = json.loads((source / "respdict.json").read_text(encoding="utf-8"))
    grids = derivative / "TextGrids"
    grids.mkdir(parents=True, exist_ok=True)
    for story, words in _words(source / "words.csv.gz").items():
        (grids / f"{story}.TextGrid").write_text(_textgrid(words), encoding="utf-8")
    (derivative / "respdict.json").write_text(json.dumps(scans), encoding="utf-8")
    for subject, n_voxels in VOXELS.items():
        folder = derivative / "preprocessed_data" / subject
        folder.mkdir(parents=True, exist_ok=True)
        for story, n_scans in scans.items():
            with h5py.File(folder / f"{story}.hf5", "w") as file:
                file.create_dataset("data", (n_scans - 20, n_voxels), np.float64)
                if story == REPEATED:
                    shape = (N_REPEATS, n_scans - 20, n_voxels)
                    file.create_dataset("individual_repeats", shape, np.float64)
    np.savez(derivative / "parcels.npz", **_parcels())


def _words(path: Path) -> dict[str, list[tuple[str, float, float]]]:
    words: dict[str, list[tuple[str, float, float]]] = {}
    with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            place = (row["word"], float(row["onset_s"]), float(row["offset_s"]))
            words.setdefault(row["story"], []).append(place)
    return words


def _textgrid(words: list[tuple[str, float, float]]) -> str:
    """A word tier beside an empty phone tier, in Praat's short form."""
    end = words[-1][2]
    head = ['File type = "ooTextFile"', 'Object class = "TextGrid"', "", "0", str(end), "<exists>"]
    phones = ["2", '"IntervalTier"', '"phone"', "0", str(end), "1", "0", str(end), '""']
    tier = ['"IntervalTier"', '"word"', "0", str(end), str(len(words))]
    lines = [line for w, on, off in words for line in (str(on), str(off), f'"{_quoted(w)}"')]
    return "\n".join([*head, *phones, *tier, *lines, ""])


def _quoted(word: str) -> str:
    return word.replace('"', '""')


def _parcels() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    arrays = {
        "names": np.array([f"parcel {i}" for i in range(N_PARCELS)]),
        "coordinates": rng.integers(-70, 70, (N_PARCELS, 3)).astype(np.float64),
    }
    for subject, n_voxels in VOXELS.items():
        owner = np.sort(rng.integers(0, N_PARCELS, n_voxels))
        counts = np.bincount(owner, minlength=N_PARCELS)
        arrays |= {
            f"{subject}/data": 1.0 / np.repeat(counts, counts),
            f"{subject}/indices": np.arange(n_voxels),
            f"{subject}/indptr": np.concatenate([[0], np.cumsum(counts)]),
            f"{subject}/shape": np.array([N_PARCELS, n_voxels]),
        }
    return arrays


def _write_bert_large(folder: Path) -> None:
    """Random weights of BERT-large's shape, with the tokenizer of the embedded model."""
    from transformers import AutoTokenizer, BertConfig, BertForMaskedLM

    from brainaligner.text import model_info

    torch.manual_seed(0)
    config = BertConfig(
        hidden_size=1024, num_hidden_layers=24, num_attention_heads=16, intermediate_size=4096
    )
    BertForMaskedLM(config).save_pretrained(folder)
    AutoTokenizer.from_pretrained(model_info("embedded").folder).save_pretrained(folder)


def published_components(scratch: Path) -> Result:
    """Run the published study on components of real listeners; goes on where it was stopped."""
    tables: dict[str, Any] = {}
    for name in COMPONENTS:
        data = str(Path(DATA) / "lebel2023-pcs")
        run_command(
            *("run", name, "--data", data, "--out", str(scratch / "runs")),
            log=scratch / "log.txt",
        )
        run = json.loads((scratch / "runs" / name / "run.json").read_text(encoding="utf-8"))
        tables[name] = {"tables": run["tables"][-2:], "tunings": run["tunings"]}
    bits = [one["bits"] for entry in tables.values() for one in entry["tunings"]]
    return {
        "passed": all(one["plain"] < one["unigram"] for one in bits),
        "tunings": len(bits),
        **tables,
    }


CHECKS = {"published_plan": published_plan, "published_components": published_components}
