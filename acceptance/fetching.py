"""Fetching under faults and SIGKILL, against servers on the loopback address."""

from __future__ import annotations

import hashlib
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np

Result = dict[str, Any]

FAULT_RUNS = 200
KILLS = 20
SLOW_PAUSE_S = 0.004
TESTS = Path(__file__).resolve().parents[1] / "tests" / "data"

FETCH = """
import sys
from pathlib import Path
from brainaligner.data import FetchSettings, fetch_files, read_manifest
entries = read_manifest(Path(sys.argv[2]))
print("ready", flush=True)
settings = FetchSettings(workers=3, first_wait_s=0.01)
report = fetch_files(entries, Path(sys.argv[1]), base_url=sys.argv[3], settings=settings)
print(report.bytes_received, flush=True)
sys.exit(not report.complete)
"""
CONVERT = """
import sys
from pathlib import Path
from brainaligner.data import convert_responses
print("ready", flush=True)
convert_responses(Path(sys.argv[1]), Path(sys.argv[2]), kind="float32", delete=True)
"""


def fetch_faults(scratch: Path) -> Result:
    """Randomised faults of line, server and disk: never a wrong file under its final name."""
    _use_test_helpers()
    from fetch_runs import publish, random_run

    seed = random.SystemRandom().randrange(10**6)
    base = scratch / f"seed{seed}"
    files = publish(base / "published")
    totals: Counter[str] = Counter()
    wrong = {}
    for number in range(seed, seed + FAULT_RUNS):
        (base / str(number)).mkdir()
        result = random_run(files, base / str(number) / "to", number)
        totals.update(
            faults=result.faults,
            requests=result.requests,
            missing_with_a_reason=result.missing_at_first,
        )
        if result.wrong:
            wrong[number] = result.wrong
    return {
        "passed": not wrong,
        "seeds": [seed, seed + FAULT_RUNS - 1],
        "runs": FAULT_RUNS,
        **totals,
        "wrong": wrong,
    }


def fetch_kills(scratch: Path) -> Result:
    """SIGKILL at random moments of one fetch: the next call goes on at the last byte."""
    _use_test_helpers()
    from fault_server import Shop, serving
    from fetch_runs import addresses, entries_of

    seed = random.SystemRandom().randrange(10**6)
    rng = random.Random(seed)
    files = {f"derivative/TextGrids/{i}.TextGrid": rng.randbytes(600_000) for i in range(24)}
    entries = entries_of(files)
    folder, manifest = scratch / f"seed{seed}", scratch / f"seed{seed}.csv"
    rows = [f"{e.path},{e.size},{e.md5},{e.version_id or ''}" for e in entries]
    manifest.write_text("\n".join(["path,size,md5,s3_version_id", *rows]), encoding="utf-8")
    shop = Shop({addresses(e)[0]: files[e.path] for e in entries}, pause_s=SLOW_PAUSE_S)
    moments, faults = [], []
    with serving(shop) as base_url:
        command = [FETCH, str(folder), str(manifest), base_url]
        for _ in range(KILLS):
            before, n_asked = _sizes(folder), len(shop.asked)
            moments.append(round(rng.uniform(0.0, 0.25), 3))
            _killed(command, moments[-1])
            faults += _asked_twice(before, shop.asked[n_asked:]) + _wrong(folder, files)
        before, n_asked = _sizes(folder), len(shop.asked)
        last = _finished(command)
        faults += _asked_twice(before, shop.asked[n_asked:]) + _wrong(folder, files)
    received = int(last.stdout.split()[-1]) if last.returncode == 0 else -1
    there = sum(size for _, size in before.values())
    total = sum(map(len, files.values()))
    left = sorted(path.name for path in folder.rglob("*.part"))
    whole = set(_sizes(folder)) == set(files)
    return {
        "passed": not faults and whole and not left and received == total - there,
        "seed": seed,
        "killed_after_s": moments,
        "bytes_in_all": total,
        "bytes_kept_from_killed_calls": there,
        "bytes_of_the_last_call": received,
        "faults": faults,
    }


