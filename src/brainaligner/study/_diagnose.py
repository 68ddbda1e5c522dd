"""The standard diagnostics of a run: those that need no scores, and those of finished ones."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial

import numpy as np

from brainaligner.core import StoryGroup
from brainaligner.evaluation import (
    Summary,
    apart_diagnostics,
    autocorrelation_diagnostic,
    ceiling_diagnostic,
    ceiling_summary,
    complete_diagnostics,
    control_diagnostic,
    edge_diagnostic,
    inner_diagnostic,
    onset_diagnostic,
    shape_diagnostics,
)
from brainaligner.study._controls import nuisance_arms, untrained_arms
from brainaligner.study._disk import read_npz
from brainaligner.study._features import ensure_features
from brainaligner.study._fitted import Ceilings, Fitted
from brainaligner.study._judged import Judged, Tables, judged
from brainaligner.study._lag_stage import judge_lags, plain_arm
from brainaligner.study._null_battery import null_battery
from brainaligner.study._null_refits import DEFAULT_REFITS, NullRefits
from brainaligner.study._null_stage import NullDraws
from brainaligner.study._null_tuning_table import tuning_null_tables
from brainaligner.study._null_verdicts import null_verdicts
from brainaligner.study._options import RunOptions
from brainaligner.study._plan import Plan
from brainaligner.study._progress import Reporter
from brainaligner.study._readout import Readout
from brainaligner.study._setup_checks import judge_readouts, judge_stories, judge_subjects
from brainaligner.study._store import Recipe, Store
from brainaligner.study._test_checks import (
    TestChecks,
    ensure_more_nulls,
    ensure_test_checks,
)

Checks = Mapping[tuple[str, str], TestChecks]


def judge_before(
    plan: Plan, *, store: Store, options: RunOptions, reporter: Reporter
) -> tuple[Judged, ...]:
    """Judge what needs no test scores: numbers 1 (by content), 5, 10, 13 and 14.

    Makes the features of plain models, which lag curves read.
    """
    prepared = plan.prepared
    stimuli = prepared.division.stimuli
    ensure_features(plan.plain_spaces(), stimuli, store=store, options=options, reporter=reporter)
    presentations = {story: prepared.dataset.presentations(story) for story in stimuli.rows}
    found = (
        *judge_subjects(prepared, store),
        *judge_stories(prepared, store),
        *judge_readouts(prepared, store),
        *judge_lags(plan, store),
        *(judged(d) for d in apart_diagnostics(prepared.division.groups, presentations)),
    )
    for one in found:
        if one.diagnostic.verdict in ("FAIL", "WARN"):
            reporter.line(verdict_line(one))
    return found


def verdict_line(one: Judged) -> str:
    """A diagnostic in one line of a log."""
    d = one.diagnostic
    return f"diagnostic {d.number} {d.verdict}, {d.name}: {d.where}: {d.figure}"


def say_edges(where: str, readouts: Sequence[Readout], reporter: Reporter) -> None:
    """Say number 8 where it warns: it needs no test scores, and comes before them."""
    found = _edge(where, readouts)
    if found.diagnostic.verdict != "PASS":
        reporter.line(verdict_line(found))


def _edge(where: str, readouts: Sequence[Readout]) -> Judged:
    edge = next((readout.edge for readout in readouts if readout.edge), None)
    recipes = [readout.recipe for readout in readouts]
    return judged(edge_diagnostic(where, readouts[0].alpha, edge), recipes)


def judge_after(
    plan: Plan, fitted: Fitted, ceilings: Ceilings, *, store: Store, reporter: Reporter
) -> tuple[tuple[Judged, ...], Tables]:
    """Judge finished scores: numbers 2, 3, 6, 7, 8, 9, 11 and 12, and the null battery."""
    checks = {
        (arm, subject): ensure_test_checks(
            plan.prepared, subject, _groups(plan, arm, subject), fit.readouts, store=store
        )
        for (arm, subject), fit in fitted.cells.items()
    }
    more: tuple[Judged, ...] = ()
    tables: Tables = ()
    if plan.prepared.config.nulls:
        more, tables = null_battery(plan, fitted, checks, store=store, reporter=reporter)
    tables = (*tables, *tuning_null_tables(plan, fitted))
    diagnostics = (
        *_null_verdicts(plan, fitted, checks, store),
        *_refit_verdicts(plan, store, reporter),
        *more,
        *_control_verdicts(plan, fitted),
        *_ceiling_verdicts(fitted, ceilings),
        *_shape_verdicts(fitted),
        *_readout_verdicts(plan, fitted),
        *_start_verdicts(plan, checks),
        *_map_verdicts(plan, checks),
    )
    return diagnostics, tables


def in_order(found: Sequence[Judged]) -> tuple[Judged, ...]:
    """Diagnostics by number, the worst first, numbers that nobody looked at among them."""
    recipes = {id(one.diagnostic): one.recipes for one in found}
    complete = complete_diagnostics(one.diagnostic for one in found)
    return tuple(Judged(d, recipes.get(id(d), ())) for d in complete)


def _groups(plan: Plan, arm: str, subject: str) -> tuple[StoryGroup, ...]:
    run = next(run for run in plan.runs if run.name == arm)
    return plan.groups_of(run, subject)


def _null_verdicts(plan: Plan, fitted: Fitted, checks: Checks, store: Store) -> Iterator[Judged]:
    """Null features through each arm's own readouts, averaged over subjects draw by draw."""
    for run in plan.runs:
        own = {subject: found for (arm, subject), found in checks.items() if arm == run.name}
        draws = {subject: found.nulls for subject, found in own.items()}
        recipes = [found.recipe for found in own.values()]
        again = partial(_more_nulls, plan, fitted, run.name, store=store)
        yield from null_verdicts(plan, f"{run.name}, as fitted", draws, recipes, again)


