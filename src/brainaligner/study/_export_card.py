"""The model card of an exported model, from what its brainaligner.json says."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import yaml

from brainaligner.evaluation import Interval
from brainaligner.report import CardScore, ModelCard
from brainaligner.study._config import StudyConfig
from brainaligner.study._licences import DATASETS, hub_licence

ENGLISH = tuple(DATASETS)
"""Readers whose stories were told in English; simulated ones are spoken by English words."""

_SHOWN = 12  # digits of a digest
_OBJECTIVES = ("predict", "contrastive", "masked_brain", "anchor", "language")
_TRAINED = ("trained_layers", "learning_rate", "epochs", "dropout", "mask_rate")
_PLACES = 4
Record = Mapping[str, Any]


def model_card(record: Record, config: StudyConfig, head: str | None) -> ModelCard:
    """Return the card of an exported model.

    Parameters
    ----------
    record : mapping
        As `export_record` gives it.
    config : StudyConfig
        Of the run.
    head : str, optional
        Class of transformers that loads the head too.
    """
    tuning = record["tuning"]
    return ModelCard(
        title=f"{record['arm']} of {record['study']}: a language model {tuning['what']}",
        front_matter=front_matter(record, config),
        audit=_audit_line(record),
        simulated=record["simulated"],
        summary=_summary(record),
        head=head,
        embed="brainaligner embed FOLDER words.csv --to vectors.npz",
        reading=tuple(_reading(record["reading"])),
        tuned_on=tuple(_tuned_on(record)),
        stories=tuple(_stories(record["tuned_on"])),
        score_notes=tuple(_score_notes(record)),
        scores=tuple(map(_score, record["scores"])),
        audit_notes=tuple(_audit_notes(record["audit"])),
        licences=tuple(record["licences"].items()),
        keys=(
            ("study", record["study"]),
            ("recipe of the tuning", tuning["key"]),
            *((name, key) for name, key in record["readouts"].items()),
            ("made by", record["made_by"]),
        ),
    )


def front_matter(record: Record, config: StudyConfig) -> str:
    """What the Hugging Face hub reads of a card, as YAML."""
    tags = ["brain", "fmri", "encoding-model", "brainaligner"]
    tags += ["simulated-data"] * record["simulated"]
    tags += ["not-valid"] * (record["not_valid"] is not None)
    known = {} if record["base_model"] is None else {"base_model": record["base_model"]}
    language = {"language": ["en"]} if config.dataset.reader in ENGLISH else {}
    licence = hub_licence(config, record["tuning"]["name"], record["base_model"])
    loaded = {"library_name": "transformers", "pipeline_tag": "feature-extraction"}
    fields = {**language, **licence, **loaded, **known, "tags": tags}
    return yaml.safe_dump(fields, sort_keys=False, allow_unicode=True)


def _audit_line(record: Record) -> str:
    if record["not_valid"] is not None:
        return str(record["not_valid"])
    audit = record["audit"]
    reason = f": {audit['reason']}" if audit.get("reason") else ""
    return f"{audit.get('verdict', 'not audited')}{reason}"


def _audit_notes(audit: Record) -> Iterator[tuple[str, str]]:
    places: dict[tuple[str, str], list[str]] = {}
    for found in (*audit.get("faults", ()), *audit.get("warnings", ())):
        places.setdefault((found["name"], found["sentence"]), []).append(found["where"])
    for (name, sentence), where in places.items():
        more = f"; and {len(where) - _PLACES} more" if len(where) > _PLACES else ""
        yield name, f"{sentence} ({'; '.join(where[:_PLACES])}{more})"
    unproven = len(audit.get("unproven", ()))
    if unproven:
        yield "unproven", f"{unproven} checks could not be made; they stand in brainaligner.json"


def _summary(record: Record) -> str:
    base = record["base_model"] or "A checkpoint of the study's own"
    tuning = record["tuning"]
    whose = " and ".join(tuning["for"])
    fold = f", fold {tuning['fold']} of {tuning['folds']}" if tuning["fold"] is not None else ""
    return (
        f"{base}, {tuning['what']} ({tuning['kind']}), for features of {whose}, seed "
        f"{tuning['seed']}{fold}. Text alone goes in; states of its layers come out."
    )


def _reading(reading: Record) -> Iterator[tuple[str, str]]:
    text, clock, design = reading["text"], reading["clock"], reading["design"]
    context = {name: text[name] for name in text if name.startswith("context_") and text[name]}
    yield "layer", f"hidden_states[{text['layer']}]"
    yield (
        "clock",
        f"{text['clock']}; a row each {clock['tr']:g} s, the first at {clock['first']:g} s",
    )
    context.pop("context_from", None)
    shown = ", ".join(f"{name} {value:g}" for name, value in context.items())
    yield "left context", f"{shown or 'none'}, at most {text['max_tokens']} tokens"
    yield "pooling", f"mean over {text['pooling']} tokens, special tokens {text['special_tokens']}"
    yield (
        "design of the arm",
        f"delays {', '.join(map(str, design['delays']))}, nuisance block Z "
        + (f"{design['nuisance']}, scaled within {design['scaling']}"),
    )
    if len(reading["features"]) > 1:
        names = ", ".join(reading["features"])
        yield "beside it", f"the arm reads {names} of this model; the first is the default here"


def _tuned_on(record: Record) -> Iterator[tuple[str, str]]:
    tuning, seen = record["tuning"], record["tuned_on"]
    settings = tuning["settings"]
    yield "dataset", f"reader {seen['reader']}"
    yield "brains of", ", ".join(seen["subjects"]) or "nobody: text alone"
    yield "objective", _objective(tuning["kind"], settings)
    shown = [f"{name} {settings[name]}" for name in _TRAINED if name in settings]
    lora = settings.get("lora")
    rank = f"LoRA of rank {lora['rank']}, merged" if lora else "all weights of these layers"
    yield "settings", ", ".join([*shown, rank, f"seed {settings['seed']}"])
    bits = tuning["facts"].get("bits", {})
    if {"none", "plain"} <= bits.keys():
        yield "bits per hidden token", f"{bits['none']:.2f}, before tuning {bits['plain']:.2f}"
    if seen["held_out"]:
        yield "never saw", f"the fold's stories: {', '.join(seen['held_out'])}"


def _objective(kind: str, settings: Record) -> str:
    used = [name for name in _OBJECTIVES if settings.get(name) is not None]
    return kind if not used else f"{kind}: {', '.join(name.replace('_', ' ') for name in used)}"


def _stories(seen: Record) -> Iterator[tuple[str, str, str, str]]:
    for one in seen["stories"]:
        heard = (f"{who} {_short(bold)}" for who, bold in one["responses"].items())
        yield one["story"], one["use"], _short(one["text"]), ", ".join(heard) or "none"


def _short(digest: str | None) -> str:
    """First digits of a content's digest; responses have their reader before it."""
    return (digest or "n/a").rpartition("/")[2][:_SHOWN]


