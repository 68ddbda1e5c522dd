"""Cluster files, the jobs that they ask for, and workers that end, die or never begin."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import CancelledError
from pathlib import Path
from typing import Any

import pytest
import yaml
from cluster_trees import JOBS, TWO, save_cluster
from distributed import Status
from distributed.comm.core import CommClosedError
from distributed.deploy.spec import ProcessInterface

from brainaligner.core import InputError
from brainaligner.study import _cluster_start
from brainaligner.study._cluster_config import read_cluster
from brainaligner.study._cluster_jobs import job_scripts, worker_specs
from brainaligner.study._progress import SilentReporter

AT = "kind: address\naddress: tcp://a:1\n"


def _all() -> set[str]:
    return {"CPU"}


@pytest.mark.parametrize("kept", [True, False])
def test_a_worker_that_ended_is_started_again(
    kept: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether Dask keeps the closed worker, as where a nanny gives up, or drops it."""
    monkeypatch.setattr(_cluster_start, "_REFILL_S", 0.2)
    local = read_cluster(save_cluster(tmp_path, "kind: local\ncpu: {workers: 1}\n"))
    with _cluster_start.cluster_client(local, SilentReporter(), _all) as (client, _):
        (name,) = client.cluster.workers
        nanny = client.cluster.workers[name]
        client.cluster.sync(nanny.close)
        if not kept:
            client.cluster.workers.pop(name, None)
        asked = client.submit(sum, [1, 2], resources={"CPU": 1})
        assert asked.result(timeout=120) == 3
        until = time.monotonic() + 60
        while client.cluster.workers.get(name) in (None, nanny) and time.monotonic() < until:
            time.sleep(0.1)  # it works before it is in the list
        assert client.cluster.workers[name] is not nanny


