"""What a study found, in plain words, from the paired intervals of every arm."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from brainaligner.report._figure_inputs import Difference
from brainaligner.report._inputs import NOT_VALID, RunReport
from brainaligner.report._texts import Texts, page_texts
from brainaligner.report._words import percent, plain

DIRECTIONS = ("better", "worse", "undecided")


@dataclass(frozen=True)
class Verdict:
    """Which arms beat the reference arm, and in how many subjects.

    Parameters
    ----------
    lines : tuple of str
        One sentence for all arms that fared alike, the best first.
    basis : str
        What the sentences rest on; empty where there is no verdict.
    """

    lines: tuple[str, ...]
    basis: str = ""


def verdict(report: RunReport, *, texts: Texts | None = None) -> Verdict:
    """Say in plain words how each arm fared beside the reference arm.

    All arms are named, so that none is picked by its test scores. In a subject an arm is better
    (worse) where the interval of its paired difference lies above (below) 0. A report whose
    audit failed has no verdict, and says so.

    Parameters
    ----------
    report : RunReport
    texts : Texts, optional
        English by default.
    """
    texts = page_texts() if texts is None else texts
    if report.audit.startswith(NOT_VALID):
        return Verdict((texts("verdict.invalid"),))
    if not report.compared:
        return Verdict((texts("verdict.alone"),))
    fared: dict[tuple[int, ...], list[str]] = {}
    for arm in dict.fromkeys(one.arm for one in report.compared):
        own = Counter(one.direction for one in report.compared if one.arm == arm)
        fared.setdefault(tuple(own[name] for name in DIRECTIONS), []).append(plain(arm))
    first = report.compared[0]
    ordered = sorted(fared.items(), key=lambda found: (-found[0][0], found[0][1]))
    lines = (_sentence(arms, counts, first, texts) for counts, arms in ordered)
    return Verdict(tuple(lines), _basis(first, texts))


def _sentence(arms: list[str], counts: tuple[int, ...], one: Difference, texts: Texts) -> str:
    better, worse, undecided = counts
    n = sum(counts)
    whole = {better: "better", worse: "worse", undecided: "undecided"}.get(n)
    others = {"worse": worse, "undecided": undecided}
    rest = [texts(f"verdict.{name}_in", k=k) for name, k in others.items() if k]
    return texts(
        f"verdict.{whole}_one" if whole and n == 1 else f"verdict.{whole or 'some'}",
        arms=texts("separator.comma").join(arms),
        reference=plain(one.reference),
        better=better,
        n=n,
        rest="".join(rest),
    )


def _basis(one: Difference, texts: Texts) -> str:
    return texts(
        "verdict.basis",
        reference=plain(one.reference),
        level=percent(one.interval.level),
        group=plain(one.group),
    )
