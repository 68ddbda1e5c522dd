"""Stage ``contrast``: an arm less the reference arm, over all stories, by story and by target."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import TypeAdapter

from brainaligner.core import Piece, StoryGroup
from brainaligner.evaluation import Interval, compare_arms, paired_moments, story_means
from brainaligner.report import Difference
from brainaligner.study._arms import ArmRun
from brainaligner.study._compare import StoredRows
from brainaligner.study._disk import read_json, read_npz, reading_artifact, write_json, write_npz
from brainaligner.study._lineage import entries, lineage
from brainaligner.study._plan import Plan
from brainaligner.study._progress import Reporter
from brainaligner.study._readout import readout_recipe
from brainaligner.study._record import without_nan
from brainaligner.study._settings import plain
from brainaligner.study._store import Recipe, Store

VERSION = 2
Q_BOUND = 0.05
"""Rate of false discoveries where the study tests no target."""
_INTERVAL = TypeAdapter(Interval)


@dataclass(frozen=True, eq=False)
class ContrastTask:
    """One arm beside the reference arm in one subject, on one group of stories.

    Parameters
    ----------
    plan : Plan
    run, reference : ArmRun
    subject : str
    group : StoryGroup
    cut : int
        Rows dropped at each end of each story.
    """

    plan: Plan
    run: ArmRun
    reference: ArmRun
    subject: str
    group: StoryGroup
    cut: int

    @cached_property
    def recipe(self) -> Recipe:
        """Predictions of both arms, and the responses to the stories."""
        prepared, tasks = self.plan.prepared, self.plan.tasks
        evaluation, digests = prepared.config.evaluation, prepared.digests[self.subject]
        settings = {
            "group": [self.group.name, *self.group.stories],
            "cut": self.cut,
            "n_bootstrap": evaluation.n_bootstrap,
            "level": evaluation.level,
            "seed": evaluation.seed,
            "comparison": plain(prepared.config.comparison),
        }
        inputs = {f"responses/{story}": digests[story] for story in sorted(self.group.stories)}
        for role, run in (("readout", self.run), ("reference", self.reference)):
            of_run = tasks[run.name, self.subject]
            inputs |= {f"{role}/{i}": readout_recipe(task).key for i, task in enumerate(of_run)}
        of = lineage(scored_on=entries(prepared, self.subject, self._pieces()))
        return Recipe("contrast", VERSION, settings, inputs, of)

    def _pieces(self) -> list[Piece]:
        tasks = self.plan.tasks[self.run.name, self.subject]
        return [p for task in tasks for p in task.fold.test if p.story in self.group.stories]


def contrast_tasks(plan: Plan, reference: str) -> Iterator[ContrastTask]:
    """Each arm but the reference, in each subject, on the group that a page shows first.

    Parameters
    ----------
    plan : Plan
    reference : str
        Name of the arm as it runs.
    """
    cut = min(plan.prepared.config.evaluation.cuts)
    first = next(run for run in plan.runs if run.name == reference)
    for run in plan.runs:
        for subject in plan.prepared.division.splits:
            groups = plan.groups_of(first, subject)
            single = [group for group in groups if group.presentations == "single"]
            group = (*single, *groups)[0]
            if run.name != reference and group in plan.groups_of(run, subject):
                yield ContrastTask(plan, run, first, subject, group, cut)


def ensure_contrasts(
    plan: Plan, reference: str, *, store: Store, reporter: Reporter
) -> tuple[Difference, ...]:
    """Compare arms with the reference where that has not been done yet; readouts are there."""
    tasks, found = list(contrast_tasks(plan, reference)), []
    for done, task in enumerate(tasks, start=1):
        folder = store.ensure(task.recipe, partial(write_contrast, task=task, store=store))
        found.append(read_contrast(folder, task))
        reporter("contrast", done, len(tasks))
    return tuple(found)


def write_contrast(folder: Path, task: ContrastTask, store: Store) -> None:
    """Compare both arms and write the artifact."""
    rows = StoredRows(task.plan, store, task.subject, task.group.name)
    runs = (task.reference, task.run)
    of_stories: dict[str, dict[str, float]] = {}
    moments = paired_moments(
        [partial(_seen_sides, rows, run, task, of_stories) for run in runs], cut=task.cut
    )
    config = task.plan.prepared.config
    (found,) = compare_arms(
        {run.name: [one] for run, one in zip(runs, moments, strict=True)},
        settings=config.comparison,
        evaluation=config.evaluation,
    )
    reference, arm = (of_stories[run.name] for run in runs)
    facts = {
        "difference": found.difference,
        "interval": asdict(found.interval),
        "stories": {story: [reference[story], r] for story, r in arm.items()},
    }
    write_json(folder / "contrast.json", facts)
    tests = found.targets
    write_npz(folder / "targets.npz", {"difference": tests.difference, "q_bh": tests.q_bh})


def _seen_sides(
    rows: StoredRows, run: ArmRun, task: ContrastTask, of_stories: dict[str, dict[str, float]]
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Both sides of an arm; mean r of each story goes into `of_stories` while they are at hand."""
    predicted, measured = rows.sides(run)
    if run.name not in of_stories:
        stories = zip(task.group.stories, predicted, measured, strict=True)
        of_stories[run.name] = {story: _story_mean(p, y, task.cut) for story, p, y in stories}
    return predicted, measured


def _story_mean(predicted: np.ndarray, measured: np.ndarray, cut: int) -> float:
    """Mean r over targets; NaN where the cut leaves too few rows."""
    if len(measured) <= 2 * cut + 2:
        return math.nan
    return story_means([predicted], [measured], cut=cut)[0]


def read_contrast(folder: Path, task: ContrastTask) -> Difference:
    """Read the artifact."""
    facts, arrays = read_json(folder / "contrast.json"), read_npz(folder / "targets.npz")
    tested = task.plan.prepared.config.significance
    with reading_artifact(folder / "contrast.json"):
        return Difference(
            task.run.name,
            task.reference.name,
            task.subject,
            task.group.name,
            task.cut,
            float(facts["difference"]),
            _INTERVAL.validate_python(facts["interval"]),
            arrays["difference"],
            arrays["q_bh"],
            Q_BOUND if tested is None else tested.q,
            {story: (float(pair[0]), float(pair[1])) for story, pair in facts["stories"].items()},
            task.recipe.key,
        )


def contrast_record(one: Difference) -> dict[str, Any]:
    """For run.json: null where there is no number."""
    facts = {**one.facts, "direction": one.direction, "recipe": one.key}
    return {name: without_nan(value) for name, value in facts.items()}
