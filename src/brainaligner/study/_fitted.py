"""What a finished study has found, before it is written down."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from brainaligner.report import Difference, Flatmap
from brainaligner.study._ceiling_stage import StoryCeilings
from brainaligner.study._foresight import Foresight
from brainaligner.study._readout import Readout
from brainaligner.study._region_stage import ArmRegions
from brainaligner.study._scoring import ArmScores
from brainaligner.study._significance import ArmSignificance
from brainaligner.study._store import Recipe
from brainaligner.study._tuning import TuningFacts


@dataclass(frozen=True, eq=False)
class Fit:
    """One arm in one subject.

    Parameters
    ----------
    readouts : sequence of Readout
        One for each fold.
    scores : ArmScores
    regions : ArmRegions, optional
        None where the study names no regions.
    """

    readouts: Sequence[Readout]
    scores: ArmScores
    regions: ArmRegions | None

    @property
    def recipes(self) -> tuple[Recipe, ...]:
        """What it was made of, in the order in which it was made."""
        last = () if self.regions is None else (self.regions.recipe,)
        return (*(readout.recipe for readout in self.readouts), self.scores.recipe, *last)


@dataclass(frozen=True, eq=False)
class Fitted:
    """All that a finished study has found.

    Parameters
    ----------
    cells : mapping of (run, subject) to Fit
    tunings : tuple of TuningFacts
    listeners : mapping of subject to Fit
        The other-listener reference, where there is one.
    significance : tuple of ArmSignificance
        Tests of each target, of all arms.
    foresight : Foresight
        What validation stories say of the comparisons to come.
    contrasts : tuple of Difference
        Arms less the reference arm.
    flatmaps : mapping of subject to Flatmap
        Of subjects that have flat surfaces.
    """

    cells: Mapping[tuple[str, str], Fit]
    tunings: tuple[TuningFacts, ...] = ()
    listeners: Mapping[str, Fit] = field(default_factory=dict)
    significance: tuple[ArmSignificance, ...] = ()
    foresight: Foresight = field(default_factory=Foresight)
    contrasts: tuple[Difference, ...] = ()
    flatmaps: Mapping[str, Flatmap] = field(default_factory=dict)


Ceilings = Mapping[tuple[str, str], StoryCeilings]
