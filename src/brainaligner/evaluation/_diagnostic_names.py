"""Names of the standard diagnostics, and how one is put together."""

from __future__ import annotations

from brainaligner.evaluation._diagnostic import Diagnostic, Verdict

DIAGNOSTIC_NAMES: dict[int, str] = {
    1: "story sets disjoint",
    2: "null features score nothing",
    3: "gain over Z alone and an untrained network",
    4: "no brain reaches evaluation features",
    5: "subjects differ",
    6: "r against the noise ceiling",
    7: "shape of the scores",
    8: "alpha inside its grid",
    9: "inner validation r less test r",
    10: "lag curve",
    11: "r without the stories' starts",
    12: "r against autocorrelation",
    13: "planted signal and null in simulation",
    14: "repeated and single presentations apart",
}
"""By number."""


def made(number: int, where: str, verdict: Verdict, figure: str, advice: str) -> Diagnostic:
    """Put a diagnostic together under its standard name."""
    return Diagnostic(number, DIAGNOSTIC_NAMES[number], where, verdict, figure, advice)


def signed(value: float) -> str:
    """A difference with its sign, three decimals."""
    return f"{value:+.3f}"
