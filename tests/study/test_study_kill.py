"""Runs that end badly, and go on."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from study_trees import artifacts, command, environment, run_process, save_study, tiny_study

N_KILLS = 3
SEED = random.SystemRandom().randrange(10**6)


def _start(study: Path, out: Path) -> subprocess.Popen[bytes]:
    arguments = command("run", study, "--out", out, "--threads", "1")
    return subprocess.Popen(
        arguments, env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )


def _wait_for_work(process: subprocess.Popen[bytes], log: Path) -> None:
    size = log.stat().st_size if log.exists() else 0
    deadline = time.monotonic() + 120
    while process.poll() is None and time.monotonic() < deadline:
        if log.exists() and log.stat().st_size > size:
            return
        time.sleep(0.005)


def _assert_whole(out: Path) -> None:
    """What is shown is complete: a recipe stands in every artifact."""
    shown = [path for path in (out / "store").glob("*/*") if path.parent.name != "tmp"]
    assert all((path / "recipe.json").stat().st_size for path in shown)


@pytest.mark.long
def test_killed_runs_go_on_to_the_same_bytes(
    checkpoint: Path, sound_data: Path, finished: Path, tmp_path: Path
) -> None:
    print(f"seed of the moments: {SEED}")
    rng = random.Random(SEED)
    study = save_study(tmp_path / "study.yaml", tiny_study(checkpoint, sound_data))
    out = tmp_path / "out"
    for _ in range(N_KILLS):
        process = _start(study, out)
        _wait_for_work(process, out / "tiny" / "log.txt")
        time.sleep(rng.uniform(0, 2))
        process.kill()
        process.wait()
        _assert_whole(out)
    kept = artifacts(out)
    done = run_process("run", study, "--out", out, "--threads", "1")
    assert done.code == 0, done.err
    complete = {path: at for path, at in kept.items() if not path.startswith("tmp/")}
    assert complete.items() <= artifacts(out).items(), "a finished stage was made again"
    assert not list((out / "store" / "tmp").iterdir())
    ours, theirs = out / "tiny" / "scores.npz", finished / "tiny" / "scores.npz"
    assert ours.read_bytes() == theirs.read_bytes()
    assert artifacts(out).keys() == artifacts(finished).keys()


def test_an_interrupted_run_says_how_to_go_on(
    checkpoint: Path, sound_data: Path, tmp_path: Path
) -> None:
    study = save_study(tmp_path / "study.yaml", tiny_study(checkpoint, sound_data))
    arguments = command("run", study, "--out", tmp_path / "out", "--threads", "1")
    process = subprocess.Popen(
        arguments,
        env=environment(),
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
        preexec_fn=_heed_interrupts,
    )
    _wait_for_work(process, tmp_path / "out" / "tiny" / "log.txt")
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130, said
    assert said.strip().splitlines()[-1] == "stopped; run the same command again to go on"
    assert "Traceback" not in said
    assert not list((tmp_path / "out" / "store" / "tmp").iterdir())
    log = (tmp_path / "out" / "tiny" / "log.txt").read_text()
    assert "stopped: StoppedByUser" in log


def test_an_interrupt_inside_generated_code_still_exits_with_130(tmp_path: Path) -> None:
    """CPython would die of the signal, for it runs such code from a string."""
    program = (
        "import os, signal, typer\n"
        "from brainaligner.study._printing import stoppable\n"
        "def work():\n"
        "    with stoppable():\n"
        "        exec('os.kill(os.getpid(), signal.SIGINT); input()')\n"
        "typer.run(work)\n"
    )
    (tmp_path / "stopped_program.py").write_text(program)
    done = subprocess.run(
        [sys.executable, "-m", "stopped_program"],
        env=environment(),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        preexec_fn=_heed_interrupts,
        timeout=60,
        check=False,
    )
    assert done.returncode == 130, done.stderr
    assert done.stderr == "stopped; run the same command again to go on\n"


def _heed_interrupts() -> None:
    """Let the child be stopped, also where the tests themselves run under nohup."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
