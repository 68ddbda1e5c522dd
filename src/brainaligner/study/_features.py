"""Stage ``features``: transcripts -> states of a language model, one row per TR."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from jaxtyping import Float32

from brainaligner.core import Clock, Transcript
from brainaligner.study._config import FeatureConfig
from brainaligner.study._disk import read_array, write_npz
from brainaligner.study._options import RunOptions
from brainaligner.study._progress import Reporter
from brainaligner.study._settings import plain
from brainaligner.study._store import Recipe, Store
from brainaligner.text import (
    ModelInfo,
    load_language_model,
    row_states,
    rows_from_states,
    story_texts,
)

VERSION = 2


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


@dataclass(frozen=True)
class FeatureSpace:
    """One entry of a study's features: what makes it, and where it lies once made.

    Parameters
    ----------
    recipe : Recipe
    folder : Path
    width : int
        Features per row, before delays.
    """

    recipe: Recipe
    folder: Path
    width: int

    def rows(self, story: str) -> Float32[np.ndarray, "time feature"]:
        """Read one story's rows."""
        return read_array(self.folder / "features.npz", story)


def feature_spaces(
    features: Mapping[str, FeatureConfig],
    infos: Mapping[str, ModelInfo],
    stimuli: Stimuli,
    *,
    store: Store,
) -> dict[str, FeatureSpace]:
    """Describe features, made or not; a model enters by the digest of its files."""
    spaces = {}
    for name, feature in features.items():
        info = infos[feature.model]
        settings = plain(feature.text) | {"layer": feature.text.resolve_layer(info)}
        inputs = {"model": info.digest, **stimuli.digests()}
        recipe = Recipe("features", VERSION, {"text": settings}, inputs)
        spaces[name] = FeatureSpace(recipe, store.path(recipe), info.width)
    return spaces


def ensure_features(
    features: Mapping[str, FeatureConfig],
    spaces: Mapping[str, FeatureSpace],
    stimuli: Stimuli,
    *,
    store: Store,
    options: RunOptions,
    reporter: Reporter,
) -> None:
    """Make the features that do not exist yet; layers that share all else share one pass.

    Parameters
    ----------
    features : mapping of name to FeatureConfig
    spaces : mapping of name to FeatureSpace
        At least those of `features`.
    stimuli : Stimuli
        Those that the spaces were described with.
    store : Store
    options : RunOptions
    reporter : Reporter
    """
    missing = {n: f for n, f in features.items() if not store.has(spaces[n].recipe)}
    for names in _groups_by_pass(missing):
        first = features[names[0]]
        layers = {name: int(spaces[name].recipe.settings["text"]["layer"]) for name in names}
        states = _states(first, sorted(set(layers.values())), stimuli, options, reporter)
        for name in names:
            write = partial(_write, states=states[layers[name]])
            store.ensure(spaces[name].recipe, write)
            reporter.line(f"features {name}: layer {layers[name]} of {first.model}")


def _groups_by_pass(features: Mapping[str, FeatureConfig]) -> list[list[str]]:
    groups: dict[tuple[Hashable, ...], list[str]] = {}
    for name, feature in features.items():
        shared = (feature.model, *(plain(feature.text) | {"layer": None}).values())
        groups.setdefault(shared, []).append(name)
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
    write_npz(folder / "features.npz", states)
