"""One experiment as data: study files, the store, the stages, the command line."""

from __future__ import annotations

from brainaligner.study._cli import app, main
from brainaligner.study._config import (
    ArmConfig,
    DatasetConfig,
    FeatureConfig,
    SimulationConfig,
    SplitConfig,
    StudyConfig,
)
from brainaligner.study._files import load_study, preset_names, study_yaml
from brainaligner.study._options import RunOptions
from brainaligner.study._run import run_study
from brainaligner.study._store import Recipe, Store

__all__ = [
    "ArmConfig",
    "DatasetConfig",
    "FeatureConfig",
    "Recipe",
    "RunOptions",
    "SimulationConfig",
    "SplitConfig",
    "Store",
    "StudyConfig",
    "app",
    "load_study",
    "main",
    "preset_names",
    "run_study",
    "study_yaml",
]
