"""What a study file may say about published tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Literal

from brainaligner.core import InputError
from brainaligner.report import published_numbers


@dataclass(frozen=True)
class PublishedConfig:
    """A table in the layout of the published report, its numbers beside ours.

    Parameters
    ----------
    table : {1, 2}
    rows : mapping of the report's row to arm
        ``Baseline``, ``BrainLM``, ``High_EV``, ``ES`` of table 1, mask rates such as ``0.30``
        of table 2; rows that the report does not have stand alone, and a name that differs
        from one of its rows by a slip of the pen is refused.
    with_nuisance : mapping of row to arm
        The same rows with the nuisance block Z.
    """

    table: Literal[1, 2]
    rows: Mapping[str, str]
    with_nuisance: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.rows or not set(self.with_nuisance) <= set(self.rows):
            raise InputError(
                f"published table {self.table}",
                got=f"rows {', '.join(self.rows) or 'none'}, with nuisance "
                f"{', '.join(self.with_nuisance) or 'none'}",
                wanted="at least one row, and with_nuisance for some of the same",
                do="Name the same rows in both.",
            )
        known = tuple(published_numbers(self.table))
        for row in self.rows:
            self._check_row(row, known)

    def _check_row(self, row: str, known: Sequence[str]) -> None:
        names = {name.casefold(): name for name in known}
        near = get_close_matches(row.casefold(), names, n=1, cutoff=0.85)
        if self.table == 1 and row not in known and near:
            raise InputError(
                f"published table {self.table}, row",
                got=row,
                wanted=f"{names[near[0]]}, or a name that is not nearly a row of the report",
                do=f"Write {names[near[0]]} to stand beside the report's numbers, or rename it.",
            )
        if self.table == 2 and not _is_share(row):
            raise InputError(
                f"published table {self.table}, row",
                got=row,
                wanted=f"a mask rate between 0 and 1, such as {', '.join(known)}",
                do="Give the rate as a number.",
            )


def _is_share(row: str) -> bool:
    try:
        return 0 < float(row) < 1
    except ValueError:
        return False
