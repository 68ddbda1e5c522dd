"""Planned stages are priced in the precision that they are computed in."""

from __future__ import annotations

import json
from pathlib import Path

from study_trees import Cli, save_study
from tuning_trees import save_listeners, tuned_study, tuning


def test_each_stage_is_priced_in_its_own_precision(
    checkpoint: Path, cli: Cli, tmp_path: Path
) -> None:
    data = save_listeners(tmp_path / "data", ["UTS01"])
    tunings = {
        "half": tuning(checkpoint, "all", aligner={"precision": "bfloat16"}),
        "full": tuning(checkpoint, "all"),
    }
    study = tuned_study(checkpoint, data, tunings)
    study["features"]["rounded"] = {"model": str(checkpoint), "text": {"dtype": "bfloat16"}}
    study["arms"]["rounded"] = {"features": ["rounded"]}
    path = save_study(tmp_path / "study.yaml", study)
    done = cli("run", path, "--out", tmp_path / "out", "--plan", "--json")
    assert done.code == 0, done.err
    planned = json.loads(done.out)
    assert set(planned["operations_per_second"]) == {"float32", "bfloat16"}
    found = {(s["stage"], s["what"].split(",")[0]): s["precision"] for s in planned["stages"]}
    assert found["tuning", "half"] == found["features", "rounded"] == "bfloat16"
    assert found["tuning", "full"] == found["features", "plain"] == "float32"
    readouts = {s["precision"] for s in planned["stages"] if s["stage"] == "readout"}
    assert readouts == {"float32"}
