"""Does BrainLM understand these parcels? Masked reconstruction over scales, without labels."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32, Float64, Int64

from brainaligner.brain._brainlm_checkpoint import BrainLM
from brainaligner.brain._brainlm_config import N_PARCELS, N_SAMPLES, BrainLMConfig
from brainaligner.brain._brainlm_encode import check_running
from brainaligner.brain._brainlm_windows import (
    ParcelInput,
    SamplePlaces,
    parcel_input,
    sample_places,
    windows,
)
from brainaligner.brain._material import BrainMaterial
from brainaligner.core import InputError, Progress, frozen_array, no_progress, settle_types


@dataclass(frozen=True)
class ReconstructionSettings:
    """What a masked reconstruction is asked to do. It runs in float32.

    Parameters
    ----------
    gains : tuple of float
        As `BrainLMSettings.input_gain`.
    target_trs : tuple of float or None
        As `BrainLMSettings.target_tr`.
    mask_ratio : float
        Share of patches that are hidden; 0.75 in the pretraining of the ViT-MAE models.
    windows : int
        Windows of each story, evenly spaced from the first that is full to the last row.
    stories : tuple of str
        Training stories to look at; empty for all of them.
    seed : int
        Of the masks. All cells of the grid see the same masks.

    Raises
    ------
    InputError
        For values out of range.
    """

    gains: tuple[float, ...] = (0.25, 0.5, 1.0, 2.0, 4.0)
    target_trs: tuple[float | None, ...] = (0.735, 1.0, None)
    mask_ratio: float = 0.75
    windows: int = 4
    stories: tuple[str, ...] = ()
    seed: int = 0

    def __post_init__(self) -> None:
        settle_types(self, where="reconstruction settings")
        steps = [step for step in self.target_trs if step is not None]
        right = all(math.isfinite(value) and value > 0 for value in (*self.gains, *steps))
        if not (self.gains and self.target_trs and right):
            raise _bad(f"gains {self.gains}, target_trs {self.target_trs}", "some, all above 0")
        if not 0 < self.mask_ratio < 1:
            raise _bad(f"mask_ratio {self.mask_ratio}", "a share between 0 and 1")
        if self.windows < 1 or self.seed < 0:
            raise _bad(f"windows={self.windows}, seed={self.seed}", "at least 1 and at least 0")


@dataclass(frozen=True, eq=False)
class ReconstructionCheck:
    """R2 of masked samples for each gain and each step of time.

    Parameters
    ----------
    gains : tuple of float
    target_trs : tuple of float or None
    r2 : float64 array, shape (gain, target_tr)
        ``1 - sum (x - x')^2 / sum (x - mean x)^2`` over all hidden samples.
    samples : tuple of int
        How many hidden numbers stand behind each column of `r2`.
    """

    gains: tuple[float, ...]
    target_trs: tuple[float | None, ...]
    r2: Float64[np.ndarray, "gain step"]
    samples: tuple[int, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "r2", frozen_array(self.r2))

    @property
    def best(self) -> tuple[float, float | None, float]:
        """Gain, target_tr and R2 of the best cell."""
        gain, step = np.unravel_index(int(self.r2.argmax()), self.r2.shape)
        return self.gains[gain], self.target_trs[step], float(self.r2[gain, step])


def reconstruction_r2(
    material: BrainMaterial,
    *,
    checkpoint: BrainLM,
    coordinates: Float[np.ndarray, "parcel 3"],
    tr: float,
    settings: ReconstructionSettings | None = None,
    progress: Progress = no_progress,
) -> ReconstructionCheck:
    """Hide patches of training stories and see how well the model fills them in.

    Scored are hidden samples of parcels that the subject has and that lie inside the story;
    margins, filled samples and patches that were seen do not count. The decoder's three
    channels are averaged. A trained model gives about 0.3 to 0.4 on data like its own; near 0
    at every scale, look for a wrong order or a flip of the parcels, not for a scale.

    Parameters
    ----------
    material : BrainMaterial
        With parcels. Only training stories are looked at.
    checkpoint : BrainLM
        Loaded with its decoder.
    coordinates : array, shape (424, 3)
        As in `encode_brainlm`. A control with a wrong order is one with other coordinates.
    tr : float
        Seconds between rows.
    settings : ReconstructionSettings, optional
    progress : callable
        Called with the cells of the grid that are done.

    Raises
    ------
    InputError
        If the checkpoint came without its decoder or was trained on standardised patches, a
        story is no training story, or nothing is left to score.
    """
    chosen = settings or ReconstructionSettings()
    stories = _stories(material, chosen)
    _check_checkpoint(checkpoint)
    given = parcel_input(material, coordinates)
    rows = {story: given.story(story, gain=1.0) for story in stories}
    r2 = np.empty((len(chosen.gains), len(chosen.target_trs)))
    counts = []
    for j, step in enumerate(chosen.target_trs):
        cuts = list(_cuts(rows, sample_places(tr, step), given, checkpoint.config, chosen))
        counts.append(_scored(cuts))
        for i, gain in enumerate(chosen.gains):
            r2[i, j] = _r2(checkpoint, cuts, gain)
            progress("masked reconstruction", j * len(chosen.gains) + i + 1, r2.size)
    return ReconstructionCheck(chosen.gains, chosen.target_trs, r2, tuple(counts))


@dataclass(frozen=True, eq=False)
class _Cut:
    """Windows of one story, the patches that are seen, and the samples that count."""

    signal: Float32[np.ndarray, "window parcel sample"]
    seen: Int64[np.ndarray, "window seen"]
    scored: Bool[np.ndarray, "window parcel sample"]


def _cuts(
    rows: dict[str, Float32[np.ndarray, "time parcel"]],
    places: SamplePlaces,
    given: ParcelInput,
    config: BrainLMConfig,
    settings: ReconstructionSettings,
) -> Iterator[_Cut]:
    rng = np.random.default_rng(settings.seed)
    n_seen = max(1, int(config.n_tokens * (1 - settings.mask_ratio)))
    nothing = np.zeros(N_PARCELS, dtype=np.float32)
    for values in rows.values():
        ends = _ends(len(values), places, settings.windows)
        order = rng.permuted(np.tile(np.arange(config.n_tokens), (len(ends), 1)), axis=1)
        seen = np.sort(order[:, :n_seen], axis=1)
        present = ~given.missing[given.order]
        scored = hidden_samples(seen, config) & present[:, None]
        scored &= places.inside(ends)[:, None, :]
        yield _Cut(windows(values, ends, places, nothing), seen, scored)


def _ends(n_rows: int, places: SamplePlaces, n: int) -> Int64[np.ndarray, "window"]:
    first = min(int(places.back.max()), n_rows - 1)
    return np.linspace(first, n_rows - 1, n).round().astype(np.int64)


def hidden_samples(
    seen: Int64[np.ndarray, "window seen"], config: BrainLMConfig
) -> Bool[np.ndarray, "window parcel sample"]:
    """Which numbers of each window lie in patches that are not seen."""
    hidden = np.ones((len(seen), config.n_tokens), dtype=bool)
    np.put_along_axis(hidden, seen, False, axis=1)
    image = hidden.reshape(len(seen), *config.grid)
    image = image.repeat(config.patch_size, axis=1).repeat(config.patch_size, axis=2)
    top, left = config.margins
    return image[:, top : top + N_PARCELS, left : left + N_SAMPLES]


def _scored(cuts: list[_Cut]) -> int:
    """How many hidden numbers count; refuse windows that hold none worth scoring."""
    values = np.concatenate([cut.signal[cut.scored] for cut in cuts])
    if len(values) == 0 or np.ptp(values) == 0:
        raise _bad("no hidden samples that vary", "longer training stories, or more windows")
    return len(values)


def _r2(checkpoint: BrainLM, cuts: list[_Cut], gain: float) -> float:
    errors, values = [], []
    for cut in cuts:
        signal = np.float32(gain) * cut.signal
        filled_in = _reconstructed(checkpoint, signal, cut.seen)
        values.append(signal[cut.scored].astype(np.float64))
        errors.append(values[-1] - filled_in[cut.scored])
    truth, wrong = np.concatenate(values), np.concatenate(errors)
    return float(1.0 - np.square(wrong).sum() / np.square(truth - truth.mean()).sum())


@torch.inference_mode()
def _reconstructed(
    checkpoint: BrainLM,
    signal: Float32[np.ndarray, "window parcel sample"],
    seen: Int64[np.ndarray, "window seen"],
) -> Float32[np.ndarray, "window parcel sample"]:
    there = [torch.from_numpy(part).to(checkpoint.device) for part in (signal, seen)]
    return checkpoint.network.reconstruct(*there).cpu().numpy()


def _stories(material: BrainMaterial, settings: ReconstructionSettings) -> tuple[str, ...]:
    stories = settings.stories or material.fitted_on
    others = sorted(set(stories) - set(material.fitted_on))
    if others:
        raise _bad(f"{', '.join(others)} among the stories", "training stories of the material")
    return stories


def _check_checkpoint(checkpoint: BrainLM) -> None:
    check_running(checkpoint, "float32", 1)
    if checkpoint.network.decoder is None:
        raise _bad("a checkpoint without its decoder", "load_brainlm(folder, decoder=True)")
    if checkpoint.config.norm_pix_loss:
        raise _bad(
            "a model trained on standardised patches (norm_pix_loss)",
            "one that reconstructs the values themselves",
        )


def _bad(got: str, wanted: str) -> InputError:
    return InputError("masked reconstruction", got=got, wanted=wanted, do="Correct this value.")