@pytest.mark.parametrize(("retries", "opened"), [(2, True), (1, False)])
def test_workers_that_die_as_they_begin_are_tried_again(
    retries: int, opened: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import distributed

    tries = []

    def opening(**asked: Any) -> str:
        tries.append(asked["workers"])
        if len(tries) < 3:
            raise RuntimeError("Nanny failed to start.")
        return "cluster"

    monkeypatch.setattr(distributed, "SpecCluster", opening)
    local = read_cluster(save_cluster(tmp_path, f"{TWO}retries: {retries}\n"))
    specs = worker_specs(local)
    if opened:
        assert _cluster_start._opened(local, specs) == "cluster"
    else:
        with pytest.raises(_cluster_start.ClusterError, match="did not start, 2 times"):
            _cluster_start._opened(local, specs)
    assert tries == [dict(specs)] * (retries + 1)


def test_a_scheduler_that_cannot_start_is_bad_input_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import distributed

    tries = []

    def opening(**asked: Any) -> str:
        tries.append(asked)
        raise RuntimeError("Cluster failed to start: 'nope0' is not a valid network interface")

    monkeypatch.setattr(distributed, "SpecCluster", opening)
    local = read_cluster(save_cluster(tmp_path, TWO))
    with pytest.raises(InputError, match="nope0"):
        _cluster_start._opened(local, worker_specs(local))
    assert len(tries) == 1


class _Worker(ProcessInterface):
    """A job of a queue: it starts as often as it is told."""

    starts_left = 1

    async def start(self) -> None:
        if type(self).starts_left < 1:
            raise RuntimeError("the queue says no")
        type(self).starts_left -= 1
        await super().start()


@pytest.mark.parametrize("retries", [0, 2])
@pytest.mark.long
def test_a_worker_whose_restart_fails_is_tried_again_and_given_up_in_the_end(
    retries: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_cluster_start, "_REFILL_S", 0.2)
    monkeypatch.setattr(_Worker, "starts_left", 1)
    specs = {"cpu-0": {"cls": _Worker, "options": {}}}
    monkeypatch.setattr(_cluster_start, "worker_specs", lambda _: specs)
    local = read_cluster(save_cluster(tmp_path, f"{TWO}retries: {retries}\n"))
    reporter = SilentReporter()
    lines: list[str] = []
    monkeypatch.setattr(SilentReporter, "line", lambda _, text: lines.append(text))
    with _cluster_start.cluster_client(local, reporter, _all) as (client, _):
        first = client.cluster.workers["cpu-0"]
        client.cluster.sync(first.close)
        asked = client.submit(sum, [1, 2], resources={"CPU": 1})
        until = time.monotonic() + 60
        while not asked.done() and time.monotonic() < until:
            time.sleep(0.1)
        with pytest.raises((CancelledError, asyncio.CancelledError, CommClosedError)):
            asked.result(timeout=30)
    given_up = f"cluster: worker cpu-0 did not start {retries + 1} times in a row, and is given up"
    lost = "cluster: no worker is left with the resource CPU, which units need"
    assert lines[-2:] == [given_up, lost]


class _Gpu(_Worker):
    """A job of another sort."""


@pytest.mark.parametrize("needed", [{"CPU", "GPU"}, {"CPU"}])
@pytest.mark.long
def test_a_cluster_is_closed_only_when_units_need_a_sort_of_worker_that_is_gone(
    needed: set[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_cluster_start, "_REFILL_S", 0.1)
    monkeypatch.setattr(_Worker, "starts_left", 1)
    monkeypatch.setattr(_Gpu, "starts_left", 1, raising=False)
    kinds = {"cpu-0": _Worker, "gpu-0": _Gpu}
    specs = {name: {"cls": kind, "options": {}} for name, kind in kinds.items()}
    monkeypatch.setattr(_cluster_start, "worker_specs", lambda _: specs)
    lines: list[str] = []
    monkeypatch.setattr(SilentReporter, "line", lambda _, text: lines.append(text))
    both = read_cluster(save_cluster(tmp_path, f"{TWO}gpu: {{workers: 1}}\nretries: 0\n"))
    with _cluster_start.cluster_client(both, SilentReporter(), lambda: needed) as (client, _):
        scheduler, until = client.cluster.scheduler, time.monotonic() + 60
        client.cluster.sync(client.cluster.workers["gpu-0"].close)
        while len(lines) < 1 + ("GPU" in needed) and time.monotonic() < until:
            time.sleep(0.1)
        time.sleep(1.0)
        assert (scheduler.status is Status.closed) == ("GPU" in needed)
    lost = "cluster: no worker is left with the resource GPU, which units need"
    assert (lines[-1] == lost) == ("GPU" in needed)
    assert "worker gpu-0 did not start" in lines[0]


def test_a_worker_whose_restart_failed_once_comes_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_cluster_start, "_REFILL_S", 0.2)
    monkeypatch.setattr(_Worker, "starts_left", 1)
    monkeypatch.setattr(
        _cluster_start, "worker_specs", lambda _: {"cpu-0": {"cls": _Worker, "options": {}}}
    )
    local = read_cluster(save_cluster(tmp_path, f"{TWO}retries: 50\n"))
    with _cluster_start.cluster_client(local, SilentReporter(), _all) as (client, _):
        first = client.cluster.workers["cpu-0"]
        client.cluster.sync(first.close)
        time.sleep(1.0)
        assert client.cluster.workers.get("cpu-0") is not first  # tried, and failed
        _Worker.starts_left = 1
        until = time.monotonic() + 60
        running = None
        while running is not Status.running and time.monotonic() < until:
            time.sleep(0.1)
            worker = client.cluster.workers.get("cpu-0")
            running = None if worker is None else worker.status
        assert running is Status.running


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("kind: moon", "cluster.kind: got 'moon'"),
        ("kind: slrum", "wanted one of: local, pbs, slurm"),
        ("workers: 3", "unknown key 'workers'"),
        ("cpu: {worker: 3}", "Did you mean 'workers'?"),
        ("cpu: {workers: 0}", "cluster, workers: got 0"),
        ("cpu: {threads: -1}", "cluster, threads: got -1"),
        ("cpu: {workers: many}", "many"),
        ("kind: address", "Give both or neither"),
        ("address: tcp://a:1", "Give both or neither"),
        ("kind: pbs", "no memory and no walltime"),
        ("kind: slurm\ncpu: {memory: 4GB}", "no walltime"),
        ("kind: local\ncpu: {queue: long}", "cluster, cpu: got queue with kind 'local'"),
        ("cpu: {prologue: [module load cuda]}", "prologue with kind 'local'"),
        ('gpu: {walltime: "1:00:00"}', "cluster, gpu: got walltime with kind 'local'"),
        ("interface: ib0", "'ib0' with kind 'local'"),
        (AT + "cpu: {workers: 3}", "cluster, cpu.workers: got 3 with kind 'address'"),
        (AT + "gpu: {workers: 1}", "cluster, gpu.workers: got 1"),
        (AT + "cpu: {memory: 4GB}", "cluster, cpu.memory: got 4GB"),
        (AT + "cpu: {prologue: [x]}", "prologue with kind 'address'"),
        (AT + "scratch: /tmp", "cluster, scratch: got /tmp"),
        (AT + "interface: ib0", "cluster, interface: got ib0"),
        (AT + "retries: 3", "cluster, retries: got 3"),
        ("kind: local\ngpu: {resources: x}", "cluster, gpu, resources"),
        ("retries: -1", "cluster, retries"),
        ("[1, 2]", "got list"),
        ("kind: [", "not YAML"),
    ],
)
def test_bad_cluster_files(tmp_path: Path, text: str, fault: str) -> None:
    with pytest.raises(InputError) as refused:
        read_cluster(save_cluster(tmp_path, text))
    assert fault in str(refused.value)