def convert_kills(scratch: Path) -> Result:
    """SIGKILL at random moments of conversions: originals or verified copies, never neither."""
    seed = random.SystemRandom().randrange(10**6)
    rng = random.Random(seed)
    faults: list[str] = []
    seconds = _conversion_seconds(scratch / f"seed{seed}-timing")
    moments, interrupted = [], 0
    for number in range(KILLS):
        base = scratch / f"seed{seed}-{number}"
        originals = _write_tree(base / "tree")
        command = [CONVERT, str(base / "tree"), str(base / "to")]
        moments.append(round(rng.uniform(0.0, seconds), 3))
        interrupted += _killed(command, moments[-1]) != 0
        faults += _lost(base, originals)
        if _finished(command).returncode:
            faults.append(f"{base.name}: the next call failed")
        faults += _lost(base, originals)
        copies = {path.name for path in (base / "to").rglob("*.hf5")}
        left = [*(base / "tree").rglob("*.hf5"), *base.rglob("*.part")]
        if len(copies) != len(originals) or left:
            faults.append(f"{base.name}: {len(copies)} copies, left: {left}")
    return {
        "passed": not faults and interrupted > KILLS // 2,
        "seed": seed,
        "undisturbed_s": round(seconds, 2),
        "killed_after_s": moments,
        "killed_before_the_end": interrupted,
        "faults": faults,
    }


def _use_test_helpers() -> None:
    """The server and the randomised runs are those of the tests."""
    if str(TESTS) not in sys.path:
        sys.path.append(str(TESTS))


def _started(command: list[str]) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", *command], stdout=subprocess.PIPE, text=True, encoding="utf-8"
    )
    assert process.stdout is not None
    assert process.stdout.readline().strip() == "ready"
    return process


def _killed(command: list[str], moment: float) -> int:
    """Run a script and kill it some time after it was ready; its exit code."""
    with _started(command) as process:
        try:
            process.wait(timeout=moment)
        except subprocess.TimeoutExpired:
            process.kill()
        return process.wait()


def _finished(command: list[str]) -> subprocess.CompletedProcess[str]:
    with _started(command) as process:
        out, _ = process.communicate(timeout=300)
    return subprocess.CompletedProcess(command, process.returncode, out)


def _sizes(folder: Path) -> dict[str, tuple[bool, int]]:
    """Path -> whether it is complete, and its bytes; parts under the name they will have."""
    return {
        path.relative_to(folder).as_posix().removesuffix(".part"): (
            path.suffix != ".part",
            path.stat().st_size,
        )
        for path in folder.rglob("*")
        if path.is_file() and not path.name.endswith(".lock")
    }


def _asked_twice(before: Mapping[str, tuple[bool, int]], asked: list[tuple[str, int]]) -> list[str]:
    """Requests for bytes that were there before the call."""
    faults = []
    for address, start in asked:
        complete, size = before.get(address.replace("derivatives/", "derivative/"), (False, 0))
        if complete or start < size:
            faults.append(f"{address} asked from {start}, {size} bytes there")
    return faults


def _wrong(folder: Path, files: Mapping[str, bytes]) -> list[str]:
    return [
        f"wrong: {path}"
        for path, (complete, _) in _sizes(folder).items()
        if complete and (folder / path).read_bytes() != files[path]
    ]


def _write_tree(tree: Path) -> dict[str, str]:
    """Four stories of 2,000 voxels, one repeated; name -> SHA-256 of its rounded values."""
    rng = np.random.default_rng(0)
    folder = tree / "derivative" / "preprocessed_data" / "UTS03"
    folder.mkdir(parents=True)
    (tree / "derivative" / "TextGrids").mkdir()
    for i, story in enumerate(("buck", "life", "souls", "wheretheressmoke")):
        repeats = rng.standard_normal((5, 200 + i, 2000))
        with h5py.File(folder / f"{story}.hf5", "w") as file:
            file["data"] = repeats.mean(axis=0)
            if story == "wheretheressmoke":
                file["individual_repeats"] = repeats
    return {path.name: _rounded_digest(path) for path in folder.iterdir()}


def _rounded_digest(path: Path) -> str:
    digest = hashlib.sha256()
    with h5py.File(path) as file:
        for name in sorted(file):
            digest.update(np.ascontiguousarray(file[name][...].astype(np.float32)).data)
    return digest.hexdigest()


def _lost(base: Path, originals: Mapping[str, str]) -> list[str]:
    """Stories of which neither the original nor a right copy stands; and wrong copies."""
    faults = []
    for name, digest in originals.items():
        standing = [*(base / "tree").rglob(name), *(base / "to").rglob(name)]
        if not standing or any(_rounded_digest(path) != digest for path in standing):
            faults.append(f"{base.name}: {name} lost or wrong")
    return faults


def _conversion_seconds(base: Path) -> float:
    """How long a conversion takes that nobody disturbs."""
    _write_tree(base / "tree")
    with _started([CONVERT, str(base / "tree"), str(base / "to")]) as process:
        began = time.monotonic()
        process.wait(timeout=300)
    return time.monotonic() - began


CHECKS: dict[str, Callable[[Path], Result]] = {
    "fetch_faults": fetch_faults,
    "fetch_kills": fetch_kills,
    "convert_kills": convert_kills,
}
