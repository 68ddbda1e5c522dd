"""Clusters that are started, or found running, and the client that gives them work."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from brainaligner.core import BrainAlignerError, InputError
from brainaligner.study._cluster_config import ClusterConfig
from brainaligner.study._cluster_jobs import worker_specs
from brainaligner.study._progress import Reporter

_REFILL_S = 15.0


class ClusterError(BrainAlignerError):
    """The cluster was lost, or lost too many workers; what is finished stays in the store."""


@contextmanager
def cluster_client(
    cluster: ClusterConfig, reporter: Reporter
) -> Iterator[tuple[Any, dict[str, int]]]:
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
    specs = worker_specs(cluster)
    with _opened(cluster, specs) as started:
        done = threading.Event()
        watch = threading.Thread(target=_refill, args=(started, specs, done), daemon=True)
        watch.start()
        try:
            yield started
        finally:
            done.set()
            watch.join()


def _opened(cluster: ClusterConfig, specs: Mapping[str, Any]) -> Any:
    """Open a cluster, again where a worker dies before it has said its name."""
    from distributed import SpecCluster

    left = cluster.retries
    while True:
        try:
            return SpecCluster(
                workers=dict(specs),
                scheduler=_scheduler(cluster),
                name="brainaligner",
                silence_logs=logging.ERROR,
            )
        except RuntimeError as error:
            if not left:
                raise ClusterError(
                    f"cluster: workers died as they began, {cluster.retries + 1} times ({error}) "
                    "Is there memory for them? The same command tries again."
                ) from None
            left -= 1


def _refill(started: Any, specs: Mapping[str, Any], done: threading.Event) -> None:
    """Start again each worker that has ended: Dask drops it, or keeps it as a closed one.

    A nanny restarts the worker that it has lost, but closes for good where that one dies too
    before it has said its name.
    """
    while not done.wait(_REFILL_S):
        if any(_ended(started.workers.get(name)) for name in specs):
            started.loop.add_callback(_open_again, started, specs)


def _open_again(started: Any, specs: Mapping[str, Any]) -> Any:
    for name in specs:
        if _ended(started.workers.get(name)):
            started.workers.pop(name, None)
    started.worker_spec.update(specs)
    return started._correct_state()


def _ended(worker: Any) -> bool:
    from distributed import Status

    return worker is None or worker.status in (Status.closed, Status.failed)


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
