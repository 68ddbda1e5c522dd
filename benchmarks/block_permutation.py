"""How often unrelated series pass the block permutation test, and how long it takes.

``python benchmarks/block_permutation.py`` tests pairs of unrelated AR(1) series in several sets
of stories, with plain and with widened permutations, and then times 200 targets in 58 stories of
19,000 TRs at 1,000 permutations on one core. JSON goes to stdout.
"""

from __future__ import annotations

import json
import os
import time

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
from scipy.signal import lfilter

from brainaligner.evaluation import block_permutation

LEVEL, N_TARGETS, TARGETS_AT_ONCE = 0.05, 4000, 500
PAIRS = ((0.0, 0.0), (0.3, 0.3), (0.6, 0.6), (0.9, 0.9), (0.6, 0.9), (0.95, 0.9))
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


def main() -> None:
    """Print all of it."""
    rng = np.random.default_rng(0)
    sets = story_sets(rng)
    for name, lengths in sets.items():
        for phi in PAIRS:
            passed = shares_passed(rng, lengths, phi)
            print(json.dumps({"stories": name, "ar": phi} | passed), flush=True)
    lengths = sets["58 stories, 19,000 rows"]
    print(json.dumps({"seconds": processor_seconds(rng, lengths), "targets": 200}))


if __name__ == "__main__":
    main()
