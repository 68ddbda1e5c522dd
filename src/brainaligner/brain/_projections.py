"""All targets, or fewer numbers that are made of all of them."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float32, Float64

from brainaligner.brain._material import BrainMaterial, BrainVectors, Provenance
from brainaligner.brain._reading import (
    TargetReader,
    kept_rows,
    labelled_seed,
    scale_fact,
    scaled_on,
)
from brainaligner.brain._settings import BrainSettings, EncoderOptions
from brainaligner.core import Progress, no_progress


def all_targets(
    material: BrainMaterial,
    *,
    settings: BrainSettings,
    seed: int,
    options: EncoderOptions,
    progress: Progress = no_progress,
) -> BrainVectors:
    """Every target, standardised: stories times targets are held in memory at once.

    Parameters
    ----------
    material : BrainMaterial
    settings : BrainSettings
    seed : int
        Nothing is drawn.
    options : EncoderOptions
    progress : callable
    """
    reader = TargetReader(material, settings.standardise, options, progress)
    provenance = Provenance(
        "all",
        material.subject,
        fitted_on=scaled_on(reader),
        columns=tuple(range(reader.width)),
        facts={"targets": float(reader.width)} | scale_fact(settings.standardise),
    )
    return BrainVectors(kept_rows(reader), provenance)


def random_projection(
    material: BrainMaterial,
    *,
    settings: BrainSettings,
    seed: int,
    options: EncoderOptions,
    progress: Progress = no_progress,
) -> BrainVectors:
    """Standardised targets times a Gaussian matrix: ``z R / sqrt(width)``, R of N(0, 1).

    Distances between TRs are kept up to a relative error of about ``sqrt(2 / width)``
    (Johnson & Lindenstrauss 1984), and nothing is fitted but scales. R follows from `seed`
    and the number of the target, whatever the block size.

    Parameters
    ----------
    material : BrainMaterial
    settings : BrainSettings
    seed : int
    options : EncoderOptions
    progress : callable
    """
    reader = TargetReader(material, settings.standardise, options, progress)
    rng = np.random.default_rng(labelled_seed(seed, "random_projection"))
    recording, width = material.recording, settings.width
    rows = {story: np.zeros((recording.rows(story), width)) for story in material.given}
    for place, block in reader.blocks(material.given):
        matrix = projection_block(rng, place.stop - place.start, width)
        for story, values in block.items():
            rows[story] += values @ matrix
    provenance = Provenance(
        "random_projection",
        material.subject,
        fitted_on=scaled_on(reader),
        facts={"targets": float(reader.width)} | scale_fact(settings.standardise),
    )
    return BrainVectors(float32_rows(rows), provenance)


def projection_block(
    rng: np.random.Generator, n_targets: int, width: int
) -> Float32[np.ndarray, "target width"]:
    """The next `n_targets` rows of R / sqrt(width)."""
    return (rng.standard_normal((n_targets, width)) / np.sqrt(width)).astype(np.float32)


def float32_rows(
    rows: dict[str, Float64[np.ndarray, "_ _"]],
) -> dict[str, Float32[np.ndarray, "_ _"]]:
    """The form in which vectors are handed on."""
    return {story: values.astype(np.float32) for story, values in rows.items()}
