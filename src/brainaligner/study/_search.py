"""A search: trial after trial on validation stories, the next one suggested by those before."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from brainaligner.core import BrainAlignerError, InputError
from brainaligner.study._disk import writing_to
from brainaligner.study._options import RunOptions
from brainaligner.study._pricing import price
from brainaligner.study._pricing_checks import costs_after, costs_before
from brainaligner.study._pricing_tunings import PricedStage
from brainaligner.study._progress import reporting
from brainaligner.study._search_checks import Checked, check_search
from brainaligner.study._search_files import Found, trial_line, write_found
from brainaligner.study._search_journal import open_journal, tuner
from brainaligner.study._search_space import Values
from brainaligner.study._search_trial import Bench, Search, TrialScore, open_bench
from brainaligner.study._search_tuner import Asked, Journal
from brainaligner.study._speed import Speed, measured_speed
from brainaligner.study._validation import scored_plan

LOG = "search.log"
MOST_FAILURES = 3


def run_search(search: Search, options: RunOptions, *, trials: int) -> Found:
    """Run a search until a number of trials is over, those of earlier calls among them.

    Each trial runs the arm on validation stories through the store of `options.out`, so that
    what trials share is made once. No response to a test story is read.

    Parameters
    ----------
    search : Search
    options : RunOptions
    trials : int
        Finished and failed ones together.

    Returns
    -------
    Found
        With the files search.json, search.tsv and best.yaml in the folder of the study.

    Raises
    ------
    InputError
        For whatever can be refused before any trial, and for a journal of another search.
    BrainAlignerError
        If three trials fail one after the other, or none finishes.
    """
    check_trials(trials)
    tuner()
    with reporting() as reporter:
        bench = open_bench(search, options, reporter)
        checked = check_search(bench)
    folder = options.out / search.config({}).name
    with writing_to(folder):
        folder.mkdir(parents=True, exist_ok=True)
        bench.store.open()
    with (
        open_journal(folder, search.space, search.seed, checked.identity) as journal,
        reporting(folder / LOG) as reporter,
    ):
        for warning in checked.warnings:
            reporter.line(f"WARNING {warning}")
        begun = Found(search, folder, trials, checked.warnings, journal.trials())
        for found in _searched(replace(bench, reporter=reporter), journal, begun):
            write_found(found)
        bench.store.drop_shared()
    if found.best is None:
        raise BrainAlignerError(f"{folder}: no trial finished; search.tsv says why.")
    return found


def check_trials(trials: int) -> None:
    """Refuse to search without any trial."""
    if trials < 1:
        raise InputError("--trials", got=str(trials), wanted="1 or more", do="Correct it.")


def _searched(bench: Bench, journal: Journal, found: Found) -> Iterator[Found]:
    """What is there at the start, and after each trial."""
    yield found
    failures = 0
    while len(found.trials) < found.wanted and failures < MOST_FAILURES:
        asked = journal.ask()
        if asked is None:
            bench.reporter.line(f"all {bench.search.space.size} combinations were tried")
            return
        _run(bench, journal, asked)
        found = replace(found, trials=journal.trials())
        bench.reporter.line(trial_line(found, found.trials[-1]))
        failures = failures + 1 if found.trials[-1].mean is None else 0
        yield found
    if failures == MOST_FAILURES:
        raise BrainAlignerError(
            f"{found.folder}: {failures} trials failed one after the other, the last one with: "
            f"{found.trials[-1].reason} Correct the space or the study; the same command tries "
            "further ones."
        )


def _run(bench: Bench, journal: Journal, asked: Asked) -> None:
    started = time.monotonic()
    score = _score(bench, asked.values)
    seconds = round(time.monotonic() - started, 3)
    if isinstance(score, str):
        journal.fail(asked, score, seconds)
    else:
        journal.finish(asked, score, seconds)


def _score(bench: Bench, values: Values) -> TrialScore | str:
    """Scores of a trial, or why it has none.

    A full disk or a damaged artifact ends the search: the trial is not at fault, and is tried
    again by the next call.
    """
    try:
        plan = bench.plan(values)
    except BrainAlignerError as error:
        return _reason(error)
    bench.check_space(plan)
    try:
        score = bench.score(plan)
    except Exception as error:
        if not isinstance(error, _faults_of_settings()):
            raise
        return _reason(error)
    return score if math.isfinite(score.mean) else "mean r is not a number"


def _reason(error: Exception) -> str:
    if error.__cause__ is not None:
        raise error
    return f"{type(error).__name__}: {' '.join(str(error).split())}"


def _faults_of_settings() -> tuple[type[Exception], ...]:
    """Errors, the libraries' among them, that a setting can bring about."""
    import torch

    singular = torch.linalg.LinAlgError, np.linalg.LinAlgError  # type: ignore[attr-defined]
    return BrainAlignerError, MemoryError, ArithmeticError, torch.OutOfMemoryError, *singular


@dataclass(frozen=True, eq=False)
class SearchPlan:
    """What a search would take.

    Parameters
    ----------
    checked : Checked
    stages : tuple of PricedStage
        Of one trial with the study's own settings.
    speed : Speed
    """

    checked: Checked
    stages: tuple[PricedStage, ...]
    speed: Speed


def plan_search(search: Search, options: RunOptions) -> SearchPlan:
    """Check a search and price one of its trials; no trial is run.

    Nothing is made but the tree of a simulated study, whose stories have to be there.

    Raises
    ------
    InputError
        As `run_search`.
    """
    with reporting() as reporter:
        bench = open_bench(search, options, reporter)
        checked = check_search(bench)
    plan = scored_plan(checked.plan)
    checks = {
        cost.recipe.stage for cost in (*costs_before(plan), *costs_after(plan, plan.runs[0].name))
    }
    stages = tuple(one for one in price(plan, bench.store) if one.stage not in checks)
    return SearchPlan(checked, stages, measured_speed(stages, options.device))
