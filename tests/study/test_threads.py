"""What `--threads` limits."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

SHOW = """
import json, pathlib, sys
import numpy, scipy.linalg, threadpoolctl, torch
from brainaligner.study import RunOptions

for threads in map(int, sys.argv[1:]):
    RunOptions(pathlib.Path("out"), threads=threads).activate()
    pools = [p["num_threads"] for p in threadpoolctl.threadpool_info() if p["user_api"] == "blas"]
    print(json.dumps([torch.get_num_threads(), pools]))
"""


@pytest.mark.parametrize("asked", [[1], [2, 1], [1, 2]])
def test_numpy_and_scipy_take_as_many_threads_as_torch(asked: list[int]) -> None:
    command = [sys.executable, "-c", SHOW, *map(str, asked)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert [threads for threads, _ in found] == asked
    for threads, pools in found:
        assert pools
        assert set(pools) == {threads}
