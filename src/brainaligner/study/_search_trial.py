"""One trial of a search: the study with changed settings, one arm, validation stories alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean
from typing import Any

from brainaligner.core import InputError
from brainaligner.data import Dataset
from brainaligner.study._config import StudyConfig, known
from brainaligner.study._dataset_config import STORE
from brainaligner.study._disk import check_free_space
from brainaligner.study._files import load_study, override
from brainaligner.study._fits import Fits
from brainaligner.study._job import refuse_processes
from brainaligner.study._options import RunOptions
from brainaligner.study._plan import Plan, make_plan
from brainaligner.study._prepare import data_folder, model_infos, open_study_dataset, prepare
from brainaligner.study._pricing import bytes_needed
from brainaligner.study._progress import Reporter
from brainaligner.study._readout import readout_recipe
from brainaligner.study._search_space import SearchSpace, Values
from brainaligner.study._simulation import ensure_simulation
from brainaligner.study._store import Store
from brainaligner.study._tuning import check_tunings
from brainaligner.study._validation import scored_plan, validation_study

GROUP = "validation"


@dataclass(frozen=True)
class Search:
    """What is searched.

    Parameters
    ----------
    study : str
        As `load_study` takes it.
    space : SearchSpace
    arm : str
        The arm whose validation scores are compared.
    overrides : tuple of str
        As `load_study` takes them, for all trials.
    seed : int
        Of the tuner.

    Raises
    ------
    InputError
        For a seed below 0, or a name that is not an arm of the study.
    """

    study: str
    space: SearchSpace
    arm: str
    overrides: tuple[str, ...] = ()
    seed: int = 0

    def __post_init__(self) -> None:
        if self.seed < 0:
            raise InputError("--seed", got=str(self.seed), wanted="0 or more", do="Correct it.")
        known("--arm", self.arm, self.config({}).arms)

    def config(self, values: Values) -> StudyConfig:
        """The whole study with some values changed."""
        changes = [override(key, value) for key, value in values.items()]
        return load_study(self.study, overrides=[*self.overrides, *changes])

    def trial(self, values: Values) -> StudyConfig:
        """What a trial runs: the arm alone, on validation stories."""
        return validation_study(arm_study(self.config(values), self.arm))


def arm_study(config: StudyConfig, arm: str) -> StudyConfig:
    """A study of one arm and what it reads, without controls, tests and published tables."""
    features = dict.fromkeys(config.arms[arm].features)
    simulation = config.dataset.simulation
    if simulation is not None:
        features[simulation.features] = None
    tunings = dict.fromkeys(config.features[name].tuning for name in features)
    read = {name: one for name, one in config.tunings.items() if name in tunings}
    brains = {n: b for n, b in config.brains.items() if n in {t.brain for t in read.values()}}
    features |= dict.fromkeys(b.features for b in brains.values() if b.features is not None)
    return replace(
        config,
        arms={arm: replace(config.arms[arm], reference={})},
        features={name: one for name, one in config.features.items() if name in features},
        tunings=read,
        brains=brains,
        published=(),
        controls=(),
        nulls=False,
        significance=None,
        other_listeners=replace(config.other_listeners, shown=False),
    )


@dataclass(frozen=True)
class TrialScore:
    """Validation scores of one trial.

    Parameters
    ----------
    subjects : mapping of subject to float
        Mean r over targets, averaged over the arm's seeds; fewest rows cut.
    scores : mapping of "arm, subject" to str
        Keys of these scores in the store.
    """

    subjects: Mapping[str, float]
    scores: Mapping[str, str]

    @property
    def mean(self) -> float:
        """Mean over subjects: what a search makes large."""
        return fmean(self.subjects.values())


@dataclass(frozen=True, eq=False)
class Bench:
    """What the trials of a search share: the data, opened once, and one store.

    Parameters
    ----------
    search : Search
    options : RunOptions
    store : Store
    dataset : Dataset
    reporter : Reporter
    """

    search: Search
    options: RunOptions
    store: Store
    dataset: Dataset
    reporter: Reporter

    def plan(self, values: Values) -> Plan:
        """Lay out a trial; whatever can be refused is refused here, and nothing is made."""
        config = self.search.trial(values)
        infos = model_infos(config, device=self.options.device)
        prepared = prepare(config, self.dataset, infos, progress=self.reporter)
        plan = make_plan(prepared, store=self.store)
        check_tunings(plan.tunings, store=self.store, options=self.options)
        return plan

    def score(self, plan: Plan) -> TrialScore:
        """Run a trial through the store: what is there already is not made again."""
        scored = scored_plan(plan)
        check_groups(scored)
        fits = Fits(scored, self.store, self.options, self.reporter)
        fits.make_all()
        found: dict[str, list[float]] = {}
        keys = {}
        for run in scored.runs:
            for subject in scored.prepared.division.splits:
                scores = fits.score(run, subject).scores
                keys[f"{run.name}, {subject}"] = scores.recipe.key
                found.setdefault(subject, []).append(_mean_r(scores.results, scored))
        return TrialScore({subject: fmean(r) for subject, r in found.items()}, keys)

    def check_space(self, plan: Plan) -> None:
        """Refuse to start where the disk has no room for what a trial makes."""
        needed = bytes_needed(scored_plan(plan), self.store)
        check_free_space(self.store.folder.parent, needed)


def _mean_r(results: Any, plan: Plan) -> float:
    cut = min(plan.prepared.config.evaluation.cuts)
    (r,) = [
        summary.mean
        for scores, summary in results
        if (scores.group.name, scores.rows_cut) == (GROUP, cut)
    ]
    return float(r)


def check_groups(plan: Plan) -> None:
    """Refuse a study without a single-presentation validation story to score a trial by."""
    for run in plan.runs:
        for subject in plan.prepared.division.splits:
            if GROUP not in {group.name for group in plan.groups_of(run, subject)}:
                raise InputError(
                    f"arms.{run.entry}, {subject}",
                    got="repeated stories alone among the validation stories",
                    wanted="a validation story that was presented once",
                    do="Add one: trials are compared on single presentations.",
                )


def open_bench(search: Search, options: RunOptions, reporter: Reporter) -> Bench:
    """Open the data of a search; a simulated tree is made where it is not there yet.

    Raises
    ------
    InputError
        Also where several processes share the work: trials follow one another.
    """
    refuse_processes("search", "a trial is chosen by those before it")
    options.activate()
    config = search.trial({})
    store = Store(options.out / STORE)
    return Bench(search, options, store, _dataset(config, store, options, reporter), reporter)


def _dataset(config: StudyConfig, store: Store, options: RunOptions, reporter: Reporter) -> Dataset:
    if config.dataset.simulation is None:
        return open_study_dataset(config, data_folder(config, options.data))
    infos = model_infos(config, device=options.device)
    tree: Path = ensure_simulation(
        config, infos, store=store.open(), options=options, reporter=reporter
    )
    return open_study_dataset(config, tree)


def readout_keys(plan: Plan) -> frozenset[str]:
    """Keys of all readouts of a trial: two trials with the same ones score alike."""
    return frozenset(readout_recipe(t).key for tasks in plan.tasks.values() for t in tasks)
