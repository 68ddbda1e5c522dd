"""Stage ``features``: transcripts -> states of a language model, one row per TR."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import h5py
import numpy as np
from jaxtyping import Float32

from brainaligner.core import Clock, Transcript
from brainaligner.study._config import FeatureConfig
from brainaligner.study._options import RunOptions
from brainaligner.study._progress import Reporter
from brainaligner.study._settings import plain
from brainaligner.study._store import Recipe, Store
from brainaligner.text import (
    ModelInfo,
    TextSettings,
    load_language_model,
    row_states,
    rows_from_states,
    story_texts,
)

VERSION = 1


@dataclass(frozen=True)
class Stimuli:
    """What the subjects heard, and how many rows each story needs.

    Parameters
    ----------
    transcripts : mapping of story to Transcript
    rows : mapping of story to int
        The most rows that any subject has of it.
    clock : Clock
    """

    transcripts: Mapping[str, Transcript]
    rows: Mapping[str, int]
    clock: Clock

    def digests(self) -> dict[str, str]:
        """Content of each story, with its number of rows and the clock."""
        clock = f"{self.clock.tr}/{self.clock.first}"
        return {
            f"text/{story}": f"{self.transcripts[story].digest()}/{self.rows[story]}/{clock}"
            for story in sorted(self.rows)
        }


def feature_recipe(feature: FeatureConfig, info: ModelInfo, stimuli: Stimuli) -> Recipe:
    """Recipe of one layer's states; the model enters by the digest of its files."""
    settings = replace(feature.text, layer=feature.text.resolve_layer(info))
    return Recipe(
        "features",
        VERSION,
        {"text": plain(settings)},
        {"model": info.digest, **stimuli.digests()},
    )


def ensure_features(
    features: Mapping[str, FeatureConfig],
    infos: Mapping[str, ModelInfo],
    stimuli: Stimuli,
    *,
    store: Store,
    options: RunOptions,
    reporter: Reporter,
) -> dict[str, Path]:
    """Make the features that do not exist yet; layers that share all else share one pass.

    Returns
    -------
    dict of str to Path
        Artifact folder of each entry of `features`.
    """
    recipes = {
        name: feature_recipe(feature, infos[feature.model], stimuli)
        for name, feature in features.items()
    }
    for names in _groups_by_pass({n: f for n, f in features.items() if not store.has(recipes[n])}):
        first = features[names[0]]
        layers = {name: int(recipes[name].settings["text"]["layer"]) for name in names}
        states = _states(first, sorted(set(layers.values())), stimuli, options, reporter)
        for name in names:
            values = states[layers[name]]
            store.ensure(recipes[name], partial(_write, states=values))
            reporter.line(f"features {name}: layer {layers[name]} of {first.model}")
    return {name: store.path(recipe) for name, recipe in recipes.items()}


def _groups_by_pass(features: Mapping[str, FeatureConfig]) -> list[list[str]]:
    groups: dict[tuple[str, TextSettings], list[str]] = {}
    for name, feature in features.items():
        groups.setdefault((feature.model, replace(feature.text, layer=0)), []).append(name)
    return list(groups.values())


def _states(
    feature: FeatureConfig,
    layers: Sequence[int],
    stimuli: Stimuli,
    options: RunOptions,
    reporter: Reporter,
) -> dict[int, dict[str, np.ndarray]]:
    settings, clock = feature.text, stimuli.clock
    texts = {
        story: story_texts(stimuli.transcripts[story], clock, n_rows, settings=settings)
        for story, n_rows in stimuli.rows.items()
    }
    model = load_language_model(feature.model, device=options.device, dtype=settings.dtype)
    states = row_states(
        model,
        texts,
        layers,
        settings=settings,
        batch_tokens=options.batch_tokens,
        progress=reporter,
    )
    return {
        layer: {
            story: rows_from_states(
                values, stimuli.transcripts[story], clock, stimuli.rows[story], settings=settings
            )
            for story, values in by_story.items()
        }
        for layer, by_story in states.items()
    }


def _write(folder: Path, states: Mapping[str, np.ndarray]) -> None:
    with h5py.File(folder / "features.h5", "w") as file:
        for story, values in states.items():
            file[story] = values


def read_features(folder: Path, story: str) -> Float32[np.ndarray, "time feature"]:
    """Read one story's rows from a features artifact."""
    with h5py.File(folder / "features.h5", "r") as file:
        return np.asarray(file[story])
