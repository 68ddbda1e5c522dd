"""Stage ``features``: transcripts -> states of a language model, one row per TR."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from jaxtyping import Float32

from brainaligner.aligner import upper_states
from brainaligner.core import Clock, Transcript, zscore
from brainaligner.study._arm_config import FeatureConfig
from brainaligner.study._disk import read_array, write_npz, writing_to
from brainaligner.study._options import RunOptions
from brainaligner.study._progress import Reporter
from brainaligner.study._settings import plain
from brainaligner.study._store import Recipe, Store
from brainaligner.study._witness import WitnessBook
from brainaligner.text import (
    ModelInfo,
    RowText,
    StoryStates,
    TextSettings,
    load_language_model,
    row_states,
    rows_from_states,
    story_texts,
)

VERSION = 2
Texts = Mapping[str, Sequence[RowText]]


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
    name : str
        For people: ``"layer4"``, ``"tuned (UTS01, seed 0)"``.
    text : TextSettings
    source : str
        The language model's name, or the folder in which a tuned one will lie.
    recipe : Recipe
    folder : Path
    info : ModelInfo
        Of the plain model: tuning changes no shape.
    untrained : int, optional
        Seed of weights that are drawn, not read.
    unchanged : int
        Layers, counted from the lowest, that tuning left as they were; 0 for a plain model.
    """

    name: str
    text: TextSettings
    source: str
    recipe: Recipe
    folder: Path
    info: ModelInfo
    untrained: int | None = None
    unchanged: int = 0

    @property
    def width(self) -> int:
        """Features per row, before delays."""
        return self.info.width

    def rows(self, story: str) -> Float32[np.ndarray, "time feature"]:
        """Read one story's rows."""
        return read_array(self.folder / "features.npz", story)

    def scaled(
        self, story: str, n_rows: int, *, within_story: bool
    ) -> Float32[np.ndarray, "time feature"]:
        """Read one story's first rows, standardised within the story where asked for."""
        rows = self.rows(story)[:n_rows]
        return zscore(rows) if within_story else rows

    def parts(self) -> dict[str, str]:
        """Keys of all that the rows follow from."""
        return {"": self.recipe.key}

    @property
    def layer(self) -> int:
        """Layer of the model, counted from 0 (embeddings)."""
        return int(self.recipe.settings["text"]["layer"])


@dataclass(frozen=True)
class TunedModel:
    """A tuned language model that may not exist yet.

    Parameters
    ----------
    name : str
        For people.
    recipe : Recipe
        Of its tuning; stands for the model in recipes of features.
    folder : Path
        Where the plain checkpoint will lie.
    unchanged : int
        Layers, counted from the lowest, that tuning leaves as they are.
    """

    name: str
    recipe: Recipe
    folder: Path
    unchanged: int


def feature_space(
    name: str,
    feature: FeatureConfig,
    info: ModelInfo,
    stimuli: Stimuli,
    *,
    store: Store,
    tuned: TunedModel | None = None,
) -> FeatureSpace:
    """Describe features, made or not; a model enters by the digest of its files.

    Parameters
    ----------
    name : str
    feature : FeatureConfig
    info : ModelInfo
        Of the plain model: tuning changes no shape.
    stimuli : Stimuli
    store : Store
    tuned : TunedModel, optional
        Read in the plain model's place.
    """
    settings = plain(feature.text) | {"layer": feature.text.resolve_layer(info)}
    if feature.text.context_from == "sound":
        del settings["context_from"]  # it came later: stores made before it stay good
    drawn = {} if feature.seed is None else {"untrained": feature.seed}
    source = {"tuning": tuned.recipe.key} if tuned else _model_source(feature, info)
    recipe = Recipe("features", VERSION, {"text": settings} | drawn, source | stimuli.digests())
    label = f"untrained, seed {feature.seed}" if drawn else tuned.name if tuned else ""
    return FeatureSpace(
        name=f"{name} ({label})" if label else name,
        text=feature.text,
        source=str(tuned.folder) if tuned else info.name,
        recipe=recipe,
        folder=store.path(recipe),
        info=info,
        untrained=feature.seed,
        unchanged=tuned.unchanged if tuned else 0,
    )


