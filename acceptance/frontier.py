"""The linear frontier on real listeners, cell by cell against the figures of another pipeline."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from acceptance.runs import DATA, run_command

Result = dict[str, Any]

ROUNDING = 0.0005  # the reference figures have three decimals
RIDGE, REDUCED = 0.002, 0.004
NOT_REPRODUCED = ("last-own-report-grid",)  # shown, not judged: docs/linear-frontier.md says why
SUBJECTS = ("UTS01", "UTS02", "UTS03")
CUT = {
    "layer4-with-nuisance": (0.090, 0.085, 0.106),
    "rrr-all-with-nuisance": (0.103, 0.098, 0.120),
}
"""Figures with 10 rows cut at each end, which a study file has no place for."""
LISTENERS = {"test": (0.127, 0.128, 0.133), "wheretheressmoke": (0.19, 0.30, 0.33)}
LEAST = (0.112, 0.105, 0.126)
"""What reduced rank with Z reaches at least, chosen on validation stories alone."""


def linear_frontier(scratch: Path) -> Result:
    """Run ``linear-frontier`` and compare each cell with its figure."""
    out = scratch / "runs"
    run_command(
        *("run", "linear-frontier", "--data", DATA, "--out", str(out), "--threads", "1"),
        log=scratch / "log.txt",
    )
    content = json.loads((out / "linear-frontier" / "run.json").read_text(encoding="utf-8"))
    away = [*_from_references(content["results"]), *_from_cuts(content["results"])]
    judged = [cell for cell in away if cell["arm"] not in NOT_REPRODUCED]
    missed = [cell for cell in judged if cell["away"] > cell["allowed"] + ROUNDING]
    listeners = _listeners(content["other_listeners"])
    chosen = _means(content["results"], "chosen-with-nuisance", "test", 0)
    reached = all(chosen[s] >= least for s, least in zip(SUBJECTS, LEAST, strict=True))
    return {
        "passed": not missed and reached and listeners["largest_distance"] <= 0.0055,
        "cells": len(judged),
        "missed": missed,
        "largest_distance": {
            arm: max(c["away"] for c in away if c["arm"] == arm) for arm in _arms(away)
        },
        "chosen_with_nuisance": chosen,
        "chosen_reaches_the_least": reached,
        "other_listeners": listeners,
    }


def _arms(cells: list[Result]) -> list[str]:
    return list(dict.fromkeys(cell["arm"] for cell in cells))


def _cell(row: Result, wanted: float) -> Result:
    return {
        "arm": row["arm"],
        "cell": f"{row['subject']}, {row['group']}, {row['rows_cut']} rows cut",
        "measured": round(row["mean"], 4),
        "wanted": wanted,
        "away": round(abs(row["mean"] - wanted), 4),
        "allowed": REDUCED if row["arm"].startswith("rrr") else RIDGE,
    }


def _from_references(rows: list[Result]) -> list[Result]:
    return [_cell(row, row["reference"]) for row in rows if row["reference"] is not None]


def _from_cuts(rows: list[Result]) -> list[Result]:
    return [
        _cell(row, CUT[row["arm"]][SUBJECTS.index(row["subject"])])
        for row in rows
        if row["arm"] in CUT and (row["group"], row["rows_cut"]) == ("test", 10)
    ]


def _means(rows: list[Result], arm: str, group: str, cut: int) -> dict[str, float]:
    return {
        row["subject"]: round(row["mean"], 4)
        for row in rows
        if (row["arm"], row["group"], row["rows_cut"]) == (arm, group, cut)
    }


def _listeners(rows: list[Result]) -> Result:
    found = {
        group: [round(r["mean"], 4) for r in rows if (r["group"], r["rows_cut"]) == (group, 0)]
        for group in LISTENERS
    }
    distances = [
        abs(mean - wanted)
        for group, means in found.items()
        for mean, wanted in zip(means, LISTENERS[group], strict=True)
    ]
    return found | {"largest_distance": round(max(distances), 4)}


CHECKS: Mapping[str, Callable[[Path], Result]] = {"linear_frontier": linear_frontier}
