"""Which rows entered a reduced-rank projection, against those that its recipe names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from brainaligner.core import Piece
from brainaligner.evaluation import Entered, Fault
from brainaligner.study._audit_truth import Truth
from brainaligner.study._audit_witness import Found, witness_found
from brainaligner.study._projected import ProjectedDesign
from brainaligner.study._projection_task import ProjectionTask


def projection_entries(truth: Truth, design: ProjectedDesign, subject: str) -> list[Entered]:
    """Responses of one subject that a projection was fitted to and chosen on.

    Those of the other subjects are looked at with them. Roles are as in readouts.
    """
    seen = truth.witness(design.folder)
    found = []
    for one in seen[0] if seen else ():
        side, who, _, kind = one.role.split("/")
        if who == subject:
            found.append(replace(one, role=f"{side}/{kind}"))
    return found


def projection_row_faults(
    truth: Truth, design: ProjectedDesign, subject: str, where: str
) -> Iterator[Found]:
    """Compare the pieces that entered, by fold, with those of the recipe."""
    lacking = witness_found(design.store, design.recipe, f"{where}: projection", truth.witness)
    if lacking is not None:
        yield lacking
        return
    seen = truth.witness(design.folder)
    assert seen is not None
    for place in seen[1]:
        yield Fault(
            "lineage-differs",
            f"{where}: projection, {place}",
            "read twice",
            "the same rows were not the same when they were read again",
        )
    rows = design.task.readouts[subject].rows
    for part, pieces in _parts(design.task, subject).items():
        wanted = {(p.story, *p.rows.indices(rows[p.story])[:2]) for p in pieces}
        entered = {
            (one.story, one.start, one.start + len(one.values))
            for one in seen[0]
            if one.role.split("/")[1:3] == [subject, part]
        }
        if entered != wanted:
            odd = sorted(entered ^ wanted)[0]
            yield Fault(
                "lineage-differs",
                f"{where}: projection, {odd[0]} ({part})",
                f"{len(entered ^ wanted)} pieces",
                "other responses entered than the recipe names",
            )


def _parts(task: ProjectionTask, subject: str) -> Mapping[str, tuple[Piece, ...]]:
    """Pieces of each part of the record: fits of folds, the second stage, what chooses."""
    if task.folds:
        parts = {f"fold{i}": task.without(fold) for i, fold in enumerate(task.folds)}
    else:
        parts = {"all": task.common}
    if task.chooses:
        readout = task.readouts[subject]
        if readout.validation:
            parts["choose"] = readout.validation
        if task.settings.form == "two-stage":
            parts["second"] = readout.fold.train
    return parts
