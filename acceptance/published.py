"""The published study: priced at its real size, and run on components of real listeners."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from acceptance.published_tree import noisy_word_rate, write_bert, write_tree
from acceptance.runs import DATA, run_command

Result = dict[str, Any]
VOXELS = {"UTS01": 81_126, "UTS02": 94_251, "UTS03": 95_556}
HUGE = (
    "{hidden_size: 1280, num_hidden_layers: 32, num_attention_heads: 16, intermediate_size: 5120, "
    "decoder_hidden_size: 512, decoder_num_hidden_layers: 8, decoder_num_attention_heads: 16, "
    "decoder_intermediate_size: 2048, image_size: [434, 434], patch_size: 14}"
)
SMALL = (
    "{hidden_size: 32, num_hidden_layers: 2, num_attention_heads: 2, intermediate_size: 64, "
    "decoder_hidden_size: 32, decoder_num_hidden_layers: 1, decoder_num_attention_heads: 2, "
    "decoder_intermediate_size: 64, image_size: [434, 434], patch_size: 14}"
)
FEW_VOXELS = {"UTS01": 500, "UTS02": 520, "UTS03": 540}
TUNED = {
    "report-table1": ("brainlm", "high-ev", "es"),
    "report-table2": ("brainlm", *(f"brainlm-{rate}" for rate in (30, 45, 60, 75, 90))),
}
COMPONENTS = ("components-table1-1e-4", "components-table1", "components-table2")


def published_plan(scratch: Path) -> Result:
    """Price both tables at their size: 84 stories, three listeners, BERT-large, BrainLM 650M.

    Words and rows are those of the dataset. The HDF5 files have its shapes and no numbers in them,
    the weights of both models are random.
    """
    tree, model = scratch / "tree", scratch / "bert-large"
    if not (tree / "derivative" / "parcels.npz").exists():
        write_tree(tree / "derivative", VOXELS)
    if not (model / "model.safetensors").exists():
        write_bert(model, 1024, 24)
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
    call = [sys.executable, "-m", "brainaligner", "run", name, "--plan", "--json"]
    call += ["--data", str(tree), "--out", str(tree.parent / "runs")]
    done = subprocess.run(
        [*call, *_models(name, model, HUGE)], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise RuntimeError(done.stderr[-2000:])
    plan: Result = json.loads(done.stdout)
    return plan


def _models(name: str, model: Path, brainlm: str) -> list[str]:
    """Overrides that put models with random weights into a packaged table."""
    table = name.removesuffix("-hrf")
    plain = ["features.plain"] if table == "report-table1" else []
    places = [*plain, *(f"tunings.{tuning}" for tuning in TUNED[table])]
    changes = [f"{place}.model={model}" for place in places]
    changes += ["brains.brainlm.checkpoint=null", f"brains.brainlm.random={brainlm}"]
    return [word for change in changes for word in ("--set", change)]


def _by_stage(stages: list[Result]) -> dict[str, float]:
    total: dict[str, float] = {}
    for stage in stages:
        total[stage["stage"]] = total.get(stage["stage"], 0.0) + stage["flop"]
    return {name: round(flop / 1e15, 2) for name, flop in total.items()}


def published_small(scratch: Path) -> Result:
    """Run all four packaged tables to their end on SIMULATED listeners with few voxels.

    Stories, words and rows are those of the dataset; models are small and have random weights, so
    only that everything runs is looked at, and what the audit says. A tuning runs one epoch.
    """
    tree, model = scratch / "tree", scratch / "bert"
    if not (tree / "derivative" / "parcels.npz").exists():
        write_tree(tree / "derivative", FEW_VOXELS, noisy_word_rate)
    if not (model / "model.safetensors").exists():
        write_bert(model, 32, 2)
    found: dict[str, Any] = {}
    for name in (table + ending for table in TUNED for ending in ("", "-hrf")):
        took = run_command(
            *("run", name, "--data", str(tree), "--out", str(scratch / "runs")),
            *_models(name, model, SMALL),
            *_short(name),
            log=scratch / "log.txt",
        )
        run = json.loads((scratch / "runs" / name / "run.json").read_text(encoding="utf-8"))
        arms = {row["arm"] for row in run["results"] if row["mean"] is not None}
        found[name] = {
            "minutes": round(took.seconds / 60, 1),
            "peak_mib": round(took.peak_mib),
            "arms": sorted(arms),
            "tunings": len(run["tunings"]),
            "tables": [table["title"] for table in run["tables"]],
            "audit": run["audit"]["verdict"],
        }
    return {
        "passed": all(one["audit"] != "FAIL" and one["tunings"] for one in found.values()),
        **found,
    }


def _short(name: str) -> list[str]:
    """Overrides for few voxels, few windows of BrainLM and one epoch."""
    table = name.removesuffix("-hrf")
    changes = ["brains.brainlm.brainlm.hop=20"]
    changes += [f"tunings.{tuning}.aligner.epochs=1" for tuning in TUNED[table]]
    if table == "report-table1":
        changes += [f"brains.{brain}.encoder.k=100" for brain in ("high-ev", "es")]
    return [word for change in changes for word in ("--set", change)]


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


CHECKS = {
    "published_plan": published_plan,
    "published_small": published_small,
    "published_components": published_components,
}
