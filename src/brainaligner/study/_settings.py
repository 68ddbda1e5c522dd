"""Plain mappings, as YAML gives them, into frozen dataclasses, as rooms take them."""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from brainaligner.core import InputError, unknown_name

T = TypeVar("T")


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
        return TypeAdapter(kind).validate_python(mapping)
    except ValidationError as error:
        raise _first_fault(error, where) from None


def _first_fault(error: ValidationError, where: str) -> InputError:
    fault = error.errors()[0]
    cause = fault.get("ctx", {}).get("error")
    place = ".".join([where, *(str(part) for part in fault["loc"])])
    if isinstance(cause, InputError):
        return InputError(
            f"{place}: {cause.where}", got=cause.got, wanted=cause.wanted, do=cause.do
        )
    return InputError(
        place,
        got="nothing" if fault["type"] == "missing" else _shortened(repr(fault["input"])),
        wanted=fault["msg"][0].lower() + fault["msg"][1:],
        do="Correct this value in the study file.",
    )


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
    hints = typing.get_type_hints(kind)
    for key, inner in value.items():
        if key not in _field_names(kind):
            raise unknown_name(where, "key", str(key), _field_names(kind))
        check_keys(hints[key], inner, where=f"{where}.{key}")


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
