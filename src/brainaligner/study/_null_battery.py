"""The null battery: every arm's null features and responses, as fitted and fitted again."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from brainaligner.core import StoryGroup
from brainaligner.evaluation import NULL_KINDS, crossed_kinds, mean_correlation, null_mean
from brainaligner.report import Column, Table
from brainaligner.study._disk import read_json, write_json
from brainaligner.study._fitted import Fit, Fitted
from brainaligner.study._judged import Judged, some_targets
from brainaligner.study._null_others import OtherTask, ensure_other_refit
from brainaligner.study._null_refits import NullRefits
from brainaligner.study._null_stage import NullDraws, Side
from brainaligner.study._null_verdicts import over_subjects
from brainaligner.study._plan import Plan
from brainaligner.study._progress import Reporter
from brainaligner.study._scoring import test_rows
from brainaligner.study._store import Recipe, Store
from brainaligner.study._test_checks import TestChecks

VERSION = 1
AS_FITTED = "as fitted"
WITHIN, OFF = "within 3 SE", "drawn again"
AGAIN: dict[str, Side] = {
    "fitted again on null features": "features",
    "fitted again on null responses": "responses",
}
FITTED_AGAIN = "fitted again"
OTHER = "another subject's responses"
_NOTES = (
    (
        "Numbers",
        "mean r over targets, mean of all draws ± its standard error; an honest readout gives 0",
    ),
    (
        "Drawn again",
        "more than 3 standard errors from 0 in these draws; number 2 of the diagnostics tells by "
        "fresh draws whether that was chance",
    ),
    (
        "Shifted",
        "moved circularly within the story by at least 30 rows (a third of a shorter story)",
    ),
    ("Reversed", "in reverse order, then moved circularly by any number of rows"),
    ("Other story", "rows of another story, from a row drawn at random"),
    ("Noise", "random phases: every column keeps its autocorrelation"),
    ("As fitted", "the readout of the table above, features replaced in the test stories"),
    (
        "Fitted again",
        "fitted, chosen and tested on the nulls, from 24 principal components of the arm's "
        "features, without Z, at no more than 200 targets",
    ),
    (
        "Another subject",
        "as fitted: predictions for one subject against the next one's responses to the same "
        "stories; fitted again: on the next one's responses, or from features tuned on its brain, "
        "and scored on the subject's own, with the same refit of its own features and responses "
        "beside it. Shown and not judged: people who hear the same story are alike where targets "
        "correspond",
    ),
)


@dataclass(frozen=True)
class NullLine:
    """One null of one arm on one group of stories.

    Parameters
    ----------
    arm, how, kind, group : str
    by_subject : mapping of subject to (mean, standard error)
    overall : (mean, standard error)
        Of draws averaged over subjects.
    found : str
        Whether the mean lies within 3 standard errors of 0, where that is asked.
    """

    arm: str
    how: str
    kind: str
    group: str
    by_subject: Mapping[str, tuple[float, float]]
    overall: tuple[float, float]
    found: str


def null_battery(
    plan: Plan,
    fitted: Fitted,
    checks: Mapping[tuple[str, str], TestChecks],
    *,
    store: Store,
    reporter: Reporter,
) -> tuple[tuple[Judged, ...], tuple[tuple[str, Table], ...]]:
    """Refit every arm on nulls; tuned arms read their own tuned features.

    Returns
    -------
    diagnostics, tables
        Number 2 for each arm, way and group; and all means in one table.
    """
    verdicts: list[Judged] = []
    lines: list[NullLine] = []
    for run in plan.runs:
        own = {subject: found for (arm, subject), found in checks.items() if arm == run.name}
        lines += _lines(run.name, AS_FITTED, {s: f.nulls for s, f in own.items()})
        for how, side in AGAIN.items() if run.arm.read else ():
            reporter.line(f"nulls, {run.name}, {how}")
            refits = NullRefits(plan, run.name, side, NULL_KINDS, store, reporter)
            lines += _lines(run.name, how, refits.draws)
            verdicts += refits.judge(f"{run.name}, {how}")
        lines += _other_subjects(plan, run.name, fitted, store)
        lines += _other_refits(plan, run.name, store) if run.arm.read else ()
    return tuple(verdicts), (("null battery", _table(plan, lines)),)


def _lines(arm: str, how: str, draws: Mapping[str, NullDraws]) -> Iterator[NullLine]:
    for group in dict.fromkeys(group for found in draws.values() for group in found):
        own = {subject: found[group] for subject, found in draws.items() if group in found}
        for kind, values in over_subjects(list(own.values())).items():
            yield NullLine(
                arm,
                how,
                kind,
                group,
                {
                    subject: null_mean(kinds[kind])
                    for subject, kinds in own.items()
                    if kind in kinds
                },
                null_mean(values),
                OFF if crossed_kinds({kind: values}) else WITHIN,
            )


def _other_subjects(plan: Plan, arm: str, fitted: Fitted, store: Store) -> Iterator[NullLine]:
    """Each subject's predictions against the next one's responses, where targets are as many."""
    subjects = tuple(plan.prepared.division.splits)
    sizes = {plan.prepared.dataset.space(subject).size for subject in subjects}
    if len(subjects) < 2 or len(sizes) > 1:
        return
    found: dict[str, dict[str, float]] = {}
    for subject, other in zip(subjects, (*subjects[1:], subjects[0]), strict=True):
        recipe = _other_recipe(plan, arm, (subject, other), fitted)
        fit = fitted.cells[arm, subject]

        def write(folder: Path, fit: Fit = fit, pair: tuple[str, str] = (subject, other)) -> None:
            write_json(folder / "r.json", _other_r(plan, arm, pair, fit))

        for group, r in read_json(store.ensure(recipe, write) / "r.json").items():
            found.setdefault(group, {})[subject] = r
    for group, by_subject in found.items():
        means = {subject: (r, math.nan) for subject, r in by_subject.items()}
        overall = null_mean(np.array(list(by_subject.values())))
        yield NullLine(arm, AS_FITTED, OTHER, group, means, overall, "not judged")


def _other_refits(plan: Plan, arm: str, store: Store) -> Iterator[NullLine]:
    """Fitted again with what belongs to the next subject; as it is beside it, to compare with."""
    found: dict[tuple[str, str], dict[str, float]] = {}
    for task in other_tasks(plan, arm):
        for how, by_group in ensure_other_refit(task, store=store).items():
            for group, r in by_group.items():
                found.setdefault((how, group), {})[task.subject] = r
    for (how, group), by_subject in found.items():
        means = {subject: (r, math.nan) for subject, r in by_subject.items()}
        overall = null_mean(np.array(list(by_subject.values())))
        yield NullLine(arm, FITTED_AGAIN, how, group, means, overall, "not judged")


def other_tasks(plan: Plan, arm: str) -> list[OtherTask]:
    """Refits with the next subject's data, one for each subject; none where there is one."""
    subjects = tuple(plan.prepared.division.splits)
    pairs = zip(subjects, (*subjects[1:], subjects[0]), strict=True)
    return [OtherTask(plan, arm, *pair) for pair in pairs] if len(subjects) > 1 else []


