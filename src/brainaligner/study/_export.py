"""Tuned models of a finished run as plain checkpoints to share, each with its model card."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from brainaligner.report import render_card
from brainaligner.study._dataset_config import STORE
from brainaligner.study._disk import write_json
from brainaligner.study._export_card import model_card
from brainaligner.study._export_choice import (
    ModelChoice,
    ReadModel,
    chosen_models,
    read_models,
)
from brainaligner.study._export_files import (
    check_new_folder,
    checked_checkpoint,
    copy_checkpoint,
    head_class,
    new_folder,
)
from brainaligner.study._export_record import RECORD, ExportSource, export_record
from brainaligner.study._files import load_study
from brainaligner.study._progress import reporting
from brainaligner.study._record import read_run
from brainaligner.study._tuning_task import CHECKPOINT

CARD = "README.md"


@dataclass(frozen=True)
class ExportedModel:
    """A tuned model that was written as a plain checkpoint.

    Parameters
    ----------
    folder : Path
    model : str
        Which one: tuning, subjects, seed, fold.
    key : str
        Of its tuning in the store.
    not_valid : str, optional
        The stamp of a run whose audit failed; it stands on the card too.
    """

    folder: Path
    model: str
    key: str
    not_valid: str | None = None


def export_models(
    run: Path,
    arm: str,
    to: Path,
    *,
    choice: ModelChoice | None = None,
    every: bool = False,
    out: Path | None = None,
) -> tuple[ExportedModel, ...]:
    """Write tuned models that an arm of a finished run reads as checkpoints of transformers.

    Each folder holds weights (safetensors, byte for byte those of the store), configuration,
    tokenizer, a model card and ``brainaligner.json``. The data are not read.

    Parameters
    ----------
    run : Path
        Folder of the run, such as ``runs/demo``.
    arm : str
        Entry of the study's ``arms``, or one seed of it (``es.s0``).
    to : Path
        New or empty folder. It is there once all is written.
    choice : ModelChoice, optional
        Which model, where the arm reads several.
    every : bool
        All that fit the choice, each in a subfolder.
    out : Path, optional
        Folder that holds the store; default: the folder beside the run.

    Returns
    -------
    tuple of ExportedModel

    Raises
    ------
    InputError
        If there is no such run or arm, the arm reads no tuned model or several, or `to` is taken.
    BrainAlignerError
        If the store holds a damaged checkpoint.
    """
    record = read_run(run)
    config = load_study(str(run / "study.yaml"))
    source = ExportSource(record, config, (out or run.absolute().parent) / STORE)
    models = read_models(record, config, source.store, arm)
    kept = chosen_models(models, choice or ModelChoice(), every=every)
    check_new_folder(to)
    names = _folder_names(kept, source) if every else (".",)
    for model in kept:
        checked_checkpoint(_checkpoint(source, model))
    with new_folder(to) as folder, reporting() as reporter:
        for done, (name, model) in enumerate(zip(names, kept, strict=True), start=1):
            _write(folder / name, source, model)
            reporter("export", done, len(kept))
    return tuple(
        ExportedModel(to / name, model.words, model.key, source.not_valid)
        for name, model in zip(names, kept, strict=True)
    )


def _checkpoint(source: ExportSource, model: ReadModel) -> Path:
    return source.store / "tuning" / model.key / CHECKPOINT


def _folder_names(models: tuple[ReadModel, ...], source: ExportSource) -> tuple[str, ...]:
    """A subfolder for each model; where two names would be the same, the key tells them apart."""
    several = len({model.tuning for model in models}) > 1
    subjects = len(source.subjects)
    names = [model.folder_name(with_tuning=several, subjects=subjects) for model in models]
    return tuple(
        name if names.count(name) == 1 else f"{name}-{model.key[:8]}"
        for name, model in zip(names, models, strict=True)
    )


def _write(folder: Path, source: ExportSource, model: ReadModel) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    weights = copy_checkpoint(_checkpoint(source, model), folder)
    record = export_record(source, model) | {"weights": weights}
    card = model_card(record, source.config, head_class(folder))
    write_json(folder / RECORD, record)
    (folder / CARD).write_text(render_card(card), encoding="utf-8")
