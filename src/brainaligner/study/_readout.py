"""Stages ``decomposition`` and ``readout``: from features to predicted test responses."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
from jaxtyping import Float

from brainaligner.core import Fold, Piece
from brainaligner.encoding import (
    AlphaChoice,
    BandedFit,
    Decomposition,
    decompose,
    edge_warning,
    fit_banded,
    join_choices,
    predict,
    stream_ridge,
)
from brainaligner.study._designs import ArmDesign, PieceDesigns, PieceStories
from brainaligner.study._options import RunOptions
from brainaligner.study._prepare import Prepared
from brainaligner.study._progress import Reporter
from brainaligner.study._settings import plain
from brainaligner.study._store import Recipe, Store, read_npz, write_npz

DECOMPOSITION_VERSION = 1
READOUT_VERSION = 1


@dataclass(frozen=True, eq=False)
class Readout:
    """A finished readout: predictions on disk, and what was chosen."""

    recipe: Recipe
    folder: Path
    pieces: tuple[Piece, ...]
    alpha: str
    edge: str | None
    replaced: int


@dataclass(frozen=True, eq=False)
class ReadoutTask:
    """One arm, one subject, one fold: all that its ridge needs.

    Parameters
    ----------
    prepared : Prepared
    design : ArmDesign
    subject : str
    fold : Fold
    digests : mapping of story to str
        Content of this subject's responses.
    features : mapping of str to str
        Keys of the features artifacts, by role.
    """

    prepared: Prepared
    design: ArmDesign
    subject: str
    fold: Fold
    digests: Mapping[str, str]
    features: Mapping[str, str]

    @property
    def rows(self) -> dict[str, int]:
        """Rows of each story that this subject heard."""
        stories = self.prepared.splits[self.subject].stories
        return {story: self.prepared.dataset.n_rows(self.subject, story) for story in stories}

    def designs(self, pieces: Sequence[Piece]) -> PieceDesigns:
        """Designs of some pieces."""
        return PieceDesigns(self.design, pieces, self.rows)

    def stories(self, pieces: Sequence[Piece]) -> PieceStories:
        """Designs and responses of some pieces."""
        return PieceStories(self.design, pieces, self.rows, self.prepared.dataset, self.subject)


def decomposition_recipe(task: ReadoutTask) -> Recipe:
    """Recipe of the decomposition; it knows no responses, so subjects share it."""
    ridge = task.design.arm.ridge
    settings = {
        "design": plain(task.design.arm.design),
        "shift": task.design.shift,
        "intercept": ridge.intercept,
        "scaling": ridge.scaling,
        "form": ridge.form,
        "train": _piece_rows(task, task.fold.train),
    }
    return Recipe("decomposition", DECOMPOSITION_VERSION, settings, _design_inputs(task))


def readout_recipe(task: ReadoutTask) -> Recipe:
    """Recipe of the readout: test stories enter by their text alone, never by responses."""
    arm, fold = task.design.arm, task.fold
    settings = {
        "design": plain(arm.design),
        "shift": task.design.shift,
        "ridge": plain(arm.ridge) if arm.banded is None else None,
        "banded": plain(arm.banded),
        "train": _piece_rows(task, fold.train),
        "validation": _piece_rows(task, fold.validation),
        "test": _piece_rows(task, fold.test),
    }
    heard = {piece.story for piece in (*fold.train, *fold.validation)}
    responses = {f"responses/{story}": task.digests[story] for story in sorted(heard)}
    return Recipe("readout", READOUT_VERSION, settings, _design_inputs(task) | responses)


def _piece_rows(task: ReadoutTask, pieces: Sequence[Piece]) -> list[list[str | int]]:
    rows = task.rows
    return [[piece.story, *piece.rows.indices(rows[piece.story])[:2]] for piece in pieces]


def _design_inputs(task: ReadoutTask) -> dict[str, str]:
    return dict(task.features) | task.design.stimuli.digests()


def ensure_readout(
    task: ReadoutTask, *, store: Store, options: RunOptions, reporter: Reporter
) -> Readout:
    """Fit and predict where that has not been done yet."""
    recipe = readout_recipe(task)
    fit = _fit_banded if task.design.arm.banded is not None else _fit_ridge
    folder = store.ensure(recipe, lambda target: fit(target, task, store, options, reporter))
    facts = json.loads((folder / "fit.json").read_text(encoding="utf-8"))
    return Readout(recipe, folder, task.fold.test, facts["alpha"], facts["edge"], facts["replaced"])


def _fit_ridge(
    folder: Path, task: ReadoutTask, store: Store, options: RunOptions, reporter: Reporter
) -> None:
    settings = task.design.arm.ridge
    train = task.stories(task.fold.train)
    validation = task.stories(task.fold.validation) if settings.selection == "validation" else None
    decomposition = _ensure_decomposition(task, store, options, reporter)
    choices: list[AlphaChoice] = []
    with h5py.File(folder / "predictions.h5", "w") as file:
        for block in stream_ridge(
            train,
            validation,
            task.designs(task.fold.test),
            settings=settings,
            decomposition=decomposition,
            device=options.device,
            target_block=options.target_block,
            progress=reporter,
        ):
            choices.append(block.choice)
            for i, values in enumerate(block.predictions):
                _write_block(file, i, values, block.targets, train.n_targets)
    _write_facts(folder, join_choices(choices), _replaced(train, validation))


def _ensure_decomposition(
    task: ReadoutTask, store: Store, options: RunOptions, reporter: Reporter
) -> Decomposition:
    train, settings = task.designs(task.fold.train), task.design.arm.ridge

    def build(folder: Path) -> None:
        made = decompose(train, settings=settings, device=options.device, progress=reporter)
        write_npz(folder / "decomposition.npz", made.as_arrays())

    folder = store.ensure(decomposition_recipe(task), build)
    return Decomposition.from_arrays(read_npz(folder / "decomposition.npz"))


def _fit_banded(
    folder: Path, task: ReadoutTask, store: Store, options: RunOptions, reporter: Reporter
) -> None:
    settings = task.design.arm.banded
    assert settings is not None
    train = task.stories(task.fold.train)
    validation = task.stories(task.fold.validation) if settings.selection == "validation" else None
    reporter("banded ridge", 0, 1)
    fit = fit_banded(
        train, validation, task.design.bands(), settings=settings, device=options.device
    )
    reporter("banded ridge", 1, 1)
    test = task.designs(task.fold.test)
    with h5py.File(folder / "predictions.h5", "w") as file:
        for i in range(len(test)):
            values = predict(fit, test.design(i), device=options.device)
            _write_block(file, i, values, slice(0, train.n_targets), train.n_targets)
    _write_facts(folder, fit, _replaced(train, validation))


def _write_block(
    file: h5py.File, i: int, values: Float[np.ndarray, "time target"], targets: slice, n: int
) -> None:
    name = str(i)
    if name not in file:
        file.create_dataset(name, (len(values), n), dtype=np.float32)
    file[name][:, targets] = values


def _write_facts(folder: Path, chosen: AlphaChoice | BandedFit, replaced: int) -> None:
    shared = isinstance(chosen, AlphaChoice) and chosen.shared
    median = float(np.median(chosen.alpha))
    facts = {
        "alpha": f"{median:.3g} (shared)" if shared else f"{median:.3g} (median of one per target)",
        "edge": edge_warning(chosen),
        "replaced": replaced,
    }
    write_npz(
        folder / "alpha.npz",
        {
            "alpha": chosen.alpha,
            "validation_r": chosen.validation_r,
            "alphas": np.array(chosen.alphas),
        },
    )
    (folder / "fit.json").write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")


def _replaced(train: PieceStories, validation: PieceStories | None) -> int:
    return train.replaced + (validation.replaced if validation is not None else 0)


def read_predictions(readout: Readout) -> Iterator[tuple[Piece, Float[np.ndarray, "time target"]]]:
    """Read the predicted responses of each test piece."""
    with h5py.File(readout.folder / "predictions.h5", "r") as file:
        for i, piece in enumerate(readout.pieces):
            yield piece, np.asarray(file[str(i)])
