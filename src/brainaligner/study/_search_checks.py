"""What can be said of a search before any of its trials runs."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import combinations
from typing import Any

import numpy as np

from brainaligner.core import InputError
from brainaligner.study._plan import Plan
from brainaligner.study._search_keys import check_keys_of_space
from brainaligner.study._search_space import Value, Values
from brainaligner.study._search_trial import Bench, Search, check_groups, readout_keys
from brainaligner.study._settings import canonical
from brainaligner.study._validation import scored_plan

_DRAWS = 6  # of the other settings, beside which a value may be allowed or have an effect


@dataclass(frozen=True, eq=False)
class Checked:
    """A search that may start.

    Parameters
    ----------
    plan : Plan
        Of a trial with the study's own settings.
    identity : mapping
        What all trials have to share for their scores to be comparable.
    warnings : tuple of str
    """

    plan: Plan
    identity: Mapping[str, Any]
    warnings: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class _Layouts:
    """Trials that were laid out, or refused, each once."""

    bench: Bench
    models: dict[str, str] = field(default_factory=dict)
    known: dict[str, frozenset[str] | InputError] = field(default_factory=dict)

    def of(self, values: Values) -> frozenset[str] | InputError:
        """Keys of a trial's readouts, or why it is refused."""
        text = json.dumps(dict(values), sort_keys=True)
        if text not in self.known:
            try:
                plan = self.bench.plan(values)
                self.models.update(model_digests(plan))
                self.known[text] = readout_keys(plan)
            except InputError as error:
                self.known[text] = error
        return self.known[text]


def check_search(bench: Bench) -> Checked:
    """Check keys, the ends of each range and every choice; nothing is made.

    Returns
    -------
    Checked
        With a warning for each key that changes nothing of the arm: trials with any of its
        values have the same recipes, beside the study's own settings and some drawn ones.

    Raises
    ------
    InputError
        For a key or value that the study refuses, or if no key changes anything.
    """
    search = bench.search
    check_keys_of_space(search.space, search.config({}))
    plan = bench.plan({})
    check_groups(scored_plan(plan))
    layouts = _Layouts(bench, model_digests(plan))
    beside = [{}, *_drawn(search)]
    for key, entry in search.space.entries.items():
        for value in entry.looked_at:
            _check_value(layouts, key, value, beside)
    dead = [key for key in search.space.entries if not _matters(layouts, key, beside)]
    if len(dead) == len(search.space.entries):
        raise InputError(
            search.space.source,
            got=f"{', '.join(dead)}: nothing of this changes arm {search.arm!r}",
            wanted="settings that the arm depends on",
            do="Check the names of entries, or --arm.",
        )
    said = tuple(f"{key}: changes nothing of arm {search.arm!r}" for key in dead)
    return Checked(plan, identity(search, plan, layouts.models), said)


def _drawn(search: Search) -> list[dict[str, Value]]:
    rng = np.random.default_rng(search.seed)
    return [search.space.draw(rng) for _ in range(_DRAWS)]


def _check_value(layouts: _Layouts, key: str, value: Value, beside: list[dict[str, Value]]) -> None:
    """Refuse a value that is refused beside whatever the other settings are."""
    for others in beside:
        found = layouts.of({**others, key: value})
        if not isinstance(found, InputError):
            return
    error = layouts.of({key: value})
    assert isinstance(error, InputError)
    source = layouts.bench.search.space.source
    where = f"{source}, {key} = {json.dumps(value)}: {error.where}"
    raise InputError(where, got=error.got, wanted=error.wanted, do=error.do)


def _matters(layouts: _Layouts, key: str, beside: list[dict[str, Value]]) -> bool:
    """Whether any two values of a key give different recipes."""
    entry = layouts.bench.search.space.entries[key]
    for others in beside:
        found = [layouts.of({**others, key: value}) for value in entry.looked_at]
        made = [one for one in found if not isinstance(one, InputError)]
        if any(a != b for a, b in combinations(made, 2)):
            return True
    return False


def model_digests(plan: Plan) -> dict[str, str]:
    """Content of language models and of brain models' checkpoints, by name."""
    infos = {name: info.digest for name, info in plan.prepared.infos.items()}
    return infos | dict(plan.prepared.checkpoints)


def identity(search: Search, plan: Plan, models: Mapping[str, str]) -> dict[str, Any]:
    """What all trials share: study, space, arm, seed, models, and the data that are read."""
    config = search.config({})
    own = {search.arm: config.arms[search.arm]}
    bare = replace(
        config, title="", arms=own, published=(), dataset=replace(config.dataset, folder=None)
    )
    study = canonical(bare)
    for name in ("comparison", "controls", "nulls", "null_draws", "null_tunings", "significance"):
        study.pop(name)
    return {
        "arm": search.arm,
        "seed": search.seed,
        "space": canonical(search.space.record()),
        "study": study,
        "models": dict(models),
        "data": dict(_data(plan)),
    }


def _data(plan: Plan) -> Iterator[tuple[str, str]]:
    """Digests of the words and responses that trials are fitted, chosen and scored on."""
    prepared = plan.prepared
    for subject, digests in prepared.digests.items():
        for story, digest in digests.items():
            yield f"words of {story}", prepared.division.stimuli.transcripts[story].digest()
            yield f"responses of {subject} to {story}", digest


def differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """What differs between two identities, each in a few words."""
    old, new = (dict(_flat("", one)) for one in (before, now))
    return [
        f"{key} ({_short(old.get(key))}, now {_short(new.get(key))})"
        for key in dict.fromkeys((*old, *new))
        if old.get(key) != new.get(key)
    ]


def _flat(place: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping) and value:
        for key, inner in value.items():
            yield from _flat(f"{place}.{key}" if place else str(key), inner)
    else:
        yield place, value


def _short(value: Any) -> str:
    text = "nothing" if value is None else json.dumps(value)
    return text if len(text) <= 40 else f"{text[:37]}..."
