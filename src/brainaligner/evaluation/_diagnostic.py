"""One diagnostic of a study: what was looked at, what came out, what to do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Verdict = Literal["PASS", "WARN", "FAIL", "NOT RUN"]
VERDICTS: tuple[Verdict, ...] = ("FAIL", "WARN", "NOT RUN", "PASS")
"""The worst first."""


@dataclass(frozen=True)
class Diagnostic:
    """One of the standard checks, on one thing.

    Parameters
    ----------
    number : int
        Its number among the standard diagnostics, from 1.
    name : str
        What is looked at, such as ``"story sets disjoint"``.
    where : str
        Arm, subject and group that it is about; empty for the whole study.
    verdict : {"PASS", "WARN", "FAIL", "NOT RUN"}
        ``"NOT RUN"`` where the data lack what it needs; `advice` says what.
    figure : str
        The number that decided, with its bound.
    advice : str
        One sentence on what to do or how to read it.
    """

    number: int
    name: str
    where: str
    verdict: Verdict
    figure: str
    advice: str


def worst_verdict(diagnostics: tuple[Diagnostic, ...]) -> Verdict:
    """Return the worst verdict of some diagnostics; ``"NOT RUN"`` where there are none."""
    found = {diagnostic.verdict for diagnostic in diagnostics}
    return next((verdict for verdict in VERDICTS if verdict in found), "NOT RUN")
