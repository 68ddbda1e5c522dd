"""How often unrelated series pass the block permutation test, and how long it takes.

``python benchmarks/block_permutation.py rates`` tests pairs of unrelated AR(1) series in several
sets of stories, with plain and with widened permutations, and then times 200 targets in 58 stories
of 19,000 TRs at 1,000 permutations on one core.

``python benchmarks/block_permutation.py cortex [--voxels 95556] [--permutations 10000]`` makes that
many permutations of as many voxels in a story of 291 TRs (random data), beside the straightforward
loop over permutations on a slice of them, in the same run: seconds, their ratio, whether both count
the same, and peak memory.

JSON goes to stdout.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import time

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
from scipy.signal import lfilter

from brainaligner.evaluation import block_permutation
from brainaligner.evaluation._layout import BlockLayout, draw_permutations

LEVEL, N_TARGETS, TARGETS_AT_ONCE = 0.05, 4000, 500
PAIRS = ((0.0, 0.0), (0.3, 0.3), (0.6, 0.6), (0.9, 0.9), (0.6, 0.9), (0.95, 0.9))
N_ROWS, N_VOXELS, N_PERMUTATIONS = 291, 95_556, 10_000
SLICE_VOXELS, SLICE_PERMUTATIONS = 4_096, 60
Series = list[np.ndarray]


def story_sets(rng: np.random.Generator) -> dict[str, list[int]]:
    """Rows of the stories of each set."""
    many = rng.integers(180, 480, 58)
    return {
        "58 stories, 19,000 rows": (many * 19_000 // many.sum()).tolist(),
        "14 stories of 100 rows": [100] * 14,
        "8 stories of 11 to 97 rows": [21, 33, 47, 59, 97, 11, 88, 65],
        "1 story of 291 rows": [291],
    }


def ar1(rng: np.random.Generator, lengths: list[int], phi: float, n_targets: int) -> Series:
    """Unit-variance AR(1) series of each story."""
    noise = (rng.standard_normal((rows + 200, n_targets)) for rows in lengths)
    return [lfilter([np.sqrt(1 - phi**2)], [1, -phi], e, axis=0)[200:] for e in noise]


def shares_passed(
    rng: np.random.Generator, lengths: list[int], phi: tuple[float, float]
) -> dict[str, float]:
    """Share of unrelated targets with p of at most .05, plain and widened."""
    passed = {"plain": 0, "widened": 0}
    for seed in range(N_TARGETS // TARGETS_AT_ONCE):
        p, y = (ar1(rng, lengths, value, TARGETS_AT_ONCE) for value in phi)
        for name in passed:
            found = block_permutation(p, y, n_permutations=999, seed=seed, widen=name == "widened")
            passed[name] += int((found.p <= LEVEL).sum())
    return {name: count / N_TARGETS for name, count in passed.items()}


def processor_seconds(rng: np.random.Generator, lengths: list[int]) -> float:
    """Processor time of 200 targets and 1,000 permutations, float32."""
    p, y = ([rows.astype(np.float32) for rows in ar1(rng, lengths, 0.5, 200)] for _ in "py")
    started = time.process_time()
    block_permutation(p, y, n_permutations=1000, seed=0)
    return time.process_time() - started


def loop_counts(p: np.ndarray, y: np.ndarray, least: int, draws: np.ndarray) -> np.ndarray:
    """Count permuted r that reach the observed one, one permutation after the other."""
    rows = BlockLayout(len(p), least).rows
    p = (p - p.mean(axis=0)) / p.std(axis=0)
    y = (y - y.mean(axis=0)) / y.std(axis=0)
    observed = np.einsum("tv,tv->v", p, y)
    count = np.zeros(p.shape[1], dtype=np.int64)
    moved = p.copy()
    for draw in draws:
        moved[rows.ravel()] = p[rows[draw].ravel()]
        count += np.einsum("tv,tv->v", moved, y) >= observed - 1e-12 * len(p)
    return count


def slice_of_the_loop(p: np.ndarray, y: np.ndarray, n_permutations: int) -> dict[str, float]:
    """Time of the loop in float32, scaled to all of it, and whether counts agree in float64."""
    least = 10
    drawn = draw_permutations(
        [BlockLayout(len(p), least)], n_permutations=SLICE_PERMUTATIONS, seed=0
    )
    (draws,) = drawn
    wall, cpu = time.perf_counter(), time.process_time()
    loop_counts(p[:, :SLICE_VOXELS], y[:, :SLICE_VOXELS], least, draws)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    n_sliced = min(SLICE_VOXELS, p.shape[1])
    scale = p.shape[1] / n_sliced * n_permutations / SLICE_PERMUTATIONS
    part = [rows[:, :SLICE_VOXELS].astype(np.float64) for rows in (p, y)]
    ours = block_permutation(
        [part[0]], [part[1]], n_permutations=SLICE_PERMUTATIONS, seed=0, widen=False
    )
    same = ours.block_rows == least
    counts = np.round(ours.p * (SLICE_PERMUTATIONS + 1) - 1)
    equal = counts[same] == loop_counts(*part, least, draws)[same]
    return {
        "loop_seconds": wall * scale,
        "loop_processor_seconds": cpu * scale,
        "equal_counts": bool(equal.all()),
        "compared_voxels": int(same.sum()),
    }


def whole_cortex(n_voxels: int, n_permutations: int) -> dict[str, float]:
    """Time and memory of all permutations of all voxels."""
    rng = np.random.default_rng(0)
    p, y = (rng.standard_normal((N_ROWS, n_voxels), dtype=np.float32) for _ in "py")
    block_permutation([p[:, :500]], [y[:, :500]], n_permutations=20, seed=0)  # loads libraries
    wall, cpu = time.perf_counter(), time.process_time()
    found = block_permutation([p], [y], n_permutations=n_permutations, seed=0)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    loop = slice_of_the_loop(p, y, n_permutations)
    return {
        "voxels": n_voxels,
        "permutations": n_permutations,
        "seconds": wall,
        "processor_seconds": cpu,
        "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "ratio": loop["loop_seconds"] / wall,
        "ratio_of_processor_seconds": loop["loop_processor_seconds"] / cpu,
        "share_under_05": float((found.p <= LEVEL).mean()),
        "threads": int(os.environ["OMP_NUM_THREADS"]),
        **loop,
    }


def rates() -> None:
    """Print the shares of unrelated targets that pass, and the time of long responses."""
    rng = np.random.default_rng(0)
    sets = story_sets(rng)
    for name, lengths in sets.items():
        for phi in PAIRS:
            passed = shares_passed(rng, lengths, phi)
            print(json.dumps({"stories": name, "ar": phi} | passed), flush=True)
    lengths = sets["58 stories, 19,000 rows"]
    print(json.dumps({"seconds": processor_seconds(rng, lengths), "targets": 200}))


def main() -> None:
    """Print one of both."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["rates", "cortex"])
    parser.add_argument("--voxels", type=int, default=N_VOXELS)
    parser.add_argument("--permutations", type=int, default=N_PERMUTATIONS)
    given = parser.parse_args()
    if given.what == "rates":
        rates()
    else:
        print(json.dumps(whole_cortex(given.voxels, given.permutations), indent=1))


if __name__ == "__main__":
    main()
