"""What a worker of a cluster does: lay the study out as the client did, and make one unit."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from functools import lru_cache

from brainaligner.study._files import study_from_text
from brainaligner.study._lay_out import lay_out_study
from brainaligner.study._options import RunOptions
from brainaligner.study._progress import SilentReporter
from brainaligner.study._run import run_study
from brainaligner.study._store import Store
from brainaligner.study._units import Unit, study_units
from brainaligner.study._validation import scored_plan

REST = "rest"
"""Key of what follows all units: scores, diagnostics, table and page."""


@dataclass(frozen=True)
class Order:
    """A study to be made, in words that any worker can read.

    Parameters
    ----------
    study : str
        YAML of the whole study.
    options : RunOptions
        Folders that workers see too; the device and the threads of this worker.
    place : str
        The client's working folder, from which relative paths of the study count.
    """

    study: str
    options: RunOptions
    place: str


def make_unit(order: Order, key: str) -> float:
    """Make one unit of a study; returns the seconds that it took.

    Raises
    ------
    BrainAlignerError
        As the stage raises it.
    """
    begun = time.monotonic()
    os.chdir(order.place)
    if key == REST:
        run_study(study_from_text(order.study), order.options)
        return time.monotonic() - begun
    order.options.activate()
    store, units = _laid_out(order)
    if key not in units:  # laid out before the data changed
        _laid_out.cache_clear()
        store, units = _laid_out(order)
    if not units[key].is_done(store):
        units[key].make(store, order.options, SilentReporter())
    return time.monotonic() - begun


@lru_cache(maxsize=1)
def _laid_out(order: Order) -> tuple[Store, dict[str, Unit]]:
    plan, store = lay_out_study(study_from_text(order.study), order.options, check=False)
    return store.open(), study_units(scored_plan(plan))