def _more_nulls(
    plan: Plan, fitted: Fitted, arm: str, kinds: tuple[str, ...], *, store: Store
) -> tuple[dict[str, NullDraws], list[Recipe]]:
    found = {
        subject: ensure_more_nulls(
            plan.prepared,
            subject,
            _groups(plan, arm, subject),
            fit.readouts,
            kinds=kinds,
            store=store,
        )
        for (name, subject), fit in fitted.cells.items()
        if name == arm
    }
    return {s: draws for s, (draws, _) in found.items()}, [recipe for _, recipe in found.values()]


def _refit_verdicts(plan: Plan, store: Store, reporter: Reporter) -> Iterator[Judged]:
    """Readouts that were fitted on null features of the first plain arm."""
    arm = plain_arm(plan)
    if arm is not None:
        refits = NullRefits(plan, arm, "features", DEFAULT_REFITS, store, reporter)
        yield from refits.judge(f"{arm}, fitted again")


def _summaries(fitted: Fitted, arm: str) -> dict[str, Summary]:
    """First single-presentation summary of an arm in each subject, with the fewest rows cut."""
    found: dict[str, Summary] = {}
    for (name, subject), fit in fitted.cells.items():
        single = [s for _, s in fit.scores.results if s.presentations == "single"]
        if name == arm and single:
            found[subject] = min(single, key=lambda s: s.rows_cut)
    return found


def _control_verdicts(plan: Plan, fitted: Fitted) -> Iterator[Judged]:
    config = plan.prepared.config
    controls = {"Z alone": nuisance_arms(config), "untrained": untrained_arms(config)}
    means = {run.name: {s: m.mean for s, m in _summaries(fitted, run.name).items()}
             for run in plan.runs}  # fmt: skip
    entries = {run.name: run.entry for run in plan.runs}
    of_controls = {
        f"{kind} ({name})" if len(names) > 1 else kind: means[name]
        for kind, names in controls.items()
        for name in means
        if entries[name] in names
    }
    for run in plan.runs:
        if run.entry in (*controls["Z alone"], *controls["untrained"]) or not means[run.name]:
            continue
        recipes = [fit.scores.recipe for (arm, _), fit in fitted.cells.items() if arm == run.name]
        yield judged(control_diagnostic(run.name, means[run.name], of_controls), recipes)


