"""Run benchmarks one after the other, each once, and keep what came out in one file."""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks._peers import Peers, PeersError, library_versions, peer_versions
from benchmarks._table import HERE, SCRIPTS, Benchmark

RECORD = "benchmarks.json"
BLAS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
OURS = ("brainaligner", "numpy", "scipy", "torch", "transformers", "h5py")
SAID = 800  # characters of what a failed script wrote last
Entry = dict[str, Any]


@dataclass(frozen=True)
class Asked:
    """What all benchmarks of a run share.

    Attributes
    ----------
    size : str
    turns, threads : int
    out : Path
    peers : Peers
    """

    size: str
    turns: int
    threads: int
    out: Path
    peers: Peers

    def environment(self, work: Path) -> dict[str, str]:
        """That of a script: threads, and temporary folders on the disk of the results."""
        threads = dict.fromkeys(BLAS, str(self.threads))
        return {**os.environ, **threads, "TMPDIR": str(work)}


class Record:
    """The results so far, on the disk after each change.

    Parameters
    ----------
    path : Path
    size : str

    Raises
    ------
    ValueError
        Where the file is no record, or one of another size.
    """

    def __init__(self, path: Path, size: str) -> None:
        self._path = path
        self.content: dict[str, Any] = {
            "simulated": True,
            "size": size,
            "runs": [],
            "benchmarks": {},
        }
        if path.exists():
            found = _read(path)
            if not isinstance(found, dict) or {*found} != {*self.content}:
                raise ValueError(f"{path} was not written by this command; give another --out")
            if found["size"] != size:
                raise ValueError(
                    f"{path} holds results of --size {found['size']}, asked was {size}; "
                    "give another --out"
                )
            self.content = found

    @property
    def entries(self) -> dict[str, Entry]:
        """Of each benchmark."""
        found: dict[str, Entry] = self.content["benchmarks"]
        return found

    def results(self) -> dict[str, tuple[str, dict[str, Any]]]:
        """Script and result of each finished benchmark."""
        return {
            name: (entry["script"], entry["result"])
            for name, entry in self.entries.items()
            if "result" in entry
        }

    def save(self) -> None:
        """Write all of it; the old file stays until the new one is whole."""
        part = self._path.with_suffix(".part")
        part.write_text(json.dumps(self.content, indent=1) + "\n", encoding="utf-8")
        part.replace(self._path)


def run_benchmarks(
    chosen: Mapping[str, Benchmark], asked: Asked, record: Record, *, say: Callable[[str], None]
) -> list[str]:
    """Run what is not finished; give back the names of those that failed.

    Between two measurements of the machine's limits, which stand in the record beside the names
    of what was run between them. `say` gets a line at a time.
    """
    ours = {"python": platform.python_version()} | library_versions(sys.executable, OURS)
    python, versions, failed = _ready_peers(chosen, asked, record, say)
    settings = {
        name: _settings(benchmark, asked, ours, versions)
        for name, benchmark in chosen.items()
        if name not in failed
    }
    waiting = [name for name in settings if not _finished(record, name, settings[name])]
    for name in [name for name in settings if name not in waiting]:
        say(f"{name}: finished before")
    record.save()
    if not waiting:
        return failed
    with _limits(asked, record, waiting, say):
        for i, name in enumerate(waiting):
            say(f"[{i + 1}/{len(waiting)}] {name} ...")
            entry = _entry(name, chosen[name], asked, python)
            entry |= {"settings": settings[name]}
            record.entries[name] = entry
            record.save()
            if "error" in entry:
                failed.append(name)
            said = f"FAILED: {entry['error']}" if "error" in entry else f"{entry['seconds']:.0f} s"
            say(f"[{i + 1}/{len(waiting)}] {name}: {said}")
    return failed


def _ready_peers(
    chosen: Mapping[str, Benchmark], asked: Asked, record: Record, say: Callable[[str], None]
) -> tuple[str | None, dict[str, str], list[str]]:
    """The peers' python and versions, and the benchmarks that fail for want of them."""
    asking = [name for name, benchmark in chosen.items() if benchmark.peers]
    if not asking:
        return None, {}, []
    try:
        python = asked.peers.ready_python()
        return python, peer_versions(python), []
    except PeersError as error:
        for name in asking:
            say(f"{name}: FAILED: {error}")
            if "result" not in record.entries.get(name, {}):
                record.entries[name] = {"script": chosen[name].script, "error": str(error)}
        return None, {}, asking


