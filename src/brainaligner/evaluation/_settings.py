"""How scores are computed: what can change a number, and nothing else."""

from __future__ import annotations

from dataclasses import dataclass, fields

from brainaligner.core import InputError, settle_types


@dataclass(frozen=True)
class EvaluationSettings:
    """Settings of scoring.

    Parameters
    ----------
    cuts : tuple of int
        Rows dropped at each end of each story; every group is scored once for each.
    n_bootstrap : int
        Draws behind an interval, at least 20.
    n_shifts : int
        Circular shifts behind the null, at least 20.
    min_shift : int
        Smallest shift of the null, in rows.
    level : float
        Coverage of intervals, within (0, 1).
    seed : int

    Raises
    ------
    InputError
        If a value has the wrong type or is out of range.
    """

    cuts: tuple[int, ...] = (0, 10)
    n_bootstrap: int = 1000
    n_shifts: int = 1000
    min_shift: int = 30
    level: float = 0.95
    seed: int = 0

    def __post_init__(self) -> None:
        settle_types(self, where="evaluation settings")
        cuts = self.cuts
        if not cuts or min(cuts) < 0:
            raise _refusal("cuts", cuts, "one or more whole numbers, none negative")
        if len(set(cuts)) < len(cuts):
            raise _refusal("cuts", cuts, "each number once")
        least = {"n_bootstrap": 20, "n_shifts": 20, "min_shift": 1, "seed": 0}
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name in least and value < least[field.name]:
                raise _refusal(field.name, value, f"a whole number, {least[field.name]} or more")
        if not 0 < self.level < 1:
            raise _refusal("level", self.level, "a number between 0 and 1, such as 0.95")


def _refusal(name: str, value: object, wanted: str) -> InputError:
    do = "Correct it in the study's evaluation settings."
    return InputError(f"evaluation setting {name!r}", got=repr(value), wanted=wanted, do=do)
