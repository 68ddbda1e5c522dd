"""A simulated tree as if it were published, and randomised fetches of it under faults."""

from __future__ import annotations

import dataclasses
import hashlib
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

import numpy as np
from fault_server import FAULTS, SILENCE_S, Shop, serving

from brainaligner.data import (
    CompactSettings,
    FetchReport,
    FetchSettings,
    ManifestEntry,
    SimulationSettings,
    fetch_files,
    simulate_tree,
    story_rows,
    story_transcripts,
    url_forms,
)

NAMES = {"balloon": "sweetaspie", "beehive": "againstthewind", "orchard": "wheretheressmoke"}
IMPATIENT = FetchSettings(
    workers=3,
    attempts=4,
    first_wait_s=0.001,
    longest_wait_s=0.01,
    connect_timeout_s=2.0,
    silence_timeout_s=SILENCE_S,
    slowest_bytes_per_s=200.0,
)
OWN_ENDINGS = (".part", ".rejected", ".lock")


def publish(folder: Path, n_voxels: int = 12) -> dict[str, bytes]:
    """Simulate one listener under real path names; path -> content."""
    spoken = story_transcripts()
    transcripts = {
        name: dataclasses.replace(spoken[story], story=name) for story, name in NAMES.items()
    }
    rng = np.random.default_rng(0)
    features = {
        story: rng.standard_normal((story_rows(transcript), 3)).astype(np.float32)
        for story, transcript in transcripts.items()
    }
    directions = rng.standard_normal((20484, 3))
    surface = directions / np.linalg.norm(directions, axis=1, keepdims=True) * [60, 80, 55]
    settings = SimulationSettings(
        n_voxels=(n_voxels,), signal=(1.0,), n_repeats=2, repeated_story="wheretheressmoke"
    )
    simulate_tree(folder, transcripts, features, surface, settings=settings)
    return {
        path.relative_to(folder).as_posix().replace("SIM01", "UTS03"): path.read_bytes()
        for path in sorted((folder / "derivative").rglob("*"))
        if path.is_file()
    }


def entries_of(files: Mapping[str, bytes]) -> tuple[ManifestEntry, ...]:
    """A manifest of some contents; two of three files have a version id."""
    return tuple(
        ManifestEntry(
            path,
            len(content),
            hashlib.md5(content, usedforsecurity=False).hexdigest(),
            f"v{i}.A_b-{len(content)}" if i % 3 else None,
        )
        for i, (path, content) in enumerate(files.items())
    )


def addresses(entry: ManifestEntry) -> tuple[str, ...]:
    """The forms of an entry's address, as keys of a shop."""
    base = "http://shop"
    return tuple(unquote(form.removeprefix(f"{base}/")) for form in url_forms(base, entry))


def shelves(files: Mapping[str, bytes]) -> dict[str, bytes]:
    """Every file under its old name, and under its version."""
    found = {}
    for entry in entries_of(files):
        for address in addresses(entry)[1:]:
            found[address] = files[entry.path]
    return found


@dataclass(frozen=True)
class RunResult:
    """What one randomised run showed."""

    faults: int
    requests: int
    missing_at_first: int
    wrong: tuple[str, ...]


