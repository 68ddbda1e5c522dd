"""What `--threads` limits, and where the ridge runs."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from brainaligner.study import RunOptions

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


@pytest.mark.parametrize(
    ("device", "wanted"),
    [
        ("cuda", ("cuda:0", "cuda:1", "cuda:2")),
        ("cuda:1", ("cuda:1",)),
        ("cpu", ("cpu",)),
        ("mps", ("cpu",)),  # which has no float64
    ],
)
def test_the_ridge_takes_all_gpus_where_none_is_named(
    device: str, wanted: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.cuda.device_count", lambda: 3)
    assert RunOptions(Path("out"), device=device).ridge_devices == wanted
