"""What leaving each story out costs beside one split, and that it is right.

``python benchmarks/leave_story_out.py [--rows 20000] [--features 1024] [--targets 4000]
[--stories 60] [--turns 3] [--threads 1]`` draws stories of equal length (SIMULATED; features whose
spectrum falls off, responses of many noise levels) and by turns, in CPU seconds of one process,
chooses one of six alphas for each target

``split``      on a tenth of the stories, fitted to the others (`fit_ridge`);
``left_out``   on each story as all others predict it;
``products``   by the bare float32 products that the second must do: ``X' Y``, what a story adds to
               it, and predictions of all rows for each alpha.

``ratio`` is left_out by split, ``by_products`` left_out by products, both of medians.
``difference_in_r`` is the largest one from a loop that leaves each story's products out of
float64 normal equations and solves them, on 64 targets. JSON goes to stdout.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable

import numpy as np
import torch

from brainaligner.encoding import ArrayStories, RidgeSettings, fit_ridge

ALPHAS = tuple(float(alpha) for alpha in np.logspace(1, 6, 6))
N_CHECKED = 64


def draw(given: argparse.Namespace) -> ArrayStories:
    """Stories whose best alphas lie inside the grid."""
    rng = np.random.default_rng(0)
    n_rows, p = given.rows // given.stories, given.features
    spectrum = np.arange(1, p + 1) ** -0.5
    spectrum *= (p / np.square(spectrum).sum()) ** 0.5
    weights = rng.standard_normal((p, given.targets), np.float32) / p**0.5
    noise = np.geomspace(0.7, 7.0, given.targets, dtype=np.float32)
    designs, responses = [], []
    for _ in range(given.stories):
        x = (rng.standard_normal((n_rows, p)) * spectrum).astype(np.float32)
        designs.append(x)
        noises = rng.standard_normal((n_rows, given.targets), np.float32)
        responses.append(x @ weights + noise * noises)
    return ArrayStories(designs, responses)


def loop(stories: ArrayStories) -> np.ndarray:
    """Pearson r of each alpha, from one solve for each story and alpha; the first targets."""
    designs = [x.astype(np.float64) for x in stories.designs]
    measured = [y[:, :N_CHECKED].astype(np.float64) for y in stories.matrices]
    gram, cross = (
        sum(x.T @ right for x, right in zip(designs, side, strict=True))
        for side in (designs, measured)
    )
    whole = np.concatenate(measured)
    found = []
    for alpha in ALPHAS:
        penalty = alpha * np.eye(len(gram))
        predicted = np.concatenate(
            [
                x @ np.linalg.solve(gram - x.T @ x + penalty, cross - x.T @ y)
                for x, y in zip(designs, measured, strict=True)
            ]
        )
        sides = (predicted - predicted.mean(0), whole - whole.mean(0))
        p, m = (side / np.linalg.norm(side, axis=0) for side in sides)
        found.append((p * m).sum(0))
    return np.stack(found)


def products(stories: ArrayStories) -> None:
    """Float32 products as wide as the targets, of the sizes that leaving stories out has."""
    designs = [torch.from_numpy(x) for x in stories.designs]
    measured = [torch.from_numpy(y) for y in stories.matrices]
    n_targets = stories.n_targets
    for start in range(0, n_targets, 4096):
        block = [y[:, start : start + 4096] for y in measured]
        cross = torch.zeros((designs[0].shape[1], block[0].shape[1]))
        for x, y in zip(designs, block, strict=True):
            cross.addmm_(x.T, y)
        for x, y in zip(designs, block, strict=True):
            others = torch.addmm(cross, x.T, y, alpha=-1)
            for _ in ALPHAS:
                x @ others


def main() -> None:
    """Measure by turns and print JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name, default in (("rows", 20_000), ("features", 1_024), ("targets", 4_000)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--stories", type=int, default=60)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    stories = draw(given)
    n_fit = given.stories - max(given.stories // 10, 1)
    sides = [
        ArrayStories(stories.designs[part], stories.matrices[part])
        for part in (slice(n_fit), slice(n_fit, None))
    ]
    asked = RidgeSettings(alphas=ALPHAS, alpha="per_target")
    left_out = RidgeSettings(alphas=ALPHAS, alpha="per_target", selection="leave_story_out")
    runs: dict[str, Callable[[], object]] = {
        "split": lambda: fit_ridge(*sides, settings=asked),
        "left_out": lambda: fit_ridge(stories, settings=left_out),
        "products": lambda: products(stories),
    }
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for turn in range(given.turns):
        for name, run in runs.items():
            print(f"turn {turn + 1}: {name}", file=sys.stderr)
            begun = time.process_time()
            run()
            seconds[name].append(round(time.process_time() - begun, 2))
    medians = {name: statistics.median(found) for name, found in seconds.items()}
    fit = fit_ridge(stories, settings=left_out)
    difference = np.abs(fit.validation_r[:, :N_CHECKED] - loop(stories)).max()
    best = fit.validation_r.argmax(axis=0)
    result = {
        "simulated": True,
        **{name: getattr(given, name) for name in ("rows", "features", "targets", "stories")},
        "alphas": ALPHAS,
        "best_alpha_inside_the_grid": float(((best > 0) & (best < len(ALPHAS) - 1)).mean()),
        "cpu_s": seconds,
        "ratio": round(medians["left_out"] / medians["split"], 2),
        "by_products": round(medians["left_out"] / medians["products"], 2),
        "difference_in_r": float(difference),
    }
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
