"""Settings that are of the types which their dataclass names."""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Iterable, Mapping, Set
from functools import cache
from numbers import Integral, Real
from typing import Any

import numpy as np

from brainaligner.core._errors import InputError

_NAMES = {bool: "True or False", int: "a whole number", float: "a number", str: "text"}
_MANY = {int: "whole numbers", float: "numbers", str: "texts"}


class _MisfitError(Exception):
    """A value is not of the type that was wanted."""


def settle_types(settings: Any, *, where: str) -> None:
    """Give each field of a frozen dataclass the plain value that its annotation names.

    numpy's numbers become Python's, whole numbers floats where floats are wanted, and arrays,
    lists and ranges tuples. Whether a text is among those of a Literal is left to the class.

    Parameters
    ----------
    settings : dataclass instance
        Changed in place: meant for the first line of its ``__post_init__``.
    where : str
        What the settings are called in errors.

    Raises
    ------
    InputError
        For the first value that is of another type.
    """
    for name, hint in _hints(settings.__class__).items():
        value = getattr(settings, name)
        try:
            object.__setattr__(settings, name, _settled(value, hint))
        except _MisfitError:
            raise InputError(
                f"{where}: {name}",
                got=_shown(value),
                wanted=_wanted(hint),
                do=_advice(value, hint),
            ) from None


@cache
def _hints(kind: Any) -> Mapping[str, Any]:
    hints = typing.get_type_hints(kind)
    return {field.name: hints[field.name] for field in dataclasses.fields(kind)}


def _settled(value: Any, hint: Any) -> Any:
    for option in _options(hint):
        try:
            return _as_option(value, option)
        except _MisfitError:
            continue
    raise _MisfitError


def _options(hint: Any) -> tuple[Any, ...]:
    united = typing.get_origin(hint) in (typing.Union, types.UnionType)
    return typing.get_args(hint) if united else (hint,)


def _as_option(value: Any, option: Any) -> Any:
    origin = typing.get_origin(option)
    if option in _NAMES:
        return _as_scalar(value, option)
    if origin is tuple:
        return _as_tuple(value, typing.get_args(option))
    if origin is typing.Literal:
        right = type(value) in map(type, typing.get_args(option))
    else:
        kind = origin or option
        right = isinstance(value, kind) if isinstance(kind, type) else True
    if not right:
        raise _MisfitError
    return value


def _as_scalar(value: Any, kind: type) -> Any:
    is_flag = isinstance(value, bool | np.bool_)
    number = {int: Integral, float: Real}.get(kind, kind)
    if not (is_flag if kind is bool else isinstance(value, number) and not is_flag):
        raise _MisfitError
    if kind is int and not -(2**63) <= value < 2**63:
        raise _MisfitError
    try:
        return value if kind is str else kind(value)
    except OverflowError:
        raise _MisfitError from None


def _as_tuple(value: Any, arguments: tuple[Any, ...]) -> tuple[Any, ...]:
    if isinstance(value, str | bytes | Mapping | Set) or not isinstance(value, Iterable):
        raise _MisfitError
    if isinstance(value, np.ndarray) and value.ndim == 0:
        raise _MisfitError
    values = tuple(value)
    hints = (arguments[0],) * len(values) if arguments[-1] is ... else arguments
    if len(values) != len(hints):
        raise _MisfitError
    return tuple(_settled(inner, hint) for inner, hint in zip(values, hints, strict=True))


def _wanted(hint: Any) -> str:
    return " or ".join(dict.fromkeys(map(_wanted_option, _options(hint))))


def _wanted_option(option: Any) -> str:
    arguments = typing.get_args(option)
    origin = typing.get_origin(option)
    if origin is tuple:
        many = _MANY.get(arguments[0], "values")
        return f"a sequence of {many}" if arguments[-1] is ... else f"{len(arguments)} {many}"
    if origin is typing.Literal:
        return f"one of: {', '.join(map(repr, arguments))}"
    if option is type(None):
        return "None"
    return str(_NAMES.get(option) or getattr(origin or option, "__name__", option))


def _advice(value: Any, hint: Any) -> str:
    for option in _options(hint):
        arguments = typing.get_args(option)
        if typing.get_origin(option) is tuple and arguments[-1] is ...:
            try:
                _settled(value, arguments[0])
            except _MisfitError:
                continue
            return f"Write ({value!r},), a sequence of one."
    return "Correct this value."


def _shown(value: Any) -> str:
    text = " ".join(repr(value).split())
    return f"{text if len(text) <= 80 else f'{text[:77]}...'} ({type(value).__name__})"
