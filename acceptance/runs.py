"""Runs of the command line in processes of their own, measured from outside."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import psutil

ROOT = Path(__file__).resolve().parents[1]
DATA = os.environ.get("BRAINALIGNER_DATA", str(ROOT.parent / "shared" / "data"))
_POLL_S = 0.05


@dataclass(frozen=True)
class Measured:
    """One finished or killed run."""

    exit_code: int
    seconds: float
    peak_mib: float


def run_command(*arguments: str, log: Path, kill_after: float | None = None) -> Measured:
    """Run ``brainaligner ...``; SIGKILL it after `kill_after` seconds where that is given.

    The peak is the largest resident memory seen of the process and its children.

    Raises
    ------
    RuntimeError
        If a run that was not to be killed fails.
    """
    start = time.monotonic()
    peak = 0
    with log.open("a", encoding="utf-8") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "brainaligner", *arguments], stdout=file, stderr=file
        )
        watched = psutil.Process(process.pid)
        while process.poll() is None:
            peak = max(peak, _resident(watched))
            if kill_after is not None and time.monotonic() - start > kill_after:
                process.kill()
            time.sleep(_POLL_S)
    if kill_after is None and process.returncode != 0:
        raise RuntimeError(f"brainaligner {' '.join(arguments)} failed: see {log}")
    return Measured(process.returncode, time.monotonic() - start, peak / 2**20)


def _resident(process: psutil.Process) -> int:
    try:
        family = [process, *process.children(recursive=True)]
        return sum(member.memory_info().rss for member in family)
    except psutil.Error:
        return 0
