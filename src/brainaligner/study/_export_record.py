"""What an exported model says of itself for programs: brainaligner.json."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from brainaligner import __version__
from brainaligner.report import NOT_VALID
from brainaligner.study._arm_roles import arm_roles, tuning_role
from brainaligner.study._arms import arm_runs, tuned_features
from brainaligner.study._config import StudyConfig
from brainaligner.study._export_choice import ReadModel
from brainaligner.study._licences import base_model, licence_notes
from brainaligner.study._listeners import LISTENERS
from brainaligner.study._recipe_command import chain
from brainaligner.study._settings import plain

RECORD = "brainaligner.json"
_ABOUT = ("targets", "delays", "nuisance block Z", "ridge", "alpha grid", "cross-fitting")
_PLACE = re.compile(r"(?<![\w.:/~])~?/(?:[^\s/'\",;:]+/)+[^\s/'\",;:]+")
_HIDDEN = "(a folder)"
_SCORE_KEYS = (
    *("arm", "subject", "group", "presentations", "label", "space_kind", "rows_cut", "n_stories"),
    *("n_rows", "n_targets", "n_scored", "mean", "median", "interval", "share_above_null"),
    *("null_mean", "null_sd", "alpha"),
)


@dataclass(frozen=True, eq=False)
class ExportSource:
    """A finished run, as far as an export reads it.

    Parameters
    ----------
    run : mapping
        As run.json holds it.
    config : StudyConfig
    store : Path
    """

    run: Mapping[str, Any]
    config: StudyConfig
    store: Path

    @property
    def subjects(self) -> tuple[str, ...]:
        """All subjects with scores."""
        return tuple(dict.fromkeys(result["subject"] for result in self.run["results"]))

    @property
    def not_valid(self) -> str | None:
        """What stamps a run whose audit failed; None where it did not."""
        audit = self.run.get("audit", {})
        return f"{NOT_VALID}: {audit['reason']}" if audit.get("verdict") == "FAIL" else None


def export_record(source: ExportSource, model: ReadModel) -> dict[str, Any]:
    """Return all that is known of a tuned model, without a path of this machine.

    Parameters
    ----------
    source : ExportSource
    model : ReadModel

    Returns
    -------
    dict
        Plain values: the audit's stamp, what the model is and how it is read, what it was tuned
        on, recipes, scores beside those of all other arms, audit, licences.
    """
    config, run = source.config, source.run
    recipes = chain(source.store, [model.key])
    base = base_model(_model_name(config, model), is_folder=_is_folder(config, model))
    record = {
        "not_valid": source.not_valid,
        "simulated": run["simulated"],
        "made_by": f"brainaligner {__version__}",
        "study": run["study"],
        "title": run["title"],
        "arm": model.run.name,
        "base_model": base,
        "tuning": _tuning_record(config, model),
        "reading": _reading_record(config, model, recipes),
        "tuned_on": _tuned_on(config, model, recipes),
        "scores_are_of": _scored(source, model),
        "scores": list(_scores(source, model)),
        "audit": run.get("audit", {}),
        "licences": licence_notes(config, model.tuning, base),
        "readouts": dict(model.readouts),
        "recipes": recipes,
    }
    return without_places(record, config)


def _model_name(config: StudyConfig, model: ReadModel) -> str:
    return config.tunings[model.tuning].model


def _is_folder(config: StudyConfig, model: ReadModel) -> bool:
    return Path(_model_name(config, model)).expanduser().is_dir()


def _tuning_record(config: StudyConfig, model: ReadModel) -> dict[str, Any]:
    tuning = config.tunings[model.tuning]
    settings = plain(tuning.objectives if tuning.objectives is not None else tuning.aligner)
    return {
        "name": model.tuning,
        "key": model.key,
        "what": tuning_role(config, model.tuning),
        "for": list(model.readers),
        "seed": model.run.seed,
        "fold": model.fold,
        "folds": tuning.cross_fit,
        "kind": "masked language modelling" if tuning.objectives is None else "objectives",
        "settings": settings | {"seed": model.run.seed},
        "facts": {name: model.facts[name] for name in model.facts if name != "model"},
    }


def _reading_record(
    config: StudyConfig, model: ReadModel, recipes: Mapping[str, Any]
) -> dict[str, Any]:
    """How the arm reads the model: `embed` does the same where nothing else is said."""
    arm = model.run.arm
    read = _read_features(config, model)
    return {
        "text": plain(config.features[read[0]].text),
        "features": {name: plain(config.features[name].text) for name in read},
        "clock": _clock(recipes[model.key]),
        "design": plain(arm.design),
    }


def _read_features(config: StudyConfig, model: ReadModel) -> list[str]:
    """Entries of the study's ``features`` that the arm reads of this model."""
    names = tuned_features(config, model.run.arm)
    return [name for name in names if config.features[name].tuning == model.tuning]


