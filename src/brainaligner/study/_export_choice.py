"""The tuned models that an arm of a finished run reads, and the choice among them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from brainaligner.core import BrainAlignerError, InputError
from brainaligner.study._arms import ArmRun, arm_runs, tuned_features
from brainaligner.study._compare import named_runs
from brainaligner.study._config import StudyConfig
from brainaligner.study._recipe_command import chain

_LISTED = 12
Recipes = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class ModelChoice:
    """Which of the tuned models that an arm reads; what is None leaves all.

    Parameters
    ----------
    subject : str, optional
        Whose features come from the model.
    seed : int, optional
    fold : int, optional
        Of a cross-fitted tuning, counted from 1.
    tuning : str, optional
        Entry of the study's ``tunings``, where an arm reads several.
    """

    subject: str | None = None
    seed: int | None = None
    fold: int | None = None
    tuning: str | None = None

    @property
    def words(self) -> str:
        """For people."""
        asked = {name: value for name, value in vars(self).items() if value is not None}
        return ", ".join(f"{name} {value}" for name, value in asked.items())


@dataclass(frozen=True)
class ReadModel:
    """One tuned model that an arm reads.

    Parameters
    ----------
    key : str
        Of its tuning in the store.
    tuning : str
        Entry of the study's ``tunings``.
    run : ArmRun
        The arm with one seed.
    readers : tuple of str
        Subjects whose features come from it.
    fold : int, optional
        None in the plain protocol.
    facts : mapping
        What the run says of the tuning.
    readouts : mapping of str to str
        Keys of the readouts that the run made of it, by the run's name for them.
    recipes : mapping of str to recipe
        All that these readouts follow from, by key.
    together : int
        Tuned models that a reader's rows of the arm come from, this one among them.
    """

    key: str
    tuning: str
    run: ArmRun
    readers: tuple[str, ...]
    fold: int | None
    facts: Mapping[str, Any]
    readouts: Mapping[str, str]
    recipes: Recipes = field(repr=False)
    together: int = 1

    @property
    def words(self) -> str:
        """For people."""
        fold = "" if self.fold is None else f", fold {self.fold}"
        return f"{self.tuning}, {' and '.join(self.readers)}, seed {self.run.seed}{fold}"

    def folder_name(self, *, with_tuning: bool, subjects: int) -> str:
        """Name of its subfolder where several models are exported."""
        all_of_them = len(self.readers) == subjects > 1
        whose = "all-subjects" if all_of_them else "-".join(self.readers)
        parts = [self.tuning] if with_tuning else []
        parts += [whose, f"seed{self.run.seed}"]
        parts += [] if self.fold is None else [f"fold{self.fold}"]
        return re.sub(r"[^\w.-]+", "_", "-".join(parts))

    def fits(self, choice: ModelChoice) -> bool:
        """Whether it is one of those that are asked for."""
        return (
            (choice.subject is None or choice.subject in self.readers)
            and choice.seed in (None, self.run.seed)
            and choice.fold in (None, self.fold)
            and choice.tuning in (None, self.tuning)
        )


def read_models(
    run: Mapping[str, Any], config: StudyConfig, store: Path, arm: str
) -> tuple[ReadModel, ...]:
    """Return the tuned models that an arm reads, by the recipes of its readouts.

    Parameters
    ----------
    run : mapping
        As run.json holds it.
    config : StudyConfig
        Of the run.
    store : Path
    arm : str
        Entry of the study's ``arms``, with all its seeds, or one of them (``es.s0``).

    Raises
    ------
    InputError
        If there is no such arm, it reads no tuned model, or the store lacks a recipe.
    """
    found: dict[tuple[str, str], ReadModel] = {}
    for one in named_runs(arm_runs(config), arm, where="--arm"):
        for name, key in _readouts(run, one):
            recipes = chain(store, [key])
            for facts in _tunings(run, config, one, recipes):
                made = _read_model(one, facts, {name: key}, recipes)
                place = one.name, made.key
                found[place] = _joined(found[place], made) if place in found else made
    if not found:
        raise _reads_none(config, arm)
    models = tuple(found.values())
    return tuple(replace(model, together=_together(model, models)) for model in models)


def _together(model: ReadModel, models: Iterable[ReadModel]) -> int:
    reader = model.readers[0]
    return sum(one.run.name == model.run.name and reader in one.readers for one in models)


def _readouts(run: Mapping[str, Any], one: ArmRun) -> list[tuple[str, str]]:
    start = f"{one.name}, "
    return [
        (name, key)
        for name, key in run.get("recipes", {}).items()
        if name.startswith(start) and name.endswith(": readout")
    ]


def _tunings(
    run: Mapping[str, Any], config: StudyConfig, one: ArmRun, recipes: Recipes
) -> list[Mapping[str, Any]]:
    """What the run says of the tunings that a readout follows from."""
    names = {config.features[name].tuning for name in tuned_features(config, one.arm)}
    return [
        facts
        for facts in run.get("tunings", ())
        if facts["tuning"] in names and facts["seed"] == one.seed and _key(facts) in recipes
    ]


def _key(facts: Mapping[str, Any]) -> str:
    """Key of a tuning; its model lies at ``tuning/<key>/model`` in the store."""
    return str(facts["model"]).split("/")[1]


def _read_model(
    one: ArmRun, facts: Mapping[str, Any], readout: Mapping[str, str], recipes: Recipes
) -> ReadModel:
    (name,) = readout
    subject = name.removeprefix(f"{one.name}, ").removesuffix(": readout")
    place = _key(facts), facts["tuning"], one, (subject,), facts["fold"]
    return ReadModel(*place, facts, readout, recipes)


def _joined(one: ReadModel, other: ReadModel) -> ReadModel:
    """The same model, read for one more subject."""
    readers = tuple(dict.fromkeys((*one.readers, *other.readers)))
    place = one.key, one.tuning, one.run, readers, one.fold, one.facts
    readouts = {**one.readouts, **other.readouts}
    return ReadModel(*place, readouts, {**one.recipes, **other.recipes})


def _reads_none(config: StudyConfig, arm: str) -> InputError | BrainAlignerError:
    tuned = [name for name, entry in config.arms.items() if tuned_features(config, entry)]
    asked = next((run for run in arm_runs(config) if arm in (run.entry, run.name)), None)
    if asked is not None and asked.entry in tuned:
        return BrainAlignerError(
            f"arm {arm!r}: the store lacks the tunings that its readouts follow from. "
            "Run the study again: what is missing is made anew."
        )
    return InputError(
        f"--arm {arm}",
        got="an arm that reads no tuned model",
        wanted=f"one of: {', '.join(tuned)}" if tuned else "an arm that reads a tuned model",
        do="Choose one of these arms." if tuned else "This study tunes nothing.",
    )


def chosen_models(
    models: Sequence[ReadModel], choice: ModelChoice, *, every: bool
) -> tuple[ReadModel, ...]:
    """Keep the models that are asked for: exactly one, or with `every` all that fit.

    Raises
    ------
    InputError
        If none fits, or several where one was wanted; it lists what there is.
    """
    kept = tuple(model for model in models if model.fits(choice))
    if not kept:
        raise InputError(
            "tuned model",
            got=f"nothing for {choice.words}",
            wanted=f"one of: {_listed(models)}",
            do="Correct --subject, --seed, --fold or --tuning.",
        )
    if len(kept) > 1 and not every:
        raise InputError(
            "tuned model",
            got=f"{len(kept)} models: {_listed(kept)}",
            wanted="one",
            do=f"Give {_options(kept)}, or --all for a subfolder of each.",
        )
    return kept


def _listed(models: Sequence[ReadModel]) -> str:
    shown = "; ".join(model.words for model in models[:_LISTED])
    return shown + (f"; and {len(models) - _LISTED} more" if len(models) > _LISTED else "")


def _options(models: Iterable[ReadModel]) -> str:
    """The options by which some models differ."""
    places = [(m.tuning, m.readers, m.run.seed, m.fold) for m in models]
    names = ("--tuning", "--subject", "--seed", "--fold")
    values = zip(names, zip(*places, strict=True), strict=True)
    return " and ".join(name for name, found in values if len(set(found)) > 1)
