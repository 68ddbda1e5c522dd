"""Controls that look at no response."""

from __future__ import annotations

import numpy as np

from brainaligner.brain._material import BrainMaterial, BrainVectors, Provenance
from brainaligner.brain._reading import labelled_seed
from brainaligner.brain._settings import BrainSettings, EncoderOptions
from brainaligner.core import Progress, no_progress


def noise(
    material: BrainMaterial,
    *,
    settings: BrainSettings,
    seed: int,
    options: EncoderOptions,
    progress: Progress = no_progress,
) -> BrainVectors:
    """Independent N(0, 1) draws, which follow from seed, subject and name of the story.

    Parameters
    ----------
    material : BrainMaterial
        Only rows of the stories are asked for.
    settings : BrainSettings
    seed : int
    options : EncoderOptions
        Nothing is read.
    progress : callable
    """
    rows = {}
    for i, story in enumerate(material.given):
        rng = np.random.default_rng(labelled_seed(seed, "noise", material.subject, story))
        shape = (material.recording.rows(story), settings.width)
        rows[story] = rng.standard_normal(shape, dtype=np.float32)
        progress("noise", i + 1, len(material.given))
    return BrainVectors(rows, Provenance("noise", material.subject))


def constant(
    material: BrainMaterial,
    *,
    settings: BrainSettings,
    seed: int,
    options: EncoderOptions,
    progress: Progress = no_progress,
) -> BrainVectors:
    """Ones, one number per TR: a brain input without a brain.

    Parameters
    ----------
    material : BrainMaterial
        Only rows of the stories are asked for.
    settings : BrainSettings
        `kind` is all there is.
    seed : int
        Nothing is drawn.
    options : EncoderOptions
        Nothing is read.
    progress : callable
    """
    lengths = {story: material.recording.rows(story) for story in material.given}
    progress("constant", len(lengths), len(lengths))
    rows = {story: np.ones((n, 1), dtype=np.float32) for story, n in lengths.items()}
    return BrainVectors(rows, Provenance("constant", material.subject))
