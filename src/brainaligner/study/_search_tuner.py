"""The trials of a search as Optuna keeps them: which are over, and which comes next."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

import numpy as np

from brainaligner.study._search_space import Choices, Range, SearchSpace, Value
from brainaligner.study._search_trial import TrialScore

RANDOM_TRIALS = 10
_ATTEMPTS = 10  # at a combination that no trial has had yet, before one is drawn from the rest
_FINISHED, _FAILED, _STOPPED, _REPEATED = "finished", "failed", "stopped", "repeated"


@dataclass(frozen=True)
class Trial:
    """One trial that is over.

    Parameters
    ----------
    number : int
        From 1; trials that a killed process left open are not counted.
    values : mapping of key to value
    state : {"finished", "failed"}
    subjects : mapping of subject to float
        Mean validation r; empty where it failed.
    mean : float, optional
        Over subjects.
    seconds : float
        In the process that brought it to its end.
    reason : str
        Why it failed.
    scores : mapping of "arm, subject" to str
        Keys in the store.
    """

    number: int
    values: Mapping[str, Value]
    state: str
    subjects: Mapping[str, float]
    mean: float | None
    seconds: float
    reason: str
    scores: Mapping[str, str]


@dataclass(frozen=True, eq=False)
class Asked:
    """One trial that is to run."""

    number: int
    values: dict[str, Value]
    trial: Any


@dataclass(frozen=True, eq=False)
class Journal:
    """An open journal.

    Parameters
    ----------
    study : optuna.Study
    space : SearchSpace
    seed : int
    """

    study: Any
    space: SearchSpace
    seed: int
    _kinds: dict[str, Any] = field(default_factory=dict)

    def trials(self) -> tuple[Trial, ...]:
        """Trials that are over, in order."""
        kept = [
            t for t in self.study.get_trials(deepcopy=False) if _outcome(t) in (_FINISHED, _FAILED)
        ]
        return tuple(self._trial(number, one) for number, one in enumerate(kept, start=1))

    def _trial(self, number: int, one: Any) -> Trial:
        attrs = one.user_attrs
        return Trial(
            number,
            self._values(one.params),
            _outcome(one),
            attrs.get("subjects", {}),
            one.value,
            attrs.get("seconds", 0.0),
            attrs.get("reason", ""),
            attrs.get("scores", {}),
        )

    def _values(self, params: Mapping[str, Any]) -> dict[str, Value]:
        """Values of settings from what the tuner knows: choices are JSON there."""
        entries = self.space.entries
        return {
            key: json.loads(params[key]) if isinstance(entry, Choices) else params[key]
            for key, entry in entries.items()
        }

    def ask(self) -> Asked | None:
        """Give the next trial; None where all combinations were tried.

        What is suggested follows from the seed, the number of the trial and the scores so far
        alone, so that a search that was killed goes on as if it had not been.
        """
        over = self.trials()
        known = {_text(trial.values) for trial in over}
        number = len(over) + 1
        if self.space.size is not None and len(known) >= self.space.size:
            return None
        for attempt in range(_ATTEMPTS):
            trial = self._suggest(number, attempt)
            values = self._values(trial.params)
            if _text(values) not in known:
                return Asked(number, values, trial)
            trial.set_user_attr("outcome", _REPEATED)
            self.study.tell(trial, state=self._state("FAIL"))
        return self._one_of_the_rest(number, known)

    def _suggest(self, number: int, attempt: int) -> Any:
        samplers = import_module("optuna.samplers")
        seed = int(np.random.SeedSequence([self.seed, number, attempt]).generate_state(1)[0])
        self.study.sampler = samplers.TPESampler(
            seed=seed, n_startup_trials=RANDOM_TRIALS, constant_liar=False
        )
        return self.study.ask(self.distributions())

    def _one_of_the_rest(self, number: int, known: set[str]) -> Asked:
        """A combination that was not tried yet, where the tuner comes back to those that were."""
        start = int(np.random.default_rng([self.seed, number]).integers(self.space.size or 1))
        values = next(v for v in self.space.combinations(start) if _text(v) not in known)
        self._enqueue(values)
        return Asked(number, values, self.study.ask(self.distributions()))

    def _enqueue(self, values: Mapping[str, Value]) -> None:
        entries = self.space.entries
        params = {
            key: _text(value) if isinstance(entries[key], Choices) else value
            for key, value in values.items()
        }
        self.study.enqueue_trial(params)

    def distributions(self) -> dict[str, Any]:
        """The space as Optuna has it; in the order of names, so that a file's order is free."""
        if not self._kinds:
            entries = sorted(self.space.entries.items())
            self._kinds.update({key: _distribution(entry) for key, entry in entries})
        return self._kinds

    def finish(self, asked: Asked, score: TrialScore, seconds: float) -> None:
        """Note the scores of a trial."""
        facts = {"subjects": dict(score.subjects), "scores": dict(score.scores)}
        for name, value in (facts | {"seconds": seconds}).items():
            asked.trial.set_user_attr(name, value)
        self.study.tell(asked.trial, score.mean)

    def fail(self, asked: Asked, reason: str, seconds: float) -> None:
        """Note why a trial has no score."""
        for name, value in {"reason": reason, "seconds": seconds, "outcome": _FAILED}.items():
            asked.trial.set_user_attr(name, value)
        self.study.tell(asked.trial, state=self._state("FAIL"))

    def put_down_stopped(self) -> None:
        """Close trials that a killed process left open; whole ones are tried again first."""
        for one in self.study.get_trials(deepcopy=False, states=(self._state("RUNNING"),)):
            self.study.tell(one.number, state=self._state("FAIL"))
            if "outcome" not in one.user_attrs and set(one.params) == set(self.space.entries):
                self.study.enqueue_trial(dict(one.params))

    def _state(self, name: str) -> Any:
        return getattr(import_module("optuna.trial").TrialState, name)


def _outcome(one: Any) -> str:
    """What became of one of Optuna's trials."""
    if one.state.name == "COMPLETE":
        return _FINISHED
    return str(one.user_attrs.get("outcome", _STOPPED)) if one.state.name == "FAIL" else "open"


def _text(value: Value) -> str:
    return json.dumps(value, sort_keys=True)


def _distribution(entry: Range | Choices) -> Any:
    kinds = import_module("optuna.distributions")
    if isinstance(entry, Choices):
        return kinds.CategoricalDistribution(entry.texts)
    if entry.whole:
        step = 1 if entry.step is None else entry.step
        return kinds.IntDistribution(entry.low, entry.high, log=entry.log, step=step)
    return kinds.FloatDistribution(entry.low, entry.high, log=entry.log, step=entry.step)
