"""Diagnostics of a finished run on a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from brainaligner.evaluation import VERDICTS

Row = dict[str, Any]


def diagnostic_lines(diagnostics: Sequence[Row]) -> list[str]:
    """Counts of verdicts, then a line for each number that failed or warns.

    Parameters
    ----------
    diagnostics : sequence of dict
        As run.json holds them; none in runs of earlier versions.
    """
    if not diagnostics:
        return []
    found = [row["verdict"] for row in diagnostics]
    counts = [f"{found.count(v)} {v}" for v in VERDICTS if v in found]
    lines = [f"diagnostics: {', '.join(counts)}"]
    for verdict in ("FAIL", "WARN"):
        off = [row for row in diagnostics if row["verdict"] == verdict]
        for number in sorted({row["number"] for row in off}):
            rows = [row for row in off if row["number"] == number]
            lines.append(f"{verdict} {number} {_class_words(rows)}")
    return lines


def _class_words(rows: Sequence[Row]) -> str:
    first = rows[0]
    where = first["where"] or "whole study"
    more = f" and {len(rows) - 1} more" if len(rows) > 1 else ""
    return f"{first['name']}: {where}{more}: {first['figure']}. {first['advice']}"
