"""A study cut into units: what one worker makes in one go, and what has to be there before."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from brainaligner.study._brain import ensure_brain
from brainaligner.study._brain_task import BrainTask
from brainaligner.study._designs import word_design
from brainaligner.study._features import FeatureSpace, ensure_features, groups_by_pass
from brainaligner.study._fits import Fits
from brainaligner.study._fold_features import CrossFittedSpace
from brainaligner.study._options import RunOptions
from brainaligner.study._plan import Plan
from brainaligner.study._progress import Reporter
from brainaligner.study._projected import ProjectedDesign
from brainaligner.study._readout import readout_recipe
from brainaligner.study._store import Recipe, Store
from brainaligner.study._tuning import ensure_head, ensure_tuning
from brainaligner.study._tuning_task import TuningTask

Make = Callable[[Store, RunOptions, Reporter], object]


@dataclass(frozen=True, eq=False)
class Unit:
    """Work that one worker does in one go.

    Parameters
    ----------
    key : str
        Of one artifact that it leaves, after the stage's name.
    words : str
        For people.
    makes : tuple of Recipe
        All that it leaves in the store.
    needs : tuple of str
        Keys of units that come before.
    on_gpu : bool
        Whether a language model runs, so that a GPU pays.
    make : callable
        Called with store, options and reporter.
    """

    key: str
    words: str
    makes: tuple[Recipe, ...]
    needs: tuple[str, ...]
    on_gpu: bool
    make: Make

    def is_done(self, store: Store) -> bool:
        """Whether the store has all that it makes."""
        return all(store.has(recipe) for recipe in self.makes)


def study_units(plan: Plan) -> dict[str, Unit]:
    """Cut a plan into units, each after those that it needs: all up to the fits.

    What comes after them opens test scores or is quick; `run_study` makes it.

    Parameters
    ----------
    plan : Plan
        Of what is scored.
    """
    units: dict[str, Unit] = {}
    for unit in _all_units(plan):
        units.setdefault(unit.key, unit)
    return units


def _all_units(plan: Plan) -> Iterator[Unit]:
    made: dict[str, str] = {}  # from an artifact's key to the unit that makes it

    def known(unit: Unit) -> Unit:
        for recipe in unit.makes:
            made.setdefault(recipe.key, unit.key)
        return unit

    for together in _missing_spaces(plan.plain_spaces(), made):
        yield known(_of_features(plan, together, ()))
    for run in plan.runs:
        first: str | None = None
        for subject in plan.prepared.division.splits:
            for tuning, spaces in plan.tunings_of(run, subject):
                for unit in _of_tuning(plan, tuning, made):
                    yield known(unit)
                for together in _missing_spaces(spaces, made):
                    yield known(_of_features(plan, together, (made[tuning.recipe.key],)))
            design = plan.tasks[run.name, subject][0].design
            for space in word_design(design).crossed:
                yield known(_of_alignments(space, made))
            needs = [made[key] for key in word_design(design).inputs().values() if key in made]
            if isinstance(design, ProjectedDesign) and first is not None:
                needs.append(first)  # subjects share the projection
            fit = known(_of_fit(plan, (run.name, subject), tuple(dict.fromkeys(needs))))
            first = first or fit.key
            yield fit


def _missing_spaces(
    spaces: Sequence[FeatureSpace], made: dict[str, str]
) -> Iterator[list[FeatureSpace]]:
    """Spaces by pass, without those that a unit makes already under another name."""
    for together in groups_by_pass(spaces):
        own = {space.recipe.key: space for space in together if space.recipe.key not in made}
        if own:
            yield list(own.values())


def _of_features(plan: Plan, spaces: Sequence[FeatureSpace], needs: tuple[str, ...]) -> Unit:
    stimuli = plan.prepared.division.stimuli
    recipes = tuple(space.recipe for space in spaces)

    def make(store: Store, options: RunOptions, reporter: Reporter) -> None:
        ensure_features(spaces, stimuli, store=store, options=options, reporter=reporter)

    names = ", ".join(space.name for space in spaces)
    return Unit(_key(*recipes), f"features {names}", recipes, needs, True, make)


def _of_tuning(plan: Plan, task: TuningTask, made: dict[str, str]) -> Iterator[Unit]:
    needs = []
    if task.needs_head:
        recipe = task.head_recipe
        words = f"head of {task.config.model}{task.division.place}"
        make: Make = partial(_make_head, task)
        needs.append(_key(recipe))
        yield Unit(_key(recipe), words, (recipe,), (), True, make)
    for brain in task.brains:
        needs.append(_key(brain.recipe))
        yield from _of_brain(plan, brain, made)
    tune = partial(_make_tuning, task)
    recipe = task.recipe
    yield Unit(_key(recipe), f"tuning {task.words}", (recipe,), tuple(needs), True, tune)


def _of_brain(plan: Plan, brain: BrainTask, made: dict[str, str]) -> Iterator[Unit]:
    needs: tuple[str, ...] = ()
    if brain.features is not None:
        key = brain.features.recipe.key
        if key not in made:
            unit = _of_features(plan, [brain.features], ())
            made[key] = unit.key
            yield unit
        needs = (made[key],)
    words = f"brain {brain.name}, {brain.subject}{brain.division.place}"
    uses_model = brain.config.brainlm is not None
    make = partial(_make_brain, brain)
    yield Unit(_key(brain.recipe), words, (brain.recipe,), needs, uses_model, make)


def _of_alignments(space: CrossFittedSpace, made: dict[str, str]) -> Unit:
    recipes = tuple(space.alignment(model) for model in space.models)
    read = (space.frozen, *(model.space for model in space.models))
    needs = tuple(dict.fromkeys(made[one.recipe.key] for one in read))
    words = f"alignments to {space.frozen.name}"
    return Unit(_key(*recipes), words, recipes, needs, False, lambda *_: space.ensure_alignments())


def _of_fit(plan: Plan, place: tuple[str, str], needs: tuple[str, ...]) -> Unit:
    recipes = tuple(readout_recipe(task) for task in plan.tasks[place])

    def make(store: Store, options: RunOptions, reporter: Reporter) -> None:
        Fits(plan, store, options, reporter).fit(*place)
        for task in plan.tasks[place]:
            task.design.forget()

    return Unit(
        f"fit {place[0]}, {place[1]}", f"fit {', '.join(place)}", recipes, needs, False, make
    )


def _make_head(task: TuningTask, store: Store, options: RunOptions, reporter: Reporter) -> None:
    ensure_head(task, store=store, options=options, reporter=reporter)


def _make_tuning(task: TuningTask, store: Store, options: RunOptions, reporter: Reporter) -> None:
    ensure_tuning(task, store=store, options=options, reporter=reporter)


def _make_brain(brain: BrainTask, store: Store, options: RunOptions, reporter: Reporter) -> None:
    ensure_brain(brain, store=store, options=options, reporter=reporter)


def _key(*recipes: Recipe) -> str:
    """Stage and key; of several recipes, the digest of their keys."""
    keys = [recipe.key for recipe in recipes]
    whole = keys[0] if len(keys) == 1 else hashlib.sha256("".join(keys).encode()).hexdigest()[:32]
    return f"{recipes[0].stage}-{whole}"
