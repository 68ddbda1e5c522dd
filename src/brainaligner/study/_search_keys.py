"""Whether the keys of a search's space are settings of its study that a search may change."""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Mapping, Sequence
from typing import Any

from brainaligner.core import InputError, unknown_name
from brainaligner.study._arm_config import ArmConfig
from brainaligner.study._config import StudyConfig
from brainaligner.study._search_space import SearchSpace

SECTIONS = ("features", "brains", "tunings", "arms", "defaults")


def check_keys_of_space(space: SearchSpace, config: StudyConfig) -> None:
    """Refuse a key that names no setting of a study, or one that trials have to share.

    Parameters
    ----------
    space : SearchSpace
    config : StudyConfig
        The study before anything is changed.

    Raises
    ------
    InputError
        With the nearest name that exists.
    """
    carried = config.dataset.simulation.features if config.dataset.simulation is not None else None
    for key in space.entries:
        section, *rest = key.split(".")
        where = f"{space.source}, {key}"
        _check_section(where, section)
        if section == "features" and rest[:1] == [carried]:
            raise InputError(
                where,
                got=f"{carried!r}, from which the responses are simulated",
                wanted="settings that leave the responses as they are",
                do="Give the arm an entry of its own.",
            )
        if section == "defaults":
            _walk(where, ArmConfig, None, rest)
        elif not rest:
            entries = getattr(config, section)
            raise unknown_name(where, "entry", "", entries)
        else:
            kind = typing.get_type_hints(StudyConfig)[section]
            _walk(where, kind, getattr(config, section), rest)


def _check_section(where: str, section: str) -> None:
    if section in SECTIONS:
        return
    if section in {field.name for field in dataclasses.fields(StudyConfig)}:
        raise InputError(
            where,
            got=f"{section!r}, which all trials have to share",
            wanted=f"a setting of an arm and what it reads: {', '.join(SECTIONS)}",
            do="Search under one division of stories and one way of scoring; --set changes it.",
        )
    raise unknown_name(where, "key", section, SECTIONS)


def _walk(where: str, kind: Any, value: object, parts: Sequence[str]) -> None:
    """Follow a dotted key through settings; `value` is what the study has there, or None."""
    if not parts:
        return
    part, rest = parts[0], parts[1:]
    for option in _options(kind):
        if dataclasses.is_dataclass(option) and isinstance(option, type):
            names = [field.name for field in dataclasses.fields(option)]
            if part not in names:
                raise unknown_name(where, "key", part, names)
            inner = typing.get_type_hints(option)[part]
            _walk(where, inner, getattr(value, part, None), rest)
            return
        if typing.get_origin(option) in (dict, Mapping):
            entries = value if isinstance(value, Mapping) else {}
            if part not in entries:
                raise unknown_name(where, "entry", part, entries)
            _walk(where, typing.get_args(option)[1], entries[part], rest)
            return
    raise InputError(
        where,
        got=f"{part!r} inside a setting that has no parts",
        wanted="the dotted key of a setting",
        do="Leave out what follows the setting's name.",
    )


def _options(kind: Any) -> tuple[Any, ...]:
    if typing.get_origin(kind) in (typing.Union, types.UnionType):
        return typing.get_args(kind)
    return (kind,)


def short_names(keys: Sequence[str]) -> dict[str, str]:
    """The shortest end of each dotted key that no other key ends with."""
    parts = {key: key.split(".") for key in keys}
    return {key: _shortest(key, parts) for key in keys}


def _shortest(key: str, parts: Mapping[str, list[str]]) -> str:
    own = parts[key]
    for n in range(1, len(own)):
        if all(other[-n:] != own[-n:] for name, other in parts.items() if name != key):
            return ".".join(own[-n:])
    return key
