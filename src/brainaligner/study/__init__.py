"""One experiment as data: study files, the store, the stages, the command line.

Names are imported when they are first asked for, so that ``brainaligner --help`` costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from brainaligner.study._cli import app, main

if TYPE_CHECKING:
    from brainaligner.study._arm_config import ArmConfig, FeatureConfig
    from brainaligner.study._array_scores import ArrayScores, score_arrays
    from brainaligner.study._audit import audit_run
    from brainaligner.study._audit_plan import audit_study
    from brainaligner.study._audit_words import audit_diagnostics
    from brainaligner.study._compare import RunComparison, compare_run
    from brainaligner.study._config import StudyConfig
    from brainaligner.study._dataset_config import DatasetConfig, SimulationConfig, SplitConfig
    from brainaligner.study._embed import TextVectors, embed_text
    from brainaligner.study._embed_files import save_vectors
    from brainaligner.study._embed_reading import EmbedSettings
    from brainaligner.study._export import ExportedModel, export_models
    from brainaligner.study._export_choice import ModelChoice
    from brainaligner.study._files import load_study, study_yaml
    from brainaligner.study._finished import FinishedRun, open_run
    from brainaligner.study._listener_config import ListenersConfig
    from brainaligner.study._options import RunOptions
    from brainaligner.study._presets import preset_names
    from brainaligner.study._published_config import PublishedConfig
    from brainaligner.study._region_files import RegionsConfig
    from brainaligner.study._run import run_study
    from brainaligner.study._store import Recipe, Store
    from brainaligner.study._tuning_config import BrainConfig, HeadConfig, TuningConfig

__all__ = [
    "ArmConfig",
    "ArrayScores",
    "BrainConfig",
    "DatasetConfig",
    "EmbedSettings",
    "ExportedModel",
    "FeatureConfig",
    "FinishedRun",
    "HeadConfig",
    "ListenersConfig",
    "ModelChoice",
    "PublishedConfig",
    "Recipe",
    "RegionsConfig",
    "RunComparison",
    "RunOptions",
    "SimulationConfig",
    "SplitConfig",
    "Store",
    "StudyConfig",
    "TextVectors",
    "TuningConfig",
    "app",
    "audit_diagnostics",
    "audit_run",
    "audit_study",
    "compare_run",
    "embed_text",
    "export_models",
    "load_study",
    "main",
    "open_run",
    "preset_names",
    "run_study",
    "save_vectors",
    "score_arrays",
    "study_yaml",
]

_MODULES = {
    "ArmConfig": "_config",
    "ArrayScores": "_array_scores",
    "BrainConfig": "_tuning_config",
    "DatasetConfig": "_dataset_config",
    "EmbedSettings": "_embed_reading",
    "ExportedModel": "_export",
    "FeatureConfig": "_config",
    "FinishedRun": "_finished",
    "HeadConfig": "_tuning_config",
    "ListenersConfig": "_listener_config",
    "ModelChoice": "_export_choice",
    "PublishedConfig": "_published_config",
    "Recipe": "_store",
    "RegionsConfig": "_region_files",
    "RunComparison": "_compare",
    "RunOptions": "_options",
    "SimulationConfig": "_dataset_config",
    "SplitConfig": "_dataset_config",
    "Store": "_store",
    "StudyConfig": "_config",
    "TextVectors": "_embed",
    "TuningConfig": "_tuning_config",
    "audit_diagnostics": "_audit_words",
    "audit_run": "_audit",
    "audit_study": "_audit_plan",
    "compare_run": "_compare",
    "embed_text": "_embed",
    "export_models": "_export",
    "load_study": "_files",
    "open_run": "_finished",
    "preset_names": "_presets",
    "run_study": "_run",
    "save_vectors": "_embed_files",
    "score_arrays": "_array_scores",
    "study_yaml": "_files",
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first asked for."""
    if name in _MODULES:
        return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
