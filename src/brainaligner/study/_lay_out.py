"""Lay out and price a study without running it."""

from __future__ import annotations

from brainaligner.study._config import StudyConfig
from brainaligner.study._controls import with_controls
from brainaligner.study._dataset_config import STORE
from brainaligner.study._disk import check_free_space
from brainaligner.study._options import RunOptions
from brainaligner.study._plan import SMALLEST_RUN, Plan, make_plan
from brainaligner.study._prepare import (
    data_folder,
    divide,
    model_infos,
    open_study_dataset,
    prepare,
)
from brainaligner.study._pricing import price
from brainaligner.study._pricing_tunings import PricedStage
from brainaligner.study._progress import reporting
from brainaligner.study._simulation import PlannedDataset, ensure_simulation, study_simulation
from brainaligner.study._speed import Speed, measured_speed
from brainaligner.study._store import Store
from brainaligner.study._tuning import check_tunings
from brainaligner.study._validation import scored_plan


def lay_out_study(
    config: StudyConfig, options: RunOptions, *, check: bool = True
) -> tuple[Plan, Store]:
    """Lay out a study without running it; all that can be refused is refused.

    Nothing is made but the tree of a simulated study, whose stories have to be there. Tunings
    that this machine cannot follow are refused only with `check`.
    """
    options.activate()
    config = with_controls(config)
    infos = model_infos(config, device=options.device)
    store = Store(options.out / STORE)
    with reporting() as reporter:
        if config.dataset.simulation is None:
            data = data_folder(config, options.data)
        else:
            refuse_simulation(config, options)
            data = ensure_simulation(
                config, infos, store=store.open(), options=options, reporter=reporter
            )
        prepared = prepare(config, open_study_dataset(config, data), infos, progress=reporter)
    plan = make_plan(prepared, store=store)
    if check:
        check_tunings(plan.tunings, store=store, options=options)
    return plan, store


def price_plan(plan: Plan, store: Store, options: RunOptions) -> tuple[list[PricedStage], Speed]:
    """Price what a plan will make.

    Returns
    -------
    stages : list of PricedStage
    speed : Speed
    """
    stages = price(scored_plan(plan), store)
    return stages, measured_speed(stages, options.device)


def refuse_simulation(config: StudyConfig, options: RunOptions) -> None:
    """Refuse a simulated study whose stories, sizes or disk do not do, before it is made."""
    planned = PlannedDataset(study_simulation(config).tree)
    planned.stimuli()
    divide(config, planned)
    check_free_space(options.out, SMALLEST_RUN)
