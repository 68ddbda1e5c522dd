"""A study on many machines: its units on the workers of a Dask cluster, results in one store."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from concurrent.futures import CancelledError
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from brainaligner.study._cluster_config import ClusterConfig
from brainaligner.study._cluster_jobs import need_dask
from brainaligner.study._cluster_start import ClusterError, cluster_client
from brainaligner.study._cluster_worker import REST, Order, make_unit
from brainaligner.study._config import StudyConfig
from brainaligner.study._disk import check_free_space
from brainaligner.study._files import study_yaml
from brainaligner.study._lay_out import lay_out_study
from brainaligner.study._options import RunOptions
from brainaligner.study._prepare import data_folder
from brainaligner.study._pricing import bytes_needed
from brainaligner.study._progress import Reporter, reporting
from brainaligner.study._units import Unit, study_units
from brainaligner.study._validation import scored_plan


def run_on_cluster(config: StudyConfig, options: RunOptions, cluster: ClusterConfig) -> Path:
    """Run a study on a cluster; the same scores as `run_study`, byte for byte.

    Everything is checked here before a worker starts. A unit whose worker dies is given to
    another one, tunings going on from their last checkpoint; units that are in the store are
    not made again.

    Parameters
    ----------
    config : StudyConfig
    options : RunOptions
        `out` and the data have to be on a file system that all workers see; device and threads
        of workers are the cluster's.
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
    need_dask()
    options = replace(options, out=options.out.expanduser().absolute())
    if config.dataset.simulation is None:
        data = data_folder(config, options.data).expanduser().absolute()
        options = replace(options, data=str(data))
    plan, store = lay_out_study(config, options, check=cluster.tunes_on_cpu)
    check_free_space(store.folder.parent, bytes_needed(scored_plan(plan), store))
    store.open()
    units = study_units(scored_plan(plan))
    missing = {key: unit for key, unit in units.items() if not unit.is_done(store)}
    orders = {
        resource: Order(
            study_yaml(config),
            replace(options, device=jobs.device or "cpu", threads=jobs.threads),
            os.getcwd(),
        )
        for resource, jobs in cluster.jobs.items()
    }

    def needed() -> set[str]:
        left = (unit for unit in missing.values() if not unit.is_done(store))
        return {"CPU", *(_resource(unit, orders) for unit in left)}

    with reporting() as reporter, cluster_client(cluster, reporter, needed) as (client, room):
        _Dispatch(client, room, orders, missing, cluster.retries).run(config.name, reporter)
    return options.out / config.name


def _resource(unit: Unit, orders: Mapping[str, Order]) -> str:
    """What a unit asks of its worker; what follows all units asks for a CPU."""
    return "GPU" if unit.on_gpu and "GPU" in orders else "CPU"


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
            resource = _resource(unit, self.orders)
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
