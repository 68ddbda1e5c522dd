"""The standard diagnostics: which rule judges which number, and what is missing."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from brainaligner.evaluation._diagnostic import VERDICTS, Diagnostic
from brainaligner.evaluation._diagnostic_names import DIAGNOSTIC_NAMES, made
from brainaligner.evaluation._diagnostics_scores import (
    apart_diagnostics,
    ceiling_diagnostic,
    control_diagnostic,
    inner_diagnostic,
    onset_diagnostic,
    shape_diagnostics,
)
from brainaligner.evaluation._diagnostics_series import (
    autocorrelation_diagnostic,
    lag_diagnostic,
    null_diagnostic,
    story_twin_diagnostic,
)
from brainaligner.evaluation._diagnostics_setup import (
    edge_diagnostic,
    simulation_diagnostic,
    subjects_diagnostic,
    voxel_count_diagnostic,
)

DIAGNOSTIC_RULES: dict[int, tuple[Callable[..., Any], ...]] = {
    1: (story_twin_diagnostic,),
    2: (null_diagnostic,),
    3: (control_diagnostic,),
    5: (subjects_diagnostic, voxel_count_diagnostic),
    6: (ceiling_diagnostic,),
    7: (shape_diagnostics,),
    8: (edge_diagnostic,),
    9: (inner_diagnostic,),
    10: (lag_diagnostic,),
    11: (onset_diagnostic,),
    12: (autocorrelation_diagnostic,),
    13: (simulation_diagnostic,),
    14: (apart_diagnostics,),
}
"""Rules by number. Lineage (1 and 4) is judged by the audit of recipes."""


def complete_diagnostics(found: Iterable[Diagnostic]) -> tuple[Diagnostic, ...]:
    """Put diagnostics in order: by number, the worst first, every number at least once.

    A number that nobody looked at stands there as ``"NOT RUN"``.
    """
    known = list(found)
    lacking = set(DIAGNOSTIC_NAMES) - {diagnostic.number for diagnostic in known}
    known += [made(n, "", "NOT RUN", "not looked at", _NOBODY) for n in sorted(lacking)]
    return tuple(sorted(known, key=lambda d: (d.number, VERDICTS.index(d.verdict))))


_NOBODY = "Nothing in this study lends itself to this check."
