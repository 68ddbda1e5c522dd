"""Plain mappings, as YAML gives them, into frozen dataclasses, as rooms take them."""

from __future__ import annotations

import dataclasses
import functools
import types
import typing
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from brainaligner.core import InputError, unknown_name

T = TypeVar("T")
_TRIED = ("bool", "int", "float", "str")
_WORDS = {
    "missing": "a value",
    "int_": "a whole number",
    "float_": "a number",
    "bool_": "true or false",
    "string_": "text",
    "mapping_": "a mapping, as 'key: value' lines",
    "dict_": "a mapping, as 'key: value' lines",
}
"""Beginnings of pydantic's names of faults, in words for people."""


def settings_from_mapping(kind: type[T], mapping: object, *, where: str) -> T:
    """Build a settings dataclass from a plain mapping; nested ones too.

    Parameters
    ----------
    kind : type
        A dataclass whose fields are plain types, tuples, mappings or further dataclasses.
    mapping : object
        What the YAML held at this place; None counts as empty.
    where : str
        Dotted place in the study file, for error messages.

    Raises
    ------
    InputError
        For an unknown key (with the nearest valid one), a value of the wrong type or a
        value that the dataclass itself refuses.
    """
    mapping = {} if mapping is None else mapping
    check_keys(kind, mapping, where=where)
    try:
        settings: T = _adapter(typing.cast("Any", kind)).validate_python(mapping)
    except ValidationError as error:
        raise _first_fault(error, where) from None
    return settings


@functools.cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)


@functools.cache
def _hints(kind: Any) -> dict[str, Any]:
    return typing.get_type_hints(kind)


def _first_fault(error: ValidationError, where: str) -> InputError:
    faults = error.errors()
    fault, place = faults[0], _place(faults[0], where)
    cause = fault.get("ctx", {}).get("error")
    if isinstance(cause, InputError):
        return InputError(
            f"{place}: {cause.where}", got=cause.got, wanted=cause.wanted, do=cause.do
        )
    here = [one for one in faults if _place(one, where) == place]
    absent = fault["type"] == "missing" and not _is_short(fault)
    return InputError(
        place,
        got="nothing" if absent else _shortened(repr(fault["input"])),
        wanted=" or ".join(dict.fromkeys(_wanted(one, len(here)) for one in here)),
        do=_advice(place, fault["input"]),
    )


def _is_short(fault: ErrorDetails) -> bool:
    """Whether a list lacks a value: what is missing has a number in the place of a name."""
    return fault["type"] == "missing" and isinstance(fault["loc"][-1], int)


def _place(fault: ErrorDetails, where: str) -> str:
    """Where the value stands: pydantic goes on with the kinds that it tried."""
    parts = [str(part) for part in fault["loc"]]
    if parts and (parts[-1] in _TRIED or "[" in parts[-1] or _is_short(fault)):
        parts.pop()
    return ".".join([where, *parts])


def _wanted(fault: ErrorDetails, n_faults: int) -> str:
    """What a fault of pydantic asks for, in the words of a study file."""
    kind, given, limits = fault["type"], fault["input"], fault.get("ctx", {})
    if kind == "literal_error":
        return f"one of: {limits['expected'].replace(' or ', ', ').replace(chr(39), '')}"
    if kind == "tuple_type":
        one = isinstance(given, str | int | float)
        return f"a list, such as [{_shortened(str(given).strip('[]'))}]" if one else "a list"
    if kind == "too_long" or _is_short(fault):
        noun = "whole numbers" if all(isinstance(value, int) for value in given) else "values"
        return f"{limits.get('max_length', len(given) + n_faults)} {noun}"
    unknown = fault["msg"][0].lower() + fault["msg"][1:]
    return next((words for start, words in _WORDS.items() if kind.startswith(start)), unknown)


def _advice(place: str, value: object) -> str:
    if place.endswith(".ridge.alpha") and isinstance(value, int | float):
        return f"Write alphas: [{value}] for one fixed alpha."
    return "Correct this value."


def _shortened(text: str) -> str:
    return text if len(text) <= 80 else f"{text[:77]}..."


def check_keys(kind: Any, value: object, *, where: str) -> None:
    """Refuse keys that no field has, at any depth, with the nearest name that exists."""
    for option in _options(kind):
        if dataclasses.is_dataclass(option) and isinstance(option, type):
            _check_dataclass_keys(option, value, where)
            return
        origin, arguments = typing.get_origin(option), typing.get_args(option)
        if origin in (dict, Mapping, typing.get_origin(Mapping[str, str])) and isinstance(
            value, Mapping
        ):
            for key, inner in value.items():
                check_keys(arguments[1], inner, where=f"{where}.{key}")
        elif origin is tuple and isinstance(value, list | tuple):
            for i, inner in enumerate(value):
                check_keys(arguments[0], inner, where=f"{where}[{i}]")


def _options(kind: Any) -> tuple[Any, ...]:
    if typing.get_origin(kind) in (typing.Union, types.UnionType):
        return typing.get_args(kind)
    return (kind,)


def _check_dataclass_keys(kind: type, value: object, where: str) -> None:
    if value is None:
        return
    if not isinstance(value, Mapping):
        raise InputError(
            where,
            got=_shortened(repr(value)),
            wanted=f"a mapping with keys such as {', '.join(_field_names(kind)[:4])}",
            do="Write it as 'key: value' lines.",
        )
    hints = _hints(kind)
    for key, inner in value.items():
        if key not in _field_names(kind):
            raise unknown_key(where, str(key), _field_names(kind), places_of(kind, str(key)))
        check_keys(hints[key], inner, where=f"{where}.{key}")


def unknown_key(where: str, key: str, options: Sequence[str], deeper: Sequence[str]) -> InputError:
    """Build the error for a key that stands too high, or is not known at all.

    Parameters
    ----------
    where, key : str
    options : sequence of str
        Keys that may stand there.
    deeper : sequence of str
        Dotted places at which a key of that name may stand.
    """
    error = unknown_name(where, "key", key, options)
    if not deeper:
        return error
    do = f"Did you mean {' or '.join(map(repr, deeper[:3]))}?"
    return InputError(error.where, got=error.got, wanted=error.wanted, do=do)


def places_of(kind: Any, name: str) -> list[str]:
    """Dotted places below a settings dataclass at which a setting of that name stands."""
    found = []
    for option in _options(kind):
        hints = _hints(typing.cast("Any", option)) if dataclasses.is_dataclass(option) else {}
        for key, hint in hints.items():
            found += [name] if key == name else [f"{key}.{p}" for p in places_of(hint, name)]
    return found


def _field_names(kind: type) -> list[str]:
    return [field.name for field in dataclasses.fields(kind)]


def plain(value: Any) -> Any:
    """Turn settings back into plain mappings, lists and scalars (for YAML, JSON and keys)."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [plain(inner) for inner in value]
    if value is None or isinstance(value, bool | int | float | str):
        return value
    return str(value)


def canonical(value: Any) -> Any:
    """Return `plain` settings in which equal numbers look equal: 0.0 and 0, 1e5 and 100000."""
    return _with_equal_numbers(plain(value))


def _with_equal_numbers(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _with_equal_numbers(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_with_equal_numbers(inner) for inner in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value
