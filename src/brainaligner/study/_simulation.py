"""Stage ``simulated``: a ds003020 tree whose responses carry a language model's states."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from brainaligner.core import Clock, InputError
from brainaligner.data import simulate_tree, story_rows, story_transcripts
from brainaligner.report import fsaverage5_coordinates
from brainaligner.study._config import SimulationConfig, StudyConfig
from brainaligner.study._features import Stimuli, ensure_features, feature_recipe, read_features
from brainaligner.study._options import RunOptions
from brainaligner.study._progress import Reporter
from brainaligner.study._settings import plain
from brainaligner.study._store import Recipe, Store
from brainaligner.text import ModelInfo

VERSION = 1


def ensure_simulation(
    config: StudyConfig,
    infos: Mapping[str, ModelInfo],
    *,
    store: Store,
    options: RunOptions,
    reporter: Reporter,
) -> Path:
    """Write the simulated tree of a study where it does not exist yet.

    Returns
    -------
    Path
        Root of the tree.
    """
    simulation = config.dataset.simulation
    if simulation is None:
        raise InputError(
            f"study {config.name!r}",
            got=f"reader {config.dataset.reader!r}",
            wanted="reader 'simulated'",
            do="Choose a study that simulates, such as 'demo'.",
        )
    stimuli = _simulated_stimuli(simulation)
    feature = config.features[simulation.features]
    folder = ensure_features(
        {simulation.features: feature},
        infos,
        stimuli,
        store=store,
        options=options,
        reporter=reporter,
    )[simulation.features]
    states = feature_recipe(feature, infos[feature.model], stimuli)
    recipe = Recipe(
        "simulated", VERSION, plain(simulation) | {"features": None}, {"features": states.key}
    )
    existed = store.has(recipe)
    tree = store.ensure(
        recipe, lambda target: _write_tree(target / "tree", simulation, stimuli, folder, reporter)
    )
    if not existed:
        reporter.line(f"simulated tree: {len(simulation.tree.n_voxels)} listeners")
    return tree / "tree"


def _simulated_stimuli(simulation: SimulationConfig) -> Stimuli:
    transcripts = story_transcripts(seed=simulation.tree.seed)
    rows = {story: story_rows(transcript) for story, transcript in transcripts.items()}
    return Stimuli(transcripts, rows, Clock())


def _write_tree(
    target: Path,
    simulation: SimulationConfig,
    stimuli: Stimuli,
    features: Path,
    reporter: Reporter,
) -> None:
    states = {story: read_features(features, story) for story in stimuli.rows}
    target.mkdir()
    simulate_tree(
        target,
        stimuli.transcripts,
        states,
        fsaverage5_coordinates(),
        settings=simulation.tree,
        progress=reporter,
    )
