"""Studies on clusters: the bytes of one process whatever dies, and through a real queue."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import yaml

from acceptance.exporting import STORIES, save_made_up

Result = dict[str, Any]
N_ROWS, N_KILLS = 120, 10
LOCAL = "kind: local\ncpu: {workers: 2}\n"
SLURM = 'kind: slurm\ncpu: {workers: 2, memory: 2GB, walltime: "00:30:00"}\n'
SMALL_DISK_MIB = 60

STUDY = {
    "name": "tiny",
    "dataset": {"reader": "folder"},
    "split": {"train": [*STORIES[:4]], "validation": [STORIES[4]], "test": [STORIES[5]]},
    "features": {"plain": {"model": "embedded"}, "tuned": {"tuning": "tuned"}},
    "brains": {"all": {"encoder": {"kind": "all"}}},
    "tunings": {
        "tuned": {
            "brain": "all",
            "validation_stories": 1,
            "cross_fit": 2,
            "head": {"epochs": 1},
            "aligner": {"epochs": 3, "learning_rate": 1e-4},
        }
    },
    "arms": {"plain": {"features": ["plain"]}, "tuned": {"features": ["tuned"]}},
    "controls": [],
}


def cluster_faults(scratch: Path) -> Result:
    """Kill workers at ten random moments, the client with its scheduler once; fill a disk once."""
    study = _written(scratch)
    alone = _run(scratch / "alone", study, None)
    whole = _run(scratch / "undisturbed", study, LOCAL)
    killed = _run(scratch / "killed", study, LOCAL + "retries: 20\n", _kill_workers)
    lost = _without_scheduler(scratch / "lost", study)
    full = _with_small_disk(scratch / "full", study)
    wanted = _payload(scratch / "alone")
    same = {
        name: _payload(scratch / name) == wanted
        for name in ("undisturbed", "killed", "lost", "full")
        if (scratch / name).exists()
    }
    return {
        "passed": all(same.values())
        and killed["kills"] == N_KILLS
        and len(lost["error"]) == 1
        and len(full.get("error", ["one line"])) == 1,
        "simulated": True,
        "same_bytes": same,
        "seconds_alone": alone["seconds"],
        "seconds_on_two_workers": whole["seconds"],
        "kills": killed["kills"],
        "scheduler_lost": lost,
        "disk_full": full,
    }


def cluster_overhead(scratch: Path) -> Result:
    """What a cluster adds to stages of ten seconds: twelve of them on two workers."""
    from brainaligner.study._cluster_config import read_cluster
    from brainaligner.study._cluster_start import cluster_client
    from brainaligner.study._progress import SilentReporter

    path = scratch / "cluster.yaml"
    path.write_text(LOCAL, encoding="utf-8")
    with cluster_client(read_cluster(path), SilentReporter()) as (client, _):
        client.wait_for_workers(2)
        begun = time.monotonic()
        one = {"resources": {"CPU": 1}, "pure": False}
        futures = [client.submit(time.sleep, 10.0, **one) for _ in range(12)]
        client.gather(futures)
        seconds = time.monotonic() - begun
    added = seconds / 60 - 1
    return {"passed": added < 0.1, "seconds": round(seconds, 2), "of": 60, "added": round(added, 4)}


def cluster_slurm(scratch: Path) -> Result:
    """The same study as jobs of a real Slurm, where ``sbatch`` is there."""
    if shutil.which("sbatch") is None:
        return {"passed": True, "not_run": "no sbatch on this machine"}
    study = _written(scratch)
    _run(scratch / "alone", study, None)
    done = _run(scratch / "slurm", study, SLURM)
    same = _payload(scratch / "slurm") == _payload(scratch / "alone")
    version = subprocess.run(["sbatch", "--version"], capture_output=True, text=True, check=True)
    return {"passed": same, "same_bytes": same, "slurm": version.stdout.strip(), **done}


def _written(scratch: Path) -> Path:
    """The study and two made-up listeners: SIMULATED."""
    data, study = scratch / "data", scratch / "study.yaml"
    shutil.rmtree(data, ignore_errors=True)
    save_made_up(data, ["P1", "P2"], n_rows=N_ROWS, words_per_row=4)
    content = STUDY | {"dataset": {"reader": "folder", "folder": str(data)}}
    study.write_text(yaml.safe_dump(content), encoding="utf-8")
    return study


def _start(out: Path, study: Path, cluster: str | None) -> subprocess.Popen[str]:
    out.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "brainaligner", "run", str(study), "--out", str(out / "out")]
    if cluster is None:
        command += ["--threads", "1"]
    else:
        (out / "cluster.yaml").write_text(cluster, encoding="utf-8")
        command += ["--cluster", str(out / "cluster.yaml")]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


def _run(
    out: Path,
    study: Path,
    cluster: str | None,
    beside: Callable[[subprocess.Popen[str]], int] | None = None,
) -> Result:
    """Run to the end; `beside` does something meanwhile and counts it."""
    shutil.rmtree(out, ignore_errors=True)
    begun, process = time.monotonic(), _start(out, study, cluster)
    kills = 0 if beside is None else beside(process)
    _, err = process.communicate(timeout=1800)
    if process.returncode not in (0, 4):  # 4: the audit warns of random responses
        raise RuntimeError(f"exit code {process.returncode}: {err[-2000:]}")
    return {"seconds": round(time.monotonic() - begun, 1), "kills": kills}


def _workers(client: subprocess.Popen[str]) -> list[psutil.Process]:
    try:
        children = psutil.Process(client.pid).children(recursive=True)
        return [child for child in children if "spawn_main" in " ".join(child.cmdline())]
    except psutil.Error:
        return []


def _kill_workers(client: subprocess.Popen[str]) -> int:
    """Kill one worker at each of ten random moments."""
    chance, kills = random.Random(0), 0
    while client.poll() is None and kills < N_KILLS:
        time.sleep(chance.uniform(1.0, 6.0))
        workers = _workers(client)
        if workers:
            chance.choice(workers).kill()
            kills += 1
    return kills


def _without_scheduler(out: Path, study: Path) -> Result:
    """Lose a scheduler that runs on its own, then go on with another one."""
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    errors = []
    for number in range(2):
        scheduler, worker, address = _own_scheduler(out, number)
        try:
            client = _start(out, study, f"kind: address\naddress: {address}\n")
            if number == 0:
                _until(lambda: (out / "out" / "store" / "features").exists(), client)
                scheduler.kill()
            _, err = client.communicate(timeout=1800)
            if client.returncode not in (0, 4):
                errors.append(err.strip().splitlines()[-1])
        finally:
            for process in (scheduler, worker):
                process.kill()
                process.wait()
    return {"error": errors}


def _own_scheduler(
    out: Path, number: int
) -> tuple[subprocess.Popen[bytes], subprocess.Popen[bytes], str]:
    file = out / f"scheduler{number}.json"
    quiet: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    python = [sys.executable, "-m"]
    scheduler = subprocess.Popen(
        [*python, "distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--port", "0",
         "--no-dashboard", "--scheduler-file", str(file)], **quiet,
    )  # fmt: skip
    while not file.exists():
        time.sleep(0.2)
    address = yaml.safe_load(file.read_text(encoding="utf-8"))["address"]
    worker = subprocess.Popen(
        [*python, "distributed.cli.dask_worker", address, "--nthreads", "1", "--resources",
         "CPU=1", "--no-dashboard"], **quiet,
    )  # fmt: skip
    time.sleep(6)
    return scheduler, worker, address


def _until(happened: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    while not happened() and process.poll() is None:
        time.sleep(0.2)


def _with_small_disk(out: Path, study: Path) -> Result:
    """Run into a full disk, then make room and go on; a small disk takes root to make."""
    shutil.rmtree(out, ignore_errors=True)
    (out / "out").mkdir(parents=True)
    if os.geteuid() != 0:
        out.joinpath("out").rmdir()
        out.rmdir()
        return {"not_run": "only root may mount a small disk"}
    mount = ["mount", "-t", "tmpfs", "-o", f"size={SMALL_DISK_MIB}m", "tmpfs", str(out / "out")]
    subprocess.run(mount, check=True)
    try:
        errors = []
        for _ in range(2):
            client = _start(out, study, LOCAL)
            _, err = client.communicate(timeout=1800)
            if client.returncode not in (0, 4):
                errors.append(err.strip().splitlines()[-1])
                more = ["mount", "-o", "remount,size=4g", str(out / "out")]
                subprocess.run(more, check=True)
        kept = _payload(out)
    finally:
        subprocess.run(["umount", str(out / "out")], check=True)
    for name, content in kept.items():
        path = out / "out" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return {"error": errors}


def _payload(out: Path) -> dict[str, bytes]:
    """Scores, and everything in the store that no clock has written."""
    root = out / "out"
    files = [path for path in sorted((root / "store").rglob("*")) if path.is_file()]
    kept = [path for path in files if not set(path.parts) & {"unfinished", "tmp", "tensorboard"}]
    kept = [path for path in kept if path.name not in ("history.csv", "openings.jsonl")]
    kept += [root / "tiny" / name for name in ("scores.npz", "table.tsv")]
    return {str(path.relative_to(root)): path.read_bytes() for path in kept}


CHECKS = {
    "cluster_faults": cluster_faults,
    "cluster_overhead": cluster_overhead,
    "cluster_slurm": cluster_slurm,
}
