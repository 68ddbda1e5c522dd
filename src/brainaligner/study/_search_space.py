"""The space of a search: dotted keys of a study, each with a range or with choices."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from brainaligner.core import InputError, unknown_name
from brainaligner.study._files import read_text, yaml_mapping

Value = Any
"""What a setting can be in YAML."""

_RANGE = ("low", "high", "log", "step")
_NAMES = (*_RANGE, "choices")
_EXAMPLE = "Write, for example, {low: 2, high: 6} or {choices: [0, 5, 10]}."


@dataclass(frozen=True)
class Range:
    """Numbers from `low` to `high`, both among them; whole ones where both ends are.

    Parameters
    ----------
    low, high : int or float
    log : bool
        Drawn evenly in the logarithm.
    step : int or float, optional
        Only ``low``, ``low + step`` and so on; 1 where numbers are whole.

    Raises
    ------
    InputError
        For an end that is not finite, an empty range, the logarithm of 0 or less, or a step
        that is not positive, beside a logarithm, or does not lead to `high`.
    """

    low: int | float
    high: int | float
    log: bool = False
    step: int | float | None = None

    def __post_init__(self) -> None:
        faults = {
            "an end that is not finite": not (math.isfinite(self.low) and math.isfinite(self.high)),
            "an empty range": self.low >= self.high,
            "log from 0 or below": self.log and self.low <= 0,
            "log and step": self.log and self.step is not None,
            "a step that is not above 0": self.step is not None and not self.step > 0,
            "a step that is no whole number": self.whole and self.step not in (None, 1)
            and not isinstance(self.step, int),
        }  # fmt: skip
        for got, wrong in faults.items():
            if wrong:
                wanted = "low below high, both finite; log above 0, and without step"
                raise InputError(f"{self.low} to {self.high}", got=got, wanted=wanted, do=_EXAMPLE)
        steps = 0.0 if self.step is None else (self.high - self.low) / self.step
        if abs(steps - round(steps)) > 1e-9:
            raise InputError(
                f"{self.low} to {self.high}",
                got=f"a step of {self.step}, which does not lead from one to the other",
                wanted="a whole number of steps",
                do="Change high.",
            )

    @property
    def whole(self) -> bool:
        """Whether only whole numbers are in it."""
        return isinstance(self.low, int) and isinstance(self.high, int)

    @property
    def size(self) -> int | None:
        """How many values there are; None where there is no end of them."""
        if self.step is None and not self.whole:
            return None
        return round((self.high - self.low) / (self.step or 1)) + 1

    @property
    def looked_at(self) -> tuple[Value, ...]:
        """Values that are checked before a search: both ends."""
        return self.low, self.high

    def value(self, position: int) -> Value:
        """The value at a position, where they can be counted."""
        return self.low + position * (self.step or 1)

    def draw(self, rng: np.random.Generator) -> Value:
        """One value at random."""
        if self.size is not None:
            return self.value(int(rng.integers(self.size)))
        if self.log:
            return float(math.exp(rng.uniform(math.log(self.low), math.log(self.high))))
        return float(rng.uniform(self.low, self.high))

    def record(self) -> dict[str, Value]:
        """As it stands in a space file."""
        told = {"low": self.low, "high": self.high, "log": self.log or None, "step": self.step}
        return {name: value for name, value in told.items() if value is not None}


@dataclass(frozen=True)
class Choices:
    """Some values, no order among them.

    Parameters
    ----------
    values : tuple
        Whatever a setting may be in YAML: numbers, names, lists, mappings, null.

    Raises
    ------
    InputError
        For fewer than two, one that stands twice, or one that is no plain value.
    """

    values: tuple[Value, ...]

    def __post_init__(self) -> None:
        texts = self.texts
        if len(texts) < 2 or len(set(texts)) < len(texts):
            raise InputError(
                "choices",
                got=f"{len(texts)} values, {len(set(texts))} of them different",
                wanted="two or more, each once",
                do="Correct the list; what has one value belongs into the study or --set.",
            )

    @property
    def texts(self) -> tuple[str, ...]:
        """Each value as JSON: what the tuner sees."""
        try:
            return tuple(json.dumps(v, sort_keys=True, allow_nan=False) for v in self.values)
        except (TypeError, ValueError) as error:
            raise InputError(
                "choices",
                got=f"a value that is not plain ({error})",
                wanted="numbers, text, true, false, null, lists or mappings of them",
                do="Put quotes around a date.",
            ) from None

    @property
    def size(self) -> int:
        """How many there are."""
        return len(self.values)

    @property
    def looked_at(self) -> tuple[Value, ...]:
        """Values that are checked before a search: all."""
        return self.values

    def value(self, position: int) -> Value:
        """The value at a position."""
        return self.values[position]

    def draw(self, rng: np.random.Generator) -> Value:
        """One value at random."""
        return self.value(int(rng.integers(self.size)))

    def record(self) -> dict[str, Value]:
        """As it stands in a space file."""
        return {"choices": list(self.values)}


Values = Mapping[str, Value]
"""One value for each key of a space."""


@dataclass(frozen=True)
class SearchSpace:
    """What a search may change.

    Parameters
    ----------
    source : str
        File that it was read from, for messages.
    entries : mapping of dotted key to Range or Choices
    """

    source: str
    entries: Mapping[str, Range | Choices]

    @property
    def size(self) -> int | None:
        """How many combinations there are; None where there is no end of them."""
        sizes = [entry.size for entry in self.entries.values()]
        known = [size for size in sizes if size is not None]
        return math.prod(known) if len(known) == len(sizes) else None

    def draw(self, rng: np.random.Generator) -> dict[str, Value]:
        """One combination at random."""
        return {key: entry.draw(rng) for key, entry in self.entries.items()}

    def combinations(self, start: int) -> Iterator[dict[str, Value]]:
        """All combinations of a space that has an end, from one on and round."""
        size = self.size or 0
        for number in range(start, start + size):
            yield self._combination(number % size)

    def _combination(self, number: int) -> dict[str, Value]:
        values = {}
        for key, entry in self.entries.items():
            number, position = divmod(number, entry.size or 1)
            values[key] = entry.value(position)
        return values

    def record(self) -> dict[str, dict[str, Value]]:
        """As it stands in a file."""
        return {key: entry.record() for key, entry in self.entries.items()}


def read_space(path: Path) -> SearchSpace:
    """Read a space file.

    Raises
    ------
    InputError
        For a file that cannot be read, is not YAML or names nothing, and for an entry that is
        neither a range nor choices.
    """
    text = read_text(path.expanduser())
    wanted = "a mapping of dotted keys of a study"
    mapping = yaml_mapping(str(path), text, wanted=wanted, do=_EXAMPLE)
    if not mapping:
        raise InputError(str(path), got="no key", wanted=wanted, do=_EXAMPLE)
    return SearchSpace(str(path), {str(k): _entry(f"{path}, {k}", v) for k, v in mapping.items()})


def _entry(place: str, value: object) -> Range | Choices:
    if not isinstance(value, Mapping):
        wanted = "a range or choices"
        raise InputError(place, got=repr(value)[:80], wanted=wanted, do=_EXAMPLE)
    for name in value:
        if name not in _NAMES:
            raise unknown_name(place, "key", str(name), _NAMES)
    try:
        return _choices(value) if "choices" in value else _range(value)
    except InputError as error:
        where = f"{place}: {error.where}"
        raise InputError(where, got=error.got, wanted=error.wanted, do=error.do) from None


def _choices(value: Mapping[str, Value]) -> Choices:
    values = value["choices"]
    if len(value) > 1 or not isinstance(values, list):
        wanted = "choices alone, a list of values"
        raise InputError("choices", got=repr(dict(value))[:80], wanted=wanted, do=_EXAMPLE)
    return Choices(tuple(values))


def _range(value: Mapping[str, Value]) -> Range:
    for name in ("low", "high"):
        if name not in value:
            raise InputError(name, got="nothing", wanted="both ends of a range", do=_EXAMPLE)
    if not isinstance(value.get("log", False), bool):
        raise InputError("log", got=repr(value["log"])[:80], wanted="true or false", do=_EXAMPLE)
    step = None if value.get("step") is None else _number("step", value["step"])
    low, high = (_number(name, value[name]) for name in ("low", "high"))
    if not (isinstance(low, int) and isinstance(high, int)):
        low, high = float(low), float(high)
    return Range(low, high, value.get("log", False), step)


def _number(name: str, value: Value) -> int | float:
    """YAML takes 1e-5 for text, and so does nobody else."""
    try:
        if isinstance(value, bool) or not isinstance(value, int | float | str):
            raise ValueError
        return float(value) if isinstance(value, str) else value
    except ValueError:
        raise InputError(name, got=repr(value)[:80], wanted="a number", do=_EXAMPLE) from None
