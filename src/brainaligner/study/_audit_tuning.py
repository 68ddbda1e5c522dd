"""What entered tunings, heads and brain encoders, against what should have."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial

import numpy as np

from brainaligner.core import Piece, text_hashes
from brainaligner.evaluation import (
    FEWEST_EQUAL,
    MOST_SHARED,
    Entered,
    Fault,
    Unproven,
    entered_faults,
    fewest_near,
    near_rows,
    row_sources,
    shared_words,
)
from brainaligner.study._audit_arm import ArmAudit
from brainaligner.study._audit_brain import encoder_faults
from brainaligner.study._audit_witness import Found, artifact, settings_faults, witness_found
from brainaligner.study._brain_task import BrainTask
from brainaligner.study._disk import read_array
from brainaligner.study._store import Recipe
from brainaligner.study._tuning_task import TuningTask
from brainaligner.study._witness import KEPT_COLUMNS, sampled

SELECTING = ("encoding_selection", "high_ev", "split_half_reliability")


def tuning_faults(arm: ArmAudit, *, thorough: bool = False) -> Iterator[Found]:
    """Judge all tunings that an arm reads in a subject."""
    yield from plain_protocol(arm)
    scored = sorted({piece.story for piece in _scored_pieces(arm)})
    for task, _ in arm.plan.tunings_of(arm.run, arm.subject):
        found = arm.truth.findings(
            f"tuning/{arm.subject}/{task.words}/{task.recipe.key}/{scored}",
            partial(_task_faults, arm, task, thorough=thorough),
        )
        yield from (replace(one, where=f"{arm.where}, {one.where}") for one in found)


def _task_faults(arm: ArmAudit, task: TuningTask, *, thorough: bool) -> Iterator[Found]:
    """One tuning, once for all arms that read it and are scored on the same stories."""
    where = task.words
    for recipe in _own_recipes(task):
        yield from _text_faults(arm, task, recipe, where)
    for brain in task.brains:
        place = where if task.objectives is None else f"{where}, {brain.subject}"
        yield from _vector_faults(arm, task, brain, place)
        yield from _brain_faults(arm, brain, place)
        yield from encoder_faults(arm, brain, f"{place}: brain", thorough=thorough)


def _own_recipes(task: TuningTask) -> tuple[Recipe, ...]:
    """Of the head, where tokens are predicted, and of the tuning."""
    return (task.head_recipe, task.recipe) if task.needs_head else (task.recipe,)


def plain_protocol(arm: ArmAudit) -> Iterator[Fault]:
    """Say what was tuned or projected on responses that the ridge is fitted on.

    Cross-fitted arms are left out: each story's rows come from a model that never saw it.
    """
    for task, _ in arm.plan.tunings_of(arm.run, arm.subject):
        if task.brains and task.division.fold is None:
            yield Fault(
                "not-cross-fitted",
                f"{arm.where}, {task.words}",
                f"{len(task.division.stories)} stories",
                "tuned on responses to stories that the ridge is fitted on",
            )
    reduced = arm.run.arm.reduced_rank
    if reduced is not None and reduced.form == "two-stage" and reduced.cross_fit is None:
        yield Fault(
            "not-cross-fitted",
            arm.where,
            "two stages",
            "the projection is fitted to the responses that the ridge is fitted to",
        )


def tuning_recipes(arm: ArmAudit) -> list[Recipe]:
    """Recipes of all that the arm's tunings come from."""
    found = []
    for task, spaces in arm.plan.tunings_of(arm.run, arm.subject):
        found += [*_own_recipes(task), *(space.recipe for space in spaces)]
        found += [brain.recipe for brain in task.brains]
    return found


def _entries(arm: ArmAudit, recipe: Recipe, where: str) -> tuple[Sequence[Entered], list[Found]]:
    lacking = witness_found(arm.store, recipe, where, arm.truth.witness)
    seen = arm.truth.witness(arm.store.path(recipe)) if lacking is None else None
    return (() if seen is None else seen[0]), ([] if lacking is None else [lacking])


def _text_faults(arm: ArmAudit, task: TuningTask, recipe: Recipe, where: str) -> Iterator[Found]:
    """Words that were tuned on: those of the division, and none of a scored story."""
    entries, lacking = _entries(arm, recipe, where)
    yield from lacking
    declared: object = task.objectives or task.settings
    if recipe.stage == "head":
        declared = task.config.head.settings
    yield from settings_faults(entries, declared, f"{where}: {recipe.stage}")
    scored = {piece.story for piece in _scored_pieces(arm)}
    tested = {story: arm.truth.words[story] for story in scored if story in arm.truth.words}
    for role, side in (("fit", task.division.train), ("choose", task.division.validation)):
        words = {one.story: one.values for one in entries if one.role == f"{role}/words"}
        name = "test-text-in-tuning" if role == "fit" else "chosen-on-test"
        renamed = {f"{story} ({role})": values for story, values in words.items()}
        for story, (other, share) in shared_words(tested, renamed).items():
            if share > MOST_SHARED:
                yield Fault(
                    name,
                    f"{where}: {recipe.stage}",
                    f"{share:.0%} of its words",
                    f"words of the scored story {story} entered as {other}",
                )
        texts = {one.story: one.values for one in entries if one.role == f"{role}/texts"}
        if texts:
            yield from _expected_texts(task, texts, side, f"{where}: {recipe.stage}")


