"""What an audit finds: faults by name, what is proven, and what could not be proven."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from brainaligner.core import InputError

FAULTS: Mapping[str, str] = {
    "test-rows-in-fit": "scored rows are among the rows that a readout was fitted on",
    "chosen-on-test": "something was chosen on scored rows",
    "shuffled-rows": "rows entered in another order than they were measured in",
    "random-chunks": "pieces of one story stand on both sides of the division",
    "same-story-two-names": "one story goes under two names, and one of them is scored, or both",
    "test-story-in-tuning": "responses to a scored story reached a brain encoder or a tuning",
    "test-text-in-tuning": "words of a scored story reached a tuning",
    "brain-at-evaluation": "brain activity reached the features that are scored",
    "features-not-reproduced": "features are not what the model gives for the text",
    "features-other-story": "features of one story stand under another's name",
    "features-shifted": "features are moved in time against the words",
    "delays-across-stories": "delayed rows hold rows of another story",
    "pooled-scaling": "scaled by statistics of training and test stories together",
    "subject-twice": "two subjects have the same responses",
    "other-subject-responses": "responses that entered are another subject's",
    "responses-not-the-dataset": "responses that entered are not the dataset's",
    "mixed-presentations": "repeated and single presentations were taken together",
    "choice-not-reproduced": "the chosen penalty does not follow from the validation stories",
    "predictions-not-reproduced": "predictions do not follow from what they should be made of",
    "scores-not-reproduced": "r does not follow from predictions and responses",
    "lineage-differs": "an artifact says something else of itself than what is found",
    "test-story-read": "responses to a test story were read, though validation stories are scored",
    "unwitnessed": "an artifact lacks the record of what entered it",
}
"""Every fault that makes a study invalid, by its stable name."""

WARNINGS: Mapping[str, str] = {
    "not-cross-fitted": "what was tuned on responses is read out on the same responses",
    "test-set-opened": "test scores were looked at too often, or part of what was seen is told",
    "alike-stories": "stories of different names share words, and no scored one is told twice",
    "no-memory": "responses do not resemble themselves from one TR to the next",
    "check-failed": "a check of the audit could not be carried to its end",
}
"""What a reader must know and may accept, by its stable name."""

Verdict = Literal["PASS", "WARN", "FAIL"]


@dataclass(frozen=True, order=True)
class Fault:
    """One thing that is wrong.

    Parameters
    ----------
    name : str
        Entry of `FAULTS` or `WARNINGS`.
    where : str
        Arm, subject and story.
    figure : str
        The number that proves it.
    sentence : str
        What was found, for people.

    Raises
    ------
    InputError
        For a name that is in neither list.
    """

    name: str
    where: str
    figure: str
    sentence: str

    def __post_init__(self) -> None:
        if self.name not in FAULTS and self.name not in WARNINGS:
            raise InputError(
                "fault", got=f"{self.name!r}", wanted="a known name", do="See FAULTS and WARNINGS."
            )


@dataclass(frozen=True, order=True)
class Unproven:
    """One thing that could not be decided, and why."""

    name: str
    where: str
    reason: str


@dataclass(frozen=True)
class Audit:
    """Verdict on a study.

    Parameters
    ----------
    faults : tuple of Fault
        Each makes the study invalid.
    warnings : tuple of Fault
        Known departures that the reader must know of.
    unproven : tuple of Unproven
    proven : tuple of str
        What was looked at and is in order.
    """

    faults: tuple[Fault, ...] = ()
    warnings: tuple[Fault, ...] = ()
    unproven: tuple[Unproven, ...] = ()
    proven: tuple[str, ...] = field(default=())

    @property
    def verdict(self) -> Verdict:
        """FAIL with any fault, else WARN with any warning, else PASS."""
        return "FAIL" if self.faults else "WARN" if self.warnings else "PASS"

    @property
    def reason(self) -> str:
        """Names of the faults, with what each means; empty where there is none."""
        names = dict.fromkeys(fault.name for fault in self.faults)
        return "; ".join(f"{name} ({FAULTS[name]})" for name in names)


def make_audit(
    found: Iterable[Fault | Unproven], *, proven: Iterable[str] = (), keep: int = 8
) -> Audit:
    """Sort what was found; of one fault at most `keep` places are listed, the rest counted.

    Parameters
    ----------
    found : iterable of Fault or Unproven
        In any order; what stands twice counts once.
    proven : iterable of str
    keep : int
    """
    items = list(dict.fromkeys(found))
    of = {"faults": FAULTS, "warnings": WARNINGS}
    named = {
        kind: _shortened([i for i in items if isinstance(i, Fault) and i.name in names], keep)
        for kind, names in of.items()
    }
    unproven = _gathered([item for item in items if isinstance(item, Unproven)])
    return Audit(named["faults"], named["warnings"], unproven, tuple(dict.fromkeys(proven)))


def _gathered(items: list[Unproven]) -> tuple[Unproven, ...]:
    """One line for each reason, with the first place and how many others there are."""
    places: dict[tuple[str, str], list[str]] = {}
    for item in items:
        places.setdefault((item.name, item.reason), []).append(item.where)
    return tuple(
        Unproven(name, where[0] + (f" and {len(where) - 1} more" if where[1:] else ""), reason)
        for (name, reason), where in sorted(places.items())
    )


def _shortened(faults: list[Fault], keep: int) -> tuple[Fault, ...]:
    kept: list[Fault] = []
    for name in dict.fromkeys(fault.name for fault in faults):
        same = [fault for fault in faults if fault.name == name]
        kept += same[:keep]
        if len(same) > keep:
            kept.append(Fault(name, "elsewhere", f"{len(same) - keep} more", same[0].sentence))
    return tuple(kept)
