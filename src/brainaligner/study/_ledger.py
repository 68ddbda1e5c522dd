"""The ledger of a store: each configuration whose test scores were seen."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from filelock import FileLock
from pydantic import TypeAdapter, ValidationError

from brainaligner.evaluation import ArmLook, Opening, configurations_seen, looks_taken
from brainaligner.study._config import StudyConfig
from brainaligner.study._confirm_digest import plan_digest
from brainaligner.study._disk import writing_to
from brainaligner.study._plan import Plan
from brainaligner.study._readout import readout_recipe
from brainaligner.study._store import Store

_FILE = "openings.jsonl"
_NOTED = (
    "Each look at test scores is noted there: copy the run and its store, or take another --out."
)
_LINE = TypeAdapter(Opening)
_LOOK = TypeAdapter(ArmLook)


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
        return tuple(opening for line in self._lines() for opening in _parsed(_LINE, line))

    def looks(self) -> tuple[ArmLook, ...]:
        """All comparisons of arms on scored stories, the oldest first."""
        return tuple(look for line in self._lines() for look in _parsed(_LOOK, line))

    def add(self, opening: Opening) -> None:
        """Add an opening, unless its configuration has been scored on the same stories."""
        with self._held():
            known = {(one.configuration, one.stories) for one in self.openings()}
            if (opening.configuration, opening.stories) not in known:
                self._append(asdict(opening) | {"stories": sorted(opening.stories)})

    def add_look(self, look: ArmLook) -> None:
        """Add a comparison, unless the same arms were compared on the same predictions."""
        with self._held():
            if len(looks_taken((*self.looks(), look), look.looked_at)) > len(
                looks_taken(self.looks(), look.looked_at)
            ):
                self._append(asdict(look) | {"looked_at": sorted(look.looked_at)})

    def check_writable(self) -> None:
        """Refuse a ledger that takes no line, before the work that it has to note.

        Raises
        ------
        InputError
        """
        with self._held():
            (self.folder / _FILE).open("ab").close()

    @contextmanager
    def _held(self) -> Iterator[None]:
        lock = FileLock(self.folder / f"{_FILE}.lock")
        with writing_to(self.folder, do=_NOTED), lock:
            yield

    def _lines(self) -> list[bytes]:
        path = self.folder / _FILE
        return path.read_bytes().splitlines() if path.is_file() else []

    def _append(self, facts: dict[str, Any]) -> None:
        with (self.folder / _FILE).open("ab+") as file:
            torn = file.tell() and not _ends_line(file.name)
            file.write(b"\n" * bool(torn) + json.dumps(facts).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())


def _ends_line(path: str) -> bool:
    with open(path, "rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read(1) == b"\n"


def _parsed(kind: Any, line: bytes) -> Iterator[Any]:
    try:
        yield kind.validate_json(line)
    except ValidationError:
        return


def record_opening(plan: Plan, store: Store) -> None:
    """Note that a study's test scores are about to be seen; the same configuration counts once."""
    config = plan.prepared.config
    if store.rank or config.scored_on == "validation":
        return
    opening = Opening(
        datetime.now(UTC).isoformat(timespec="seconds"),
        config.name,
        configuration(plan),
        scored_stories(plan),
        plan=plan_digest(config),
        confirms=_sides(config),
        readouts=readout_keys(plan),
    )
    Ledger(store.folder).add(opening)


def configuration(plan: Plan) -> str:
    """Digest of all that the predictions of a study follow from."""
    return hashlib.sha256("\n".join(readout_keys(plan)).encode()).hexdigest()[:32]


def readout_keys(plan: Plan) -> tuple[str, ...]:
    """Keys of all readouts of a study, each once."""
    keys = {readout_recipe(task).key for tasks in plan.tasks.values() for task in tasks}
    return tuple(sorted(keys))


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
    return frozenset(
        digest for subject, story in scored for digest in _digests(plan, subject, (story,))
    )


def _digests(plan: Plan, subject: str, stories: Iterable[str]) -> set[str]:
    """Content of stories: of their words, and of a subject's responses."""
    known, responses = plan.prepared.division.stimuli.transcripts, plan.prepared.digests[subject]
    return {d for story in stories for d in (known[story].digest(), responses[story])}


def seen_by(plan: Plan, store: Store) -> int:
    """How many configurations, this one among them, were scored on any of its test stories.

    A study of validation stories is not among them: it looked at none.
    """
    openings = Ledger(store.folder).openings()
    if plan.prepared.config.scored_on == "validation":
        return configurations_seen(openings, _unread_words(plan))
    own = Opening("", "", configuration(plan), scored_stories(plan))
    return configurations_seen((*openings, own), own.stories)


def _unread_words(plan: Plan) -> set[str]:
    """Words of the test stories of a study that does not read the responses to them."""
    known = plan.prepared.division.stimuli.transcripts
    return {known[story].digest() for story in plan.prepared.dataset.withheld if story in known}


def check_look(plan: Plan, store: Store) -> None:
    """Refuse, before any work, a comparison that `record_look` could not note.

    Raises
    ------
    InputError
    """
    if plan.prepared.config.scored_on != "validation":
        Ledger(store.folder).check_writable()


def record_look(
    plan: Plan, store: Store, arms: Sequence[str], *, group: str, cut: int
) -> tuple[ArmLook, ...]:
    """Note that arms of a run are compared on its test stories, and give all such looks so far.

    A comparison on validation stories is none: choosing there is what they are for.
    """
    if plan.prepared.config.scored_on == "validation":
        return ()
    stories = frozenset(
        digest
        for run in plan.runs
        for subject in plan.prepared.division.splits
        for one in plan.groups_of(run, subject)
        if one.name == group
        for digest in _digests(plan, subject, one.stories)
    )
    when = datetime.now(UTC).isoformat(timespec="seconds")
    name, compared = plan.prepared.config.name, configuration(plan)
    ledger = Ledger(store.folder)
    ledger.add_look(ArmLook(when, name, tuple(arms), group, cut, compared, stories))
    return looks_taken(ledger.looks(), stories)


def looks_at(plan: Plan, store: Store) -> tuple[ArmLook, ...]:
    """Comparisons of arms on any test story of a study; none of a study of validation stories."""
    if plan.prepared.config.scored_on == "validation":
        return ()
    return looks_taken(Ledger(store.folder).looks(), scored_stories(plan))


def looks_words(looks: Sequence[ArmLook]) -> tuple[tuple[str, str], ...]:
    """Comparisons on the test stories, for the reader of a page; nothing where there is none."""
    said = [
        f"{' and '.join(one.arms)} ({one.study}, {one.group}, {one.rows_cut} rows cut, "
        f"{one.when[:10]})"
        for one in looks
    ]
    return (("test stories compared on", "; ".join(said)),) if said else ()


def openings_words(plan: Plan, count: int) -> tuple[tuple[str, str], ...]:
    """How often these test stories were looked at, for the reader of a page."""
    config = plan.prepared.config
    noun = "configuration" if count == 1 else "configurations"
    if config.scored_on == "validation":
        return (("test stories", f"not read by this run; scored by {count} {noun} so far"),)
    seen = ("test stories scored by", f"{count} {noun}, this one among them")
    confirms = ("confirms", f"{config.confirms}, on stories that were never scored")
    return (seen,) if config.confirms is None else (confirms, seen)