def _model_source(feature: FeatureConfig, info: ModelInfo) -> dict[str, str]:
    """What stands for a plain model in a recipe; an untrained one has no weights of its own."""
    if feature.seed is None:
        return {"model": info.digest}
    return {"architecture": info.architecture_digest}


def ensure_features(
    spaces: Iterable[FeatureSpace],
    stimuli: Stimuli,
    *,
    store: Store,
    options: RunOptions,
    reporter: Reporter,
) -> None:
    """Make the features that do not exist yet; layers that share all else share one pass.

    Parameters
    ----------
    spaces : iterable of FeatureSpace
    stimuli : Stimuli
        Those that the spaces were described with.
    store : Store
    options : RunOptions
    reporter : Reporter
    """
    missing = [space for space in spaces if not store.has(space.recipe)]
    if store.rank:  # the first one reads
        for space in missing:
            store.wait_for(space.recipe)
        return
    for together in groups_by_pass(missing):
        layers = sorted({space.layer for space in together})
        witness = WitnessBook(0)
        at = (store, options, reporter)
        with store.timed("features"):
            states = _states(together[0], layers, stimuli, at, witness)
            for space in together:
                write = partial(_write, states=states[space.layer], witness=witness)
                store.ensure(space.recipe, write)
                reporter.line(f"features {space.name}: layer {space.layer}")


def groups_by_pass(spaces: Iterable[FeatureSpace]) -> list[list[FeatureSpace]]:
    """Put together the spaces that one pass through the model makes."""
    groups: dict[tuple[Hashable, ...], list[FeatureSpace]] = {}
    for space in spaces:
        shared = (space.source, space.untrained, *(plain(space.text) | {"layer": None}).values())
        groups.setdefault(shared, []).append(space)
    return list(groups.values())


def _states(
    space: FeatureSpace,
    layers: Sequence[int],
    stimuli: Stimuli,
    at: tuple[Store, RunOptions, Reporter],
    witness: WitnessBook,
) -> dict[int, dict[str, np.ndarray]]:
    settings, clock = space.text, stimuli.clock
    texts = {
        story: story_texts(stimuli.transcripts[story], clock, n_rows, settings=settings)
        for story, n_rows in stimuli.rows.items()
    }
    states = _upper_states(space, layers, texts, at, witness)
    if states is None:
        states = _all_states(space, layers, texts, at, witness)
    return {
        layer: {
            story: rows_from_states(
                values, stimuli.transcripts[story], clock, stimuli.rows[story], settings=settings
            )
            for story, values in by_story.items()
        }
        for layer, by_story in states.items()
    }


def _all_states(
    space: FeatureSpace,
    layers: Sequence[int],
    texts: Texts,
    at: tuple[Store, RunOptions, Reporter],
    witness: WitnessBook,
) -> dict[int, StoryStates]:
    _, options, reporter = at
    model = load_language_model(
        space.source, device=options.device, dtype=space.text.dtype, untrained=space.untrained
    )
    return row_states(
        model,
        texts,
        layers,
        settings=space.text,
        batch_tokens=options.batch_tokens,
        progress=reporter,
        witness=witness,
    )


def _upper_states(
    space: FeatureSpace,
    layers: Sequence[int],
    texts: Texts,
    at: tuple[Store, RunOptions, Reporter],
    witness: WitnessBook,
) -> dict[int, StoryStates] | None:
    """States from what tuned models share; a GPU computes that faster than it is read."""
    store, options, reporter = at
    if not space.unchanged or options.device != "cpu" or space.text.dtype != "float32":
        return None
    model = load_language_model(space.source)
    with writing_to(store.folder), store.shared_states.use() as folder:
        return upper_states(
            model,
            texts,
            layers,
            unchanged=space.unchanged,
            folder=folder,
            settings=space.text,
            progress=reporter,
            witness=witness,
        )


def _write(folder: Path, states: Mapping[str, np.ndarray], witness: WitnessBook) -> None:
    witness.save(folder)
    write_npz(folder / "features.npz", states)
