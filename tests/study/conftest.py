"""Fixtures of the study tests: a tiny dataset, model and study, and one finished run."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from study_trees import (
    Cli,
    Outcome,
    StudyFile,
    contents,
    merged,
    run_process,
    save_checkpoint,
    save_own_data,
    save_study,
    tiny_study,
)

from brainaligner.study import main


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of the tiny language model. Tests must not change it."""
    return save_checkpoint(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="session")
def sound_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six stories, two subjects. Tests must not change it."""
    return save_own_data(tmp_path_factory.mktemp("data") / "own")


@pytest.fixture
def data(sound_data: Path, tmp_path: Path) -> Path:
    """A copy of the sound dataset, to break."""
    return shutil.copytree(sound_data, tmp_path / "data")


@pytest.fixture
def study_file(checkpoint: Path, sound_data: Path, tmp_path: Path) -> StudyFile:
    """Write the tiny study with changes; ``data=`` puts another folder in."""

    def write(changes: dict[str, Any] | None = None, *, data: Path | None = None) -> Path:
        study = merged(tiny_study(checkpoint, data or sound_data), changes or {})
        return save_study(tmp_path / "study.yaml", study)

    return write


@pytest.fixture
def cli(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Cli:
    """Call `main` as the console script does."""
    monkeypatch.delenv("BRAINALIGNER_DATA", raising=False)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("COLUMNS", "80")

    def call(*arguments: str | Path) -> Outcome:
        monkeypatch.setattr(sys, "argv", ["brainaligner", *map(str, arguments)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as stopped:
            main()
        out, err = capsys.readouterr()
        return Outcome(int(stopped.value.code or 0), out, err)

    return call


@pytest.fixture(scope="session")
def finished(
    checkpoint: Path, sound_data: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Path]:
    """The output folder of the tiny study, finished in a process of its own; to be copied."""
    folder = tmp_path_factory.mktemp("finished")
    study = save_study(folder / "study.yaml", tiny_study(checkpoint, sound_data))
    done = run_process("run", study, "--out", folder / "out", "--threads", "1")
    assert done.code == 0, done.err
    before = contents(folder / "out")
    yield folder / "out"
    assert contents(folder / "out") == before, "a test changed what all tests share"


@pytest.fixture
def out(finished: Path, tmp_path: Path) -> Path:
    """A copy of the finished run's output folder, times of files and all."""
    return shutil.copytree(finished, tmp_path / "out")
