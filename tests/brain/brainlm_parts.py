"""Small BrainLM models, and parcel series without a recording behind them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from safetensors.torch import save_file

from brainaligner.brain import BrainLMConfig, BrainMaterial, random_brainlm

TINY = BrainLMConfig(16, 2, 2, 32, 12, 1, 3, 24, (432, 432), 16)
SMALL = BrainLMConfig(16, 2, 2, 32, 12, 1, 3, 24, (440, 200), 40)
"""55 tokens and no margin in time."""


@dataclass(frozen=True)
class MadeRecording:
    """A recording that only knows how many rows its stories have."""

    lengths: Mapping[str, int]
    n_targets: int = 7
    kind: str = "voxels"

    def rows(self, story: str) -> int:
        return self.lengths[story]

    def responses(self, story: str, targets: slice) -> np.ndarray:
        raise AssertionError("BrainLM reads parcels alone")

    def repeats(self, story: str, targets: slice) -> np.ndarray | None:
        raise AssertionError("BrainLM reads parcels alone")


@dataclass(frozen=True)
class MadeParcels:
    """Parcel series held in memory; counts which stories were read."""

    series: Mapping[str, np.ndarray]
    missing: Sequence[int] = ()
    read: list[str] = field(default_factory=list)

    @property
    def coverage(self) -> list[int]:
        return [0 if parcel in self.missing else 3 for parcel in range(424)]

    def parcels(self, story: str) -> np.ndarray:
        self.read.append(story)
        values = self.series[story].copy()
        values[:, list(self.missing)] = np.nan
        return values


def coordinates(seed: int = 0) -> np.ndarray:
    """424 places in MNI mm with 77 distinct Y, as A424 has them."""
    rng = np.random.default_rng(seed)
    places = rng.integers(-60, 61, size=(424, 3)).astype(np.float64)
    places[:, 1] = rng.permutation(np.resize(np.arange(-92, 62, 2), 424))
    return places


def series(lengths: Mapping[str, int], seed: int = 0) -> dict[str, np.ndarray]:
    """Noise of parcels with means and scales of their own."""
    rng = np.random.default_rng(seed)
    scale, mean = rng.uniform(0.5, 3, 424), rng.normal(size=424)
    return {
        story: (mean + scale * rng.normal(size=(n, 424))).astype(np.float32)
        for story, n in lengths.items()
    }


def material(
    values: Mapping[str, np.ndarray], *, fitted_on: Sequence[str], missing: Sequence[int] = ()
) -> BrainMaterial:
    """A subject whose stories are all to be encoded."""
    lengths = {story: len(rows) for story, rows in values.items()}
    return BrainMaterial(
        "S1",
        MadeRecording(lengths),
        tuple(fitted_on),
        tuple(values),
        parcels=MadeParcels(values, missing),
    )


def save_random(folder: Path, config: BrainLMConfig, seed: int = 0) -> Path:
    """Write a random checkpoint into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    fields, state = random_brainlm(config, seed=seed)
    (folder / "config.json").write_text(json.dumps(fields), encoding="utf-8")
    save_file(state, folder / "model.safetensors")
    return folder
