"""Stage ``simulated``: a ds003020 tree whose responses carry a language model's states."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from scipy.spatial import cKDTree

from brainaligner.brain import N_PARCELS
from brainaligner.core import Clock, InputError, Space, Transcript, unknown_name
from brainaligner.data import (
    SimulationSettings,
    open_dataset,
    simulate_anatomy,
    simulate_tree,
    story_rows,
    story_transcripts,
)
from brainaligner.report import fsaverage5_coordinates, fsaverage5_sphere
from brainaligner.study._config import StudyConfig
from brainaligner.study._dataset_config import SIMULATED, SimulationConfig
from brainaligner.study._disk import write_npz
from brainaligner.study._features import (
    FeatureSpace,
    Stimuli,
    ensure_features,
    feature_space,
)
from brainaligner.study._options import RunOptions
from brainaligner.study._progress import Reporter
from brainaligner.study._settings import plain
from brainaligner.study._store import Recipe, Store
from brainaligner.text import ModelInfo

VERSION = 2
PARCELS = "parcels.npz"


@dataclass(frozen=True)
class PlannedDataset:
    """What a simulated dataset will hold, so that a study can be refused before it is made.

    Parameters
    ----------
    tree : SimulationSettings
    """

    tree: SimulationSettings
    reader = SIMULATED
    folder = Path()
    clock = Clock()

    @property
    def subjects(self) -> tuple[str, ...]:
        """The simulated listeners."""
        return self.tree.subjects

    @cached_property
    def _transcripts(self) -> dict[str, Transcript]:
        return story_transcripts(seed=self.tree.seed)

    def stories(self, subject: str) -> tuple[str, ...]:
        """All packaged stories, for each listener."""
        if subject not in self.subjects:
            raise unknown_name("dataset.subjects", "subject", subject, self.subjects)
        return tuple(sorted(self._transcripts))

    def transcript(self, story: str) -> Transcript:
        """Words of a packaged story."""
        return self._transcripts[story]

    def n_rows(self, subject: str, story: str) -> int:
        """Rows of a simulated recording."""
        return story_rows(self._transcripts[story])

    def space(self, subject: str) -> Space:
        """Voxels of a listener."""
        return Space("voxels", self.tree.n_voxels[self.subjects.index(subject)])

    def presentations(self, story: str) -> int:
        """Several of the repeated story, one of all others."""
        return self.tree.n_repeats if story == self.tree.repeated_story else 1

    def stimuli(self) -> Stimuli:
        """All packaged stories with the rows that the simulation writes.

        Raises
        ------
        InputError
            If there is no story of the repeated story's name.
        """
        repeated = self.tree.repeated_story
        if repeated not in self._transcripts:
            place = "dataset.simulation.tree.repeated_story"
            raise unknown_name(place, "story", repeated, self._transcripts)
        rows = {story: story_rows(transcript) for story, transcript in self._transcripts.items()}
        return Stimuli(self._transcripts, rows, self.clock)


def study_simulation(config: StudyConfig) -> SimulationConfig:
    """The simulation of a study.

    Raises
    ------
    InputError
        If it simulates nothing.
    """
    if config.dataset.simulation is None:
        raise InputError(
            f"study {config.name!r}",
            got=f"reader {config.dataset.reader!r}",
            wanted="reader 'simulated'",
            do="Choose a study that simulates, such as 'demo'.",
        )
    return config.dataset.simulation


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
    simulation = study_simulation(config)
    stimuli = PlannedDataset(simulation.tree).stimuli()
    carried = config.features[simulation.features]
    info = infos[carried.model]
    space = feature_space(simulation.features, carried, info, stimuli, store=store)
    inputs = {"features": space.recipe.key}
    settings = {"tree": plain(simulation.tree)} | ({"anatomy": True} if simulation.anatomy else {})
    recipe = Recipe("simulated", VERSION, settings, inputs)
    if not store.has(recipe):
        ensure_features([space], stimuli, store=store, options=options, reporter=reporter)
        store.ensure(
            recipe,
            lambda target: _write_tree(target / "tree", simulation, stimuli, space, reporter),
        )
        reporter.line(f"simulated tree: {len(simulation.tree.n_voxels)} listeners")
    return store.path(recipe) / "tree"


def _write_tree(
    target: Path,
    simulation: SimulationConfig,
    stimuli: Stimuli,
    space: FeatureSpace,
    reporter: Reporter,
) -> None:
    states = {story: space.rows(story) for story in stimuli.rows}
    target.mkdir()
    simulate_tree(
        target,
        stimuli.transcripts,
        states,
        fsaverage5_coordinates(),
        settings=simulation.tree,
        progress=reporter,
    )
    if simulation.anatomy:
        simulate_anatomy(
            target,
            fsaverage5_coordinates(),
            fsaverage5_sphere(),
            seed=simulation.tree.seed,
            progress=reporter,
        )
    write_npz(target / "derivative" / PARCELS, _made_up_parcels(target, simulation.tree))


def _made_up_parcels(tree: Path, settings: SimulationSettings) -> dict[str, np.ndarray]:
    """Pieces of cortex in the form of ``brainaligner data parcels``: no real atlas has them."""
    surface = fsaverage5_coordinates()
    rng = np.random.default_rng((settings.seed, 5))
    centres = surface[np.sort(rng.choice(len(surface), N_PARCELS, replace=False))]
    arrays = {
        "names": np.array([f"made up {number}" for number in range(1, N_PARCELS + 1)]),
        "coordinates": centres.astype(np.float64),
    }
    dataset = open_dataset("lebel2023", tree)
    for subject in settings.subjects:
        vertices = dataset.space(subject).vertices
        assert vertices is not None
        _, nearest = cKDTree(centres).query(surface[vertices])
        counts = np.bincount(nearest, minlength=N_PARCELS)
        arrays |= {
            f"{subject}/data": 1.0 / np.repeat(counts, counts),
            f"{subject}/indices": np.argsort(nearest, kind="stable"),
            f"{subject}/indptr": np.concatenate([[0], np.cumsum(counts)]),
            f"{subject}/shape": np.array([N_PARCELS, len(vertices)]),
        }
    return arrays
