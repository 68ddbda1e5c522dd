"""What each worker of a cluster is: a process of this machine, or a job of a queue."""

from __future__ import annotations

import importlib
import os
from typing import Any

from brainaligner.core import InputError
from brainaligner.study._cluster_config import QUEUES, ClusterConfig, JobConfig

_EXTRA = "pip install 'brainaligner[cluster]'"
_JOBS = {"pbs": "PBSJob", "slurm": "SLURMJob", "lsf": "LSFJob", "sge": "SGEJob"}
_RESOURCES = {"pbs": "resource_spec", "sge": "resource_spec"}
_ACCOUNT = {"pbs": "account", "slurm": "account", "lsf": "project", "sge": "project"}


def worker_specs(cluster: ClusterConfig) -> dict[str, dict[str, Any]]:
    """What Dask is told of each worker, by name."""
    return {
        f"{resource.lower()}-{n}": (
            _job(cluster, resource, jobs)
            if cluster.kind in QUEUES
            else _process(cluster, resource, jobs, n)
        )
        for resource, jobs in cluster.jobs.items()
        for n in range(jobs.workers)
    }


def worker_resource(name: str) -> str:
    """The resource that a worker offers, from its name."""
    return name.rpartition("-")[0].upper()


def _process(cluster: ClusterConfig, resource: str, jobs: JobConfig, number: int) -> dict[str, Any]:
    """A process of this machine, started anew where it dies."""
    from distributed import Nanny

    threads = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS"), str(jobs.threads))
    visible = {"CUDA_VISIBLE_DEVICES": _gpu(number)} if jobs.device == "cuda" else {}
    options = {
        "nthreads": 1,
        "resources": {resource: 1},
        "memory_limit": jobs.memory or 0,
        "env": threads | visible,
        "host": "127.0.0.1",
        "dashboard": False,
        "dashboard_address": "127.0.0.1:0",
    }
    if cluster.scratch is not None:
        options["local_directory"] = cluster.scratch
    return {"cls": Nanny, "options": options}


def _gpu(number: int) -> str:
    """One of the GPUs that this process may use."""
    given = os.environ.get("CUDA_VISIBLE_DEVICES", "")
    allowed = [name for name in given.split(",") if name.strip()]
    return allowed[number % len(allowed)] if allowed else str(number)


def _job(cluster: ClusterConfig, resource: str, jobs: JobConfig) -> dict[str, Any]:
    """A job of a queue."""
    options: dict[str, Any] = {
        "cores": jobs.threads,
        "processes": 1,
        "memory": jobs.memory,
        "walltime": jobs.walltime,
        "queue": jobs.queue,
        _ACCOUNT[cluster.kind]: jobs.project,
        _RESOURCES.get(cluster.kind, ""): jobs.resources,
        "job_extra_directives": list(jobs.directives),
        "job_script_prologue": [f"export OMP_NUM_THREADS={jobs.threads}", *jobs.prologue],
        "worker_extra_args": ["--nthreads", "1", "--no-dashboard", "--resources", f"{resource}=1"],
        "local_directory": cluster.scratch,
        "interface": cluster.interface,
        "config_name": cluster.kind,
    }
    kept = {name: value for name, value in options.items() if value is not None}
    queue = importlib.import_module(f"dask_jobqueue.{cluster.kind}")
    return {"cls": getattr(queue, _JOBS[cluster.kind]), "options": kept}


def job_scripts(cluster: ClusterConfig) -> dict[str, str]:
    """The script of one job of each sort, for people to read before any is sent."""
    need_dask()
    if cluster.kind not in QUEUES:
        return {}
    specs = worker_specs(cluster)
    made = {}
    for resource in cluster.jobs:
        spec = specs[f"{resource.lower()}-0"]
        job = spec["cls"](scheduler="tcp://SCHEDULER", name=resource.lower(), **spec["options"])
        made[resource] = job.job_script()
    return made


def need_dask() -> None:
    """Refuse where Dask is not installed, and keep its own lines off the screen."""
    os.environ.setdefault("DASK_LOGGING__DISTRIBUTED", "error")  # read by it and its workers
    try:
        import dask_jobqueue  # noqa: F401
        import distributed  # noqa: F401
    except ImportError:
        raise InputError(
            "--cluster",
            got="no Dask here",
            wanted="dask, distributed and dask-jobqueue",
            do=f"Run {_EXTRA}.",
        ) from None
