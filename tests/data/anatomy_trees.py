"""Simulated listeners with all files that say where their voxels lie."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from nilearn.datasets import load_fsaverage

from brainaligner.data import (
    SimulationSettings,
    simulate_anatomy,
    simulate_tree,
    story_rows,
    story_transcripts,
)

STORIES = ("avalanche", "lanternkeeper")
SETTINGS = SimulationSettings(n_voxels=(4000, 3000), signal=(1.2, 0.9), n_repeats=2, seed=3)
HALF = 10_242


def fsaverage5(kind: str) -> np.ndarray:
    """Coordinates of all vertices, left hemisphere first."""
    parts = load_fsaverage("fsaverage5")[kind].parts
    return np.concatenate([np.asarray(parts[s].coordinates, float) for s in ("left", "right")])


def write_placed_tree(folder: Path) -> Path:
    """Two listeners; the surfaces of the second are npz files."""
    transcripts = {story: story_transcripts()[story] for story in STORIES}
    rng = np.random.default_rng(0)
    features = {
        story: rng.standard_normal((story_rows(t), 4)).astype(np.float32)
        for story, t in transcripts.items()
    }
    simulate_tree(folder, transcripts, features, fsaverage5("white_matter"), settings=SETTINGS)
    simulate_anatomy(folder, fsaverage5("white_matter"), fsaverage5("sphere"), seed=3)
    return folder
