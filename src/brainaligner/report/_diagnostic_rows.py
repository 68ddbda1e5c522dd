"""Diagnostics as rows of a page: equal verdicts of one number together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from brainaligner.evaluation import VERDICTS, Diagnostic
from brainaligner.report._words import plain

PLACES_SHOWN = 3
MARKS = {"FAIL": "✕", "WARN": "!", "NOT RUN": "–", "PASS": "✓"}  # noqa: RUF001


@dataclass(frozen=True)
class DiagnosticRow:
    """What one number says with one verdict and one advice, of all places that it says it of.

    Parameters
    ----------
    number : int
    name, verdict, advice : str
    places : tuple of (where, figure)
    """

    number: int
    name: str
    verdict: str
    advice: str
    places: tuple[tuple[str, str], ...]

    @property
    def mark(self) -> str:
        """A sign beside the verdict's word."""
        return MARKS[self.verdict]


def diagnostic_rows(diagnostics: Sequence[Diagnostic]) -> tuple[DiagnosticRow, ...]:
    """Put diagnostics together, the worst verdicts first, then by number.

    Parameters
    ----------
    diagnostics : sequence of Diagnostic
    """
    places: dict[tuple[int, int, str, str], list[tuple[str, str]]] = {}
    for one in diagnostics:
        kind = (VERDICTS.index(one.verdict), one.number, plain(one.name), plain(one.advice))
        places.setdefault(kind, []).append((plain(one.where), plain(one.figure)))
    return tuple(
        DiagnosticRow(number, name, VERDICTS[verdict], advice, tuple(found))
        for (verdict, number, name, advice), found in sorted(
            places.items(), key=lambda item: item[0][:2]
        )
    )


def verdict_counts(diagnostics: Sequence[Diagnostic]) -> tuple[tuple[str, int], ...]:
    """How many diagnostics have each verdict, the worst first; those that occur."""
    found = [one.verdict for one in diagnostics]
    return tuple((verdict, found.count(verdict)) for verdict in VERDICTS if verdict in found)
