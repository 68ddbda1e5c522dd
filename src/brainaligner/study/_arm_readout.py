"""The readout of any arm: a ridge on its features, or on a projection of them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from brainaligner.core import show_settings
from brainaligner.encoding import ReducedRank, WitnessedStories, one_stage_blocks
from brainaligner.study._disk import npz_writer, read_npz, write_json, write_npz
from brainaligner.study._options import RunOptions
from brainaligner.study._progress import Reporter
from brainaligner.study._projected import ARRAYS, ProjectedDesign
from brainaligner.study._projection import ensure_projection
from brainaligner.study._readout import (
    PREDICTIONS,
    Readout,
    ReadoutTask,
    block_name,
)
from brainaligner.study._readout_fits import ensure_decomposition, ensure_readout
from brainaligner.study._store import Store
from brainaligner.study._witness import WitnessBook


def ensure_arm_readout(
    task: ReadoutTask, *, store: Store, options: RunOptions, reporter: Reporter
) -> Readout:
    """Fit and predict where that has not been done yet; a projection first, where there is one."""
    design = task.design
    if not isinstance(design, ProjectedDesign):
        return ensure_readout(task, store=store, options=options, reporter=reporter)
    ensure_projection(design, store=store, options=options, reporter=reporter)
    one_stage = design.task.settings.form == "one-stage"
    found = ensure_readout(
        task,
        store=store,
        options=options,
        reporter=reporter,
        fit=_fit_one_stage if one_stage else None,
    )
    advice = " ".join(filter(None, (design.facts.edge, found.edge))) or None
    return replace(found, alpha=f"{design.facts.words}, then {found.alpha}", edge=advice)


def _fit_one_stage(
    folder: Path, task: ReadoutTask, store: Store, options: RunOptions, reporter: Reporter
) -> None:
    """Predict by ``X W V V'``: V' from the subject's own targets, no further fit."""
    design = task.design
    assert isinstance(design, ProjectedDesign)
    fit = _read_fit(design)
    sharing = design.task.sharing(design.task.common)
    common, ridge = design.task.common, design.arm.ridge
    train = design.task.readouts[task.subject].stories(common)
    tested = task.designs(task.fold.test)
    sides = {"fit": common, "predict": task.fold.test}
    witness = WitnessBook(train.n_targets, sides)
    show_settings(ridge, witness)
    rank = fit.weights.shape[1]
    designs = [tested.design(i) for i in range(len(tested))]
    for i, values in enumerate(designs):
        witness("predict/design", i, values, 0)
    rows = [values[:, :rank].astype(np.float64) for values in designs]
    with npz_writer(folder / PREDICTIONS) as add:
        for targets, loadings, mean in one_stage_blocks(
            WitnessedStories(train, "fit", witness),
            fit,
            ridge=ridge,
            decomposition=ensure_decomposition(sharing, store, options, reporter),
            device=options.ridge_device,
            target_block=options.target_block,
        ):
            for i, values in enumerate(rows):
                predicted = (values @ loadings + mean).astype(np.float32)
                add(block_name(i, targets.start), predicted)
    witness.save(folder)
    write_npz(folder / "alpha.npz", {"alpha": np.array([fit.alpha])})
    facts = {"alpha": "no second ridge", "edge": None, "replaced": train.replaced}
    write_json(folder / "fit.json", facts)


def _read_fit(design: ProjectedDesign) -> ReducedRank:
    arrays = read_npz(design.folder / ARRAYS)
    return ReducedRank(
        design.facts.alpha,
        arrays["weights/0"],
        arrays["constant/0"],
        arrays["singular_values"],
        arrays["deviations"],
        arrays["frame"],
    )
