"""Tune a language model on text and brain vectors."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from brainaligner.aligner._examples import check_inputs, read_examples
from brainaligner.aligner._layout import Examples
from brainaligner.aligner._masking import FIXED
from brainaligner.aligner._material import AlignerMaterial
from brainaligner.aligner._model import BrainAligner
from brainaligner.aligner._parts import merge_lora, moved, trained_parts, trainee
from brainaligner.aligner._settings import AlignerSettings, TuningOptions
from brainaligner.aligner._witnessed import show_material
from brainaligner.aligner._working_folder import (
    WEIGHTS,
    run_digest,
    trainer_state,
    whole_checkpoints,
)
from brainaligner.core import (
    InputError,
    Progress,
    Witness,
    no_progress,
    no_witness,
    show_settings,
)

if TYPE_CHECKING:
    from brainaligner.aligner._trainer import AlignerTrainer


@dataclass(frozen=True, eq=False)
class Tuned:
    """A tuned aligner and how it came about.

    Parameters
    ----------
    aligner : BrainAligner
        With the weights of the best epoch, on the CPU, in evaluation mode.
    best_epoch, epochs : int
        The epoch of the lowest validation loss, counted from 1, and how many were run.
    bits : float
        Bits per hidden token of the validation stories at the best epoch, brain vectors given
        where the material has them.
    moved : mapping of str to float
        ``||w - w0|| / ||w0||`` of each trained layer, the head and the projection.
    history : tuple of mappings
        Lines of history.csv: step, epoch, loss (nats per hidden token), ...
    """

    aligner: BrainAligner
    best_epoch: int
    epochs: int
    bits: float
    moved: Mapping[str, float]
    history: tuple[Mapping[str, float], ...]


def tune(
    aligner: BrainAligner,
    training: AlignerMaterial,
    validation: AlignerMaterial,
    *,
    settings: AlignerSettings,
    folder: Path,
    options: TuningOptions = TuningOptions(),  # noqa: B008 - frozen
    progress: Progress = no_progress,
    witness: Witness = no_witness,
) -> Tuned:
    """Tune by masked language modelling on text beside brain vectors, or on text alone.

    A step minimises ``-1/n sum_i log p(token_i | text, brain)`` over the n tokens hidden in its
    whole batch (Devlin et al. 2019), all accumulated passes and ranks together.

    Started again with the same arguments, an interrupted run goes on from its last checkpoint;
    on a CPU it ends with the same bytes as one that was never interrupted. Under torchrun each
    rank calls this with the same arguments.

    Parameters
    ----------
    aligner : BrainAligner
        Where to start from; it is not changed. Without a head (`has_head`), learn one first.
    training, validation : AlignerMaterial
        Stories to train on, and those whose masked loss chooses the epoch. Where the training
        stories have no brain vectors, neither may the validation stories.
    settings : AlignerSettings
    folder : Path
        For history.csv, TensorBoard files and checkpoints; of this run alone.
    options : TuningOptions
    progress : Progress
    witness : Witness
        Shown the settings, and texts and brain vectors in the roles ``"fit"`` and ``"choose"``.

    Raises
    ------
    InputError
        If a story is on both sides, only one has brain vectors, the aligner has no head, or its
        model cannot follow the settings; if the folder holds another run, or ranks were given
        different arguments.
    """
    _check_sides(aligner, training, validation)
    show_settings(settings, witness)
    show_material(training, "fit", witness)
    show_material(validation, "choose", witness)
    with_brain = training.brain is not None
    sides = (
        read_examples(aligner, training, settings=settings),
        read_examples(aligner, validation, settings=settings),
    )
    check_device(settings.precision, options)
    _check_hidden(sides[1])
    with own_random_numbers(settings.seed):
        copied = trainee(aligner, settings=settings, with_brain=with_brain)
        digest = run_digest(aligner, sides, settings=settings)
        trainer = _trainer(copied, sides, options, folder, progress, digest)
        state = _train(trainer, settings, folder)
        trainer.accelerator.wait_for_everyone()
    best = folder / f"checkpoint-{state['best_global_step']}"
    trainer.accelerator.unwrap_model(copied, keep_fp32_wrapper=False)  # its forward is plain again
    finished = _with_weights(copied, best)
    trainer.accelerator.wait_for_everyone()  # the first process may clear the folder from here on
    merge_lora(finished)
    return _tuned(aligner, finished, state, settings, with_brain, steps=sides[0].n_steps)


def check_tuning(
    aligner: BrainAligner, *, settings: AlignerSettings, with_brain: bool, options: TuningOptions
) -> None:
    """Refuse what `tune` would refuse for these settings, before material and head are there.

    Raises
    ------
    InputError
        If the model or the machine cannot follow the settings.
    """
    check_device(settings.precision, options)
    trained_parts(aligner, settings=settings, with_brain=with_brain)
    check_inputs(aligner, settings=settings, with_brain=with_brain)


def _tuned(
    before: BrainAligner,
    after: BrainAligner,
    state: Mapping[str, Any],
    settings: AlignerSettings,
    with_brain: bool,
    *,
    steps: int,
) -> Tuned:
    from brainaligner.aligner._record import history_rows

    return Tuned(
        after,
        best_epoch=state["best_global_step"] // steps,
        epochs=state["global_step"] // steps,
        bits=state["best_metric"] / float(np.log(2)),
        moved=moved(before, after, settings=settings, with_brain=with_brain),
        history=history_rows(state["log_history"]),
    )


def _trainer(
    copied: BrainAligner,
    sides: tuple[Examples, Examples],
    options: TuningOptions,
    folder: Path,
    progress: Progress,
    digest: str,
) -> AlignerTrainer:
    from brainaligner.aligner._record import Recorder
    from brainaligner.aligner._resumable import claim_together
    from brainaligner.aligner._trainer import AlignerTrainer, training_arguments

    settings = sides[0].settings
    n_steps = settings.epochs * sides[0].n_steps
    arguments = training_arguments(settings, options, folder, n_steps=n_steps)
    claim_together(arguments, folder, digest)
    recorder = Recorder(folder, progress, "tuning")
    trainer = AlignerTrainer(copied, sides, arguments=arguments, options=options, recorder=recorder)
    torch.manual_seed(settings.seed * 1009 + arguments.process_index)  # ranks drop out apart
    return trainer


def _train(trainer: AlignerTrainer, settings: AlignerSettings, folder: Path) -> dict[str, Any]:
    """Train from the last checkpoint to the end, and give the trainer's last state."""
    from brainaligner.aligner._trainer import is_over

    last = whole_checkpoints(folder)[-1:]
    over = [
        is_over(trainer_state(at), settings, steps_per_epoch=trainer.sides[0].n_steps)
        for at in last
    ]
    if not any(over):
        trainer.train(resume_from_checkpoint=str(last[0]) if last else None)
        trainer.accelerator.wait_for_everyone()
    return trainer_state(whole_checkpoints(folder)[-1])


