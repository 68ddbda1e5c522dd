"""Diagnostics of what a study stands on, none of which needs test scores: 5, 8 and 13."""

from __future__ import annotations

import math
from dataclasses import dataclass

from brainaligner.evaluation._diagnostic import Diagnostic
from brainaligner.evaluation._diagnostic_names import made

ALIKE_WARN, ALIKE_FAIL = 0.9, 0.97  # real people .3, simulated ones up to .86
RECOVERED = 0.8
NULL_SHARE = 0.2
NULL_ERRORS = 4.0
DS003020_VOXELS = {"UTS01": 81_126, "UTS02": 94_251, "UTS03": 95_556}
"""Cortical voxels of the three subjects in the released files."""


def subjects_diagnostic(where: str, *, likeness: float, shared: int, compared: int) -> Diagnostic:
    """Number 5: two subjects' responses to the same stories.

    Parameters
    ----------
    where : str
        The two subjects.
    likeness : float
        Linear centred kernel alignment of their responses, 0 to 1: neither order, sign nor
        rotation of the targets changes it.
    shared : int
        Stories with byte-equal responses in both.
    compared : int
        Stories that both heard; 0 where no alignment could be measured on them.
    """
    if compared == 0:
        return made(5, where, "NOT RUN", "no story in common", "Nothing can be compared.")
    figure = (
        f"alignment {likeness:.2f} (bounds {ALIKE_WARN:g}, {ALIKE_FAIL:g}); "
        f"{shared} of {compared} common stories equal byte for byte"
    )
    if shared or likeness > ALIKE_FAIL:
        return made(5, where, "FAIL", figure, "This is one person twice: correct the files.")
    if likeness > ALIKE_WARN:
        return made(5, where, "WARN", figure, "Two people are rarely so alike: check the files.")
    return made(5, where, "PASS", figure, "They are two people.")


def voxel_count_diagnostic(subject: str, n_voxels: int) -> Diagnostic:
    """Number 5: voxels of a subject of ds003020 against the dataset's own count."""
    wanted = DS003020_VOXELS[subject]
    figure = f"{n_voxels:,} voxels (dataset {wanted:,})"
    if n_voxels == wanted:
        return made(5, subject, "PASS", figure, "The count is this subject's.")
    others = [name for name, count in DS003020_VOXELS.items() if count == n_voxels]
    if others:
        advice = f"These are the voxels of {others[0]}: correct the files."
        return made(5, subject, "FAIL", figure, advice)
    return made(5, subject, "WARN", figure, "Say how these voxels were chosen.")


def edge_diagnostic(where: str, alpha: str, edge: str | None) -> Diagnostic:
    """Number 8: the chosen alpha and, where it lies at an end of its grid, the remark on it."""
    if edge is None:
        return made(8, where, "PASS", f"alpha {alpha}", "The grid was wide enough.")
    return made(8, where, "WARN", f"alpha {alpha}, at the edge", edge)


@dataclass(frozen=True)
class SimulationCheck:
    """What a readout does with responses whose truth is known.

    Parameters
    ----------
    planted, recovered : float
        Mean r of the noiseless planted signal, and of the fitted predictions, with the same
        simulated test responses.
    null_mean, null_error : float
        Mean r of responses without signal, and its standard error over targets.
    null_share : float
        Share of those above the 95 % circular-shift null.
    """

    planted: float
    recovered: float
    null_mean: float
    null_error: float
    null_share: float


def simulation_diagnostic(where: str, check: SimulationCheck) -> Diagnostic:
    """Number 13: the readout finds what was planted, and nothing where nothing was.

    PASS where at least .8 of the planted r is recovered, the null mean lies within 4 standard
    errors of 0 and at most 20 % of null targets lie above their 95 % shift null.
    """
    ratio = check.recovered / check.planted if check.planted else math.nan
    off = abs(check.null_mean) > NULL_ERRORS * check.null_error
    figure = (
        f"recovered {check.recovered:.3f} of planted {check.planted:.3f} (bound {RECOVERED:g} "
        f"of it); null {check.null_mean:+.4f} ± {check.null_error:.4f}, "
        f"{check.null_share:.0%} above its null (bounds {NULL_ERRORS:g} standard errors, "
        f"{NULL_SHARE:.0%})"
    )
    if off or check.null_share > NULL_SHARE:
        advice = "The readout scores where nothing is: do not trust its scores."
        return made(13, where, "FAIL", figure, advice)
    if not ratio >= RECOVERED:
        advice = "These settings miss much of a signal that is there: widen the grid of alphas."
        return made(13, where, "WARN", figure, advice)
    return made(13, where, "PASS", figure, "The readout finds what was planted, and no more.")
