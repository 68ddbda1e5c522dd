"""Every brain encoder by name, and the one way to call them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Protocol

from brainaligner.brain._choice import most_targets
from brainaligner.brain._encoding_selection import encoding_selection
from brainaligner.brain._explainable import high_ev
from brainaligner.brain._material import BrainMaterial, BrainVectors
from brainaligner.brain._moved import shift_in_time
from brainaligner.brain._pca import pca
from brainaligner.brain._projections import all_targets, random_projection
from brainaligner.brain._settings import BrainSettings, EncoderOptions
from brainaligner.brain._split_half import split_half_reliability
from brainaligner.brain._without_brain import constant, noise
from brainaligner.brain._witnessed import witnessed_material
from brainaligner.core import (
    InputError,
    Progress,
    Witness,
    no_progress,
    no_witness,
    show_settings,
)


class Encoder(Protocol):
    """What every entry of `ENCODERS` is; time shifts are `brain_vectors`' business."""

    def __call__(
        self,
        material: BrainMaterial,
        *,
        settings: BrainSettings,
        seed: int,
        options: EncoderOptions,
        progress: Progress = no_progress,
    ) -> BrainVectors:
        """Encode all stories of ``material.given``."""
        ...


def brain_vectors(
    material: BrainMaterial,
    *,
    settings: BrainSettings,
    seed: int,
    options: EncoderOptions | None = None,
    progress: Progress = no_progress,
    witness: Witness = no_witness,
) -> BrainVectors:
    """One vector per TR from the responses of one subject.

    Whatever is estimated, selected or scaled comes from ``material.fitted_on`` (and, for
    "high_ev", from ``material.repeated``); other stories are read for their vectors alone.
    The order in which stories are named changes nothing.

    Parameters
    ----------
    material : BrainMaterial
    settings : BrainSettings
    seed : int
        Of all that is drawn, 0 or more.
    options : EncoderOptions, optional
    progress : callable
    witness : Witness
        Shown all responses as they are read, in the roles ``"brain"`` and ``"brain-repeats"``.

    Returns
    -------
    BrainVectors
        float32, for the stories of ``material.given``, with their provenance.

    Raises
    ------
    InputError
        If a story is named twice, the material lacks what the kind needs, or as the entry
        of `ENCODERS` says.
    """
    _check(material, seed)
    show_settings(settings, witness)
    encode = ENCODERS[settings.kind]
    vectors = encode(
        witnessed_material(material, witness),
        settings=settings,
        seed=seed,
        options=EncoderOptions() if options is None else options,
        progress=progress,
    )
    if settings.shift:
        return shift_in_time(vectors, min_shift=settings.min_shift, seed=seed)
    return vectors


def vector_width(settings: BrainSettings, n_targets: int) -> int:
    """Most numbers per TR that an encoder can give of so many targets."""
    if settings.kind in ("noise", "random_projection"):
        return settings.width
    if settings.kind == "pca":
        return min(settings.width, n_targets)
    if settings.kind in ("constant", "all"):
        return 1 if settings.kind == "constant" else n_targets
    return most_targets(n_targets, settings)


def _check(material: BrainMaterial, seed: int) -> None:
    if seed < 0:
        raise InputError(
            "brain encoder", got=f"seed {seed}", wanted="0 or more", do="Give another seed."
        )
    for name in ("fitted_on", "given", "repeated"):
        stories = getattr(material, name)
        twice = [story for story, n in Counter(stories).items() if n > 1]
        if twice:
            raise InputError(
                f"brain material of {material.subject}, {name!r}",
                got=f"story {twice[0]!r} twice",
                wanted="each story once",
                do="Remove the second one.",
            )


ENCODERS: Mapping[str, Encoder] = {
    "high_ev": high_ev,
    "encoding_selection": encoding_selection,
    "split_half_reliability": split_half_reliability,
    "all": all_targets,
    "pca": pca,
    "random_projection": random_projection,
    "noise": noise,
    "constant": constant,
}
