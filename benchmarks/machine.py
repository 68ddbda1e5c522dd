"""What this machine can do at this moment: products, copies, reading from the disk.

``python benchmarks/machine.py [--threads 1] [--turns 3] [--disk FOLDER]`` multiplies float32 and
float64 matrices of a few shapes with torch, copies a large array, and reads back a file that
it has just written and asked the system to forget. Of all turns the median and the best are given:
where they lie far apart, or two runs do, something else was busy. JSON goes to stdout. Linux only.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

SHAPES = ((512, 512, 512), (1_024, 4_000, 2_048), (1_024, 1_024, 4_096))  # n x k by k x m
COPIED = 256 << 20
READ = 128 << 20
MIB = 1 << 20


def rates(work: float, run: Callable[[], object], turns: int) -> dict[str, float]:
    """Work by seconds, over turns; one more before them is not counted."""
    found = []
    for _ in range(turns + 1):
        begun = time.perf_counter()
        run()
        found.append(work / (time.perf_counter() - begun))
    counted = found[1:]
    return {"median": round(statistics.median(counted), 2), "best": round(max(counted), 2)}


def product_rates(dtype: torch.dtype, turns: int) -> dict[str, dict[str, float]]:
    """GFLOP/s of each shape."""
    found = {}
    for n, k, m in SHAPES:
        a, b = torch.ones((n, k), dtype=dtype), torch.ones((k, m), dtype=dtype)
        out = torch.empty((n, m), dtype=dtype)
        product = partial(torch.mm, a, b, out=out)
        found[f"{n}x{k} by {k}x{m}"] = rates(2e-9 * n * k * m, product, turns)
    return found


def copy_rate(turns: int) -> dict[str, float]:
    """GB/s that a copy reads and writes."""
    source = np.ones(COPIED // 8)
    target = np.empty_like(source)
    return rates(2e-9 * source.nbytes, lambda: np.copyto(target, source), turns)


def disk_rate(folder: Path, turns: int) -> dict[str, float]:
    """MiB/s of reading a file from end to end, forgotten by the page cache before each turn."""
    rng = np.random.default_rng(0)
    buffer = bytearray(MIB)
    with tempfile.TemporaryDirectory(dir=folder) as name:
        path = Path(name) / "fresh"
        with path.open("wb") as file:
            for _ in range(READ // MIB):
                file.write(rng.bytes(MIB))
            file.flush()
            os.fsync(file.fileno())

        def read() -> None:
            with path.open("rb", buffering=0) as file:
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
                while file.readinto(buffer):
                    pass

        return rates(READ / MIB, read, turns)


def main() -> None:
    """Measure and print JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--disk", type=Path, help="where the file is written (128 MiB)")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    result: dict[str, Any] = {
        "load": [round(load, 2) for load in os.getloadavg()],
        "float32_gflops": product_rates(torch.float32, given.turns),
        "float64_gflops": product_rates(torch.float64, given.turns),
        "copy_gb_per_s": copy_rate(given.turns),
        "disk_read_mib_per_s": disk_rate(given.disk, given.turns),
    }
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