def _clock(recipe: Mapping[str, Any]) -> dict[str, float]:
    """When rows were measured, as each text of a tuning's recipe says: digest/rows/tr/first."""
    text = next(value for role, value in recipe["inputs"].items() if role.startswith("text/"))
    *_, tr, first = text.split("/")
    return {"tr": float(tr), "first": float(first)}


def _tuned_on(config: StudyConfig, model: ReadModel, recipes: Mapping[str, Any]) -> dict[str, Any]:
    own = recipes[model.key]
    brains = [recipes[k] for role, k in own["inputs"].items() if role.split("/")[0] == "brain"]
    uses = {"fitted_on": "tuned on", "chosen_on": "stopped by"}
    stories = [
        {"story": e["story"], "use": use, "text": e["text"], "responses": _responses(brains, e)}
        for role, use in uses.items()
        for e in _lineage(own, role)
    ]
    heard = {e["subject"] for brain in brains for e in _lineage(brain, "fitted_on")}
    return {
        "reader": config.dataset.reader,
        "subjects": sorted(heard),
        "stories": stories,
        "held_out": _held_out(model),
    }


def _lineage(recipe: Mapping[str, Any], role: str) -> list[Mapping[str, Any]]:
    entries: list[Mapping[str, Any]] = recipe.get("lineage", {}).get(role, [])
    return entries


def _responses(brains: list[Mapping[str, Any]], entry: Mapping[str, Any]) -> dict[str, str]:
    """Content of the responses to a story that brain encoders read, by subject."""
    return {
        one["subject"]: one["bold"]
        for brain in brains
        for one in _lineage(brain, "fitted_on")
        if one["story"] == entry["story"]
    }


def _held_out(model: ReadModel) -> list[str]:
    """Training stories of the ridge that a fold's model never saw."""
    folds = [
        fold
        for recipe in model.recipes.values()
        if recipe["stage"] == "readout"
        for of_feature in recipe["settings"].get("cross_fit", {}).values()
        for fold in of_feature
    ]
    stories = [fold["held_out"] for fold in folds if fold["tuning"] == model.key]
    return sorted({story for held_out in stories for story in held_out})


def _scored(source: ExportSource, model: ReadModel) -> dict[str, Any]:
    own = _read_features(source.config, model)
    said = source.run.get("about", {})
    about = {name: said[name] for name in _ABOUT if name in said}
    return {
        "arm": model.run.name,
        "label": source.run["label"],
        "scored_on": source.config.scored_on,
        "what": "Pearson r of measured and predicted responses, mean over targets",
        "models_behind_them": model.together,
        "features_beside_it": [name for name in model.run.arm.read if name not in own],
        **about,
    }


def _scores(source: ExportSource, model: ReadModel) -> Iterator[dict[str, Any]]:
    """Scores of all arms in the subjects that the model is read for, each with what it is."""
    config, roles = source.config, arm_roles(source.config)
    entries = {run.name: run.entry for run in arm_runs(config)} | {LISTENERS: LISTENERS}
    for result in (*source.run["results"], *source.run.get("other_listeners", ())):
        if result["subject"] in model.readers:
            entry = entries.get(result["arm"], result["arm"])
            own = {"exported": result["arm"] == model.run.name, "what": roles.get(entry, "")}
            yield {key: result.get(key) for key in _SCORE_KEYS} | own


def without_places(value: Any, config: StudyConfig) -> Any:
    """Hide paths of this machine in plain values: those that the study names, and any other."""
    named = sorted({text for text in _texts(plain(config)) if _is_place(text)}, key=len)
    return _hide(value, tuple(reversed(named)))


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        value = [*value.values()]
    if isinstance(value, list):
        for inner in value:
            yield from _texts(inner)
    elif isinstance(value, str):
        yield value


def _is_place(text: str) -> bool:
    return len(text) > 1 and (text.startswith("~") or os.path.isabs(text))


def _hide(value: Any, named: tuple[str, ...]) -> Any:
    if isinstance(value, dict):
        return {_hide(key, named): _hide(inner, named) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_hide(inner, named) for inner in value]
    if not isinstance(value, str):
        return value
    for place in named:
        value = value.replace(place, _HIDDEN)
    return _PLACE.sub(_HIDDEN, value)
