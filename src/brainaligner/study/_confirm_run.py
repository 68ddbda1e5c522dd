"""``run --confirm``: a study once more, on stories that were never scored."""

from __future__ import annotations

from pathlib import Path

from brainaligner.study._config import StudyConfig
from brainaligner.study._confirm import confirmation
from brainaligner.study._controls import with_controls
from brainaligner.study._dataset_config import SIMULATED, STORE
from brainaligner.study._options import RunOptions
from brainaligner.study._prepare import (
    Prepared,
    data_folder,
    model_infos,
    open_study_dataset,
    prepare,
)
from brainaligner.study._progress import Reporter, reporting
from brainaligner.study._run import run_study
from brainaligner.study._simulation import ensure_simulation
from brainaligner.study._store import Store


def confirm_study(config: StudyConfig, options: RunOptions) -> Path:
    """Run a study on a division whose test stories nobody opened, and give its folder.

    Parameters
    ----------
    config : StudyConfig
        The final configuration; whether it has run on its own division does not matter.
    options : RunOptions

    Raises
    ------
    InputError
        As `run_study`, and where too few stories were never scored.
    """
    options.activate()
    store = Store(options.out / STORE)
    with reporting() as reporter:
        confirmed = confirmation(_prepared(with_controls(config), store, options, reporter), store)
    return run_study(confirmed, options)


def _prepared(
    config: StudyConfig, store: Store, options: RunOptions, reporter: Reporter
) -> Prepared:
    infos = model_infos(config, device=options.device)
    if config.dataset.reader == SIMULATED:
        data = ensure_simulation(
            config, infos, store=store.open(), options=options, reporter=reporter
        )
    else:
        data = data_folder(config, options.data)
    return prepare(config, open_study_dataset(config, data), infos, progress=reporter)
