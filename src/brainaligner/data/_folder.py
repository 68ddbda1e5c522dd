"""Own data in the documented folder format."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from brainaligner.core import SPACE_KINDS, Clock, InputError, unknown_name
from brainaligner.data._files import read_json_object
from brainaligner.data._problem import Problem
from brainaligner.data._word_tables import Facts, WordTableDataset

FACTS_NAME = "dataset.json"
KEYS = ("tr", "first_centre", "space", "repeated", "labels")
LONGEST_S = {"tr": 20.0, "first_centre": 1000.0}
"""Beyond these, a repetition time or a first row is a slip of the pen, or in milliseconds."""


class FolderDataset(WordTableDataset):
    """Own data: a word table, one file of responses per subject, and ``dataset.json``.

    ==================  =====================================================================
    ``words.csv``       columns story, word, onset_s, offset_s (or ``.tsv``, ``.csv.gz``);
                        seconds from the start of the sound
    ``<subject>.npz``   story -> float array (time, target)
    ``<subject>.hf5``   the same as datasets (or ``.h5``); single presentations, where there
                        are any, as ``repeats/<story>`` (repeat, time, target)
    ``dataset.json``    optional: ``tr`` (2.0) and ``first_centre`` (11.0) in seconds,
                        ``space`` (voxels, components, regions or parcels), ``repeated``
                        (story -> presentations averaged), ``labels`` (one per target)
    ``respdict.json``   optional: story -> volumes; rows must be 20 fewer
    ==================  =====================================================================

    Story names may differ in case between words and responses.
    """

    reader = "folder"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, read_facts(folder / FACTS_NAME))
        known = {story.casefold() for story in self.worded()}
        for story in self._facts.repeated:
            if story.strip().casefold() not in known:
                raise unknown_name(
                    f"{folder / FACTS_NAME}, repeated", "story", story, self.worded()
                )

    def _reader_problems(self) -> Iterator[Problem]:
        if not (self.folder / FACTS_NAME).exists():
            facts = self._facts
            yield Problem(
                "note",
                str(self.folder / FACTS_NAME),
                f"no such file; taken for granted: tr {facts.clock.tr:g} s, first row centred at "
                f"{facts.clock.first:g} s, {facts.space}, no story presented twice",
                "these facts in writing",
                "Write the file, unless all of them are true.",
            )
        yield from super()._reader_problems()


def read_facts(path: Path) -> Facts:
    """Read ``dataset.json``; the defaults hold where there is none.

    Raises
    ------
    InputError
        For an unknown key (the nearest is given) or a value of the wrong kind.
    """
    content = read_json_object(path) if path.exists() else {}
    for key in content:
        if key not in KEYS:
            raise unknown_name(str(path), "key", key, KEYS)
    default = Facts()
    space = content.get("space", default.space)
    if space not in SPACE_KINDS:
        raise unknown_name(f"{path}, space", "kind", str(space), SPACE_KINDS)
    return Facts(
        Clock(
            _seconds(path, "tr", content.get("tr", default.clock.tr)),
            _seconds(path, "first_centre", content.get("first_centre", default.clock.first)),
        ),
        space,
        _presentations(path, content.get("repeated", {})),
        _labels(path, content.get("labels")),
    )


def _wrong_value(path: Path, key: str, value: Any, wanted: str) -> InputError:
    return InputError(
        f"{path}, {key}", got=repr(value)[:80], wanted=wanted, do="Correct that value."
    )


def _seconds(path: Path, key: str, value: Any) -> float:
    if type(value) not in (int, float) or not abs(value) < LONGEST_S[key]:
        raise _wrong_value(path, key, value, f"a number of seconds below {LONGEST_S[key]:g}")
    if key == "tr" and value <= 0:
        raise _wrong_value(path, key, value, "a time above 0 s")
    return float(value)


def _presentations(path: Path, value: Any) -> dict[str, int]:
    if not isinstance(value, dict) or any(type(n) is not int or n < 2 for n in value.values()):
        wanted = "story -> presentations averaged, 2 or more (2 where the number is unknown)"
        raise _wrong_value(path, "repeated", value, wanted)
    return value


def _labels(path: Path, value: Any) -> tuple[str, ...] | None:
    if value is None:
        return None
    if not isinstance(value, list) or not all(isinstance(label, str) for label in value):
        raise _wrong_value(path, "labels", value, "a list of names, one for each target")
    return tuple(value)
