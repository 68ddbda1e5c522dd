"""A study on many machines: its units on the workers of a Dask cluster, results in one store."""

from __future__ import annotations

import asyncio
import importlib
import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from brainaligner.core import BrainAlignerError, InputError
from brainaligner.study._cluster_config import QUEUES, ClusterConfig, JobConfig
from brainaligner.study._cluster_worker import REST, Order, make_unit
from brainaligner.study._config import StudyConfig
from brainaligner.study._files import study_yaml
from brainaligner.study._options import RunOptions
from brainaligner.study._progress import Reporter, reporting
from brainaligner.study._run import lay_out_study
from brainaligner.study._store import Store
from brainaligner.study._units import Unit, study_units
from brainaligner.study._validation import scored_plan

_EXTRA = "pip install 'brainaligner[cluster]'"
_JOBS = {"pbs": "PBSJob", "slurm": "SLURMJob", "lsf": "LSFJob", "sge": "SGEJob"}
_RESOURCES = {"pbs": "resource_spec", "sge": "resource_spec"}
_ACCOUNT = {"pbs": "account", "slurm": "account", "lsf": "project", "sge": "project"}


class ClusterError(BrainAlignerError):
    """The cluster was lost, or lost too many workers; what is finished stays in the store."""


def run_on_cluster(config: StudyConfig, options: RunOptions, cluster: ClusterConfig) -> Path:
    """Run a study on a cluster; the same scores as `run_study`, byte for byte.

    Everything is checked here before a worker starts. A unit whose worker dies is given to
    another one, tunings going on from their last checkpoint; units that are in the store are
    not made again.

    Parameters
    ----------
    config : StudyConfig
    options : RunOptions
        `out` and the data have to be on a file system that all workers see.
    cluster : ClusterConfig

    Returns
    -------
    Path
        As `run_study`.

    Raises
    ------
    InputError
        For whatever can be refused, before any work.
    ClusterError
        If the scheduler is lost, or one unit loses too many workers.
    """
    _need_dask()
    options = replace(options, out=options.out.expanduser().absolute())
    plan, store = lay_out_study(config, options)
    units = study_units(scored_plan(plan))
    with reporting() as reporter, _client(cluster, reporter) as client:
        _make_all(client, units, (Store(store.folder).open(), config, options), cluster, reporter)
    return options.out / config.name


def _make_all(
    client: Any,
    units: Mapping[str, Unit],
    of: tuple[Store, StudyConfig, RunOptions],
    cluster: ClusterConfig,
    reporter: Reporter,
) -> None:
    from distributed import as_completed
    from distributed.scheduler import KilledWorker

    store, config, options = of
    orders = {
        resource: Order(
            study_yaml(config), replace(options, device=jobs.device, threads=jobs.threads)
        )
        for resource, jobs in cluster.jobs.items()
    }
    futures = _submitted(client, units, store, orders, cluster)
    words = {futures[key].key: unit.words for key, unit in units.items() if key in futures}
    done = 0
    try:
        for future in as_completed(list(futures.values())):
            seconds = future.result()
            done += 1
            reporter(f"units of {config.name}", done, len(futures))
            reporter.line(f"{words.get(future.key, 'scores, table and page')}: {seconds:.1f} s")
    except KilledWorker as error:
        raise ClusterError(
            f"cluster: {cluster.retries + 1} workers died with one unit ({error.task}). Look at "
            "their logs (memory? walltime?); the same command goes on with what is finished."
        ) from None
    except (OSError, asyncio.CancelledError) as error:
        raise ClusterError(
            f"cluster: the scheduler was lost ({type(error).__name__}). The same command goes on "
            "with what is finished."
        ) from None
    finally:
        client.cancel(list(futures.values()), force=True)


def _submitted(
    client: Any,
    units: Mapping[str, Unit],
    store: Store,
    orders: Mapping[str, Order],
    cluster: ClusterConfig,
) -> dict[str, Any]:
    """Futures of all units that are missing, and of the rest."""
    futures: dict[str, Any] = {}

    def submit(key: str, needs: list[Any], *, on_gpu: bool) -> None:
        resource = "GPU" if on_gpu and "GPU" in orders else "CPU"
        futures[key] = client.submit(
            make_unit, orders[resource], key, *needs,
            resources={resource: 1}, pure=False, retries=0,
        )  # fmt: skip

    for key, unit in units.items():
        if not unit.is_done(store):
            submit(key, [futures[n] for n in unit.needs if n in futures], on_gpu=unit.on_gpu)
    submit(REST, list(futures.values()), on_gpu=False)
    return futures


@contextmanager
def _client(cluster: ClusterConfig, reporter: Reporter) -> Iterator[Any]:
    import dask
    from distributed import Client

    with dask.config.set({"distributed.scheduler.allowed-failures": cluster.retries}):
        if cluster.kind == "address":
            with _connected(cluster) as client:
                yield client
            return
        with _started(cluster) as started, Client(started) as client:
            if cluster.dashboard is not None:
                reporter.line(f"dashboard: {client.dashboard_link}")
            yield client


@contextmanager
def _connected(cluster: ClusterConfig) -> Iterator[Any]:
    from distributed import Client

    try:
        client = Client(cluster.address, timeout="20s")
    except (OSError, ValueError) as error:
        raise InputError(
            "cluster, address",
            got=f"{cluster.address!r}: {error}",
            wanted="a Dask scheduler that answers",
            do="Start 'dask scheduler', and give the address that it prints.",
        ) from None
    with client:
        offered = {name for w in client.scheduler_info(n_workers=-1)["workers"].values()
                   for name in w["resources"]}  # fmt: skip
        lacking = [name for name in cluster.jobs if name not in offered]
        if lacking:
            raise InputError(
                "cluster, address",
                got=f"no worker with the resource {' or '.join(lacking)}",
                wanted="workers that say what they are",
                do=f"Start them with --resources {lacking[0]}=1 --nthreads 1.",
            )
        yield client


@contextmanager
def _started(cluster: ClusterConfig) -> Iterator[Any]:
    from distributed import SpecCluster

    with SpecCluster(
        workers=worker_specs(cluster),
        scheduler=_scheduler(cluster),
        name="brainaligner",
        silence_logs=logging.ERROR,
    ) as started:
        yield started


def _scheduler(cluster: ClusterConfig) -> dict[str, Any]:
    from distributed import Scheduler

    port = cluster.dashboard
    options: dict[str, Any] = {
        "port": 0,
        "dashboard": port is not None,
        "dashboard_address": f"127.0.0.1:{port or 0}",
    }
    if cluster.kind == "local":
        options["host"] = "127.0.0.1"
    elif cluster.interface is not None:
        options["interface"] = cluster.interface
    return {"cls": Scheduler, "options": options}


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


def _process(cluster: ClusterConfig, resource: str, jobs: JobConfig, number: int) -> dict[str, Any]:
    """A process of this machine, started anew where it dies."""
    from distributed import Nanny

    threads = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS"), str(jobs.threads))
    visible = {"CUDA_VISIBLE_DEVICES": str(number)} if jobs.device == "cuda" else {}
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
    _need_dask()
    if cluster.kind not in QUEUES:
        return {}
    specs = worker_specs(cluster)
    made = {}
    for resource in cluster.jobs:
        spec = specs[f"{resource.lower()}-0"]
        job = spec["cls"](scheduler="tcp://SCHEDULER", name=resource.lower(), **spec["options"])
        made[resource] = job.job_script()
    return made


def _need_dask() -> None:
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
