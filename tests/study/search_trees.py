"""A tiny study whose settings are searched, for tests of the search."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from study_trees import merged, save_study, tiny_study

from brainaligner.study._options import RunOptions
from brainaligner.study._search import run_search
from brainaligner.study._search_files import Found
from brainaligner.study._search_space import read_space
from brainaligner.study._search_trial import Search

ARM = "second"
SEED = 3
SPACE: dict[str, Any] = {
    "features.two.text.layer": {"low": 0, "high": 2},
    "features.two.text.context_rows": {"choices": [0, 2]},
    "arms.second.design.delays": {"choices": [[0], [1], [1, 2]]},
    "arms.second.design.nuisance_scale": {"low": 1.0, "high": 100.0, "log": True},
}
"""Layers, contexts and delays that have an end, and a scale that has none."""


def searched_study(checkpoint: Path, data: Path, changes: Mapping[str, Any] | None = None) -> Any:
    """The tiny study with two validation stories and Z in the arm that is searched."""
    own = {"split": {"counts": [2, 2, 2]}, "arms": {ARM: {"design": {"nuisance": "with"}}}}
    return merged(merged(tiny_study(checkpoint, data), own), dict(changes or {}))


def save_space(path: Path, space: object) -> Path:
    """Write a space file."""
    path.write_text(yaml.safe_dump(space, sort_keys=False), encoding="utf-8")
    return path


def save_both(folder: Path, study: Any, space: object) -> tuple[Path, Path]:
    """Write a study file and a space file."""
    folder.mkdir(parents=True, exist_ok=True)
    return save_study(folder / "study.yaml", study), save_space(folder / "space.yaml", space)


def search(
    places: tuple[Path, Path],
    out: Path,
    *,
    trials: int,
    overrides: tuple[str, ...] = (),
    arm: str = ARM,
    seed: int = SEED,
    data: Path | None = None,
) -> Found:
    """Search in this process."""
    study, space = places
    wanted = Search(str(study), read_space(space), arm, overrides, seed)
    return run_search(wanted, RunOptions(out, None if data is None else str(data)), trials=trials)


def read_record(out: Path, name: str = "tiny") -> dict[str, Any]:
    """What search.json holds."""
    return json.loads((out / name / "search.json").read_text(encoding="utf-8"))


def without_times(record: Mapping[str, Any]) -> dict[str, Any]:
    """The same without what a clock or the wanted number decides."""
    trials = [{k: v for k, v in one.items() if k != "seconds"} for one in record["trials"]]
    return {**record, "trials": trials, "trials_wanted": None}


def outcomes(found: Found) -> list[tuple[Any, ...]]:
    """What the trials of a search gave, without times."""
    return [(t.number, dict(t.values), t.state, dict(t.subjects), t.mean) for t in found.trials]
