"""Voxelwise ridge beside its peers: time, memory and agreement.

``python benchmarks/ridge.py [--size minute|story|laptop|wide] [--turns 3] [--threads 1]
[--peer NAME[=FOLDER] ...] [--peer-python PYTHON] [--out FILE]`` draws features and responses
(SIMULATED; the best alphas lie inside the grid), writes them to the disk, and fits them by turns
in processes of their own: scores of all alphas on validation rows, and weights at each target's
best. Peers: ``himalaya`` and ``scikit-learn`` (PyPI), ``huth=FOLDER`` (a checkout of
HuthLab/deep-fMRI-dataset) and ``litcoder=FOLDER`` (of GT-LIT-Lab/litcoder_core); with
``-float64`` behind its name a peer is given float64 arrays, as published ones are. ``products``
are the bare float32 products of the same sizes: this machine's limit.

Medians over turns, ratios to ours, and the largest difference in r from float64 normal equations
(every 16th target, all alphas; himalaya tells the best alone) go to stdout as JSON. A peer that
fails is named there under ``failed``, and the exit code is 1. Linux only.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

WORKER = Path(__file__).with_name("ridge_worker.py")
ALPHAS = np.logspace(1, 6, 6)
SIZES = {  # training rows, validation rows, features, targets
    "minute": (2_000, 500, 256, 4_000),
    "story": (8_000, 1_000, 1_024, 10_000),
    "laptop": (8_000, 1_000, 1_024, 40_000),
    "wide": (8_000, 1_000, 4_096, 40_000),
}
BLOCK = 2_000


def draw(folder: Path, size: tuple[int, int, int, int]) -> None:
    """Write features whose spectrum falls off, and responses of many noise levels."""
    n, n_validation, n_features, n_targets = size
    rng = np.random.default_rng(0)
    spectrum = np.arange(1, n_features + 1) ** -0.5
    spectrum *= (n_features / np.square(spectrum).sum()) ** 0.5
    features = rng.standard_normal((n + n_validation, n_features)) * spectrum
    features = features.astype(np.float32)
    sides = {"": slice(0, n), "V": slice(n, None)}
    for name, rows in sides.items():
        np.save(folder / f"X{name}.npy", features[rows])
    made = {
        name: np.lib.format.open_memmap(
            folder / f"Y{name}.npy", "w+", np.float32, (len(features[rows]), n_targets)
        )
        for name, rows in sides.items()
    }
    for start in range(0, n_targets, BLOCK):
        width = min(BLOCK, n_targets - start)
        weights = rng.standard_normal((n_features, width), np.float32) / n_features**0.5
        noise = rng.standard_normal((len(features), width), np.float32)
        noise *= np.geomspace(0.7, 7.0, width, dtype=np.float32)
        values = features @ weights + noise
        for name, rows in sides.items():
            made[name][:, start : start + width] = values[rows]
    np.save(folder / "alphas.npy", ALPHAS)


class FitError(Exception):
    """A worker ended badly; the text is what it said."""


def fit(solver: str, folder: Path, given: argparse.Namespace, peer: str | None) -> dict[str, float]:
    """Run the worker once."""
    ours = solver in ("brainaligner", "reference", "products")
    python = sys.executable if ours else given.peer_python
    command = [
        python,
        str(WORKER),
        solver,
        str(folder),
        str(given.threads),
        *([peer] if peer else []),
    ]
    print(f"{solver} ...", file=sys.stderr)
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise FitError(f"{solver} failed:\n{done.stderr}")
    result: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return result


def largest_difference(folder: Path, solver: str) -> float:
    """Of r, from the reference."""
    true, own = (np.load(folder / f"{name}.npz") for name in ("reference", solver))
    if "r" in own:
        return float(np.abs(own["r"][:, true["targets"]] - true["r"]).max())
    return float(np.abs(own["best"][true["targets"]] - true["r"].max(axis=0)).max())


def inside(folder: Path) -> float:
    """Share of targets whose best alpha is not at an edge of the grid."""
    best = np.load(folder / "reference.npz")["r"].argmax(axis=0)
    return float(((best > 0) & (best < len(ALPHAS) - 1)).mean())


def measure(given: argparse.Namespace) -> dict[str, Any]:
    """Turns of all solvers on one draw."""
    size = SIZES[given.size]
    peers = dict([*peer.split("=", 1), None][:2] for peer in given.peer)
    solvers: dict[str, str | None] = {"brainaligner": None, "products": None, **peers}
    runs: dict[str, list[dict[str, float]]] = {name: [] for name in solvers}
    failed: dict[str, str] = {}
    with tempfile.TemporaryDirectory(dir=given.scratch) as name:
        folder = Path(name)
        draw(folder, size)
        fit("reference", folder, given, None)
        for _ in range(given.turns):
            for solver, peer in solvers.items():
                if solver in failed:
                    continue
                try:
                    runs[solver].append(fit(solver, folder, given, peer))
                except FitError as error:
                    if solver not in peers:
                        raise
                    print(error, file=sys.stderr)
                    failed[solver] = str(error)
        runs = {solver: found for solver, found in runs.items() if solver not in failed}
        difference = {name: largest_difference(folder, name) for name in runs if name != "products"}
        share = inside(folder)
    medians = {
        solver: {key: statistics.median(run[key] for run in found) for key in found[0]}
        for solver, found in runs.items()
    }
    ours = medians["brainaligner"]
    for solver, found in medians.items():
        found["ratio"] = round(found["wall_s"] / ours["wall_s"], 2)
        if solver in difference:
            found["difference_in_r"] = difference[solver]
    names = ("rows", "validation_rows", "features", "targets")
    return {
        "simulated": True,
        "size": dict(zip(names, size, strict=True)),
        "alphas": ALPHAS.tolist(),
        "best_alpha_inside_the_grid": round(share, 3),
        "threads": given.threads,
        "turns": given.turns,
        "solvers": medians,
        "failed": failed,
    }


def main() -> None:
    """Measure and print JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", choices=SIZES, default="minute")
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--peer", action="append", default=[], metavar="NAME[=FOLDER]")
    parser.add_argument("--peer-python", default=sys.executable)
    parser.add_argument("--scratch", type=Path, help="where the arrays are written (up to 2 GB)")
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    found = measure(given)
    text = json.dumps(found, indent=1)
    print(text)
    if given.out is not None:
        given.out.write_text(text + "\n", encoding="utf-8")
    if found["failed"]:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
