"""A masked-LM head for checkpoints that come without one."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

from brainaligner.aligner._examples import read_examples
from brainaligner.aligner._material import AlignerMaterial
from brainaligner.aligner._model import BrainAligner
from brainaligner.aligner._settings import AlignerSettings, TuningOptions
from brainaligner.aligner._tally import log_frequencies, masked_bits, unigram_bits
from brainaligner.aligner._tune import tune
from brainaligner.core import InputError, Progress, Witness, no_progress, no_witness

HEAD_SETTINGS = AlignerSettings(
    trained_layers=0,
    learning_rate=2e-3,
    warmup_steps=None,
    warmup_share=0.05,
    dropout=0.0,
    epochs=10,
    patience=2,
)
"""How a head is learned: all else frozen, so a high learning rate is safe."""


@dataclass(frozen=True, eq=False)
class LearnedHead:
    """An aligner with a head.

    Parameters
    ----------
    aligner : BrainAligner
    learned : bool
        False where the checkpoint had a head, which stays as it is.
    bits, unigram_bits : float
        Bits per hidden token of the validation stories' text, under the same masks: of the
        head, and of the tokens' frequencies in the training stories (`unigram_bits`).
    history : tuple of mappings
        As in `Tuned`; empty where nothing was learned.
    """

    aligner: BrainAligner
    learned: bool
    bits: float
    unigram_bits: float
    history: tuple[Mapping[str, float], ...]


def learn_head(
    aligner: BrainAligner,
    training: AlignerMaterial,
    validation: AlignerMaterial,
    *,
    folder: Path,
    settings: AlignerSettings = HEAD_SETTINGS,
    options: TuningOptions = TuningOptions(),  # noqa: B008 - frozen
    progress: Progress = no_progress,
    witness: Witness = no_witness,
) -> LearnedHead:
    """Learn a masked-LM head on the training stories' text; all other weights stay as they are.

    The output bias starts as the logarithm of the tokens' smoothed frequencies in the training
    stories, all else as transformers draws it; the output matrix is the input embeddings where
    the model ties them, and stays. (Starting at the unigram model itself, with weights of 0 in
    the last normalisation, was tried on ds003020: 9.31 bits after 3 epochs in place of 8.83.)

    Parameters
    ----------
    aligner : BrainAligner
        It is not changed. One that has a head comes back as it is, with its bits.
    training, validation : AlignerMaterial
        Brain vectors are left out.
    folder, settings, options, progress, witness
        As in `tune`; no layer is trained.

    Raises
    ------
    InputError
        If the settings train a layer or no head, and as `tune` does.
    """
    if settings.trained_layers != 0 or not settings.train_head:
        raise InputError(
            "head settings",
            got=f"trained_layers {settings.trained_layers}, train_head {settings.train_head}",
            wanted="0 and True: the head is learned alone",
            do="Start from HEAD_SETTINGS.",
        )
    texts = AlignerMaterial(training.texts), AlignerMaterial(validation.texts)
    found: BrainAligner = aligner
    history: tuple[Mapping[str, float], ...] = ()
    if not aligner.has_head:
        started = started_head(aligner, texts[0], settings=settings)
        tuned = tune(
            started,
            *texts,
            settings=settings,
            folder=folder,
            options=options,
            progress=progress,
            witness=witness,
        )
        found, history = tuned.aligner, tuned.history
    bits = masked_bits(found, texts[1], brain="none", settings=settings, seed=settings.seed)
    floor = unigram_bits(aligner, *texts, settings=settings, seed=settings.seed)
    return LearnedHead(found, not aligner.has_head, bits.bits, floor.bits, history)


def started_head(
    aligner: BrainAligner, training: AlignerMaterial, *, settings: AlignerSettings
) -> BrainAligner:
    """A copy whose fresh head has the tokens' frequencies in its output bias."""
    started = copy.deepcopy(aligner)
    tower = started.tower
    output = tower.get_output_embeddings()
    examples = read_examples(aligner, training, settings=settings)
    logs = log_frequencies(examples, n_tokens=output.out_features)
    with torch.no_grad():
        if output.bias is not None:
            output.bias.copy_(torch.from_numpy(logs))
    started.fresh = ()
    return started
