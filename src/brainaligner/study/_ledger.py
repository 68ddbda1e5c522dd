"""The ledger of a store: each configuration whose test scores were seen."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from filelock import FileLock
from pydantic import TypeAdapter, ValidationError

from brainaligner.evaluation import MOST_CONFIGURATIONS, Fault, Opening, configurations_seen
from brainaligner.study._config import StudyConfig
from brainaligner.study._dataset_config import SplitConfig
from brainaligner.study._plan import Plan
from brainaligner.study._readout import readout_recipe
from brainaligner.study._settings import canonical
from brainaligner.study._store import Store

_FILE = "openings.jsonl"
_LINE = TypeAdapter(Opening)


@dataclass(frozen=True)
class Ledger:
    """Openings of test scores, one line of JSON each; lines are added and never changed.

    A line that a killed process left torn is skipped. Several processes may add lines.

    Parameters
    ----------
    folder : Path
        Of the store.
    """

    folder: Path

    def openings(self) -> tuple[Opening, ...]:
        """All openings, the oldest first."""
        path = self.folder / _FILE
        lines = path.read_bytes().splitlines() if path.is_file() else []
        return tuple(opening for line in lines for opening in _parsed(line))

    def add(self, opening: Opening) -> None:
        """Add an opening, unless its configuration has been scored on the same stories."""
        with FileLock(self.folder / f"{_FILE}.lock"):
            known = {(one.configuration, one.stories) for one in self.openings()}
            if (opening.configuration, opening.stories) not in known:
                self._append(opening)

    def _append(self, opening: Opening) -> None:
        facts = asdict(opening) | {"stories": sorted(opening.stories)}
        with (self.folder / _FILE).open("ab+") as file:
            torn = file.tell() and not _ends_line(file.name)
            file.write(b"\n" * bool(torn) + json.dumps(facts).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())


def _ends_line(path: str) -> bool:
    with open(path, "rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read(1) == b"\n"


def _parsed(line: bytes) -> Iterator[Opening]:
    try:
        yield _LINE.validate_json(line)
    except ValidationError:
        return


def record_opening(plan: Plan, store: Store) -> None:
    """Note that a study's test scores are about to be seen; the same configuration counts once."""
    if store.rank:
        return
    config = plan.prepared.config
    opening = Opening(
        datetime.now(UTC).isoformat(timespec="seconds"),
        config.name,
        configuration(plan),
        scored_stories(plan),
        plan=plan_digest(config),
        confirms=_sides(config),
    )
    Ledger(store.folder).add(opening)


def configuration(plan: Plan) -> str:
    """Digest of all that the predictions of a study follow from."""
    keys = sorted(readout_recipe(task).key for tasks in plan.tasks.values() for task in tasks)
    return hashlib.sha256("\n".join(dict.fromkeys(keys)).encode()).hexdigest()[:32]


def plan_digest(config: StudyConfig) -> str:
    """Digest of a study without its name, title and division of stories."""
    arms = {name: replace(arm, reference={}) for name, arm in config.arms.items()}
    bare = replace(config, name="study", title="", split=SplitConfig(), arms=arms, confirms=None)
    return hashlib.sha256(json.dumps(canonical(bare), sort_keys=True).encode()).hexdigest()[:32]


def _sides(config: StudyConfig) -> tuple[tuple[str, ...], ...] | None:
    """Stories of each side of a confirmation."""
    sides = (config.split.train or (), config.split.validation or (), config.split.test or ())
    return None if config.confirms is None else sides


def scored_stories(plan: Plan) -> frozenset[str]:
    """Content digests of the stories that any arm of a study is scored on."""
    prepared = plan.prepared
    scored = {
        (subject, story)
        for run in plan.runs
        for subject in prepared.division.splits
        for group in plan.groups_of(run, subject)
        for story in group.stories
    }
    words = {prepared.division.stimuli.transcripts[story].digest() for _, story in scored}
    return frozenset(words | {prepared.digests[subject][story] for subject, story in scored})


def seen_by(plan: Plan, store: Store) -> int:
    """How many configurations, this one among them, were scored on any of its test stories."""
    openings = Ledger(store.folder).openings()
    own = Opening("", "", configuration(plan), scored_stories(plan))
    return configurations_seen((*openings, own), own.stories)


def ledger_faults(plan: Plan, store: Store) -> Iterator[Fault]:
    """A warning where too many configurations were scored on the same test stories."""
    count = seen_by(plan, store)
    if count > MOST_CONFIGURATIONS:
        yield Fault(
            "test-set-opened",
            "whole study",
            f"{count} configurations, {MOST_CONFIGURATIONS} at most",
            "Compare ideas on validation stories, and confirm the last one on stories that "
            "nobody opened: run --confirm",
        )
