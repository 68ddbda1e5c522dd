"""How fast the lebel2023 reader reads column slices, and how much memory that takes.

``python benchmarks/read_columns.py [--voxels 95556] [--turns 3]`` writes one recording of
ds003020's size (350 rows, float64) into a temporary folder, and reads it as a plain file from end
to end and through the reader in slices that are as wide as a study's blocks of targets. Each
reading is done in a process of its own: after the system was asked to forget the file (``cold``),
and from the page cache (``warm``); the best of all turns each. JSON goes to stdout. Linux only.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np

from brainaligner.data import open_dataset

SUBJECT, STORY = "UTS01", "story"
N_ROWS, N_VOXELS, WIDTH = 350, 95_556, 8_192
MIB = 1 << 20
TEXTGRID = """File type = "ooTextFile"
Object class = "TextGrid"

0
10
<exists>
1
"IntervalTier"
"word"
0
10
2
0
5
"one"
5
10
"two"
"""


def write_tree(root: Path, n_voxels: int) -> Path:
    """Write a tree of one recording; return the file of the recording."""
    (root / "TextGrids").mkdir()
    (root / "TextGrids" / f"{STORY}.TextGrid").write_text(TEXTGRID, encoding="utf-8")
    path = root / "preprocessed_data" / SUBJECT / f"{STORY}.hf5"
    path.parent.mkdir(parents=True)
    rng = np.random.default_rng(0)
    with h5py.File(path, "w") as file:
        data = file.create_dataset("data", (N_ROWS, n_voxels), np.float64)
        for row in range(N_ROWS):
            data[row] = rng.standard_normal(n_voxels)
    with path.open("rb+") as file:
        os.fsync(file.fileno())
    return path


def forget(path: Path) -> None:
    """Ask the system to drop the file from its page cache."""
    with path.open("rb") as file:
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def read_raw(path: Path) -> None:
    """Read the file from end to end, a MiB at a time."""
    buffer = bytearray(MIB)
    with path.open("rb", buffering=0) as file:
        while file.readinto(buffer):
            pass


def read_slices(root: Path, n_voxels: int) -> None:
    """Read all columns through the reader, a slice at a time."""
    dataset = open_dataset("lebel2023", root)
    for start in range(0, n_voxels, WIDTH):
        columns = slice(start, min(start + WIDTH, n_voxels))
        values = dataset.responses(SUBJECT, STORY, columns).values
        assert values.shape[0] == N_ROWS


def measured(read: Callable[[], None]) -> dict[str, float]:
    """Seconds, and by how many MiB memory grew at its peak.

    ru_maxrss will not do: a process inherits it from the one that started it.
    """
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # forget the peak so far
    before, started = _status_mib("VmRSS"), time.perf_counter()
    read()
    return {"seconds": time.perf_counter() - started, "peak_mib": _status_mib("VmHWM") - before}


def _status_mib(name: str) -> float:
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(f"{name}:"))


def _child(name: str, root: Path, n_voxels: int) -> dict[str, float]:
    asked = ["--read", name, "--root", str(root), "--voxels", str(n_voxels)]
    command = [sys.executable, __file__, *asked]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def compare(root: Path, path: Path, given: argparse.Namespace, *, cold: bool) -> dict[str, float]:
    """Throughput of both ways, raw and slices taking turns, and the memory of the slices."""
    seconds: dict[str, float] = {}
    peak = 0.0
    for _ in range(given.turns):
        for name in ("raw", "slices"):
            if cold:
                forget(path)
            result = _child(name, root, given.voxels)
            seconds[name] = min(seconds.get(name, float("inf")), result["seconds"])
            if name == "slices":
                peak = max(peak, result["peak_mib"])
    size = path.stat().st_size / MIB
    return {
        "raw_mib_per_s": round(size / seconds["raw"], 1),
        "slices_mib_per_s": round(size / seconds["slices"], 1),
        "ratio": round(seconds["raw"] / seconds["slices"], 3),
        "peak_above_slice_mib": round(peak - 4 * N_ROWS * min(WIDTH, given.voxels) / MIB, 1),
    }


def main() -> None:
    """Measure and print JSON; with ``--read``, be the process that reads."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--voxels", type=int, default=N_VOXELS)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--read", choices=("raw", "slices"), help=argparse.SUPPRESS)
    parser.add_argument("--root", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.read:
        path = given.root / "preprocessed_data" / SUBJECT / f"{STORY}.hf5"
        readers = {
            "raw": lambda: read_raw(path),
            "slices": lambda: read_slices(given.root, given.voxels),
        }
        print(json.dumps(measured(readers[given.read])))
        return
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        path = write_tree(root, given.voxels)
        result = {"rows": N_ROWS, "voxels": given.voxels, "slice_columns": WIDTH}
        kinds = {"cold": True, "warm": False}
        for name, cold in kinds.items():
            result |= {name: compare(root, path, given, cold=cold)}
        print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