def _ceiling_verdicts(fitted: Fitted, ceilings: Ceilings) -> Iterator[Judged]:
    """Number 6, for each arm and repeated story; a missing ceiling is said once for all arms."""
    lacking: set[str] = set()
    for (arm, subject), fit in fitted.cells.items():
        for scores, summary in fit.scores.results:
            if summary.presentations != "repeated" or summary.rows_cut:
                continue
            where, made = f"{subject}, {summary.group}", ceilings.get((subject, summary.group))
            found = made.by_cut.get(0) if made is not None else None
            if made is not None and found is not None:
                verdict = ceiling_diagnostic(f"{arm}, {where}", ceiling_summary(scores, found))
                yield judged(verdict, [fit.scores.recipe, made.recipe])
            elif where not in lacking:
                lacking.add(where)
                yield judged(ceiling_diagnostic(where, None))


def _shape_verdicts(fitted: Fitted) -> Iterator[Judged]:
    summaries = [s for fit in fitted.cells.values() for _, s in fit.scores.results]
    for diagnostic in shape_diagnostics(summaries):
        arm = diagnostic.where.split(", ")[0]
        recipes = [fit.scores.recipe for (name, _), fit in fitted.cells.items() if name == arm]
        yield judged(diagnostic, recipes)


def _readout_verdicts(plan: Plan, fitted: Fitted) -> Iterator[Judged]:
    """Numbers 8 and 9, which the readouts' own choices decide."""
    for (arm, subject), fit in fitted.cells.items():
        recipes = [readout.recipe for readout in fit.readouts]
        where = f"{arm}, {subject}"
        yield _edge(where, fit.readouts)
        summary = _summaries(fitted, arm).get(subject)
        inner_r = [r for readout in fit.readouts for r in _inner_r(readout)]
        if summary is not None and inner_r and plan.prepared.config.scored_on == "test":
            inner = float(np.mean(inner_r))
            rows = _inner_rows(plan, arm, subject)
            diagnostic = inner_diagnostic(where, inner, summary, inner_rows=rows)
            yield judged(diagnostic, [*recipes, fit.scores.recipe])


def _inner_r(readout: Readout) -> Iterator[float]:
    """Mean r, over targets, that the chosen alphas had where they were chosen; none without."""
    kept = read_npz(readout.folder / "alpha.npz")
    if "validation_r" not in kept:  # one-stage reduced rank fits no second ridge
        return
    r, alphas, alpha = kept["validation_r"], kept["alphas"], kept["alpha"]
    if len(r) != len(alphas):  # banded: the best of each candidate share
        yield float(r.max(axis=0).mean())
        return
    chosen = np.searchsorted(alphas, alpha)
    yield float(r[chosen, np.arange(r.shape[1])].mean())


def _inner_rows(plan: Plan, arm: str, subject: str) -> int:
    task = plan.tasks[arm, subject][0]
    pieces = task.validation or task.fold.train
    return sum(len(range(task.rows[piece.story])[piece.rows]) for piece in pieces)


def _start_verdicts(plan: Plan, checks: Checks) -> Iterator[Judged]:
    """Number 11, for arms with words, on single presentations."""
    alone = nuisance_arms(plan.prepared.config)
    entries = {run.name: run.entry for run in plan.runs}
    for (arm, subject), found in checks.items():
        for group in _groups(plan, arm, subject):
            if group.presentations == "single" and entries[arm] not in alone:
                where = f"{arm}, {subject}, {group.name}"
                diagnostic = onset_diagnostic(where, found.without_start[group.name])
                yield judged(diagnostic, [found.recipe])


def _map_verdicts(plan: Plan, checks: Checks) -> Iterator[Judged]:
    """Number 12, on the first group of stories."""
    for (arm, subject), found in checks.items():
        group = _groups(plan, arm, subject)[0].name
        where = f"{arm}, {subject}, {group}"
        values = found.r[group], found.autocorrelation[group]
        yield judged(autocorrelation_diagnostic(where, *values), [found.recipe])