def _expected_texts(
    task: TuningTask, texts: Mapping[str, np.ndarray], side: Sequence[str], where: str
) -> Iterator[Found]:
    if set(texts) != set(side):
        yield Fault(
            "lineage-differs",
            where,
            f"{len(set(texts) ^ set(side))} stories",
            "other stories entered than the recipe names",
        )
        return
    wanted = task.texts(side)
    for story, rows in wanted.items():
        hashes = text_hashes(f"{len(row.context)} {row.text}" for row in rows)
        if not np.array_equal(hashes, texts[story]):
            yield Fault(
                "lineage-differs",
                f"{where}, {story}",
                f"{len(texts[story])} texts",
                "texts that entered are not the story's",
            )


def _vector_faults(
    arm: ArmAudit, task: TuningTask, brain: BrainTask, where: str
) -> Iterator[Found]:
    """Brain vectors that were tuned on, against those that the encoder left."""
    entries, _ = _entries(arm, task.recipe, where)
    path = artifact(arm.store, brain.recipe, "vectors.npz")
    if path is None:
        yield Unproven("brain-vectors", where, "the encoder's vectors are not in the store")
        return
    for one in entries:
        end = "/vectors" if task.objectives is None else f"/{brain.subject}/vectors"
        if not one.role.endswith(end):
            continue
        if one.story not in task.division.stories:
            yield Fault(
                "lineage-differs",
                f"{where}, {one.story}",
                "brain vectors",
                "the tuning read a story that its recipe does not name",
            )
            continue
        whole = read_array(path, one.story)
        expected = whole[:, list(sampled(whole.shape[1], KEPT_COLUMNS))]
        if not np.array_equal(expected.astype(np.float32), one.values):
            yield Fault(
                "lineage-differs",
                f"{where}, {one.story}",
                "brain vectors",
                "vectors that entered are not those that the encoder gave",
            )


def _brain_faults(arm: ArmAudit, brain: BrainTask, where: str) -> Iterator[Found]:
    """Responses that an encoder read: the dataset's, and none of a scored story."""
    entries, lacking = _entries(arm, brain.recipe, where)
    yield from lacking
    settings = brain.config.encoder or brain.config.brainlm
    yield from settings_faults(entries, settings, f"{where}: brain")
    read = [one for one in entries if one.role.startswith("brain") and one.values.ndim == 2]
    responses = [one for one in read if one.role == "brain/responses"]
    if brain.source in arm.truth.subjects:
        again = arm.truth.read_again(brain.source)
        known = [one for one in responses if np.isfinite(one.values).all(axis=0).any()]
        yield from entered_faults(known, again, where=f"{where}: brain")
    name = "chosen-on-test" if brain.config.kind in SELECTING else "test-story-in-tuning"
    scored = {piece.story for piece in _scored_pieces(arm)}
    for story in sorted({one.story for one in read} & scored):
        yield Fault(
            name,
            f"{where}: brain, {story}",
            brain.config.kind,
            "the encoder read the responses to a scored story",
        )
    undeclared = {one.story for one in read} - {*brain.division.stories, *brain.repeated}
    if undeclared - scored:
        yield Fault(
            "lineage-differs",
            f"{where}: brain",
            ", ".join(sorted(undeclared)),
            "the encoder read stories that its recipe does not name",
        )
    yield from _renamed_faults(arm, [o for o in responses if o.story not in scored], name, where)


def _renamed_faults(
    arm: ArmAudit, read: Sequence[Entered], name: str, where: str
) -> Iterator[Found]:
    """Scored rows among what an encoder read under other names."""
    whole = [one.values for one in read if np.isfinite(one.values).all()]
    truth = arm.truth.responses(arm.subject)
    tested = {p.story: truth[p.story] for p in _scored_pieces(arm)}
    if not whole or not tested or whole[0].shape[1] != next(iter(tested.values())).shape[1]:
        return
    for story, rows in tested.items():
        equal = sum(map(bool, row_sources(rows, {str(i): v for i, v in enumerate(whole)})[0]))
        near = near_rows([rows], whole).found
        if equal >= FEWEST_EQUAL or near >= fewest_near(len(rows)):
            yield Fault(
                name,
                f"{where}: brain, {story}",
                f"{max(equal, near)} rows",
                "the encoder read rows of a scored story under another name",
            )


def _scored_pieces(arm: ArmAudit) -> list[Piece]:
    groups = {s for group in arm.plan.groups_of(arm.run, arm.subject) for s in group.stories}
    return [p for readout in arm.readouts for p in readout.pieces if p.story in groups]
