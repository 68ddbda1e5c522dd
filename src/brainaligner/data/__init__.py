"""Datasets: words and responses from disk, checked, and read only when asked for."""

from brainaligner.data._dataset import Dataset
from brainaligner.data._problem import Problem
from brainaligner.data._readers import READERS, open_dataset
from brainaligner.data._simulate import (
    SimulationSettings,
    simulate_tree,
    story_rows,
    story_transcripts,
)
from brainaligner.data._textgrid import Interval, Tier, read_textgrid
from brainaligner.data._words import MARKERS, clean_word

__all__ = [
    "MARKERS",
    "READERS",
    "Dataset",
    "Interval",
    "Problem",
    "SimulationSettings",
    "Tier",
    "clean_word",
    "open_dataset",
    "read_textgrid",
    "simulate_tree",
    "story_rows",
    "story_transcripts",
]
