"""Settings of wrong types are refused in words, whichever class and field they stand in."""

from __future__ import annotations

import dataclasses
import importlib
from typing import Any, Literal

import numpy as np
import pytest

from brainaligner.core import InputError, draw_split, settle_types
from brainaligner.encoding import RidgeSettings
from brainaligner.text import DesignSettings, TextSettings

pytestmark = pytest.mark.usefixtures("unchecked")

ROOMS = ("aligner", "brain", "data", "encoding", "evaluation", "report", "text")
REQUIRED: dict[str, dict[str, Any]] = {
    "BrainSettings": {"kind": "all"},
    "CompactSettings": {"kind": "masked"},
    "MapSettings": {"label": "r", "limits": (0.0, 1.0)},
    "ObjectiveSettings": {"predict": None},
}
STRANGE: dict[str, Any] = {
    "none": None,
    "flag": True,
    "whole": 3,
    "number": 2.5,
    "text": "text",
    "bytes": b"bytes",
    "nothing": [],
    "mapping": {},
    "set": {1, 2},
    "object": object(),
    "scalar array": np.array(1.0),
    "array": np.array([[1.0, 2.0]]),
    "nan": float("nan"),
    "huge": 10**400,
    "hole": [1, None],
    "nested": [[1]],
    "generator": range(3),
}


def settings_classes() -> list[type]:
    found = {}
    for room in ROOMS:
        module = importlib.import_module(f"brainaligner.{room}")
        for name in module.__all__:
            kind = getattr(module, name)
            if name.endswith(("Settings", "Options")) and dataclasses.is_dataclass(kind):
                found[name] = kind
    return list(found.values())


def fields_of(kinds: list[type]) -> list[tuple[type, str]]:
    return [(kind, field.name) for kind in kinds for field in dataclasses.fields(kind)]


def answer(kind: type, given: dict[str, Any]) -> object:
    try:
        return kind(**given)
    except InputError as refusal:
        return refusal


def test_every_room_has_settings_to_look_at() -> None:
    assert len(settings_classes()) >= 20


@pytest.mark.parametrize(("kind", "field"), fields_of(settings_classes()))
def test_strange_values_are_taken_or_refused_in_words(kind: type, field: str) -> None:
    for value in STRANGE.values():
        given = REQUIRED.get(kind.__name__, {}) | {field: value}
        made = answer(kind, given)
        assert isinstance(made, InputError) or dataclasses.is_dataclass(made)


@dataclasses.dataclass(frozen=True)
class Sample:
    """One field of each kind."""

    share: float = 0.5
    count: int | None = None
    flag: bool = False
    name: Literal["left", "right"] = "left"
    grid: tuple[float, ...] = (1.0,)
    pair: tuple[int, int] = (0, 1)
    inner: RidgeSettings = dataclasses.field(default_factory=RidgeSettings)

    def __post_init__(self) -> None:
        settle_types(self, where="sample")


def test_numpy_values_become_plain_ones() -> None:
    made = Sample(
        share=np.float32(0.25),  # type: ignore[arg-type]
        count=np.int64(3),  # type: ignore[arg-type]
        flag=np.True_,  # type: ignore[arg-type]
        grid=np.array([1, 10]),  # type: ignore[arg-type]
        pair=[4, np.int8(5)],  # type: ignore[arg-type]
    )
    assert made == Sample(share=0.25, count=3, flag=True, grid=(1.0, 10.0), pair=(4, 5))
    kinds = [type(value) for value in (made.share, made.count, made.flag, *made.grid, *made.pair)]
    assert kinds == [float, int, bool, float, float, int, int]


@pytest.mark.parametrize(
    ("changed", "wanted"),
    [
        ({"share": "half"}, "sample: share: got 'half' (str); wanted a number. Correct"),
        ({"share": True}, "wanted a number"),
        ({"count": 2.0}, "sample: count: got 2.0 (float); wanted a whole number or None"),
        ({"flag": 1}, "wanted True or False"),
        ({"name": 3}, "wanted one of: 'left', 'right'"),
        ({"grid": 10}, "wanted a sequence of numbers. Write (10,), a sequence of one."),
        ({"grid": "12"}, "got '12' (str); wanted a sequence of numbers. Correct"),
        ({"grid": {1.0, 2.0}}, "(set)"),  # its order is nobody's
        ({"pair": (1,)}, "wanted 2 whole numbers"),
        ({"inner": {"alphas": [1]}}, "wanted RidgeSettings"),
    ],
)
def test_the_error_says_what_was_got_and_wanted(changed: dict[str, Any], wanted: str) -> None:
    with pytest.raises(InputError) as caught:
        Sample(**changed)
    assert wanted in str(caught.value)


def test_settings_from_arrays_are_those_from_tuples() -> None:
    assert RidgeSettings(np.logspace(0, 2, 3)) == RidgeSettings((1.0, 10.0, 100.0))  # type: ignore[arg-type]
    assert DesignSettings(delays=range(1, 5)) == DesignSettings()  # type: ignore[arg-type]
    assert TextSettings(layer=np.int32(4)) == TextSettings(layer=4)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ({"stories": 5}, "a sequence of story names"),
        ({"stories": "abc"}, "a sequence of story names"),
        ({"counts": (1, 1)}, "three whole numbers"),
        ({"counts": (0.6, 0.2, 0.2)}, "three whole numbers"),
        ({"counts": 3}, "three whole numbers"),
        ({"seed": None}, "a whole number of 0 or more"),
        ({"seed": -1}, "a whole number of 0 or more"),
    ],
)
def test_a_division_is_not_drawn_from_strange_values(given: dict[str, Any], wanted: str) -> None:
    right: dict[str, Any] = {"stories": ["a", "b", "c"], "counts": (1, 1, 1), "seed": 0}
    with pytest.raises(InputError, match=wanted):
        draw_split(**(right | given))
