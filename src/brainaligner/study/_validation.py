"""A study on its validation stories: the same fits, and no response to a test story read."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from brainaligner.core import InputError, Split, StoryGroup, ValidationSplit
from brainaligner.study._config import StudyConfig
from brainaligner.study._listeners import listener_tasks
from brainaligner.study._readout import ReadoutTask

if TYPE_CHECKING:
    from brainaligner.study._plan import Plan
    from brainaligner.study._prepare import Prepared


def validation_study(config: StudyConfig) -> StudyConfig:
    """Return the study that scores validation stories alone, named ``<name>-validation``.

    Raises
    ------
    InputError
        If the study confirms another one: that has to score test stories.
    """
    if config.scored_on == "validation":
        return config
    if config.confirms is not None:
        raise InputError(
            f"study {config.name!r}, --validation",
            got=f"a confirmation of {config.confirms!r}",
            wanted="a study that is not final yet",
            do="Leave --validation out.",
        )
    return replace(
        config,
        name=f"{config.name}-validation",
        title=f"{config.title or config.name}: validation stories",
        scored_on="validation",
    )


def has_validation_stories(prepared: Prepared) -> bool:
    """Whether whole stories choose settings: not where parts of one story are divided."""
    return all(isinstance(split, Split) for split in prepared.division.splits.values())


def scored_plan(plan: Plan) -> Plan:
    """What a study scores: its plan, or that of its validation stories."""
    if plan.prepared.config.scored_on == "test":
        return plan
    return validation_plan(plan)


def validation_view(plan: Plan) -> Plan | None:
    """What arms are compared on before scores open; None where there is nothing to compare.

    It is the plan itself where validation stories are what is scored.
    """
    if plan.prepared.config.scored_on == "validation":
        return plan
    if len(plan.runs) < 2 or not has_validation_stories(plan.prepared):
        return None
    return validation_plan(plan)


def validation_plan(plan: Plan) -> Plan:
    """Lay out the same arms with the stories that choose settings in place of the test stories.

    Features, tunings, projections and decompositions are those of the plan.

    Parameters
    ----------
    plan : Plan
        Of a study that divides whole stories.
    """
    division = plan.prepared.division
    prepared = replace(
        plan.prepared,
        division=replace(
            division,
            splits={s: _validation_split(split) for s, split in division.splits.items()},
            groups=validation_groups(plan.prepared),
        ),
    )
    tasks = {
        place: tuple(_task(task, prepared) for task in tasks) for place, tasks in plan.tasks.items()
    }
    return replace(plan, prepared=prepared, tasks=tasks, listeners=listener_tasks(prepared))


def _validation_split(split: object) -> ValidationSplit:
    assert isinstance(split, Split)
    return ValidationSplit.of(split)


def _task(task: ReadoutTask, prepared: Prepared) -> ReadoutTask:
    fold = replace(task.fold, test=task.fold.validation)
    return replace(task, prepared=prepared, fold=fold)


def validation_groups(prepared: Prepared) -> dict[str, tuple[StoryGroup, ...]]:
    """Validation stories of each subject, single presentations and repeated ones apart."""
    found = {}
    for subject, split in prepared.division.splits.items():
        stories = split.folds[0].validation
        single = tuple(p.story for p in stories if prepared.dataset.presentations(p.story) == 1)
        groups = [StoryGroup("validation", single)] if single else []
        groups += [
            StoryGroup(p.story, (p.story,), "repeated") for p in stories if p.story not in single
        ]
        found[subject] = tuple(groups)
    return found