def _score_notes(record: Record) -> Iterator[str]:
    of = record["scores_are_of"]
    yield f"{of['what']}, on {of['label']}, by ridge regression from each arm's features."
    yield f"Targets: {of.get('targets', 'n/a')}."
    if of["scored_on"] == "validation":
        yield "These are validation stories, which also chose settings: too high for a claim."
    n_models = of["models_behind_them"]
    if n_models > 1:
        crossed = record["tuning"]["fold"] is not None
        yield (
            f"The arm {'is cross-fitted: its' if crossed else 'reads several:'} rows come from "
            f"{n_models} models, of which this is one. No score is of this model alone."
        )
    if of["features_beside_it"]:
        yield f"Beside this model's features the arm reads {', '.join(of['features_beside_it'])}."
    yield "Compare a score with Z alone and with the untrained network before you read it."


def _score(one: Record) -> CardScore:
    interval = {
        **one["interval"],
        "low": _number(one["interval"]["low"]),
        "high": _number(one["interval"]["high"]),
    }
    return CardScore(
        arm=one["arm"],
        what=one["what"],
        exported=one["exported"],
        subject=one["subject"],
        group=one["group"],
        presentations=one["presentations"],
        targets=one["space_kind"],
        rows_cut=one["rows_cut"],
        n_stories=one["n_stories"],
        n_rows=one["n_rows"],
        n_targets=one["n_targets"],
        mean=_number(one["mean"]),
        interval=Interval(**interval),
    )


def _number(value: float | None) -> float:
    """JSON has no NaN: null stands for it."""
    return math.nan if value is None else value
