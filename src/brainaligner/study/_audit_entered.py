"""What entered the readouts and scores of one arm in one subject, against what should have."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

import numpy as np

from brainaligner.core import BrainAlignerError
from brainaligner.evaluation import (
    Entered,
    Fault,
    MadeAgain,
    Unproven,
    design_faults,
    entered_faults,
    overlap_faults,
)
from brainaligner.study._audit_arm import ArmAudit, is_one_stage, tested_pieces
from brainaligner.study._audit_projection_rows import projection_entries, projection_row_faults
from brainaligner.study._audit_truth import LateRows
from brainaligner.study._audit_witness import Found, settings_faults, witness_found
from brainaligner.study._designs import Design, word_design
from brainaligner.study._disk import read_json
from brainaligner.study._projected import ProjectedDesign
from brainaligner.study._readout import ReadoutTask

_JOINED = ", parts that were scored"


def arm_faults(arm: ArmAudit) -> Iterator[Found]:
    """Judge the readouts and scores of one arm in one subject."""
    lacking = [
        witness_found(arm.store, r.recipe, arm.where, arm.truth.witness) for r in arm.readouts
    ]
    lacking.append(witness_found(arm.store, arm.scores, arm.where, arm.truth.witness))
    yield from _other_groups(arm)
    yield from (found for found in lacking if found is not None)
    heard: list[Entered] = []
    for readout, task in zip(arm.readouts, arm.tasks, strict=True):
        seen = arm.truth.witness(readout.folder)
        if seen is None:
            continue
        entries, changed = seen
        for place in changed:
            yield Fault(
                "lineage-differs",
                f"{arm.where}, {place}",
                "read twice",
                "the same rows were not the same when they were read again",
            )
        declared = task.design.arm.banded or task.design.arm.ridge
        yield from settings_faults(entries, declared, arm.where)
        yield from _place_faults(entries, task, arm.where)
        responses = [one for one in entries if one.role.endswith("/responses")]
        if isinstance(task.design, ProjectedDesign):
            yield from projection_row_faults(arm.truth, task.design, arm.subject, arm.where)
            responses += projection_entries(arm.truth, task.design, arm.subject)
        heard += responses
        scored = arm.scored_of(readout)
        yield from _overlaps(arm, scored, responses)
        yield from _design_faults(arm, task, entries)
    yield from _response_faults(arm, heard)
    yield from _company_faults(arm)


def _overlaps(
    arm: ArmAudit, scored: Sequence[Entered], heard: Sequence[Entered]
) -> Iterator[Found]:
    """Scored rows among those that fitted or chose; looked for once where arms share both."""
    found = arm.truth.findings(
        f"overlaps/{arm.within}/{entries_digest(scored)}/{entries_digest(heard)}",
        lambda: overlap_faults(scored, heard, where="", within=arm.within),
    )
    yield from (replace(one, where=f"{arm.where}{one.where}") for one in found)


def entries_digest(entries: Sequence[Entered]) -> str:
    """Content of rows that entered, with their roles and stories."""
    digest = hashlib.blake2b(digest_size=16)
    for one in entries:
        digest.update(f"{one.role}/{one.story}/{one.start}/{one.values.shape}".encode())
        digest.update(one.values.tobytes())
    return digest.hexdigest()


def _place_faults(entries: Sequence[Entered], task: ReadoutTask, where: str) -> Iterator[Found]:
    """Compare which pieces entered in which role with what the recipe says."""
    sides = {"fit": task.fold.train, "choose": task.validation, "predict": task.fold.test}
    if is_one_stage(task) and isinstance(task.design, ProjectedDesign):
        sides |= {"fit": task.design.task.common, "choose": ()}
    for role, pieces in sides.items():
        wanted = {(p.story, *p.rows.indices(task.rows[p.story])[:2]) for p in pieces}
        for kind in ("responses", "design"):
            entered = {
                (one.story, one.start, one.start + len(one.values))
                for one in entries
                if one.role == f"{role}/{kind}"
            }
            if role == "predict" and kind == "responses" and not entered:
                continue
            if entered != wanted:
                odd = sorted(entered ^ wanted)[0]
                yield Fault(
                    "lineage-differs",
                    f"{where}, {odd[0]} ({role})",
                    f"{len(entered ^ wanted)} pieces",
                    f"other {kind} entered than the recipe names",
                )


def _design_faults(arm: ArmAudit, task: ReadoutTask, entries: Sequence[Entered]) -> Iterator[Found]:
    """Designs that entered, against designs put together again."""
    designs = [one for one in entries if one.role.endswith("/design")]
    if not is_one_stage(task):
        yield from _made_again(arm, task, task.design, designs)
        return
    plain = word_design(task.design)  # what is fitted, where a projection predicts
    fitted = [one for one in designs if one.role.startswith("fit/")]
    yield from _made_again(arm, task, plain, fitted)
    yield from _made_again(arm, task, task.design, [o for o in designs if o not in fitted])


def _made_again(
    arm: ArmAudit, task: ReadoutTask, design: Design, entered: Sequence[Entered]
) -> Iterator[Found]:
    stories = sorted({one.story for one in entered if one.story in task.rows})
    settings, truth = design.arm.design, arm.truth
    try:
        made = {story: truth.design(design, story, task.rows[story]) for story in stories}
    except (BrainAlignerError, KeyError, OSError) as error:
        yield Unproven("designs", arm.where, f"features could not be read ({error})")
        return
    delays = () if settings.nuisance == "alone" else settings.delays
    raw = LateRows(stories, lambda s: truth.design(design, s, task.rows[s], scaled=False))
    again = MadeAgain(made, truth.responses(arm.subject), delays or (0,), raw)
    yield from design_faults(entered, again, where=arm.where)


def _response_faults(arm: ArmAudit, heard: Sequence[Entered]) -> Iterator[Found]:
    """Responses as they were fitted, chosen on and scored, against the dataset."""
    again = arm.truth.read_again(arm.subject)
    joined = {
        f"{story}{_JOINED if arm.within else ''}": np.concatenate(
            [again.stories[story][piece.rows] for piece in pieces]
        )
        for story, pieces in tested_pieces(arm.readouts).items()
    }
    scored = [replace(one, story=f"{one.story}{_JOINED}") for one in arm.scored]
    entered = [*heard, *(scored if arm.within else arm.scored)]
    dataset = replace(again, stories={**again.stories, **joined})
    yield from entered_faults(entered, dataset, where=arm.where)


def _company_faults(arm: ArmAudit) -> Iterator[Found]:
    """Stories that were scored as one group."""
    repeated = arm.truth.repeated
    groups: dict[str, set[str]] = {}
    for one in arm._score_entries("score"):
        group, story = one.story.rsplit("/", 2)[0], one.story.rpartition("/")[2]
        groups.setdefault(group, set()).add(story)
    for group, stories in groups.items():
        mixed = stories & repeated
        if mixed and mixed != stories:
            yield _mixed(f"{arm.where}, {group}", mixed)


def _other_groups(arm: ArmAudit) -> Iterator[Found]:
    """Where the scores are not there: those of the same readouts that mixed presentations."""
    if arm.store.has(arm.scores):
        return
    for path in sorted(arm.store.folder.glob("scores/*/recipe.json")):
        content = read_json(path)
        if content["inputs"] != arm.scores.inputs:
            continue
        for group in content["settings"]["groups"]:
            mixed = arm.truth.repeated & set(group["stories"])
            if mixed and mixed != set(group["stories"]):
                yield _mixed(f"{arm.where}, {group['name']}", mixed)


def mixed_presentations(arm: ArmAudit) -> Iterator[Fault]:
    """Groups that the study declares, of repeated and single presentations together."""
    for group in arm.plan.groups_of(arm.run, arm.subject):
        stories = set(group.stories)
        mixed = arm.truth.repeated & stories
        if mixed and mixed != stories:
            yield _mixed(f"{arm.where}, {group.name}", mixed)


def _mixed(where: str, stories: Iterable[str]) -> Fault:
    return Fault(
        "mixed-presentations",
        where,
        ", ".join(sorted(stories)),
        "repeated and single presentations were scored together",
    )
