"""Clusters that are started, or found running, and the client that gives them work."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from brainaligner.core import BrainAlignerError, InputError
from brainaligner.study._cluster_config import ClusterConfig
from brainaligner.study._cluster_jobs import worker_resource, worker_specs
from brainaligner.study._progress import Reporter

_REFILL_S = 15.0
_NO_SCHEDULER = "Cluster failed to start"
"""Dask's words where the scheduler, and not a worker, is the cause."""


class ClusterError(BrainAlignerError):
    """The cluster was lost, or lost too many workers; what is finished stays in the store."""


@contextmanager
def cluster_client(
    cluster: ClusterConfig, reporter: Reporter, needed: Callable[[], Collection[str]]
) -> Iterator[tuple[Any, dict[str, int]]]:
    """A client, and how many units of each resource run at a time.

    A cluster that was started here is closed when a resource has no worker left that `needed`
    names at that time.
    """
    import dask
    from distributed import Client

    if cluster.kind == "address":
        with _connected(cluster) as connected:
            yield connected
        return
    room = {resource: jobs.workers for resource, jobs in cluster.jobs.items()}
    with (
        dask.config.set({"distributed.scheduler.allowed-failures": cluster.retries}),
        _started(cluster, reporter, needed) as started,
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
def _started(
    cluster: ClusterConfig, reporter: Reporter, needed: Callable[[], Collection[str]]
) -> Iterator[Any]:
    specs = worker_specs(cluster)
    with _opened(cluster, specs) as started:
        done = threading.Event()
        refill = _Refill(started, specs, cluster.retries, reporter, needed)
        watch = threading.Thread(target=refill.until, args=(done,), daemon=True)
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
            if str(error).startswith(_NO_SCHEDULER):
                raise InputError(
                    "cluster",
                    got=f"a scheduler that does not start ({error})",
                    wanted="a network interface and a port of this machine",
                    do="Correct interface and dashboard in the cluster's file.",
                ) from None
            if not left:
                raise ClusterError(
                    f"cluster: workers did not start, {cluster.retries + 1} times ({error}). "
                    "Is there memory for them, and does the queue take their jobs? The same "
                    "command tries again."
                ) from None
            left -= 1


class _Refill:
    """Starts workers again that have ended: Dask drops them, or keeps closed ones.

    A nanny restarts the worker that it has lost, but closes for good where that one dies too
    before it has said its name. A worker that fails to start more than `retries` times in a row is
    given up, and the cluster closed when units need a resource of which none is left.
    """

    def __init__(
        self,
        started: Any,
        specs: Mapping[str, Any],
        retries: int,
        reporter: Reporter,
        needed: Callable[[], Collection[str]],
    ) -> None:
        self.started, self.retries, self.reporter, self.needed = started, retries, reporter, needed
        self.specs = dict(specs)
        self.failures = dict.fromkeys(specs, 0)

    def until(self, done: threading.Event) -> None:
        """Look after the workers until told to stop, or until units wait for one in vain."""
        while not done.wait(_REFILL_S):
            self._count()
            for name in [name for name, n in self.failures.items() if n > self.retries]:
                self._give_up(name)
            lost = sorted({*self.needed()} - {worker_resource(name) for name in self.specs})
            if lost:
                self.reporter.line(
                    f"cluster: no worker is left with the resource {' or '.join(lost)}, which "
                    "units need"
                )
                self.started.loop.add_callback(self.started.scheduler.close)
                return
            if any(_ended(self.started.workers.get(name)) for name in self.specs):
                self.started.loop.add_callback(self._open_again)

    def _count(self) -> None:
        """A worker that is on its way has neither failed nor started."""
        for name in self.specs:
            worker = self.started.workers.get(name)
            if worker is not None:
                self.failures[name] = self.failures[name] + 1 if _ended(worker) else 0

    def _give_up(self, name: str) -> None:
        tries = self.failures.pop(name)
        _forget(self.started.workers.get(name))
        self.reporter.line(
            f"cluster: worker {name} did not start {tries} times in a row, and is given up"
        )
        del self.specs[name]

    def _open_again(self) -> Any:
        for name in self.specs:
            if _ended(self.started.workers.get(name)):
                _forget(self.started.workers.pop(name, None))
        self.started.worker_spec.update(self.specs)
        return self.started._correct_state()


def _forget(worker: Any) -> None:
    """Say of a worker whose start failed that it did: Dask refuses to close over it otherwise."""
    from distributed import Status

    if worker is not None and worker.status is Status.created:
        worker.status = Status.failed


def _ended(worker: Any) -> bool:
    """Whether a worker is gone. One that Dask lists as `created` has failed to start."""
    from distributed import Status

    return worker is None or worker.status in (Status.created, Status.closed, Status.failed)


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
