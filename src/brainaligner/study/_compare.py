"""Arms of a finished run against a reference arm, from the predictions in the store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from brainaligner.core import InputError, unknown_name
from brainaligner.evaluation import (
    ArmLook,
    Comparison,
    ComparisonSettings,
    Moments,
    Replication,
    compare_arms,
    paired_moments,
    replication,
)
from brainaligner.study._arms import ArmRun
from brainaligner.study._compare_words import (
    comparison_html,
    comparison_lines,
    comparison_record,
)
from brainaligner.study._ledger import check_look, record_look
from brainaligner.study._plan import Plan
from brainaligner.study._progress import reporting
from brainaligner.study._readout import Readout, stored_readout
from brainaligner.study._reopened import reopen_run
from brainaligner.study._scoring import test_rows
from brainaligner.study._store import Store


@dataclass(frozen=True, eq=False, repr=False)
class RunComparison:
    """All comparisons of arms of one run with a reference.

    Parameters
    ----------
    study : str
    arms : tuple of str
        As they were asked for; the first is the reference.
    group : str
    rows_cut : int
        Rows dropped at each end of each story.
    label, space_kind : str
        ``"held-out stories"`` or ``"within one story"``; what a target is.
    simulated : bool
    settings : ComparisonSettings
    subjects : mapping of subject to tuple of Comparison
        One for each arm but the first.
    looks : tuple of ArmLook
        Comparisons on any of these test stories that the ledger knows, this one among them; none
        on validation stories.
    """

    study: str
    arms: tuple[str, ...]
    group: str
    rows_cut: int
    label: str
    space_kind: str
    simulated: bool
    settings: ComparisonSettings
    subjects: Mapping[str, tuple[Comparison, ...]]
    looks: tuple[ArmLook, ...] = ()

    def of_arm(self, position: int) -> dict[str, Comparison]:
        """Comparisons of one arm, by subject; position 0 is the first after the reference."""
        return {subject: found[position] for subject, found in self.subjects.items()}

    def replication(self, position: int) -> Replication:
        """Count the subjects in which an arm came out better or worse than the reference."""
        return replication(list(self.of_arm(position).values()))

    def __repr__(self) -> str:
        return "\n".join(comparison_lines(comparison_record(self)))

    def _repr_html_(self) -> str:
        return comparison_html(self)


def compare_run(
    folder: str | Path,
    arms: Sequence[str],
    *,
    group: str | None = None,
    cut: int = 0,
    data: str | Path | None = None,
    out: Path | None = None,
) -> RunComparison:
    """Compare arms of a finished run with the first of them, subject by subject.

    Predictions are read from the store and responses from the dataset. Nothing is fitted.

    Parameters
    ----------
    folder : str or Path
        Of the run, such as ``runs/demo``.
    arms : sequence of str
        Two or more: an entry of the study's ``arms``, with all its seeds, or one seed of it
        (``es.s0``). The first is the reference.
    group : str, optional
        ``"test"`` (of a run on validation stories ``"validation"``), which is the default, or the
        name of a repeated story.
    cut : int
        Rows dropped at each end of each story.
    data : str or Path, optional
        Folder of the data; the study file and BRAINALIGNER_DATA are asked otherwise.
    out : Path, optional
        Folder that holds the store; default: the folder beside.

    Returns
    -------
    RunComparison

    Raises
    ------
    InputError
        If there is no such run, arm or group, an arm is named twice, the cut is negative, or the
        store does not hold what the study file and the data ask for, or cannot be written: its
        ledger notes each comparison on test stories.
    """
    _check_request(arms, cut)
    place = Path(folder)
    with reporting() as reporter:
        plan, store = reopen_run(place, data=data, out=out, reporter=reporter)
        named = group or plan.prepared.config.scored_on
        runs = {name: named_runs(plan.runs, name) for name in arms}
        check_look(plan, store)
        splits = plan.prepared.division.splits
        found = {}
        for done, subject in enumerate(splits, start=1):
            rows = StoredRows(plan, store, subject, named)
            found[subject] = _compare_subject(rows, runs, cut)
            reporter("compare", done, len(splits))
        looks = record_look(plan, store, arms, group=named, cut=cut)
    prepared, first = plan.prepared, next(iter(splits))
    return RunComparison(
        study=prepared.config.name,
        arms=tuple(arms),
        group=named,
        rows_cut=cut,
        label=splits[first].label,
        space_kind=prepared.dataset.space(first).kind,
        simulated=prepared.simulated,
        settings=prepared.config.comparison,
        subjects=found,
        looks=looks,
    )


def _check_request(arms: Sequence[str], cut: int) -> None:
    if isinstance(arms, str) or len(arms) < 2 or len(set(arms)) < len(arms):
        raise InputError(
            "--arms",
            got=arms if isinstance(arms, str) else " ".join(arms) or "none",
            wanted="two or more arms, none of them twice",
            do="Name the reference first: --arms frozen tuned.",
        )
    if cut < 0:
        raise InputError("--cut", got=str(cut), wanted="0 or more", do="Give a number of rows.")


def named_runs(runs: Sequence[ArmRun], name: str, *, where: str = "--arms") -> tuple[ArmRun, ...]:
    """All seeds of an entry, or the one run of that name.

    Parameters
    ----------
    runs : sequence of ArmRun
    name : str
    where : str
        What was asked with; named in the error.

    Raises
    ------
    InputError
        If there is none.
    """
    found = tuple(run for run in runs if run.entry == name)
    found = found or tuple(run for run in runs if run.name == name)
    if not found:
        options = dict.fromkeys(name for run in runs for name in (run.entry, run.name))
        raise unknown_name(where, "arm", name, options)
    return found


@dataclass(frozen=True, eq=False)
class StoredRows:
    """Predictions in the store beside measured responses, of one subject and group of stories.

    Parameters
    ----------
    plan : Plan
    store : Store
    subject, group : str
    """

    plan: Plan
    store: Store
    subject: str
    group: str

    def sides(self, run: ArmRun) -> tuple[list[np.ndarray], list[np.ndarray]]:
        """Predictions of a run and responses, one array (time, target) of each per story.

        Raises
        ------
        InputError
            If there is no such group, or the store does not hold the predictions.
        """
        stories, readouts = self._stories(run), self._readouts(run)
        rows = test_rows(self.plan.prepared, self.subject, set(stories), readouts)
        predicted, measured = rows[0], rows[1]
        return [predicted[story] for story in stories], [measured[story] for story in stories]

    def _stories(self, run: ArmRun) -> tuple[str, ...]:
        groups = {group.name: group for group in self.plan.groups_of(run, self.subject)}
        if self.group not in groups:
            raise unknown_name(
                f"--group, {run.name}, {self.subject}", "group of stories", self.group, groups
            )
        return groups[self.group].stories

    def _readouts(self, run: ArmRun) -> list[Readout]:
        tasks = self.plan.tasks[run.name, self.subject]
        where = f"{run.name}, {self.subject}"
        return [stored_readout(task, self.store, where=where) for task in tasks]


def _compare_subject(
    rows: StoredRows, runs: Mapping[str, tuple[ArmRun, ...]], cut: int
) -> tuple[Comparison, ...]:
    every = [run for of_arm in runs.values() for run in of_arm]
    moments = iter(paired_moments([partial(rows.sides, run) for run in every], cut=cut))
    arms: dict[str, list[Moments]] = {
        name: [next(moments) for _ in of_arm] for name, of_arm in runs.items()
    }
    config = rows.plan.prepared.config
    return compare_arms(arms, settings=config.comparison, evaluation=config.evaluation)
