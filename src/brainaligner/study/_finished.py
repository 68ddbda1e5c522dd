"""A finished run, opened from Python: what `show` prints, as frozen values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float64

from brainaligner.core import InputError, frozen_array, html_table, unknown_name
from brainaligner.evaluation import VERDICTS, Diagnostic, Finding, Interval, Summary
from brainaligner.report import MISSING, NOT_VALID, SIMULATED, mean_cell, rows_cut
from brainaligner.study._disk import read_array
from brainaligner.study._record import damaged_record, read_run
from brainaligner.study._scoring import base_name

_NUMBERS = ("mean", "median", "skew", "share_above_null", "null_mean", "null_sd")


@dataclass(frozen=True, eq=False, repr=False)
class FinishedRun:
    """What a finished run found.

    Parameters
    ----------
    folder : Path
    study, title, label : str
        ``label`` is ``"held-out stories"``, ``"within one story"`` or what `--validation` writes.
    simulated : bool
    not_valid : str or None
        Why the audit failed; None where it did not.
    results : tuple of Summary
        One for each arm, subject, group of stories and number of rows cut.
    findings : tuple of Finding
    diagnostics : tuple of Diagnostic
    """

    folder: Path
    study: str
    title: str
    label: str
    simulated: bool
    not_valid: str | None
    results: tuple[Summary, ...]
    findings: tuple[Finding, ...]
    diagnostics: tuple[Diagnostic, ...]

    @property
    def arms(self) -> tuple[str, ...]:
        """Arms in the order of their first result."""
        return tuple(dict.fromkeys(one.arm for one in self.results))

    @property
    def subjects(self) -> tuple[str, ...]:
        """Subjects in the order of their first result."""
        return tuple(dict.fromkeys(one.subject for one in self.results))

    @property
    def groups(self) -> tuple[str, ...]:
        """Groups of stories in the order of their first result."""
        return tuple(dict.fromkeys(one.group for one in self.results))

    @property
    def cuts(self) -> tuple[int, ...]:
        """Numbers of rows cut, ascending."""
        return tuple(sorted({one.rows_cut for one in self.results}))

    def summary(
        self, arm: str, subject: str, *, group: str | None = None, cut: int | None = None
    ) -> Summary:
        """One result; of the first group and the fewest rows cut where nothing is said.

        Raises
        ------
        InputError
            If there is no such arm, subject or group, or it was not scored so.
        """
        asked = {"arm": arm, "subject": subject, "group": group or self.groups[0]}
        for name, value in asked.items():
            known = getattr(self, f"{name}s")
            if value not in known:
                raise unknown_name(str(self.folder), name, value, known)
        wanted = (*asked.values(), self.cuts[0] if cut is None else cut)
        found = [one for one in self.results if _place(one) == wanted]
        if not found:
            raise InputError(
                str(self.folder),
                got="{}, {}, {} with {} rows cut".format(*wanted),
                wanted=f"what was scored; rows cut: {', '.join(map(str, self.cuts))}",
                do="See `results` for all that there is.",
            )
        return found[0]

    def r(
        self, arm: str, subject: str, *, group: str | None = None, cut: int | None = None
    ) -> Float64[np.ndarray, "target"]:
        """Pearson r of each target, read from scores.npz; chosen as in `summary`.

        Raises
        ------
        InputError
            As `summary`; and if the file of scores is not there.
        """
        one = self.summary(arm, subject, group=group, cut=cut)
        path = self.folder / "scores.npz"
        if not path.is_file():
            raise InputError(
                str(path), got="no such file", wanted="what a run writes", do="Run the study again."
            )
        name = f"{one.arm}/{one.subject}/{base_name(one.group, one.rows_cut)}"
        return frozen_array(np.asarray(read_array(path, name), np.float64))

    def __repr__(self) -> str:
        lines = [" | ".join(row) for row in (self._columns, *self._rows())]
        head = f"FinishedRun({str(self.folder)!r}): {self._caption}"
        return "\n  ".join([head, *lines, *self._notes()])

    def _repr_html_(self) -> str:
        return html_table(self._caption, self._columns, self._rows(), note=" ".join(self._notes()))

    @property
    def _shown(self) -> list[Summary]:
        """Results of the first group with the fewest rows cut: what a look shows."""
        wanted = [(group, cut) for group in self.groups[:1] for cut in self.cuts[:1]]
        return [one for one in self.results if (one.group, one.rows_cut) in wanted]

    @property
    def _caption(self) -> str:
        stamps = [f"{NOT_VALID}: {self.not_valid}"] if self.not_valid is not None else []
        stamps += [SIMULATED] if self.simulated else []
        said = [
            f"Pearson r over {one.space_kind}, {self.label}, group {one.group}, "
            f"{rows_cut(one.rows_cut)}"
            for one in self._shown[:1]
        ]
        return ". ".join([*stamps, self.title, *said])

    @property
    def _columns(self) -> tuple[str, ...]:
        return ("arm", *self.subjects)

    def _rows(self) -> list[tuple[str, ...]]:
        cells = {(one.arm, one.subject): mean_cell(one.mean, one.interval) for one in self._shown}
        return [
            (arm, *(cells.get((arm, subject), MISSING) for subject in self.subjects))
            for arm in dict.fromkeys(one.arm for one in self._shown)
        ]

    def _notes(self) -> list[str]:
        notes = [
            f"Brackets: {100 * one.interval.level:g} % interval, {one.interval.method}."
            for one in self._shown[:1]
        ]
        notes += [f"Further groups: {', '.join(self.groups[1:])}."] if self.groups[1:] else []
        found = [one.verdict for one in self.diagnostics]
        counts = [f"{found.count(verdict)} {verdict}" for verdict in VERDICTS if verdict in found]
        return notes + ([f"Diagnostics: {', '.join(counts)}."] if counts else [])


def open_run(folder: str | Path) -> FinishedRun:
    """Open a finished run: its scores, findings and diagnostics.

    Nothing is computed, and no data are needed. `compare_run` compares its arms.

    Parameters
    ----------
    folder : str or Path
        Of the run, such as ``runs/demo``.

    Returns
    -------
    FinishedRun

    Raises
    ------
    InputError
        If the folder holds no finished run, or its run.json is damaged.
    """
    place = Path(folder)
    record = read_run(place)
    try:
        audit = record.get("audit", {})
        if not record["results"]:
            raise ValueError("no results")
        return FinishedRun(
            folder=place,
            study=str(record["study"]),
            title=str(record["title"]),
            label=str(record["label"]),
            simulated=bool(record["simulated"]),
            not_valid=str(audit["reason"]) if audit.get("verdict") == "FAIL" else None,
            results=tuple(_summary(one) for one in record["results"]),
            findings=tuple(Finding(**one) for one in record["findings"]),
            diagnostics=tuple(_known(Diagnostic, one) for one in record.get("diagnostics", ())),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise damaged_record(place / "run.json", str(error)) from error


def _summary(record: Mapping[str, Any]) -> Summary:
    interval = dict(record["interval"])
    ends = {name: _number(interval[name]) for name in ("low", "high")}
    numbers = {name: _number(record[name]) for name in _NUMBERS}
    quantiles = tuple(map(_number, record["quantiles"]))
    found = numbers | {"quantiles": quantiles, "interval": Interval(**(interval | ends))}
    return _known(Summary, record, **found)


def _known(kind: type, record: Mapping[str, Any], **instead: Any) -> Any:
    """A dataclass from those entries of a record that are its fields."""
    names = [field.name for field in fields(kind)]
    return kind(**{name: instead[name] if name in instead else record[name] for name in names})


def _number(value: float | None) -> float:
    """A number of JSON, where null stands for NaN."""
    return float("nan") if value is None else float(value)


def _place(one: Summary) -> tuple[str, str, str, int]:
    return one.arm, one.subject, one.group, one.rows_cut
