"""An interrupted run ends with the bytes of one that was not; ranks agree with one process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tiny_aligners import FAST, tell

from brainaligner.aligner import BrainAligner, Tuned, TuningOptions, tune
from brainaligner.core import Progress, no_progress

Aligners = Callable[..., BrainAligner]
SAVING = TuningOptions(save_steps=2, log_steps=1)
SETTINGS = replace(FAST, epochs=3, batch=4)  # dropout is on
HERE = Path(__file__).parent


def _tune(aligner: BrainAligner, folder: Path, progress: Progress = no_progress) -> Tuned:
    sides = tell(("a", "b")), tell(("c",), seed=1)
    return tune(
        aligner, *sides, settings=SETTINGS, folder=folder, options=SAVING, progress=progress
    )


def _same(one: Tuned, other: Tuned) -> None:
    a, b = one.aligner.state_dict(), other.aligner.state_dict()
    assert all(torch.equal(a[name], b[name]) for name in a)
    for line, again in zip(one.history, other.history, strict=True):
        names = line.keys() - {"examples_per_s"}
        assert {name: line[name] for name in names} == {name: again[name] for name in names}


class _Stop(Exception):  # noqa: N818
    pass


@pytest.mark.parametrize("at", [3, 5, 6])
def test_an_interrupted_run_goes_on_to_the_same_bytes(
    tiny: Aligners, tmp_path: Path, at: int
) -> None:
    whole = _tune(tiny(), tmp_path / "whole")

    def stop(what: str, done: int, total: int) -> None:
        if done == at:
            raise _Stop

    with pytest.raises(_Stop):
        _tune(tiny(), tmp_path / "cut", stop)
    steps: list[int] = []
    resumed = _tune(tiny(), tmp_path / "cut", lambda what, done, total: steps.append(done))
    assert 1 < steps[0] <= at
    _same(whole, resumed)


def test_a_killed_process_goes_on_to_the_same_bytes(tiny: Aligners, tmp_path: Path) -> None:
    tiny().save_pretrained(tmp_path / "start")
    code = (
        f"import os, signal, sys; sys.path.insert(0, {str(HERE)!r})\n"
        "import torch; torch.set_num_threads(1)\n"
        "import test_resume as t\n"
        "from pathlib import Path\n"
        f"start = t.BrainAligner.from_pretrained({str(tmp_path / 'start')!r})\n"
        "kill = lambda what, done, total: done == 7 and os.kill(os.getpid(), signal.SIGKILL)\n"
        f"t._tune(start, Path({str(tmp_path / 'cut')!r}), kill)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=200)
    assert done.returncode == -signal.SIGKILL, done.stderr
    torn = tmp_path / "cut" / "checkpoint-99"  # what a kill while saving leaves
    torn.mkdir()
    (torn / "model.safetensors").write_bytes(b"half")
    start = BrainAligner.from_pretrained(tmp_path / "start")
    _same(_tune(start, tmp_path / "whole"), _tune(start, tmp_path / "cut"))
    assert not torn.exists()


def test_checkpoints_hold_nothing_that_runs_when_read(tiny: Aligners, tmp_path: Path) -> None:
    _tune(tiny(), tmp_path)
    files = sorted(path for path in tmp_path.glob("checkpoint-*/*"))
    assert {path.suffix for path in files} == {"", ".json", ".pt", ".pth", ".safetensors"}
    assert not any(path.name == "training_args.bin" for path in files)
    from transformers.trainer_pt_utils import safe_globals

    for path in files:
        if path.suffix in (".pt", ".pth"):
            with safe_globals():
                torch.load(path, weights_only=True)


RANK = """
import os, sys; sys.path.insert(0, {here!r})
import torch; torch.set_num_threads(1)
from dataclasses import replace
from pathlib import Path
import test_resume as t
start = t.BrainAligner.from_pretrained({start!r})
settings = replace(t.SETTINGS, dropout=0.0, **{more})
sides = t.tell(("a", "b")), t.tell(("c",), seed=1)
tuned = t.tune(start, *sides, settings=settings, folder=Path({folder!r}), options=t.SAVING)
if os.environ["RANK"] == "0":
    tuned.aligner.save_pretrained({out!r})
"""


def _run_ranks(codes: tuple[str, str]) -> list[tuple[int, str]]:
    """Exit code of each rank, and what it said."""
    port = 29500 + os.getpid() % 2000
    meeting = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": "2"}
    ranks = [
        subprocess.Popen(
            [sys.executable, "-c", code],
            env=os.environ | meeting | {"RANK": str(rank), "LOCAL_RANK": str(rank)},
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank, code in enumerate(codes)
    ]
    said = [rank.communicate(timeout=200)[1] for rank in ranks]
    return [(rank.returncode, words) for rank, words in zip(ranks, said, strict=True)]


@pytest.mark.long
def test_two_ranks_with_half_the_batch_equal_one_with_all(tiny: Aligners, tmp_path: Path) -> None:
    start, out = tmp_path / "start", tmp_path / "out"
    tiny().save_pretrained(start)
    places = {"here": str(HERE), "start": str(start), "out": str(out)}
    code = RANK.format(folder=str(tmp_path / "run"), more="{}", **places)
    ended = _run_ranks((code, code))
    assert [rank for rank, _ in ended] == [0, 0], ended
    quiet = replace(SETTINGS, dropout=0.0)
    sides = tell(("a", "b")), tell(("c",), seed=1)
    one = tune(tiny(), *sides, settings=quiet, folder=tmp_path / "one", options=SAVING).aligner
    two = BrainAligner.from_pretrained(out).state_dict()
    for name, weight in one.state_dict().items():
        if "key.bias" not in name:  # softmax takes no note of it: its gradient is rounding
            assert torch.allclose(weight, two[name], atol=1e-5), name


def test_ranks_that_would_train_different_things_are_refused(
    tiny: Aligners, tmp_path: Path
) -> None:
    start = tmp_path / "start"
    tiny().save_pretrained(start)
    places = {"here": str(HERE), "start": str(start), "out": str(tmp_path / "out")}
    codes = [
        RANK.format(folder=str(tmp_path / f"run-{seed}"), more=f"{{'seed': {seed}}}", **places)
        for seed in range(2)
    ]
    ended = _run_ranks((codes[0], codes[1]))
    assert all(rank and "2 different tunings" in said for rank, said in ended), ended
