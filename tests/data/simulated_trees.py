"""A simulated tree of five stories on two egg shells, and what it is made of."""

from __future__ import annotations

import numpy as np

from brainaligner.data._simulate import (
    SimulationSettings,
    simulate_tree,
    story_rows,
    story_transcripts,
)

STORIES = ("avalanche", "balloon", "beehive", "lanternkeeper", "orchard")
TRANSCRIPTS = {story: story_transcripts()[story] for story in STORIES}
SETTINGS = SimulationSettings(n_voxels=(500, 300), signal=(1.2, 0.9), seed=3)


def drawn_features(width: int = 6) -> dict[str, np.ndarray]:
    """Random rows of features for each story."""
    rng = np.random.default_rng(0)
    return {
        story: rng.standard_normal((story_rows(transcript), width)).astype(np.float32)
        for story, transcript in TRANSCRIPTS.items()
    }


def two_ellipsoids() -> np.ndarray:
    """20484 points on two egg shells as large as hemispheres, evenly spread."""
    i = np.arange(10242) + 0.5
    polar, turn = np.arccos(1 - 2 * i / 10242), np.pi * (1 + 5**0.5) * i
    shell = np.c_[np.cos(turn) * np.sin(polar), np.sin(turn) * np.sin(polar), np.cos(polar)]
    shell *= [30.0, 80.0, 55.0]
    aside = np.array([35.0, 0.0, 0.0])
    return np.concatenate([shell - aside, shell + aside]).astype(np.float32)


FEATURES, SURFACE = drawn_features(), two_ellipsoids()


def simulated(folder, settings=SETTINGS):
    """Write the tree; return its folder."""
    simulate_tree(folder, TRANSCRIPTS, FEATURES, SURFACE, settings=settings)
    return folder


def column_correlation(a, b):
    """Pearson correlation of each column of `a` with that of `b`."""
    a, b = a - a.mean(0), b - b.mean(0)
    return (a * b).sum(0) / np.sqrt((a**2).sum(0) * (b**2).sum(0))
