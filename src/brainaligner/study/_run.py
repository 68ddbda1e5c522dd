"""Running a study: everything is checked, then stage after stage is made or found."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

from brainaligner.core import InputError
from brainaligner.study._audit import Auditor
from brainaligner.study._audit_words import audit_diagnostics
from brainaligner.study._ceiling_stage import ensure_ceilings
from brainaligner.study._config import StudyConfig
from brainaligner.study._contrasts import ensure_contrasts
from brainaligner.study._controls import with_controls
from brainaligner.study._dataset_config import STORE
from brainaligner.study._diagnose import in_order, judge_after, judge_before, say_edges
from brainaligner.study._disk import check_free_space, writing_to
from brainaligner.study._fits import Fits
from brainaligner.study._fitted import Ceilings, Fitted
from brainaligner.study._flatmap_stage import ensure_flatmaps
from brainaligner.study._foresight import foresee, foresight_record
from brainaligner.study._job import join_job
from brainaligner.study._judged import Looks, judged
from brainaligner.study._lay_out import refuse_simulation
from brainaligner.study._ledger import looks_at, record_opening, seen_by
from brainaligner.study._options import RunOptions
from brainaligner.study._outputs import write_outputs
from brainaligner.study._plan import Plan, make_plan
from brainaligner.study._prepare import (
    Prepared,
    data_folder,
    model_infos,
    open_study_dataset,
    prepare,
)
from brainaligner.study._pricing import bytes_needed, price
from brainaligner.study._progress import Reporter, SilentReporter, reporting
from brainaligner.study._run_report import known_findings
from brainaligner.study._screen import finding_lines
from brainaligner.study._screen_foresight import foresight_lines
from brainaligner.study._settings import plain
from brainaligner.study._significance import ensure_significances
from brainaligner.study._simulation import ensure_simulation
from brainaligner.study._speed import measured_speed
from brainaligner.study._stage_clock import StageClock
from brainaligner.study._store import Store
from brainaligner.study._tuning import check_tunings
from brainaligner.study._validation import scored_plan
from brainaligner.study._words import model_words
from brainaligner.text import ModelInfo

_LOG = "log.txt"
_WORTH_MEASURING = 1e11  # operations: some seconds of a slow machine


def run_study(config: StudyConfig, options: RunOptions) -> Path:
    """Run a study to its table and page.

    Finished stages are found in the store and not made again, so a run that was killed goes
    on, and a changed setting recomputes only what depends on it.

    Parameters
    ----------
    config : StudyConfig
    options : RunOptions

    Returns
    -------
    Path
        Folder with report.html, table.tsv, scores.npz, study.yaml, run.json and log.txt; and
        regions.tsv where the study names regions.

    Raises
    ------
    InputError
        For whatever can be refused, before any work; then nothing is written.
    """
    options.activate()
    config = with_controls(config)
    infos = model_infos(config, device=options.device)
    models = {name: model_words(info) for name, info in infos.items()}  # reads every file
    store = Store(options.out / STORE, job=join_job(options.rank))
    folder = options.out / config.name
    if options.rank:
        _take_part(config, infos, store, options)
        return folder
    plan = None
    if config.dataset.simulation is None:
        with reporting() as reporter:
            data = data_folder(config, options.data)
            plan = _plan(config, data, infos, store, options, reporter)
    else:
        refuse_simulation(config, options)
    with _results_folder(folder, store), reporting(folder / _LOG) as reporter:
        reporter.line(f"study {config.name}")
        for name, words in models.items():
            reporter.line(f"model {name}: {words}")
        clock = StageClock(reporter)
        store.timed, store.waits = clock.making, clock.waiting
        if plan is None:
            tree = ensure_simulation(config, infos, store=store, options=options, reporter=reporter)
            plan = _plan(config, tree, infos, store, options, reporter)
        for line in finding_lines(plain(known_findings(plan.prepared))):
            reporter.line(line)
        whole, plan = plan, scored_plan(plan)
        _expect(clock, plan, store, options)
        before = judge_before(plan, store=store, options=options, reporter=reporter)
        ceilings = _measure_ceilings(plan.prepared, store, reporter)
        fitted = _fit_all(plan, whole, store, options, reporter)
        store.drop_shared()
        tested = ensure_significances(plan, store=store, options=options, reporter=reporter)
        reference = fitted.foresight.reference
        contrasts = ensure_contrasts(plan, reference, store=store, reporter=reporter)
        flatmaps = ensure_flatmaps(plan.prepared, store=store, reporter=reporter)
        fitted = replace(fitted, significance=tested, contrasts=contrasts, flatmaps=flatmaps)
        after, tables = judge_after(plan, fitted, ceilings, store=store, reporter=reporter)
        with clock.making("audit"):
            audit = Auditor(plan, store, device=options.device).audit(reporter)
        reporter.line(f"audit: {audit.verdict}{': ' if audit.reason else ''}{audit.reason}")
        scored = [fit.scores.recipe for fit in fitted.cells.values()]
        audited = [judged(diagnostic, scored) for diagnostic in audit_diagnostics(audit)]
        judgements = in_order((*before, *after, *audited))
        looked_at = Looks(judgements, tables, audit, seen_by(plan, store), looks_at(plan, store))
        with clock.making("report"):
            write_outputs(
                plan,
                fitted,
                ceilings,
                looked_at,
                store=store,
                folder=folder,
                language=options.language,
            )
        reporter.line(clock.summary())
        reporter.line(f"results: {folder}")
    return folder


def _expect(clock: StageClock, plan: Plan, store: Store, options: RunOptions) -> None:
    """Tell the clock what a plan should take, where that is worth measuring this machine."""
    stages = price(plan, store)
    if sum(stage.flop for stage in stages if not stage.done) > _WORTH_MEASURING:
        clock.expect(stages, measured_speed(stages, options.device))


def _take_part(
    config: StudyConfig, infos: Mapping[str, ModelInfo], store: Store, options: RunOptions
) -> None:
    """What ranks after the first do: train beside it, and wait for all else."""
    reporter = SilentReporter()
    if config.dataset.simulation is None:
        data = data_folder(config, options.data)
    else:
        data = ensure_simulation(config, infos, store=store, options=options, reporter=reporter)
    plan = _plan(config, data, infos, store, options, reporter)
    _fit_all(scored_plan(plan), plan, store, options, reporter)


@contextmanager
def _results_folder(folder: Path, store: Store) -> Iterator[None]:
    """Open folder and store; take back what was created for input that is refused after all.

    Once any stage was made, everything stays: the log says what was done, and what failed.
    """
    places = (folder.parent, store.folder, store.folder / "tmp", folder)
    created = [place for place in places if not place.exists()]
    try:
        with writing_to(folder):
            folder.mkdir(parents=True, exist_ok=True)
            store.open()
            yield
    except InputError:
        if not store.n_made:
            _take_back(folder, created)
        raise


def _take_back(folder: Path, created: list[Path]) -> None:
    if folder in created:
        (folder / _LOG).unlink(missing_ok=True)
    for place in reversed(created):
        with suppress(OSError):  # not empty: others use the store
            place.rmdir()


def _plan(
    config: StudyConfig,
    data: Path,
    infos: Mapping[str, ModelInfo],
    store: Store,
    options: RunOptions,
    reporter: Reporter,
) -> Plan:
    prepared = prepare(config, open_study_dataset(config, data), infos, progress=reporter)
    plan = make_plan(prepared, store=store)
    check_tunings(plan.tunings, store=store, options=options)
    check_free_space(store.folder.parent, bytes_needed(scored_plan(plan), store))
    return plan


def _measure_ceilings(prepared: Prepared, store: Store, reporter: Reporter) -> Ceilings:
    return {
        (task.subject, task.story): ensure_ceilings(
            task,
            prepared.dataset,
            prepared.digests[task.subject][task.story],
            store=store,
            reporter=reporter,
        )
        for task in prepared.ceilings
    }


def _fit_all(
    plan: Plan, whole: Plan, store: Store, options: RunOptions, reporter: Reporter
) -> Fitted:
    """Fit everything; say what the test stories can show; then, and only then, score.

    Parameters
    ----------
    plan : Plan
        Of what is scored: the study's own, or that of its validation stories.
    whole : Plan
        With the test stories.
    """
    fits = Fits(plan, store, options, reporter)
    tuned = fits.make_all()
    for (arm, subject), readouts in fits.readouts.items():
        say_edges(f"{arm}, {subject}", readouts, reporter)
    foresight = foresee(whole, fits.stories)
    for line in foresight_lines(foresight_record(foresight)):
        reporter.line(line)
    record_opening(plan, store)
    cells = {
        (run.name, subject): fits.score(run, subject)
        for run in plan.runs
        for subject in plan.prepared.division.splits
    }
    listeners = fits.score_listeners()
    return Fitted(cells, tuned, listeners, foresight=foresight)
