"""Null refits of one arm in all subjects, and what they say."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property

from brainaligner.study._judged import Judged
from brainaligner.study._lag_stage import training_stories
from brainaligner.study._null_stage import NullDraws, NullTask, Side, ensure_null_refit
from brainaligner.study._null_verdicts import null_verdicts
from brainaligner.study._plan import Plan
from brainaligner.study._progress import Reporter
from brainaligner.study._store import Recipe, Store

DEFAULT_REFITS: tuple[str, ...] = ("other story", "noise")
"""Kinds of null features on which the first plain arm is always fitted again."""


@dataclass(frozen=True, eq=False)
class NullRefits:
    """Readouts of one arm that are fitted and tested on nulls.

    Parameters
    ----------
    plan : Plan
    arm : str
    side : {"features", "responses"}
        What is made null.
    kinds : tuple of str
    store : Store
    reporter : Reporter
    """

    plan: Plan
    arm: str
    side: Side
    kinds: tuple[str, ...]
    store: Store
    reporter: Reporter

    @cached_property
    def tasks(self) -> dict[str, NullTask]:
        """By subject."""
        return null_tasks(self.plan, self.arm, self.side, self.kinds)

    @cached_property
    def draws(self) -> dict[str, NullDraws]:
        """Mean r in each draw, by subject, group and kind."""
        return self._drawn(self.tasks)

    def judge(self, what: str) -> Iterator[Judged]:
        """Number 2 of the diagnostics for each group of stories."""
        recipes = [task.recipe for task in self.tasks.values()]
        yield from null_verdicts(self.plan, what, self.draws, recipes, self._again)

    def _again(self, kinds: tuple[str, ...]) -> tuple[dict[str, NullDraws], list[Recipe]]:
        tasks = {s: replace(task, kinds=kinds, seed=1) for s, task in self.tasks.items()}
        return self._drawn(tasks), [task.recipe for task in tasks.values()]

    def _drawn(self, tasks: dict[str, NullTask]) -> dict[str, NullDraws]:
        return {
            subject: ensure_null_refit(task, store=self.store, reporter=self.reporter)
            for subject, task in tasks.items()
        }


def null_tasks(plan: Plan, arm: str, side: Side, kinds: tuple[str, ...]) -> dict[str, NullTask]:
    """Null refits of one arm, by subject."""
    run = next(run for run in plan.runs if run.name == arm)
    train = training_stories(plan)
    return {
        subject: NullTask(
            plan.tasks[arm, subject], plan.groups_of(run, subject), train, side, kinds
        )
        for subject in plan.prepared.division.splits
    }
