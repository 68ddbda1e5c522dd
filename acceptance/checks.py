"""The checks themselves; each returns its figures and whether they passed."""

from __future__ import annotations

import json
import random
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np

from acceptance import (
    calibration,
    clusters,
    exploring,
    exporting,
    fetching,
    frontier,
    planted,
    published,
)
from acceptance.runs import DATA, ROOT, run_command

Result = dict[str, Any]

ONE_ARM = """
name: one-arm
dataset: {reader: lebel2023-pcs, subjects: [UTS03]}
split: {file: split.json}
features: {layer4: {model: embedded, text: {layer: 4, clock: previous}}}
arms: {with-nuisance: {features: [layer4], design: {nuisance: with}}}
"""

REFERENCE_TOLERANCE = {
    "layer4-wide-grid": 0.002,
    "nuisance-alone": 0.003,
    "layer4-with-nuisance": 0.003,
    "last-report-grid": 0.002,
    "last-wide-grid": 0.002,
    "layer4-report-grid": 0.002,
}
ROUNDING = 0.0005  # the reference figures have three decimals
NULL_SEEDS = 40


def baseline(scratch: Path) -> Result:
    """Cold and warm run of ``baseline`` on the real recordings, against reference figures."""
    arguments = ("run", "baseline", "--data", DATA, "--out", str(scratch / "runs"))
    shutil.rmtree(scratch / "runs", ignore_errors=True)
    cold = run_command(*arguments, log=scratch / "log.txt")
    warm = run_command(*arguments, log=scratch / "log.txt")
    away = _distance_from_references(_rows(scratch / "runs" / "baseline"))
    worst = {arm: max(distances) for arm, distances in away.items()}
    near = {arm: worst[arm] <= REFERENCE_TOLERANCE[arm] + ROUNDING for arm in REFERENCE_TOLERANCE}
    return {
        "passed": cold.exit_code == 0
        and all(near.values())
        and cold.seconds < 480
        and cold.peak_mib < 3072
        and warm.seconds < 15,
        "cold_s": round(cold.seconds, 1),
        "cold_peak_mib": round(cold.peak_mib),
        "warm_s": round(warm.seconds, 1),
        "largest_distance_from_reference": {arm: round(d, 4) for arm, d in worst.items()},
        "mean_r": _mean_table(_rows(scratch / "runs" / "baseline")),
    }


def long_tests(scratch: Path) -> Result:
    """The tests that ``make test`` leaves out."""
    report = scratch / "report.xml"
    asked = ("-n", "auto", "-m", "long", "-q", "--junitxml", str(report))
    done = subprocess.run([sys.executable, "-m", "pytest", *asked], cwd=ROOT, check=False)
    suite = ElementTree.parse(report).getroot()[0].attrib  # written by pytest just now
    counts = {name: int(suite[name]) for name in ("tests", "failures", "errors", "skipped")}
    return {"passed": done.returncode == 0, **counts}


def kills(scratch: Path) -> Result:
    """SIGKILL at five random moments of ``baseline``; the end result must be the same bytes."""
    seed = random.SystemRandom().randrange(10**6)
    rng = random.Random(seed)
    arguments = ("run", "baseline", "--data", DATA, "--out", str(scratch / "runs"))
    shutil.rmtree(scratch / "runs", ignore_errors=True)
    moments = [round(rng.uniform(3, 90), 1) for _ in range(5)]
    codes = [
        run_command(*arguments, log=scratch / "log.txt", kill_after=moment).exit_code
        for moment in moments
    ]
    last = run_command(*arguments, log=scratch / "log.txt")
    undisturbed = scratch.parent / "baseline" / "runs" / "baseline" / "scores.npz"
    same = undisturbed.read_bytes() == (scratch / "runs/baseline/scores.npz").read_bytes()
    leftovers = len(list((scratch / "runs" / "store" / "tmp").iterdir()))
    return {
        "passed": same and last.exit_code == 0 and leftovers == 0,
        "seed": seed,
        "killed_after_s": moments,
        "exit_codes": codes,
        "finished_in_s": round(last.seconds, 1),
        "same_bytes": same,
        "leftovers": leftovers,
    }


def threads_and_batches(scratch: Path) -> Result:
    """r of ``layer4-with-nuisance`` with 1 and 2 threads, and with small and large batches."""
    variants = {
        "two_threads": ("--threads", "2"),
        "one_thread": ("--threads", "1"),
        "small_batches": ("--threads", "2", "--batch-tokens", "700"),
        "large_batches": ("--threads", "2", "--batch-tokens", "60000"),
    }
    study = scratch / "one-arm.yaml"
    study.write_text(ONE_ARM, encoding="utf-8")
    scores = {}
    for name, extra in variants.items():
        out = scratch / name
        run_command(
            "run", str(study), "--data", DATA, "--out", str(out), *extra, log=scratch / "log.txt"
        )
        scores[name] = np.load(out / "one-arm" / "scores.npz", allow_pickle=False)
    base = scores["two_threads"]
    away = {
        name: max(float(np.abs(base[key] - other[key]).max()) for key in base.files)
        for name, other in scores.items()
    }
    return {
        "passed": away["one_thread"] <= 1e-6
        and max(away["small_batches"], away["large_batches"]) <= 1e-4,
        "largest_difference_in_r": away,
    }


