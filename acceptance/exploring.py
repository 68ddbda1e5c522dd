"""SIMULATED: how long the explorer takes to answer a click, at the size of a whole cortex."""

from __future__ import annotations

import shutil
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import yaml

from acceptance.runs import run_command

Result = dict[str, Any]

N_VOXELS, COPIES = 95_556, 6  # the simulator's cortex has room for a sixth of them
N_CLICKS, AT_MOST_MS = 100, 200.0
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--enable-unsafe-swiftshader"]

STUDY = {
    "name": "whole-cortex",
    "dataset": {
        "reader": "simulated",
        "simulation": {
            "features": "layer4",
            "tree": {"n_voxels": [N_VOXELS // COPIES], "signal": [1.0]},
        },
    },
    "split": {"counts": [8, 2, 3], "seed": 0},
    "features": {
        "layer4": {"model": "embedded", "text": {"layer": 4, "clock": "own"}},
        "last": {"model": "embedded", "text": {"layer": -1, "clock": "own"}},
    },
    "defaults": {"design": {"delays": [1, 2, 3, 4], "scaling": "story"}},
    "arms": {
        "layer4": {"features": ["layer4"]},
        "last": {"features": ["last"]},
        "layer4-with-nuisance": {"features": ["layer4"], "design": {"nuisance": "with"}},
        "last-with-nuisance": {"features": ["last"], "design": {"nuisance": "with"}},
    },
    "evaluation": {"n_bootstrap": 20, "n_shifts": 20, "cuts": [0]},
    "controls": [],
    "null_draws": 2,
    "other_listeners": {"shown": False},
}


def explorer_click(scratch: Path) -> Result:
    """Click 100 times on the cortex of 95,556 simulated voxels, four arms, in a real browser.

    The time is the browser's own, from the click until time courses and words are drawn.
    """
    study, tree, log = scratch / "study.yaml", scratch / "tree", scratch / "log.txt"
    study.write_text(yaml.safe_dump(STUDY), encoding="utf-8")
    if not (tree / "whole").exists():
        shutil.rmtree(tree, ignore_errors=True)
        run_command("data", "simulate", str(tree), "--study", str(study), log=log)
        _widen(tree)
        (tree / "whole").touch()
    read = STUDY | {"dataset": {"reader": "lebel2023", "folder": str(tree)}}
    study.write_text(yaml.safe_dump(read), encoding="utf-8")
    run_command("run", str(study), "--out", str(scratch / "out"), log=log)
    waits = _clicks(scratch / "out" / "whole-cortex")
    middle = statistics.median(waits)
    return {
        "passed": len(waits) == N_CLICKS and middle < AT_MOST_MS,
        "simulated": True,
        "voxels": N_VOXELS,
        "arms": len(STUDY["arms"]),
        "clicks": len(waits),
        "median_ms": round(middle, 1),
        "highest_ms": round(max(waits), 1),
        "at_most_ms": AT_MOST_MS,
    }


def _widen(tree: Path) -> None:
    """Put every voxel there several times, response and place."""
    for path in tree.glob("derivative/preprocessed_data/*/*.hf5"):
        with h5py.File(path, "r+") as file:
            for name in list(file):
                rows = file[name][...]
                del file[name]
                file[name] = np.tile(rows, COPIES)
    for path in tree.glob("derivative/pycortex-db/*/fsaverage5_vertices.npy"):
        np.save(path, np.tile(np.load(path, allow_pickle=False), COPIES))


def _clicks(run: Path) -> list[float]:
    command = [sys.executable, "-m", "brainaligner", "view", str(run), "--no-browser"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout
            return _click(server.stdout.readline().split()[0])
        finally:
            server.terminate()


def _click(address: str) -> list[float]:
    from playwright.sync_api import sync_playwright

    found = next(filter(None, map(shutil.which, BROWSERS)))
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=ARGUMENTS)
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        page.goto(address)
        page.wait_for_selector("body[data-ready=yes]", timeout=300_000)
        waits = [_one_click(page, 173 * number) for number in range(N_CLICKS)]
        browser.close()
    return waits


def _one_click(page: Any, vertex: int) -> float:
    return float(
        page.evaluate(
            """async (vertex) => {
              const answered = new Promise((done) => {
                new MutationObserver((_, watch) => { watch.disconnect(); done(performance.now()); })
                  .observe(document.body, { attributeFilter: ["data-answered"] });
              });
              const clicked = performance.now();
              const event = { points: [{ pointNumber: vertex }] };
              document.getElementById("cortex").emit("plotly_click", event);
              return (await answered) - clicked;
            }""",
            vertex,
        )
    )


CHECKS = {"explorer_click": explorer_click}