def _settings(
    benchmark: Benchmark, asked: Asked, ours: dict[str, str], peers: dict[str, str]
) -> dict[str, Any]:
    """What a result depends on, without the names of folders."""
    return {
        "arguments": _arguments(benchmark, asked),
        "threads": asked.threads,
        "versions": ours,
        "peers": peers if benchmark.peers else {},
        "checkouts": asked.peers.digests(benchmark),
    }


def _finished(record: Record, name: str, settings: dict[str, Any]) -> bool:
    entry = record.entries.get(name, {})
    return "error" not in entry and entry.get("settings") == settings


def _arguments(benchmark: Benchmark, asked: Asked) -> list[str]:
    script = SCRIPTS[benchmark.script]
    return [
        *benchmark.asked.split(),
        *(["--turns", str(asked.turns)] if script.turns else []),
        *(["--threads", str(asked.threads)] if script.threads else []),
    ]


def _entry(name: str, benchmark: Benchmark, asked: Asked, python: str | None) -> Entry:
    """Run a script; what it printed, or its error."""
    entry: Entry = {
        "script": benchmark.script,
        "date": _now(),
        "left_out": asked.peers.left_out(benchmark),
    }
    arguments = [str(benchmark.path), *_arguments(benchmark, asked)]
    log = asked.out / "logs" / f"{name}.txt"
    log.parent.mkdir(exist_ok=True)
    begun = time.monotonic()
    with _work_folder(asked.out) as work:
        if benchmark.peers and python:
            arguments += [*asked.peers.arguments(benchmark), "--peer-python", python]
        if disk := SCRIPTS[benchmark.script].disk:
            arguments += [disk, str(work)]
        entry |= _printed(arguments, asked.environment(work), log)
    entry["seconds"] = round(time.monotonic() - begun, 1)
    return entry


def _printed(arguments: list[str], environment: dict[str, str], log: Path) -> Entry:
    """``result``, the JSON that a script prints, and ``error`` where it ended badly.

    Both where it lost one peer and measured the others. What else it says goes to the log.
    """
    with log.open("w+", encoding="utf-8") as said:
        done = subprocess.run(
            [sys.executable, *arguments],
            stdout=subprocess.PIPE, stderr=said, text=True, env=environment, check=False,
        )  # fmt: skip
        said.seek(0)
        last = said.read()[-SAID:].strip()
    found: Entry = {}
    try:
        found["result"] = json.loads(done.stdout)
    except ValueError as error:
        found["error"] = f"it printed no JSON ({error}): {done.stdout[:SAID]!r}"
    if done.returncode:
        found["error"] = f"exit code {done.returncode}; the end of {log}:\n{last}"
    return found


@contextmanager
def _work_folder(out: Path) -> Iterator[Path]:
    """An empty folder for large arrays; what a killed run left there goes first."""
    work = out / "work"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir()
    try:
        yield work
    finally:
        shutil.rmtree(work, ignore_errors=True)


@contextmanager
def _limits(
    asked: Asked, record: Record, names: Sequence[str], say: Callable[[str], None]
) -> Iterator[None]:
    """Measure the machine before and after."""
    run: dict[str, Any] = {"date": _now(), "machine": about_machine(), "benchmarks": [*names]}
    record.content["runs"].append(run)
    for when in ("before", "after"):
        say(f"this machine's limits, {when} ...")
        with _work_folder(asked.out) as work:
            arguments = [str(HERE / "machine.py"), "--threads", str(asked.threads)]
            arguments += ["--disk", str(work)]
            log = asked.out / "logs" / "machine.txt"
            log.parent.mkdir(exist_ok=True)
            found = _printed(arguments, asked.environment(work), log)
            run[when] = found.get("result")
            if "error" in found:
                say(f"not measured: {found['error']}")
        record.save()
        if when == "before":
            yield


def about_machine() -> dict[str, Any]:
    """Processor, cores that this process may use, memory, system."""
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    pages = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "processor": names[0] if names else platform.machine(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_mib": pages >> 20,
        "system": platform.platform(),
    }


def _read(path: Path) -> Any:
    """What a JSON file holds, or None."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        return None


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
