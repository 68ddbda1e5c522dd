"""The simulated tree of a study, in a folder of one's own."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from brainaligner.core import InputError
from brainaligner.study._disk import writing_to
from brainaligner.study._files import load_study
from brainaligner.study._options import RunOptions
from brainaligner.study._prepare import model_infos
from brainaligner.study._progress import reporting
from brainaligner.study._simulation import PlannedDataset, ensure_simulation, study_simulation
from brainaligner.study._store import Store


def write_simulation(study: str, overrides: Sequence[str], folder: Path) -> None:
    """Write the simulated tree of a study into a new folder.

    Raises
    ------
    InputError
        If the folder exists and is not empty, or the study simulates nothing.
    """
    with writing_to(folder):
        taken = folder.exists() and (not folder.is_dir() or any(folder.iterdir()))
    if taken:
        raise InputError(
            str(folder),
            got="something that is already there",
            wanted="a new or empty folder",
            do="Choose another folder.",
        )
    config = load_study(study, overrides=overrides)
    PlannedDataset(study_simulation(config).tree).stimuli()
    scratch = folder.absolute().with_name(f".{folder.name}.making")
    infos = model_infos(config, device="cpu")
    try:
        with writing_to(folder), reporting() as reporter:
            store, options = Store(scratch).open(), RunOptions(scratch)
            tree = ensure_simulation(config, infos, store=store, options=options, reporter=reporter)
            folder.parent.mkdir(parents=True, exist_ok=True)
            if folder.exists():
                folder.rmdir()  # it is empty
            tree.rename(folder)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