@pytest.mark.parametrize(
    ("kind", "lines"),
    [
        (
            "pbs",
            ["#PBS -q long", "#PBS -A brain", "#PBS -l select=1:ncpus=8:mem=3815MB", "#PBS -m n"],
        ),
        (
            "slurm",
            ["#SBATCH -p long", "#SBATCH -A brain", "#SBATCH --cpus-per-task=8", "#SBATCH -m n"],
        ),
        ("lsf", ["#BSUB -q long", '#BSUB -P "brain"', "#BSUB -n 8", "#BSUB -m n"]),
        ("sge", ["#$ -q long", "#$ -P brain", "#$ -m n"]),
    ],
)
def test_job_scripts_say_what_the_file_says(tmp_path: Path, kind: str, lines: list[str]) -> None:
    cpu = JOBS | {"threads": 8, "queue": "long", "project": "brain", "directives": ["-m n"]}
    content = {"kind": kind, "cpu": cpu | {"prologue": ["module load python"]}}
    cluster = read_cluster(save_cluster(tmp_path, yaml.safe_dump(content)))
    (script,) = job_scripts(cluster).values()
    for line in (*lines, "export OMP_NUM_THREADS=8", "module load python"):
        assert line in script, script
    assert "--nthreads 1" in script
    assert "--resources CPU=1" in script
    assert "01:00" in script


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_local_gpu_workers_see_one_gpu_each(
    tmp_path: Path, device: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,3")
    gpu = {"workers": 2, "threads": 3} | ({"device": device} if device == "cpu" else {})
    specs = worker_specs(read_cluster(save_cluster(tmp_path, yaml.safe_dump({"gpu": gpu}))))
    options: Callable[[str], dict[str, Any]] = lambda name: specs[name]["options"]  # noqa: E731
    seen = [options(f"gpu-{n}")["env"].get("CUDA_VISIBLE_DEVICES") for n in range(2)]
    assert seen == (["2", "3"] if device == "cuda" else [None, None])
    assert options("gpu-0")["env"]["OMP_NUM_THREADS"] == "3"
    assert options("cpu-0")["resources"] == {"CPU": 1}
