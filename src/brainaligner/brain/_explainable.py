"""Voxels whose responses repeat: the encoder that the report calls High_EV."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float64

from brainaligner.brain._choice import best_targets, chosen_vectors, most_targets
from brainaligner.brain._material import BrainMaterial, BrainVectors, Provenance
from brainaligner.brain._reading import TargetReader, scale_fact, scaled_on, target_slices
from brainaligner.brain._settings import BrainSettings, EncoderOptions
from brainaligner.core import InputError, Progress, no_progress


def high_ev(
    material: BrainMaterial,
    *,
    settings: BrainSettings,
    seed: int,
    options: EncoderOptions,
    progress: Progress = no_progress,
) -> BrainVectors:
    """The targets of highest explainable variance, standardised.

    Explainable variance is :func:`brainaligner.evaluation.noise_ceiling`'s (Huth et al. 2012,
    Neuron 76:1210, corrected for the number of repeats); over several repeated stories it is
    averaged with their rows as weights. The repeated stories are often test stories: those
    that were looked at stand in ``provenance.chosen_on``.

    Parameters
    ----------
    material : BrainMaterial
        `repeated` names the stories with single presentations.
    settings : BrainSettings
    seed : int
        Nothing is drawn.
    options : EncoderOptions
    progress : callable

    Raises
    ------
    InputError
        If there are no repeats, or no target varies in all of them.
    """
    score = explainable_variance(material, options, progress)
    if not np.isfinite(score).any():
        raise InputError(
            f"explainable variance of {material.subject}",
            got=f"none of {len(score)} targets that varies in every repeat",
            wanted="responses that vary",
            do="Look at the repeats of " + ", ".join(material.repeated) + ".",
        )
    choice = best_targets(score, most_targets(len(score), settings))
    reader = TargetReader(material, settings.standardise, options, progress)
    facts = choice.facts("explainable variance") | scale_fact(settings.standardise)
    provenance = Provenance(
        "high_ev",
        material.subject,
        fitted_on=scaled_on(reader),
        chosen_on=material.repeated,
        facts=facts,
    )
    return chosen_vectors(reader, choice, provenance)


def explainable_variance(
    material: BrainMaterial, options: EncoderOptions, progress: Progress
) -> Float64[np.ndarray, "target"]:
    """Share of each target's variance that repeats; NaN where a repeat is constant."""
    if not material.repeated:
        raise _no_repeats(material, "no story with single presentations is named")
    slices = target_slices(material.recording.n_targets, options.target_block)
    score = np.empty(material.recording.n_targets)
    for i, targets in enumerate(slices):
        score[targets] = _of_block(material, targets)
        progress("explainable variance", i + 1, len(slices))
    return score


def _of_block(material: BrainMaterial, targets: slice) -> Float64[np.ndarray, "target"]:
    from brainaligner.evaluation import noise_ceiling

    total, n_rows = np.zeros(targets.stop - targets.start), 0
    for story in sorted(material.repeated):
        repeats = material.recording.repeats(story, targets)
        if repeats is None:
            raise _no_repeats(material, f"the recording has none of {story!r}")
        ceiling = noise_ceiling(repeats)
        total += ceiling.n_rows * ceiling.explainable_variance
        n_rows += ceiling.n_rows
    return total / n_rows


def _no_repeats(material: BrainMaterial, reason: str) -> InputError:
    return InputError(
        f"explainable variance of {material.subject}",
        got=f"no repeats: {reason}",
        wanted="at least one story that this subject heard more than once",
        do="Name a repeated story, or use 'encoding_selection' or 'split_half_reliability', "
        "which need no repeats.",
    )
