"""A study on many machines: its units on the workers of a Dask cluster, results in one store."""

from __future__ import annotations

import asyncio
import importlib
import logging
import os
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import CancelledError
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from brainaligner.core import BrainAlignerError, InputError
from brainaligner.study._cluster_config import QUEUES, ClusterConfig, JobConfig
from brainaligner.study._cluster_worker import REST, Order, make_unit
from brainaligner.study._config import StudyConfig
from brainaligner.study._files import study_yaml
from brainaligner.study._options import RunOptions
from brainaligner.study._prepare import data_folder
from brainaligner.study._progress import Reporter, reporting
from brainaligner.study._run import lay_out_study
from brainaligner.study._store import Store
from brainaligner.study._units import Unit, study_units
from brainaligner.study._validation import scored_plan

_REFILL_S = 15.0
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
    on_gpu = cluster.jobs.get("GPU", cluster.cpu).device
    options = replace(options, out=options.out.expanduser().absolute())
    if config.dataset.simulation is None:
        data = data_folder(config, options.data).expanduser().absolute()
        options = replace(options, data=str(data))
    plan, store = lay_out_study(config, options, check=on_gpu == "cpu")
    units = study_units(scored_plan(plan))
    missing = {
        key: unit for key, unit in units.items() if not unit.is_done(Store(store.folder).open())
    }
    orders = {
        resource: Order(
            study_yaml(config),
            replace(options, device=jobs.device or "cpu", threads=jobs.threads),
            os.getcwd(),
        )
        for resource, jobs in cluster.jobs.items()
    }
    with reporting() as reporter, _client(cluster, reporter) as (client, room):
        _Dispatch(client, room, orders, missing, cluster.retries).run(config.name, reporter)
    return options.out / config.name


class _Dispatch:
    """Gives units to workers as they come free, so that none waits at a worker that may die.

    Parameters
    ----------
    client : distributed.Client
    room : mapping of resource to int
        Units that run at a time.
    orders : mapping of resource to Order
    units : mapping of key to Unit
        Those that are missing, each after what it needs.
    retries : int
        For messages.
    """

    def __init__(
        self,
        client: Any,
        room: Mapping[str, int],
        orders: Mapping[str, Order],
        units: Mapping[str, Unit],
        retries: int,
    ) -> None:
        from distributed import as_completed

        self.client, self.orders, self.retries = client, orders, retries
        self.free = dict(room)
        self.waiting, self.n_units = dict(units), len(units) + 1
        self.running: dict[Any, tuple[str, str, str]] = {}  # future: key, words, resource
        self.completed = as_completed()

    def run(self, study: str, reporter: Reporter) -> None:
        """Make all units, then what follows them."""
        from distributed.comm.core import CommClosedError
        from distributed.scheduler import KilledWorker

        n_done = 0
        try:
            while n_done < self.n_units:
                self._submit_ready()
                future = next(self.completed)
                _, words, resource = self.running[future]
                seconds = future.result()
                del self.running[future]
                self.free[resource] += 1
                n_done += 1
                reporter.line(f"{words}: {seconds:.1f} s")
                reporter(f"units of {study}", n_done, self.n_units)
        except KilledWorker:
            raise ClusterError(
                f"cluster: {self.retries + 1} workers died with one unit ({words}). Look at their "
                "logs (memory? walltime?); the same command goes on with what is finished."
            ) from None
        except (CommClosedError, CancelledError, asyncio.CancelledError) as error:
            raise ClusterError(
                f"cluster: the scheduler was lost ({type(error).__name__}). The same command goes "
                "on with what is finished."
            ) from None
        finally:
            with suppress(Exception):  # of a scheduler that is gone
                self.client.cancel(list(self.running), force=True)

    def _submit_ready(self) -> None:
        """Submit units whose needs are there while there is room; the rest once all are done."""
        ahead = {*self.waiting, *(key for key, *_ in self.running.values())}
        for key, unit in list(self.waiting.items()):
            resource = "GPU" if unit.on_gpu and "GPU" in self.orders else "CPU"
            if self.free[resource] and not ahead & {*unit.needs}:
                del self.waiting[key]
                self._submit(key, unit.words, resource)
        if not self.waiting and not self.running:
            self._submit(REST, "scores, table and page", "CPU")

    def _submit(self, key: str, words: str, resource: str) -> None:
        future = self.client.submit(
            make_unit, self.orders[resource], key, resources={resource: 1}, pure=False
        )
        self.free[resource] -= 1
        self.running[future] = key, words, resource
        self.completed.add(future)


@contextmanager
def _client(cluster: ClusterConfig, reporter: Reporter) -> Iterator[tuple[Any, dict[str, int]]]:
    """A client, and how many units of each resource run at a time."""
    import dask
    from distributed import Client

    if cluster.kind == "address":
        with _connected(cluster) as connected:
            yield connected
        return
    room = {resource: jobs.workers for resource, jobs in cluster.jobs.items()}
    with (
        dask.config.set({"distributed.scheduler.allowed-failures": cluster.retries}),
        _started(cluster) as started,
        Client(started) as client,
    ):
        if cluster.dashboard is not None:
            reporter.line(f"dashboard: {client.dashboard_link}")
        yield client, room


@contextmanager
def _connected(cluster: ClusterConfig) -> Iterator[tuple[Any, dict[str, int]]]:
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
        workers = client.scheduler_info(n_workers=-1)["workers"].values()
        room = {name: sum(name in w["resources"] for w in workers) for name in cluster.jobs}
        lacking = [name for name, count in room.items() if not count]
        if lacking:
            raise InputError(
                "cluster, address",
                got=f"no worker with the resource {' or '.join(lacking)}",
                wanted="workers that say what they are",
                do=f"Start them with --resources {lacking[0]}=1 --nthreads 1.",
            )
        yield client, room


@contextmanager
def _started(cluster: ClusterConfig) -> Iterator[Any]:
    from distributed import SpecCluster

    specs = worker_specs(cluster)
    with SpecCluster(
        workers=specs,
        scheduler=_scheduler(cluster),
        name="brainaligner",
        silence_logs=logging.ERROR,
    ) as started:
        done = threading.Event()
        watch = threading.Thread(target=_refill, args=(started, specs, done), daemon=True)
        watch.start()
        try:
            yield started
        finally:
            done.set()
            watch.join()


def _refill(started: Any, specs: Mapping[str, Any], done: threading.Event) -> None:
    """Send a new job for each one that has ended: Dask forgets workers that it has lost."""
    while not done.wait(_REFILL_S):
        lost = {name: spec for name, spec in specs.items() if name not in started.worker_spec}
        if lost:
            started.worker_spec.update(lost)
            started.loop.add_callback(started._correct_state)


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
