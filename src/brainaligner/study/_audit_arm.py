"""What entered the readouts and scores of one arm in one subject, against what should have."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from brainaligner.core import BrainAlignerError, Piece, WithinStorySplit
from brainaligner.evaluation import (
    Entered,
    Fault,
    MadeAgain,
    Unproven,
    design_faults,
    entered_faults,
    overlap_faults,
)
from brainaligner.study._arms import ArmRun
from brainaligner.study._audit_projection_rows import projection_entries, projection_row_faults
from brainaligner.study._audit_truth import LateRows, Truth
from brainaligner.study._audit_witness import Found, settings_faults, witness_found
from brainaligner.study._designs import Design, word_design
from brainaligner.study._disk import npz_names, read_array, read_json, read_npz
from brainaligner.study._plan import Plan
from brainaligner.study._projected import ProjectedDesign
from brainaligner.study._readout import PREDICTIONS, Readout, ReadoutTask, readout_recipe
from brainaligner.study._scoring import score_recipe
from brainaligner.study._store import Recipe, Store
from brainaligner.study._witness import KEPT_TARGETS, sampled

_JOINED = ", parts that were scored"


@dataclass(frozen=True, eq=False)
class ArmAudit:
    """One arm in one subject, as it lies in the store.

    Parameters
    ----------
    plan : Plan
    run : ArmRun
    subject : str
    store : Store
    truth : Truth
    """

    plan: Plan
    run: ArmRun
    subject: str
    store: Store
    truth: Truth

    @property
    def where(self) -> str:
        """For people."""
        return f"{self.run.name}, {self.subject}"

    @property
    def tasks(self) -> tuple[ReadoutTask, ...]:
        """One for each fold."""
        return self.plan.tasks[self.run.name, self.subject]

    @property
    def within(self) -> bool:
        """Whether the study divides one story."""
        return isinstance(self.plan.prepared.division.splits[self.subject], WithinStorySplit)

    @cached_property
    def readouts(self) -> tuple[Readout, ...]:
        """Where the readouts lie."""
        recipes = [readout_recipe(task) for task in self.tasks]
        return tuple(
            Readout(recipe, self.store.path(recipe), task.fold.test, "", None, {})
            for recipe, task in zip(recipes, self.tasks, strict=True)
        )

    @cached_property
    def scores(self) -> Recipe:
        """The recipe of the scores."""
        groups = self.plan.groups_of(self.run, self.subject)
        return score_recipe(self.plan.prepared, self.subject, groups, self.readouts)

    @cached_property
    def scored(self) -> tuple[Entered, ...]:
        """Responses as they were scored, longest rows of each story, cut or not."""
        kept: dict[str, Entered] = {}
        for one in self._score_entries("score"):
            story = one.story.split("/cut")[0] + one.story.rpartition("/")[2]
            if story not in kept or len(one.values) > len(kept[story].values):
                kept[story] = replace(one, story=one.story.rpartition("/")[2], start=_cut(one))
        return tuple(kept.values())

    def scored_of(self, readout: Readout) -> tuple[Entered, ...]:
        """The same, of the rows that one readout predicted."""
        tested, found = tested_pieces(self.readouts), []
        for one in self.scored:
            first = 0
            for piece in tested.get(one.story, ()):
                rows = self.truth.responses(self.subject)[one.story][piece.rows]
                last = first + len(rows)
                inside = slice(max(0, first - one.start), max(0, last - one.start))
                if piece in readout.pieces:
                    found.append(replace(one, values=one.values[inside]))
                first = last
        return tuple(one for one in found if len(one.values))

    @property
    def columns(self) -> range:
        """Targets that witnesses keep."""
        return sampled(self.plan.prepared.dataset.n_columns(self.subject), KEPT_TARGETS)

    def fit(self, i: int) -> dict[str, np.ndarray]:
        """Penalties of a readout, and what chose them."""
        return read_npz(self.readouts[i].folder / "alpha.npz")

    @cached_property
    def predicted(self) -> tuple[dict[Piece, np.ndarray], ...]:
        """What each readout left, at `columns`; pieces that have fewer columns are left out."""
        return tuple(
            sampled_predictions(readout, self.columns) if self.store.has(readout.recipe) else {}
            for readout in self.readouts
        )

    def forget(self) -> None:
        """Give back the memory."""
        for name in ("predicted", "scored"):
            self.__dict__.pop(name, None)

    def _score_entries(self, role: str) -> list[Entered]:
        seen = self.truth.witness(self.store.path(self.scores))
        return [one for one in (seen[0] if seen else ()) if one.role == f"{role}/responses"]


def _cut(one: Entered) -> int:
    """Rows cut at each end, as the place of a witness's entry says: ``group/cut5/story``."""
    return int(one.story.rsplit("/", 2)[-2].removeprefix("cut"))


def arm_faults(arm: ArmAudit) -> Iterator[Found]:
    """Judge the readouts and scores of one arm in one subject."""
    lacking = [witness_found(arm.store, r.recipe, arm.where) for r in arm.readouts]
    lacking.append(witness_found(arm.store, arm.scores, arm.where))
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
        yield from overlap_faults(scored, responses, where=arm.where, within=arm.within)
        yield from _design_faults(arm, task, entries)
    yield from _response_faults(arm, heard)
    yield from _company_faults(arm)


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


def is_one_stage(task: ReadoutTask) -> bool:
    """Whether an arm predicts by a reduced-rank regression alone."""
    reduced = task.design.arm.reduced_rank
    return reduced is not None and reduced.form == "one-stage"


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


def tested_pieces(readouts: Sequence[Readout]) -> dict[str, list[Piece]]:
    """All pieces that readouts predict, by story, in the order of their rows."""
    pieces: dict[str, list[Piece]] = {}
    for readout in readouts:
        for piece in readout.pieces:
            pieces.setdefault(piece.story, []).append(piece)
    return {story: sorted(found, key=lambda p: p.start) for story, found in pieces.items()}


def sampled_predictions(readout: Readout, columns: range) -> dict[Piece, np.ndarray]:
    """Stored predictions of each piece at some targets, one block of targets at a time."""
    path, found = readout.folder / PREDICTIONS, {}
    names = sorted(npz_names(path))
    for i, piece in enumerate(readout.pieces):
        blocks, first = [], 0
        for name in (name for name in names if name.startswith(f"piece{i}/")):
            values = read_array(path, name)
            inside = [c - first for c in columns if first <= c < first + values.shape[1]]
            blocks.append(values[:, inside])
            first += values.shape[1]
        if blocks and first > columns[-1]:
            found[piece] = np.concatenate(blocks, axis=1)
    return found