def simulated_truth(scratch: Path) -> Result:
    """Correlation over voxels of estimated and planted signal-to-noise ratio."""
    run_command("demo", "--out", str(scratch / "runs"), log=scratch / "log.txt")
    (tree,) = (scratch / "runs" / "store" / "simulated").glob("*/tree")
    scores = np.load(scratch / "runs" / "demo" / "scores.npz", allow_pickle=False)
    found = {}
    for truth_file in sorted((tree / "truth").glob("SIM*.npz")):
        truth = np.load(truth_file, allow_pickle=False)
        r = scores[f"layer4/{truth_file.stem}/test/cut0"]
        found[truth_file.stem] = float(np.corrcoef(_signal_to_noise(r), truth["snr"])[0, 1])
    return {
        "passed": min(found.values()) > 0.9,
        "correlation_of_estimated_and_true_snr": {k: round(v, 3) for k, v in found.items()},
    }


def _signal_to_noise(r: np.ndarray) -> np.ndarray:
    """``r^2 / (1 - r^2)``, signed: what a model that explains all signal would imply."""
    return np.sign(r) * r**2 / (1 - r**2)


def simulated_null(scratch: Path) -> Result:
    """Null data sets: mean r and share above the shift null, with measured standard errors."""
    rows = [row for seed in range(NULL_SEEDS) for row in _null_rows(scratch, seed)]
    figures = {}
    for subject in sorted({row["subject"] for row in rows}):
        for group in sorted({row["group"] for row in rows}):
            of_both = [r for r in rows if (r["subject"], r["group"]) == (subject, group)]
            figures[f"{subject}, {group}"] = _calibration(of_both)
    return {
        "passed": all(
            abs(f["first_z"]) < 3 and abs(f["first_share"] - 0.05) <= 2 * f["se_of_one_share"]
            for f in figures.values()
        ),
        "data_sets": NULL_SEEDS,
        "by_listener_and_group": figures,
    }


def _null_rows(scratch: Path, seed: int) -> list[Result]:
    kept = scratch / f"seed{seed}.json"
    if not kept.exists():
        out = scratch / f"run{seed}"
        run_command(
            "run",
            "simulated-null",
            "--out",
            str(out),
            "--set",
            f"dataset.simulation.tree.seed={seed}",
            "--set",
            "evaluation.cuts=[0]",
            "--set",
            "arms={layer4: {features: [layer4]}}",
            log=scratch / "log.txt",
        )
        rows = [row for row in _rows(out / "simulated-null") if row["arm"] == "layer4"]
        kept.write_text(json.dumps(rows), encoding="utf-8")
        shutil.rmtree(out)
    loaded: list[Result] = json.loads(kept.read_text(encoding="utf-8"))
    return loaded


def _calibration(rows: list[Result]) -> dict[str, float]:
    """The packaged null study (the first) against the spread of all of them."""
    means = np.array([row["mean"] for row in rows])
    shares = np.array([row["share_above_null"] for row in rows])
    of_one_mean, of_one_share = float(means.std(ddof=1)), float(shares.std(ddof=1))
    return {
        "first_mean_r": round(float(means[0]), 5),
        "se_of_one_mean_r": round(of_one_mean, 5),
        "first_z": round(float(means[0]) / of_one_mean, 2),
        "first_share": round(float(shares[0]), 4),
        "se_of_one_share": round(of_one_share, 4),
        "mean_r": round(float(means.mean()), 5),
        "largest_z": round(float(np.abs(means).max()) / of_one_mean, 2),
        "share": round(float(shares.mean()), 4),
        "share_se": round(of_one_share / len(shares) ** 0.5, 4),
    }


def _rows(run: Path) -> list[Result]:
    content = json.loads((run / "run.json").read_text(encoding="utf-8"))
    rows: list[Result] = content["results"]
    return rows


def _distance_from_references(rows: list[Result]) -> dict[str, list[float]]:
    away: dict[str, list[float]] = {}
    for row in rows:
        if row["reference"] is not None:
            away.setdefault(row["arm"], []).append(abs(row["mean"] - row["reference"]))
    return away


def _mean_table(rows: list[Result]) -> dict[str, dict[str, list[float]]]:
    table: dict[str, dict[str, list[float]]] = {}
    for row in rows:
        if row["rows_cut"] == 0:
            groups = table.setdefault(row["arm"], {})
            groups.setdefault(row["group"], []).append(round(row["mean"], 4))
    return table


CHECKS = {
    "baseline": baseline,
    "long_tests": long_tests,
    "kills": kills,
    "threads_and_batches": threads_and_batches,
    "simulated_truth": simulated_truth,
    "simulated_null": simulated_null,
    "calibration": calibration.calibration,
    **fetching.CHECKS,
    **published.CHECKS,
    **frontier.CHECKS,
    "planted": planted.planted,
    **exporting.CHECKS,
    **clusters.CHECKS,
    **exploring.CHECKS,
}
