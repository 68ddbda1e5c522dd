"""Tunings that are killed, and tunings that two processes want at once."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

import pytest
from study_trees import artifacts, command, environment, run_process, save_study
from tuning_trees import recipes, save_listeners, tuned_study, tuning

EPOCHS = 6


def _start(study: Path, out: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        command("run", study, "--out", out, "--threads", "1"),
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.fixture(scope="module")
def study(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One tuning of one listener, slow enough to be killed in its middle."""
    folder = tmp_path_factory.mktemp("killed")
    data = save_listeners(folder / "data", ["UTS01"])
    slow = {"epochs": EPOCHS, "batch": 4, "dropout": 0.1}
    tunings = {"all": tuning(checkpoint, "all", aligner=slow)}
    return save_study(folder / "study.yaml", tuned_study(checkpoint, data, tunings))


@pytest.fixture(scope="module")
def by_two(study: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """The store that two processes filled at the same time, and what each of them said."""
    out = tmp_path_factory.mktemp("two") / "out"
    processes = [_start(study, out) for _ in range(2)]
    said = [process.communicate(timeout=200)[1] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], said
    return out, said


def _left(out: Path) -> list[str]:
    """What a run leaves beside its artifacts, lock files apart."""
    store = out / "store"
    paths = [*(store / "tmp").rglob("*"), *(store / "unfinished").rglob("*")]
    return [str(path) for path in paths if path.is_file() and path.suffix != ".lock"]


def test_of_two_processes_one_trains(by_two: tuple[Path, list[str]]) -> None:
    out, said = by_two
    trained = [text.count("tuning all, UTS01, seed 0: epoch") for text in said]
    assert sorted(trained) == [0, 1], said
    learned = [text.count("one was learned") for text in said]
    assert sorted(learned) == [0, 1]
    assert _left(out) == []
    assert len(recipes(out, "tuning")) == 1


def _payload(out: Path) -> dict[str, bytes]:
    """Everything in the store but logs of training, whose lines hold times."""
    return {
        name: (out / "store" / name).read_bytes()
        for name in artifacts(out)
        if not name.endswith((".lock", "history.csv")) and "tensorboard" not in name
    }


def _steps(unfinished: Path) -> list[int]:
    marks = unfinished.glob("tuning/*/checkpoint-*/complete")
    return sorted(int(mark.parent.name.rpartition("-")[2]) for mark in marks)


@pytest.mark.long
def test_a_killed_tuning_goes_on_from_its_checkpoint(
    study: Path, by_two: tuple[Path, list[str]], tmp_path: Path
) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    out = tmp_path / "out"
    unfinished = out / "store" / "unfinished"
    process = _start(study, out)
    deadline = time.monotonic() + 120
    while not _steps(unfinished) and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.005)
    process.kill()
    process.communicate()
    kept = _steps(unfinished)
    assert kept, "the tuning was over before it could be killed"
    assert not recipes(out, "tuning")
    done = run_process("run", study, "--out", out, "--threads", "1")
    assert done.code == 0, done.err
    assert "one was learned" not in done.err  # the head was there
    assert _left(out) == []
    ours, theirs = _payload(out), _payload(by_two[0])
    assert set(ours) == set(theirs)
    assert [name for name in ours if ours[name] != theirs[name]] == []
    (tuned,) = (out / "store" / "tuning").iterdir()
    logs = sorted((tuned / "tensorboard").rglob("events.out*"), key=lambda p: p.stat().st_mtime_ns)
    assert len(logs) == 2, logs
    last = EventAccumulator(str(logs[-1])).Reload()
    steps = [event.step for tag in last.Tags()["scalars"] for event in last.Scalars(tag)]
    assert min(steps) > kept[-1] > 0