def _groups_of_both(plan: Plan, arm: str, pair: tuple[str, str]) -> tuple[StoryGroup, ...]:
    """Groups of the first subject, of stories that both heard in equally many rows."""
    run = next(run for run in plan.runs if run.name == arm)
    rows, heard = plan.prepared.dataset.n_rows, plan.prepared.division.splits[pair[1]].stories
    groups = []
    for group in plan.groups_of(run, pair[0]):
        both = tuple(
            s for s in group.stories if s in heard and rows(pair[0], s) == rows(pair[1], s)
        )
        if both:
            groups.append(StoryGroup(group.name, both, group.presentations))
    return tuple(groups)


def _other_recipe(plan: Plan, arm: str, pair: tuple[str, str], fitted: Fitted) -> Recipe:
    groups = _groups_of_both(plan, arm, pair)
    readouts = fitted.cells[arm, pair[0]].readouts
    inputs = {f"readout/{i}": readout.recipe.key for i, readout in enumerate(readouts)}
    stories = sorted({story for group in groups for story in group.stories})
    digests = plan.prepared.digests[pair[1]]
    responses = {f"responses/{story}": digests[story] for story in stories}
    settings = {"groups": [[group.name, *group.stories] for group in groups]}
    return Recipe("other_subject", VERSION, settings, inputs | responses)


def _other_r(plan: Plan, arm: str, pair: tuple[str, str], fit: Fit) -> dict[str, float]:
    groups = _groups_of_both(plan, arm, pair)
    prepared, scored = plan.prepared, {s for group in groups for s in group.stories}
    predictions, _, _ = test_rows(prepared, pair[0], scored, fit.readouts)
    _, responses, _ = test_rows(prepared, pair[1], scored, fit.readouts)
    targets = some_targets(prepared.dataset.space(pair[0]).size)
    return {
        group.name: mean_correlation(
            [predictions[story][:, targets] for story in group.stories],
            [responses[story][:, targets] for story in group.stories],
        )
        for group in groups
    }


def _table(plan: Plan, lines: Sequence[NullLine]) -> Table:
    subjects = tuple(plan.prepared.division.splits)
    columns = (
        Column("null"),
        Column("stories"),
        *(Column("mean r", subject) for subject in subjects),
        Column("mean r", "all subjects"),
        Column("of 0", "all subjects"),
    )
    groups = dict.fromkeys(line.group for line in lines)
    rows = tuple(
        (
            f"{line.arm}, {line.how}: {line.kind}",
            line.group,
            *(_cell(line.by_subject.get(subject)) for subject in subjects),
            _cell(line.overall),
            line.found,
        )
        for group in groups
        for line in lines
        if line.group == group
    )
    return Table("Null battery: what readouts score that can know nothing", columns, rows, _NOTES)


def _cell(found: tuple[float, float] | None) -> str:
    if found is None or not math.isfinite(found[0]):
        return "n/a"
    error = f" ± {found[1]:.4f}" if math.isfinite(found[1]) else ""
    return f"{found[0]:+.4f}{error}"
