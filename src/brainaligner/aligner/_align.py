"""Tune a language model on objectives: predicted responses, anchors, windows, hidden brains."""

from __future__ import annotations

import os
from pathlib import Path

from brainaligner.aligner._model import BrainAligner
from brainaligner.aligner._objective_parts import objective_span, trained_layers
from brainaligner.aligner._objective_run import Aligned, ObjectiveRun
from brainaligner.aligner._objective_settings import ObjectiveSettings
from brainaligner.aligner._settings import TuningOptions
from brainaligner.aligner._story_material import StoryMaterial
from brainaligner.aligner._tune import check_device, own_random_numbers
from brainaligner.aligner._witnessed import show_stories
from brainaligner.core import (
    InputError,
    Progress,
    Witness,
    no_progress,
    no_witness,
    show_settings,
)


def align(
    aligner: BrainAligner,
    training: StoryMaterial,
    validation: StoryMaterial,
    *,
    settings: ObjectiveSettings,
    folder: Path,
    options: TuningOptions = TuningOptions(),  # noqa: B008 - frozen
    progress: Progress = no_progress,
    witness: Witness = no_witness,
) -> Aligned:
    """Tune a language model by the weighted sum of losses (`OBJECTIVES`).

    Started again with the same arguments, an interrupted run goes on from its last checkpoint.
    One process alone: a loss looks at a whole batch, which ranks of torchrun would divide.

    Parameters
    ----------
    aligner : BrainAligner
        Where to start from; it is not changed. Brain vectors as input are not used.
    training, validation : StoryMaterial
        Stories to train on, and those whose loss chooses the best step.
    settings : ObjectiveSettings
    folder : Path
        For history.csv, TensorBoard files, checkpoints and cached states; of this run alone.
    options : TuningOptions
    progress : Progress
    witness : Witness
        Shown the settings, and texts and responses in the roles ``"fit"`` and ``"choose"``.

    Raises
    ------
    InputError
        If a story is on both sides, responses are wanted and missing, subjects differ, or the
        model cannot follow the settings; if the folder holds another run, or torchrun started
        several processes.
    """
    check_objectives(aligner, settings=settings, options=options)
    _check_sides(training, validation, settings)
    show_settings(settings, witness)
    show_stories(training, "fit", witness)
    show_stories(validation, "choose", witness)
    run = ObjectiveRun(aligner, (training, validation), settings, folder, options, progress)
    with own_random_numbers(settings.seed):
        return run.run()


def check_objectives(
    aligner: BrainAligner,
    *,
    settings: ObjectiveSettings,
    options: TuningOptions,
    head_comes: bool = False,
) -> None:
    """Refuse what `align` would refuse for these settings, before any material is there.

    Parameters
    ----------
    aligner : BrainAligner
    settings : ObjectiveSettings
    options : TuningOptions
    head_comes : bool
        Whether a masked model without a head will have learned one by then.

    Raises
    ------
    InputError
        If the model or the machine cannot follow the settings, or torchrun started several
        processes.
    """
    _check_one_process()
    check_device(settings.precision, options)
    objective_span(aligner, settings)
    if settings.reads_tokens and not aligner.has_head and not head_comes:
        raise InputError(
            f"model {aligner.info.name!r}",
            got=f"a checkpoint without a head that predicts tokens ({aligner.fresh[0]} is missing)",
            wanted="a head, for the losses on tokens",
            do="Learn one first (masked models): learn_head(aligner, ...).aligner; or use anchor: "
            "{kind: states}.",
        )
    if not trained_layers(aligner, settings) and settings.heads.kind != "trained":
        raise InputError(
            "objectives",
            got="no trained layer, and heads that are kept",
            wanted="something to train",
            do="Raise trained_layers, or train the heads.",
        )


def _check_one_process() -> None:
    """Losses look at a whole batch: ranks that each see a part of it would train another model."""
    n_processes = int(os.environ.get("WORLD_SIZE", "1"))
    if n_processes > 1:
        raise InputError(
            "objectives",
            got=f"{n_processes} processes of torchrun",
            wanted="one: a loss over a part of a batch is another loss",
            do="Start it without torchrun; several tunings can run on several GPUs (--cluster).",
        )


def _check_sides(
    training: StoryMaterial, validation: StoryMaterial, settings: ObjectiveSettings
) -> None:
    shared = sorted(set(training.stories) & set(validation.stories))
    faults = {
        f"story {', '.join(shared[:1])!r} in training and in validation": bool(shared),
        "no responses, and a loss that looks at them": settings.reads_brains
        and not training.responses,
        f"responses of {', '.join(training.subjects) or 'nobody'} to train on, of "
        f"{', '.join(validation.subjects) or 'nobody'} to validate": settings.reads_brains
        and training.subjects != validation.subjects,
    }
    for got, there in faults.items():
        if there:
            raise InputError(
                "story material",
                got=got,
                wanted="different stories on both sides, with responses of the same subjects",
                do="Divide the stories anew.",
            )
