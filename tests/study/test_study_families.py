"""Language models of every family pass through a whole study: tuned, read, scored, audited."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from study_trees import merged
from test_study_cross_fit import SUBJECTS, listeners
from test_study_objectives import objectives, run, study
from tiny_checkpoints import save_checkpoint

FAMILIES = ("bert", "roberta", "modernbert", "gpt2", "llama", "qwen2")
MASKED = ("bert", "roberta", "modernbert")
SEVERAL = {
    "anchor": {"kind": "kl", "share": 0.5},
    "language": {"share": 0.5},
    "contrastive": {"window": 4, "exclude": 2},
    "lora": {"rank": 2},
}


def tuned_entries(checkpoint: Path) -> dict[str, Any]:
    joint = objectives(checkpoint)
    several = merged(joint, {"objectives": SEVERAL})
    return {
        name: one | {"cross_fit": None} for name, one in (("joint", joint), ("several", several))
    }


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_passes_through_a_whole_study(tmp_path: Path, family: str) -> None:
    checkpoint = save_checkpoint(family, tmp_path / family)
    content = study(checkpoint, listeners(tmp_path / "data"), tuned_entries(checkpoint))
    out = run(tmp_path, content)
    found = json.loads((out / "tuned" / "run.json").read_text(encoding="utf-8"))
    assert found["audit"]["verdict"] != "FAIL", found["audit"]["reason"]
    scored = {(r["arm"], r["subject"]) for r in found["results"] if np.isfinite(r["mean"])}
    assert {(arm, s) for arm in ("plain", "joint", "several") for s in SUBJECTS} <= scored
    facts = {t["tuning"]: t for t in found["tunings"]}
    assert facts["several"]["head_learned"] == (family in ("bert", "modernbert"))
    assert all(0 < moved < 1 for t in facts.values() for moved in t["moved"].values())
    losses = {"predict", "anchor", "language", "contrastive"}
    assert losses <= set(facts["several"]["objectives"]["best"])
    heads = [stage.parent.name for stage in (out / "store").glob("head/*")]
    assert bool(heads) == (family in MASKED)
