"""A finished run, opened again: its plan and the store that holds what it made."""

from __future__ import annotations

from pathlib import Path

from brainaligner.core import InputError
from brainaligner.study._dataset_config import SIMULATED, STORE
from brainaligner.study._files import load_study
from brainaligner.study._options import RunOptions
from brainaligner.study._plan import Plan, make_plan
from brainaligner.study._prepare import data_folder, model_infos, open_study_dataset, prepare
from brainaligner.study._progress import Reporter
from brainaligner.study._record import read_run
from brainaligner.study._simulation import ensure_simulation
from brainaligner.study._store import Store
from brainaligner.study._validation import scored_plan


def reopen_run(
    folder: Path, *, data: str | Path | None, out: Path | None, reporter: Reporter
) -> tuple[Plan, Store]:
    """Lay out again what a finished run made.

    Parameters
    ----------
    folder : Path
        Of the run, such as ``runs/demo``.
    data : str or Path, optional
        Folder of the data; the study file and BRAINALIGNER_DATA are asked otherwise.
    out : Path, optional
        Folder that holds the store; default: the folder beside.
    reporter : Reporter

    Raises
    ------
    InputError
        If there is no finished run, or its data or its store are not there.
    """
    read_run(folder)
    config = load_study(str(folder / "study.yaml"))
    store = Store((out or folder.absolute().parent) / STORE)
    if not store.folder.is_dir():
        raise InputError(
            str(store.folder),
            got="no such folder",
            wanted="the store that the run was made in",
            do="Keep it beside the run's folder, or name the folder that holds it with --out.",
        )
    infos = model_infos(config, device="cpu")
    if config.dataset.reader == SIMULATED:
        options = RunOptions(store.folder.parent)
        place = ensure_simulation(config, infos, store=store, options=options, reporter=reporter)
    else:
        place = data_folder(config, None if data is None else str(data))
    prepared = prepare(config, open_study_dataset(config, place), infos, progress=reporter)
    return scored_plan(make_plan(prepared, store=store)), store
