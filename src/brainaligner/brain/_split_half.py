"""Voxels of which two halves of the data tell the same."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import numpy as np
from jaxtyping import Float, Float64

from brainaligner.brain._choice import best_targets, chosen_vectors, most_targets
from brainaligner.brain._folds import alpha_facts, checked_designs, fitted_in_step, story_parts
from brainaligner.brain._material import BrainMaterial, BrainVectors, Provenance
from brainaligner.brain._reading import TargetReader, scale_fact
from brainaligner.brain._settings import BrainSettings, EncoderOptions
from brainaligner.core import InputError, Progress, no_progress
from brainaligner.encoding import AlphaChoice, RidgeBlock, join_choices

_THIRDS = 3
Agreement = tuple[Float64[np.ndarray, "target"], tuple[AlphaChoice, ...]]


def split_half_reliability(
    material: BrainMaterial,
    *,
    settings: BrainSettings,
    seed: int,
    options: EncoderOptions,
    progress: Progress = no_progress,
) -> BrainVectors:
    """The targets whose ridges, fitted on separate stories, predict the same of a third set.

    The training stories are divided at random into three parts A, B and C. For each pair
    of parts, two ridges are fitted, one on each, with alphas of their own, and both predict
    the third part from its words; Pearson's r between the two predictions, averaged over the
    three pairs, ranks the targets. The third part's responses never enter: no target is
    rewarded for fitting the responses that it is judged on, and no repeats are needed.

    Agreement says that a target follows the designs in the same way in both halves, not how
    well. What all stories share, such as their onset, agrees as well. Without signal the
    average scatters around 0, the wider the fewer directions the designs have.

    Parameters
    ----------
    material : BrainMaterial
        With `designs`; they are asked for the same story many times.
    settings : BrainSettings
    seed : int
        Of the division.
    options : EncoderOptions
    progress : callable

    Raises
    ------
    InputError
        If there are no designs, fewer than three training stories (six where there are
        several alphas), or no target whose predictions vary.
    """
    checked_designs(material, settings.kind)
    least = 2 if len(settings.ridge.alphas) > 1 else 1
    parts = story_parts(material, _THIRDS, seed=seed, least=least)
    score, alphas = prediction_agreement(
        material, parts, settings=settings, options=options, progress=progress
    )
    if not np.isfinite(score).any():
        raise InputError(
            f"split-half reliability of {material.subject}",
            got=f"none of {len(score)} targets whose predictions vary",
            wanted="responses and designs that vary",
            do="Look at the responses and the designs of the training stories.",
        )
    choice = best_targets(score, most_targets(len(score), settings))
    reader = TargetReader(material, settings.standardise, options, progress)
    facts = choice.facts("agreement") | alpha_facts(alphas) | scale_fact(settings.standardise)
    provenance = Provenance(
        "split_half_reliability",
        material.subject,
        fitted_on=material.fitted_on,
        chosen_on=material.fitted_on,
        facts=facts,
    )
    return chosen_vectors(reader, choice, provenance)


def prediction_agreement(
    material: BrainMaterial,
    parts: tuple[tuple[str, ...], ...],
    *,
    settings: BrainSettings,
    options: EncoderOptions,
    progress: Progress,
) -> Agreement:
    """Mean r between predictions of each part by the other two; NaN where one is constant."""
    stories = sum(parts, ())
    divisions = [(part, stories) for part in parts]
    scores: list[Float64[np.ndarray, "_"]] = []
    choices: list[tuple[AlphaChoice, ...]] = []
    for step in fitted_in_step(
        material, divisions, settings=settings, options=options, progress=progress
    ):
        scores.append(_agreement_of_block(step, [len(part) for part in parts]))
        choices.append(tuple(fit.choice for fit in step))
    return np.concatenate(scores), tuple(map(join_choices, zip(*choices, strict=True)))


def _agreement_of_block(
    step: Sequence[RidgeBlock], lengths: Sequence[int]
) -> Float64[np.ndarray, "target"]:
    from brainaligner.evaluation import pearson_r

    stops = np.cumsum(lengths)
    pairs = []
    for a, b in combinations(range(_THIRDS), 2):
        third = _THIRDS - a - b
        at = slice(int(stops[third] - lengths[third]), int(stops[third]))
        pairs.append(pearson_r(*(_joined(step[i].predictions[at]) for i in (a, b))))
    return np.mean(pairs, axis=0)


def _joined(predictions: Sequence[Float[np.ndarray, "_ _"]]) -> Float[np.ndarray, "_ _"]:
    return np.concatenate(predictions)