def random_run(files: Mapping[str, bytes], folder: Path, seed: int) -> RunResult:
    """Fetch from a server with random faults; then from the same one without; then again.

    `wrong` lists everything that must never be: wrong bytes under a final name, a report
    that is not true, files outside the folder, and what a sound server could not mend.
    """
    rng = random.Random(seed)
    entries = entries_of(files)
    published, obtainable = _random_shelves(rng, files, entries)
    _leave_leftovers(rng, folder, files)
    rate, budget = rng.uniform(0.1, 0.9), [rng.randint(0, 60)]

    def draw() -> str:
        budget[0] -= 1
        return rng.choice(list(FAULTS)) if budget[0] >= 0 and rng.random() < rate else ""

    compact = CompactSettings("float32", rng.random() < 0.5) if rng.random() < 0.3 else None
    shop = Shop(published, draw, seed=seed)
    wrong: list[str] = []
    with serving(shop) as base_url:

        def fetch() -> FetchReport:
            return fetch_files(
                entries, folder, base_url=base_url, settings=IMPATIENT, compact=compact
            )

        first = _checked(fetch, folder, files, compact, wrong)
        n_faults, budget[0] = sum(map(bool, shop.drawn)), 0
        second = _checked(fetch, folder, files, compact, wrong)
        left = {outcome.path for outcome in second.having("missing")}
        wrong += [f"not mended: {path}" for path in left & obtainable]
        n_requests = len(shop.asked)
        third = _checked(fetch, folder, files, compact, wrong)
        again = {a for a, _ in shop.asked[n_requests:]}
        known = {a for e in entries if e.path in obtainable for a in addresses(e)}
        wrong += [f"fetched twice: {address}" for address in again & known]
        if third.having("fetched"):
            wrong.append("a third call fetched something")
    beside = {path.name for path in folder.parent.iterdir()} - {folder.name, "outside"}
    wrong += [f"outside: {name}" for name in beside]
    if (folder.parent / "outside").read_text() != "untouched":
        wrong.append("outside: a file was changed")
    return RunResult(n_faults, n_requests, len(first.having("missing")), tuple(wrong))


def _random_shelves(
    rng: random.Random, files: Mapping[str, bytes], entries: tuple[ManifestEntry, ...]
) -> tuple[dict[str, bytes], set[str]]:
    """Each file under some of its addresses, sometimes another version, sometimes nowhere."""
    published, obtainable = {}, set()
    for entry in entries:
        for address in addresses(entry):
            kind = rng.choice(("right", "right", "absent", "newer", "longer"))
            content = files[entry.path]
            if kind == "right":
                published[address] = content
                obtainable.add(entry.path)
            elif kind == "newer" and content:
                published[address] = content[:-1] + bytes([content[-1] ^ 1])
            elif kind == "longer":
                published[address] = content + b"!"
    return published, obtainable


def _leave_leftovers(rng: random.Random, folder: Path, files: Mapping[str, bytes]) -> None:
    """What earlier calls, other programs and accidents may have left."""
    outside = folder.parent / "outside"
    outside.write_text("untouched")
    for path, content in files.items():
        place = folder / path
        place.parent.mkdir(parents=True, exist_ok=True)
        part = place.with_name(place.name + ".part")
        kind = rng.choice(["nothing"] * 6 + list(_LEFTOVERS))
        if kind in _LEFTOVERS:
            _LEFTOVERS[kind](place, part, content, outside)


_LEFTOVERS: dict[str, Callable[[Path, Path, bytes, Path], object]] = {
    "beginning": lambda place, part, content, out: part.write_bytes(content[: len(content) // 3]),
    "garbage": lambda place, part, content, out: part.write_bytes(b"?" * (len(content) // 2)),
    "whole": lambda place, part, content, out: part.write_bytes(content),
    "too long": lambda place, part, content, out: part.write_bytes(content + b"..."),
    "a link out": lambda place, part, content, out: part.symlink_to(out),
    "wrong file": lambda place, part, content, out: place.write_bytes(content[:-1] + b"\xff\x00"),
    "annex link": lambda place, part, content, out: place.symlink_to("../nowhere/MD5E-s1"),
    "right file": lambda place, part, content, out: place.write_bytes(content),
}


def _checked(
    fetch: Callable[[], FetchReport],
    folder: Path,
    files: Mapping[str, bytes],
    compact: CompactSettings | None,
    wrong: list[str],
) -> FetchReport:
    report = fetch()
    wrong += wrong_files(folder, files)
    for outcome in report.outcomes:
        there = (folder / outcome.path).is_file()
        if compact and outcome.path.endswith(".hf5"):
            there = (folder / compact.kind / outcome.path).is_file()
        if there != (outcome.state != "missing") or bool(outcome.why) == there:
            wrong.append(f"untrue report: {outcome}")
    return report


def wrong_files(folder: Path, files: Mapping[str, bytes]) -> list[str]:
    """Files under a final name whose bytes are not those that were published."""
    root = folder / "derivative"
    return [
        f"wrong bytes: {path.relative_to(folder)}"
        for path in sorted(root.rglob("*"))
        if path.is_file()
        and not path.name.endswith(OWN_ENDINGS)
        and path.read_bytes() != files.get(path.relative_to(folder).as_posix())
    ]
