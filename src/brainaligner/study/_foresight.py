"""What a study's comparisons will be able to show, said before test scores are opened."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from statistics import fmean
from typing import Any

from brainaligner.evaluation import PlannedDifference, planned_difference
from brainaligner.report import Column, RunReport, Table, Traced, recipe_anchor
from brainaligner.study._plan import Plan
from brainaligner.study._readout import readout_recipe
from brainaligner.study._record import without_nan
from brainaligner.study._store import Store
from brainaligner.study._story_scores import StoryScores, read_story_scores, story_recipe
from brainaligner.study._validation import (
    has_validation_stories,
    validation_plan,
    validation_view,
)

Cell = tuple[str, str]
"""Arm (as it runs) and subject."""

NO_STORIES = "a study that divides one story has no validation stories"
ONE_ARM = "one arm: nothing to compare"
FEW_VALIDATION = "fewer than two validation stories: they show no spread"
FEW_TEST = "fewer than two single-presentation test stories"
NOT_SCORED = (
    "validation stories are not scored yet: run the study with --validation, and plan it again"
)
_MISSING = "n/a"


@dataclass(frozen=True)
class Foresight:
    """Validation scores story by story, and what they say of comparisons on test stories.

    Parameters
    ----------
    reference : str
        The arm that all others are compared with: of those that read language models as they
        come, the one with the highest mean r on validation stories.
    cut : int
        Rows cut at each end, the fewest that the study scores.
    stories : mapping of (arm, subject) to StoryScores
    planned : mapping of (arm, subject) to PlannedDifference
    lacking : str
        Why nothing can be stated; empty where it is.
    settings : mapping of str to float
        Margin, alpha and power.
    """

    reference: str = ""
    cut: int = 0
    stories: Mapping[Cell, StoryScores] = field(default_factory=dict)
    planned: Mapping[Cell, PlannedDifference] = field(default_factory=dict)
    lacking: str = ""
    settings: Mapping[str, float] = field(default_factory=dict)


def foresee(plan: Plan, stories: Mapping[Cell, StoryScores]) -> Foresight:
    """State what the test stories of a plan can show, from scores of its validation stories.

    Parameters
    ----------
    plan : Plan
        With its test stories, whose number counts; nothing of them is read.
    stories : mapping of (arm, subject) to StoryScores
    """
    config = plan.prepared.config
    cut = min(config.evaluation.cuts)
    reference = _reference(plan, stories, cut)
    settings = asdict(config.comparison)
    planned: dict[Cell, PlannedDifference] = {}
    lacking = ONE_ARM if len(plan.runs) < 2 else "" if stories else NO_STORIES
    for (arm, subject), found in stories.items():
        n_test = _n_test_stories(plan, subject)
        other = stories[reference, subject].by_cut[cut]
        own = found.by_cut[cut]
        if arm == reference:
            continue
        if n_test < 2:
            lacking = FEW_TEST
        elif sum(math.isfinite(own[story] + other[story]) for story in own) < 2:
            lacking = FEW_VALIDATION
        else:
            made = planned_difference(own, other, n_test, settings=config.comparison)
            planned[arm, subject] = made
    return Foresight(reference, cut, stories, planned, "" if planned else lacking, settings)


def _reference(plan: Plan, stories: Mapping[Cell, StoryScores], cut: int) -> str:
    """The frozen arm that is best on validation stories, else the first arm."""
    features = plan.prepared.config.features
    means: dict[str, float] = {}
    for run in plan.runs:
        read = [features[name] for name in run.arm.read]
        own = [found.by_cut[cut] for (arm, _), found in stories.items() if arm == run.name]
        known = [r for of_stories in own for r in of_stories.values() if math.isfinite(r)]
        if read and known and all(one.tuning is None and one.seed is None for one in read):
            means[run.name] = fmean(known)
    return max(means, key=lambda name: means[name]) if means else plan.runs[0].name


def _n_test_stories(plan: Plan, subject: str) -> int:
    groups = plan.prepared.division.groups[subject]
    return sum(len(group.stories) for group in groups if group.presentations == "single")


def stored_foresight(plan: Plan, store: Store) -> Foresight:
    """The same from what an earlier run left in the store; nothing is made."""
    if not has_validation_stories(plan.prepared):
        return Foresight(lacking=NO_STORIES)
    found = _stored_stories(validation_plan(plan), store)
    return Foresight(lacking=NOT_SCORED) if found is None else foresee(plan, found)


def stored_reference(plan: Plan, store: Store) -> str:
    """The arm that others are compared with, if the store has what tells it; else the first."""
    view = validation_view(plan)
    found = None if view is None else _stored_stories(view, store)
    return _reference(plan, found or {}, min(plan.prepared.config.evaluation.cuts))


def _stored_stories(view: Plan, store: Store) -> dict[Cell, StoryScores] | None:
    """Scores of validation stories of every arm and subject; None where some are not there."""
    found: dict[Cell, StoryScores] = {}
    for cell, tasks in view.tasks.items():
        recipe = story_recipe(view, cell[1], [readout_recipe(task) for task in tasks])
        if not store.has(recipe):
            return None
        found[cell] = read_story_scores(store.path(recipe))
    return found


def foresight_record(foresight: Foresight) -> dict[str, Any]:
    """For run.json: null where there is no number."""
    found: dict[str, Any] = without_nan(
        {
            "reference": foresight.reference,
            "rows_cut": foresight.cut,
            "lacking": foresight.lacking,
            "settings": dict(foresight.settings),
            "planned": [
                {"arm": arm, "subject": subject, "resolves_margin": one.resolves_margin}
                | asdict(one)
                for (arm, subject), one in foresight.planned.items()
            ],
            "validation_stories": [
                {"arm": arm, "subject": subject, "rows_cut": cut, "recipe": found.key}
                | {"r": dict(means)}
                for (arm, subject), found in foresight.stories.items()
                for cut, means in found.by_cut.items()
            ],
        }
    )
    return found


def foresight_tables(foresight: Foresight, report: RunReport) -> list[tuple[str, Table]]:
    """Tables of a page: smallest differences; and validation stories one by one, if scored."""
    tables = []
    if foresight.planned:
        tables.append(("What the test stories can show", planned_table(foresight)))
    if report.results[0].scores.group.name == "validation":
        tables.append(("Validation stories one by one", story_table(foresight)))
    return tables


def planned_table(foresight: Foresight) -> Table:
    """One row for each arm: smallest difference from the reference in each subject."""
    subjects = list(dict.fromkeys(subject for _, subject in foresight.planned))
    arms = list(dict.fromkeys(arm for arm, _ in foresight.planned))
    names = ("spread", "found from", "equal within")
    columns = [Column(name, subject) for subject in subjects for name in names]
    rows = []
    for arm in arms:
        cells = [_planned_cells(foresight, (arm, subject)) for subject in subjects]
        rows.append((arm, f"less {foresight.reference}", *(c for found in cells for c in found)))
    head = (Column("arm"), Column("comparison"))
    title = "Smallest differences that the test stories show, stated before their scores"
    return Table(title, (*head, *columns), tuple(rows), _planned_notes(foresight))


def _planned_cells(foresight: Foresight, cell: Cell) -> tuple[str, ...]:
    one = foresight.planned.get(cell)
    if one is None:
        return _MISSING, _MISSING, _MISSING
    found = f"{one.detectable:.4f} [{one.low:.4f}, {one.high:.4f}]"
    anchor = recipe_anchor(foresight.stories[cell].key)
    texts = (f"{one.sd:.4f}", found, f"{one.shown_margin:.4f}")
    return tuple(Traced(text, anchor) for text in texts)


def _planned_notes(foresight: Foresight) -> tuple[tuple[str, str], ...]:
    first, settings = next(iter(foresight.planned.values())), foresight.settings
    margins = {s: one.margin for (_, s), one in foresight.planned.items()}
    said = ", ".join(f"{s} {m:.4f}" for s, m in margins.items() if math.isfinite(m))
    return (
        (
            "Spread",
            "standard deviation, over validation stories, of the paired difference in mean r "
            f"over targets, {foresight.cut} rows cut",
        ),
        (
            "Found from",
            f"smallest true mean difference that a two-sided paired t test over "
            f"{first.n_stories} test stories finds with power {settings['power']:g} at alpha "
            f"{settings['alpha']:g}; brackets: the same for the ends of the spread's 95 % "
            f"interval, which {first.n_seen} validation stories leave wide",
        ),
        (
            "Equal within",
            "smallest margin within which two one-sided tests show no difference with that "
            f"power, where there is none; the study's margin ({settings['margin']:.1%} of the "
            f"reference's mean r) is {said or 'not defined'}",
        ),
    )


def story_table(foresight: Foresight) -> Table:
    """One row for each arm and subject: mean r of each validation story."""
    stories = list(
        dict.fromkeys(s for one in foresight.stories.values() for s in one.by_cut[foresight.cut])
    )
    subjects = list(dict.fromkeys(subject for _, subject in foresight.stories))
    rows = [
        (arm, subject, *(_shown(one, story, foresight.cut) for story in stories))
        for wanted in subjects
        for (arm, subject), one in foresight.stories.items()
        if subject == wanted
    ]
    columns = (
        Column("arm"),
        Column("subject"),
        *(Column(s, "mean r over targets") for s in stories),
    )
    note = f"each story by itself, {foresight.cut} rows cut; these stories also chose settings"
    return Table("Validation stories, one by one", columns, tuple(rows), (("r", note),))


def _shown(one: StoryScores, story: str, cut: int) -> str:
    r = one.by_cut[cut].get(story, math.nan)
    return Traced(f"{r:.3f}", recipe_anchor(one.key)) if math.isfinite(r) else _MISSING
