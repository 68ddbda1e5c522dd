"""What is wrong with, or worth knowing about, a dataset."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from brainaligner.core import InputError

Severity = Literal["error", "warning", "note"]


@dataclass(frozen=True)
class Problem:
    """One finding about a dataset.

    Parameters
    ----------
    severity : {"error", "warning", "note"}
        ``error``: that part cannot be read; ``warning``: it can, and numbers may be wrong;
        ``note``: nothing to do.
    where, got, wanted, do : str
        As in `InputError`.
    """

    severity: Severity
    where: str
    got: str
    wanted: str
    do: str


def problem_from(error: InputError, severity: Severity = "error") -> Problem:
    """Turn an error that was raised into a finding."""
    return Problem(severity, error.where, error.got, error.wanted, error.do)


def listed(names: list[str] | tuple[str, ...], most: int = 5) -> str:
    """Join the first `most` names with commas and say how many more there are."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