def _with_weights(copied: BrainAligner, checkpoint: Path) -> BrainAligner:
    from safetensors.torch import load_file

    copied.to("cpu")
    copied.load_state_dict(load_file(checkpoint / WEIGHTS), strict=False)
    return copied.eval().requires_grad_(False)


@contextmanager
def own_random_numbers(seed: int) -> Iterator[None]:
    """Seed the generators that transformers and dropout draw from; give them back afterwards."""
    python, numbers = random.getstate(), np.random.get_state()  # noqa: NPY002
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        try:
            yield
        finally:
            random.setstate(python)
            np.random.set_state(numbers)  # noqa: NPY002


def check_device(precision: str, options: TuningOptions) -> None:
    """Refuse a device that is not there, or a precision that it does not offer."""
    if options.device == "cuda" and not torch.cuda.is_available():
        got, do = "'cuda' on a machine without a GPU", "Use device='cpu'."
    elif options.device == "cpu" and precision == "float16":
        got, do = "float16 on a CPU", "Use float32 or bfloat16, or a GPU."
    else:
        return
    raise InputError("tuning options: device", got=got, wanted="what this machine can do", do=do)


def _check_hidden(validation: Examples) -> None:
    if not any(validation.masked(i, FIXED)[1].any() for i in range(len(validation.lengths))):
        raise InputError(
            "aligner material: validation",
            got=f"{len(validation.lengths)} rows with words, none of them with a hidden token",
            wanted="at least one hidden token, to choose the epoch by",
            do="Give more validation stories or raise mask_rate.",
        )


def _check_sides(
    aligner: BrainAligner, training: AlignerMaterial, validation: AlignerMaterial
) -> None:
    shared = sorted(set(training.texts) & set(validation.texts))
    if shared:
        raise InputError(
            "aligner material",
            got=f"story {shared[0]!r} in training and in validation",
            wanted="stories that are on one side",
            do="Take it out of one of them.",
        )
    if (training.brain is None) != (validation.brain is None):
        raise InputError(
            "aligner material",
            got="brain vectors for one of training and validation",
            wanted="both or neither",
            do="Give brain vectors for both, or None for both.",
        )
    if not aligner.has_head:
        raise InputError(
            f"model {aligner.info.name!r}",
            got=f"a checkpoint without a masked-LM head ({aligner.fresh[0]} is missing)",
            wanted="a head that predicts tokens",
            do="Learn one first: learn_head(aligner, ...).aligner.",
        )
