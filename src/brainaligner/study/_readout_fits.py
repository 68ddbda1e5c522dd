"""Making the stages ``decomposition`` and ``readout``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from brainaligner.encoding import (
    AlphaChoice,
    BandedFit,
    Decomposition,
    Scratch,
    decompose,
    edge_warning,
    fit_banded,
    join_choices,
    predict,
    stream_ridge,
)
from brainaligner.study._designs import ArmDesign, PieceStories
from brainaligner.study._disk import npz_writer, read_json, read_npz, write_json, write_npz
from brainaligner.study._options import RunOptions
from brainaligner.study._progress import Reporter
from brainaligner.study._readout import (
    PREDICTIONS,
    Readout,
    ReadoutTask,
    block_name,
    decomposition_recipe,
    prediction_bytes,
    readout_recipe,
)
from brainaligner.study._store import Store

_KEEP_BYTES = 1 << 26  # what is beyond goes to the disk: memory does not grow with the targets
Fitter = Callable[[Path, ReadoutTask, Store, RunOptions, Reporter], None]


def ensure_readout(
    task: ReadoutTask,
    *,
    store: Store,
    options: RunOptions,
    reporter: Reporter,
    fit: Fitter | None = None,
) -> Readout:
    """Fit and predict where that has not been done yet: by `fit`, or as the arm says."""
    recipe = readout_recipe(task)
    made = fit or (_fit_banded if task.design.arm.banded is not None else _fit_ridge)
    folder = store.ensure(recipe, lambda target: made(target, task, store, options, reporter))
    facts = read_json(folder / "fit.json")
    return Readout(
        recipe,
        folder,
        task.fold.test,
        facts["alpha"],
        facts["edge"],
        facts["replaced"],
        facts.get("route"),
    )


def _fit_ridge(
    folder: Path, task: ReadoutTask, store: Store, options: RunOptions, reporter: Reporter
) -> None:
    settings = task.design.arm.ridge
    train, validation = _sides(task)
    decomposition = ensure_decomposition(task, store, options, reporter)
    choices: list[AlphaChoice] = []
    route = None
    witness = task.witness()
    with npz_writer(folder / PREDICTIONS) as add:
        for block in stream_ridge(
            train,
            validation,
            task.designs(task.fold.test),
            settings=settings,
            decomposition=decomposition,
            device=options.ridge_devices,
            target_block=options.target_block,
            keep_bytes=_KEEP_BYTES,
            scratch=Scratch(folder, spare=2 * prediction_bytes(task)),
            ahead=True,
            progress=reporter,
            witness=witness,
        ):
            choices.append(block.choice)
            route = str(block.route)
            for i, values in enumerate(block.predictions):
                add(block_name(i, block.targets.start), values.astype(np.float32))
    witness.save(folder)
    _write_facts(folder, join_choices(choices), _replaced(train, validation), route)


def ensure_decomposition(
    task: ReadoutTask, store: Store, options: RunOptions, reporter: Reporter
) -> Decomposition:
    """Decompose the training designs where that has not been done yet."""
    train, settings = task.designs(task.fold.train), task.design.arm.ridge

    def build(folder: Path) -> None:
        made = decompose(train, settings=settings, device=options.ridge_device, progress=reporter)
        write_npz(folder / "decomposition.npz", made.as_arrays())

    folder = store.ensure(decomposition_recipe(task), build)
    return Decomposition.from_arrays(read_npz(folder / "decomposition.npz"))


def _fit_banded(
    folder: Path, task: ReadoutTask, store: Store, options: RunOptions, reporter: Reporter
) -> None:
    design, settings = task.design, task.design.arm.banded
    assert settings is not None
    assert isinstance(design, ArmDesign)
    train, validation = _sides(task)
    witness = task.witness()
    fit = fit_banded(
        train,
        validation,
        design.bands(),
        settings=settings,
        device=options.ridge_device,
        progress=reporter,
        witness=witness,
    )
    test = task.designs(task.fold.test)
    with npz_writer(folder / PREDICTIONS) as add:
        for i in range(len(test)):
            rows = test.design(i)
            witness("predict/design", i, rows, 0)
            values = predict(fit, rows, device=options.ridge_device)
            add(block_name(i, 0), values.astype(np.float32))
    witness.save(folder)
    _write_facts(folder, fit, _replaced(train, validation), None)


def _sides(task: ReadoutTask) -> tuple[PieceStories, PieceStories | None]:
    validation = task.stories(task.validation) if task.validation else None
    return task.stories(task.fold.train), validation


def _write_facts(
    folder: Path,
    chosen: AlphaChoice | BandedFit,
    replaced: Mapping[str, int],
    route: str | None,
) -> None:
    shared = isinstance(chosen, AlphaChoice) and chosen.shared
    median = float(np.median(chosen.alpha))
    facts = {
        "alpha": f"{median:.3g} (shared)" if shared else f"{median:.3g} (median of one per target)",
        "edge": edge_warning(chosen),
        "replaced": dict(sorted(replaced.items())),
        "route": route,
    }
    arrays = {
        "alpha": chosen.alpha,
        "validation_r": chosen.validation_r,
        "alphas": np.array(chosen.alphas),
    }
    if isinstance(chosen, BandedFit):
        arrays["deltas"] = chosen.deltas
    write_npz(folder / "alpha.npz", arrays)
    write_json(folder / "fit.json", facts)


def _replaced(train: PieceStories, validation: PieceStories | None) -> dict[str, int]:
    return train.replaced | (validation.replaced if validation is not None else {})
