"""Where a study of the gallery runs: a dataset, a model, a study file, a folder of its own."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from gallery_recordings import Recordings

from brainaligner.report import _drawings
from brainaligner.study import RunOptions, load_study, run_study

FIGURES = (
    "arm_figure",
    "curve_figure",
    "difference_figure",
    "r_distribution_figure",
    "story_figure",
)


@dataclass(frozen=True)
class World:
    """What studies share.

    Parameters
    ----------
    recordings : Recordings
    data : Path
        Folder in which they lie.
    study : mapping
        The honest study.
    honest : Path
        Folder of its results.
    shared : tuple of Path
        Stages of stores that other studies take over: made of words and plain weights alone.
    source : Path, optional
        Folder of the published recordings, where it is made of these.
    """

    recordings: Recordings
    data: Path
    study: Mapping[str, Any]
    honest: Path
    shared: tuple[Path, ...] = ()
    source: Path | None = None

    @property
    def split(self) -> Mapping[str, list[str]]:
        """Stories of each side."""
        found: Mapping[str, list[str]] = self.study["split"]
        return found

    @property
    def stories(self) -> list[str]:
        """Single-presentation stories of all sides."""
        return [s for side in ("train", "validation", "test") for s in self.split[side]]


@dataclass(frozen=True)
class Bench:
    """Where one study of the gallery runs, and what it may patch while it does."""

    world: World
    folder: Path
    patch: pytest.MonkeyPatch = field(default_factory=pytest.MonkeyPatch)

    @property
    def out(self) -> Path:
        """Folder of results and store."""
        return self.folder / "out"

    def save(self, recordings: Recordings) -> dict[str, Any]:
        """Write altered recordings; gives the change of the study that reads them."""
        data = recordings.save(self.folder / "data")
        return {"dataset": {"folder": str(data)}}

    def run(self, changes: Mapping[str, Any] | None = None, *, share: bool = True) -> Path:
        """Run the world's study with changes, as a user does; gives the folder of results."""
        self.folder.mkdir(parents=True, exist_ok=True)
        for stage in self.world.shared if share else ():
            shutil.copytree(stage, self.out / "store" / stage.name, dirs_exist_ok=True)
        path = self.folder / "study.yaml"
        study = merged(self.world.study, changes or {})
        path.write_text(yaml.safe_dump(study, sort_keys=False), encoding="utf-8")
        with without_figures():
            return run_study(load_study(str(path)), RunOptions(self.out, threads=1))


@contextmanager
def without_figures() -> Iterator[None]:
    """Leave figures out of pages: they take half of the time of such a small study."""
    with pytest.MonkeyPatch.context() as patch:
        for figure in FIGURES:
            patch.setattr(_drawings, figure, lambda *_, **__: "<svg></svg>")
        yield


def merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Merge nested mappings; None above removes a key."""
    result = dict(below)
    for key, value in above.items():
        if isinstance(value, Mapping) and isinstance(below.get(key), Mapping):
            result[key] = merged(below[key], value)
        elif value is None:
            result.pop(key, None)
        else:
            result[key] = value
    return result


def run_json(run: Path) -> dict[str, Any]:
    """What a run says of itself."""
    found: dict[str, Any] = json.loads((run / "run.json").read_text(encoding="utf-8"))
    return found


def mean_r(run: Path, *, arm: str = "words", group: str = "test") -> float:
    """Mean r over targets and subjects, whole stories."""
    found = [
        row["mean"]
        for row in run_json(run)["results"]
        if (row["arm"], row["group"], row["rows_cut"]) == (arm, group, 0)
    ]
    return float(np.mean(found))
