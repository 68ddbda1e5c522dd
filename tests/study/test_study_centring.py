"""Responses off 0 are said before any work, in the log, on the page and in run.json."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from study_trees import STORIES, Cli, StudyFile, responses


def _raw_units(data: Path) -> None:
    """Give the first subject responses in units of the scanner."""
    raw = {story: 100 * values + 10_000 for story, values in responses(STORIES).items()}
    np.savez(data / "P1.npz", **raw)


def test_responses_off_zero_are_said_everywhere(
    cli: Cli, study_file: StudyFile, data: Path, tmp_path: Path
) -> None:
    _raw_units(data)
    study = study_file(data=data)
    said = "WARN P1: 100% of response columns have a mean beyond 1 standard deviation"
    planned = cli("run", study, "--out", tmp_path / "out", "--plan")
    assert said in planned.out
    done = cli("run", study, "--out", tmp_path / "out")
    assert done.code == 0, done.err
    folder = tmp_path / "out" / "tiny"
    assert said in (folder / "log.txt").read_text(encoding="utf-8").split("fitted")[0]
    assert "mean beyond 1 standard deviation" in (folder / "report.html").read_text("utf-8")
    run = json.loads((folder / "run.json").read_text("utf-8"))
    (finding,) = (f for f in run["findings"] if "beyond 1 standard deviation" in f["text"])
    assert (finding["where"], finding["severity"]) == ("P1", "warn")
    assert finding["text"].endswith("Arms without one: first, second.")


def test_arms_with_an_intercept_take_them(
    cli: Cli, study_file: StudyFile, data: Path, tmp_path: Path
) -> None:
    _raw_units(data)
    study = study_file({"defaults": {"ridge": {"intercept": True}}}, data=data)
    told = cli("run", study, "--out", tmp_path / "out", "--plan", "--json")
    assert told.code == 0, told.err
    assert json.loads(told.out)["findings"] == []
