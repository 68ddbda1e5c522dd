"""Memory of the ridge when responses are read from the disk, and three subjects in one fit.

``python benchmarks/ridge_memory.py [--rows 20000] [--features 4096] [--targets 10000 90000]
[--threads 1] [--disk FOLDER] [--three]`` writes SIMULATED stories (60 of equal length; responses
as chunked float32 hdf5, as converted recordings are kept), and fits each number of targets in a
process of its own: one alpha of six for all, 54 stories to fit, 6 to choose by and to predict.
``--three`` also fits three subjects of the most targets at once, X being the same.

For each: CPU and wall seconds, and the peak of anonymous memory in MiB (``RssAnon``, sampled every
20 ms: files that the kernel can drop at any time do not count), in all and before the fit.
``growth`` is that of the most targets by that of the fewest: wanted is 1.1 at most, with under 2.5
GB in all. ``three_by_one`` is in CPU seconds: wanted is 2.6 at most. JSON goes to stdout. Linux
only.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from brainaligner.encoding import RidgeSettings, Scratch, StackedStories, stream_ridge

N_STORIES, N_VALIDATION, CHUNK, BLOCK = 60, 6, 4096, 4096
ALPHAS = tuple(float(alpha) for alpha in np.logspace(1, 6, 6))


@dataclass(frozen=True)
class DiskStories:
    """Stories whose designs and responses lie in files; nothing of them is held."""

    folder: Path
    names: tuple[str, ...]
    n_targets: int

    def __len__(self) -> int:
        return len(self.names)

    def design(self, i: int) -> np.ndarray:
        """Features of story `i`."""
        return np.load(self.folder / f"{self.names[i]}.npy")

    def responses(self, i: int, targets: slice) -> np.ndarray:
        """Responses to story `i` at a slice of targets."""
        with h5py.File(self.folder / f"{self.names[i]}.hf5", "r") as file:
            return file["data"][:, targets]


def story_names() -> tuple[str, ...]:
    """Names of all stories; the last are for validation."""
    return tuple(f"story{i:02d}" for i in range(N_STORIES))


def write_stories(folder: Path, n_rows: int, n_features: int, n_targets: int) -> None:
    """Features whose spectrum falls off; responses that a few of them drive, and noise."""
    rng = np.random.default_rng(0)
    spectrum = np.arange(1, n_features + 1) ** -0.5
    spectrum *= (n_features / np.square(spectrum).sum()) ** 0.5
    driving = rng.integers(0, n_features, n_targets)
    for name in story_names():
        features = rng.standard_normal((n_rows // N_STORIES, n_features), np.float32)
        features *= spectrum.astype(np.float32)
        np.save(folder / f"{name}.npy", features)
        with h5py.File(folder / f"{name}.hf5", "w") as file:
            shape = (len(features), n_targets)
            chunks = (len(features), min(CHUNK, n_targets))
            data = file.create_dataset("data", shape, np.float32, chunks=chunks)
            for start in range(0, n_targets, CHUNK):
                columns = slice(start, min(start + CHUNK, n_targets))
                noise = rng.standard_normal((len(features), columns.stop - start), np.float32)
                data[:, columns] = features[:, driving[columns]] + noise


@contextmanager
def watched() -> Iterator[dict[str, float]]:
    """Anonymous memory before, and its peak meanwhile, in MiB."""
    found = {"before": _anonymous_mib(), "peak": 0.0}
    done = threading.Event()

    def look() -> None:
        while not done.wait(0.02):
            found["peak"] = max(found["peak"], _anonymous_mib())

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield found
    finally:
        done.set()
        thread.join()


def _anonymous_mib() -> float:
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("RssAnon:"))


def fit(folder: Path, n_targets: int, n_subjects: int) -> dict[str, Any]:
    """One fit from the disk; predictions are looked at and let go."""
    names = story_names()
    sides = [
        StackedStories([DiskStories(folder, part, n_targets)] * n_subjects)
        for part in (names[:-N_VALIDATION], names[-N_VALIDATION:])
    ]
    begun, wall = time.process_time(), time.perf_counter()
    total, alpha = 0.0, np.nan
    with watched() as memory, tempfile.TemporaryDirectory(dir=folder) as scratch:
        for block in stream_ridge(
            sides[0],
            sides[1],
            sides[1],
            settings=RidgeSettings(alphas=ALPHAS),
            target_block=BLOCK,
            keep_bytes=1 << 26,  # as in a study
            scratch=Scratch(Path(scratch)),
        ):
            total += float(np.abs(block.predictions[0]).sum())
            alpha = float(block.choice.alpha[0])
    return {
        "targets": n_targets * n_subjects,
        "cpu_s": round(time.process_time() - begun, 1),
        "wall_s": round(time.perf_counter() - wall, 1),
        "anonymous_mib": round(memory["peak"], 1),
        "before_mib": round(memory["before"], 1),
        "alpha": alpha,
    }


def _child(given: argparse.Namespace, folder: Path, n_targets: int, n_subjects: int) -> Any:
    print(f"{n_targets} targets, {n_subjects} subject(s)", file=sys.stderr)
    asked = ["--threads", str(given.threads), "--fit", str(folder), str(n_targets), str(n_subjects)]
    command = [sys.executable, __file__, *asked]
    found = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(found.stdout)


def main() -> None:
    """Measure and print JSON; with ``--fit``, be the process that fits."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--features", type=int, default=4096)
    parser.add_argument("--targets", type=int, nargs="+", default=[10_000, 90_000])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--disk", type=Path, help="where the stories are written")
    parser.add_argument("--three", action="store_true", help="three subjects at once, too")
    parser.add_argument("--fit", nargs=3, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.fit:
        import torch

        torch.set_num_threads(given.threads)
        print(json.dumps(fit(Path(given.fit[0]), int(given.fit[1]), int(given.fit[2]))))
        return
    with tempfile.TemporaryDirectory(dir=given.disk) as name:
        folder, most = Path(name), max(given.targets)
        write_stories(folder, given.rows, given.features, most)
        fits = [_child(given, folder, n, 1) for n in sorted(given.targets)]
        result = {"rows": given.rows, "features": given.features, "fits": fits}
        result["growth"] = round(fits[-1]["anonymous_mib"] / fits[0]["anonymous_mib"], 3)
        if given.three:
            result["three"] = _child(given, folder, most, 3)
            result["three_by_one"] = round(result["three"]["cpu_s"] / fits[-1]["cpu_s"], 2)
        print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
