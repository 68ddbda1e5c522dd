"""Training stories divided among ridges that never see what they predict."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from brainaligner.brain._material import BrainMaterial, StoryDesigns
from brainaligner.brain._reading import Facts, labelled_seed, read_block
from brainaligner.brain._settings import BrainSettings, EncoderOptions
from brainaligner.core import InputError, Progress, zscore
from brainaligner.encoding import AlphaChoice, RidgeBlock, edge_warning, stream_ridge


@dataclass(frozen=True, eq=False)
class RecordedStories:
    """Some stories of one subject, in the form that the ridge reads them.

    Parameters
    ----------
    material : BrainMaterial
    names : tuple of str
    settings : BrainSettings
        With ``standardise="story"`` responses are z-scored within their story; other scales
        are one number for each target, and no r can see them.
    """

    material: BrainMaterial
    names: tuple[str, ...]
    settings: BrainSettings

    def __len__(self) -> int:
        return len(self.names)

    @property
    def n_targets(self) -> int:
        """Number of targets."""
        return self.material.recording.n_targets

    def design(self, i: int) -> Float[np.ndarray, "time feature"]:
        """Design rows of the i-th story."""
        return checked_designs(self.material, self.settings.kind).design(self.names[i])

    def responses(self, i: int, targets: slice) -> Float[np.ndarray, "time target"]:
        """Responses to the i-th story at a slice of targets."""
        values = read_block(self.material.recording, self.names[i], targets)
        return zscore(values) if self.settings.standardise == "story" else values


def checked_designs(material: BrainMaterial, kind: str) -> StoryDesigns:
    """The language model's designs, or an error that says who needs them."""
    if material.designs is None:
        raise InputError(
            f"brain encoder {kind!r} of {material.subject}",
            got="no designs of a language model",
            wanted="the plain model's design rows of the training stories",
            do="Give BrainMaterial its designs, or use an encoder that needs none.",
        )
    return material.designs


def story_parts(
    material: BrainMaterial, n_parts: int, *, seed: int, least: int
) -> tuple[tuple[str, ...], ...]:
    """Divide the training stories at random; each part gets `least` stories or more."""
    stories = sorted(material.fitted_on)
    if len(stories) < n_parts * least:
        raise InputError(
            f"training stories of {material.subject}",
            got=f"{len(stories)}",
            wanted=f"{n_parts * least} or more: {n_parts} parts of at least {least}",
            do="Add training stories, or give the ridge a single alpha.",
        )
    order = np.random.default_rng(labelled_seed(seed, "parts")).permutation(len(stories))
    parts = np.array_split(order, n_parts)
    return tuple(tuple(sorted(stories[i] for i in part)) for part in parts)


def fitted_in_step(
    material: BrainMaterial,
    divisions: Sequence[tuple[tuple[str, ...], tuple[str, ...]]],
    *,
    settings: BrainSettings,
    options: EncoderOptions,
    progress: Progress,
) -> Iterator[tuple[RidgeBlock, ...]]:
    """Fit one ridge for each (training, predicted) stories, all at the same block of targets.

    Predictions of all targets are never held together: each step gives one block of targets
    of every ridge. Alphas are chosen on training stories left out in turn.
    """
    fits = [
        stream_ridge(
            RecordedStories(material, trained, settings),
            None,
            RecordedStories(material, predicted, settings),
            settings=settings.ridge,
            device=options.device,
            target_block=options.target_block,
            keep_bytes=options.keep_bytes // len(divisions),
            progress=progress,
        )
        for trained, predicted in divisions
    ]
    return zip(*fits, strict=True)


def alpha_facts(choices: Sequence[AlphaChoice]) -> Facts:
    """The alpha of each ridge in words, and advice where one lies at the edge of the grid."""
    named = [f"{np.median(choice.alpha):g}" for choice in choices]
    word = "alphas" if choices[0].shared else "median alphas"
    advice = next((advice for advice in map(edge_warning, choices) if advice), None)
    facts: Facts = {word: ", ".join(named)}
    return facts | {"alpha edge": advice} if advice else facts
