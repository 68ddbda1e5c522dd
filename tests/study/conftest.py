"""Fixtures of the study tests: a tiny dataset, model and study, finished runs, and trees."""

from __future__ import annotations

import shutil
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from region_trees import save_labelled_tree
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
from view_trees import run_placed

from brainaligner.study import main

if TYPE_CHECKING:
    from brainaligner.study._view_data import RunView

# All tests of studies load this file: what is slow to import is imported where it is used.


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


@pytest.fixture(scope="session")
def exportable(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Results and store of a study of tuned models. Tests must not change them."""
    from export_trees import run_exportable

    return run_exportable(tmp_path_factory.mktemp("exported"), checkpoint)


@pytest.fixture
def exportable_copy(exportable: Path, tmp_path: Path) -> Path:
    """A copy of them, to break."""
    return shutil.copytree(exportable, tmp_path / "out")


@pytest.fixture(scope="session")
def placed(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run on simulated listeners whose voxels lie on the cortex. Not to be changed."""
    return run_placed(tmp_path_factory.mktemp("placed"), checkpoint)


@pytest.fixture(scope="session")
def view(placed: Path) -> RunView:
    """What the explorer shows of that run."""
    from brainaligner.study._progress import reporting
    from brainaligner.study._reopened import reopen_run
    from brainaligner.study._view_data import RunView

    with reporting() as reporter:
        plan, store = reopen_run(placed, data=None, out=None, reporter=reporter)
    return RunView(placed, plan, store)


@pytest.fixture(scope="module")
def port(view: RunView) -> Iterator[int]:
    """The port at which that explorer is served."""
    from brainaligner.study._view_server import explorer_server

    with explorer_server(view) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port
        server.shutdown()


@pytest.fixture(scope="session")
def labelled_tree(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tree with anatomy and labels of regions. Tests must not change it."""
    return save_labelled_tree(tmp_path_factory.mktemp("labelled"), checkpoint)


@pytest.fixture
def text_lines(tmp_path: Path) -> Path:
    """A file of `LINES`, to embed."""
    from embed_trees import LINES

    path = tmp_path / "lines.txt"
    path.write_text("\n".join(LINES) + "\n", encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def command_places(
    finished: Path, checkpoint: Path, sound_data: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Path]:
    """What the calls need: a run, a study, a folder, a tree with anatomy, an atlas, texts."""
    from command_trees import save_places

    home = tmp_path_factory.mktemp("places")
    return save_places(home, finished, checkpoint, sound_data)
