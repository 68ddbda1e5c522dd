"""Where the user wrote what an error of a study is about: its file, its defaults or ``--set``."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from brainaligner.core import InputError, nearest_name, unknown_name


def misspelled(
    error: InputError, overrides: Sequence[str], written: Mapping[str, Sequence[str]]
) -> InputError | None:
    """The better error where what is incomplete is an entry that an override made by a slip.

    Parameters
    ----------
    error : InputError
    overrides : sequence of str
    written : mapping of section to sequence of str
        Entries of the study before overrides.
    """
    for override in overrides:
        section, name, *rest = [*override.partition("=")[0].split("."), ""]
        known, made = (
            written.get(section, ()),
            rest and error.where.startswith(f"study.{section}.{name}."),
        )
        if made and name not in known and nearest_name(name, known):
            return unknown_name(f"--set {override}", f"entry of {section}", name, known)
    return None


def as_written(
    error: InputError, overrides: Sequence[str], arms: object, defaults: object
) -> InputError:
    """The same error, at the place that the user wrote.

    Parameters
    ----------
    error : InputError
        Of a study whose defaults have been put below every arm.
    overrides : sequence of str
    arms, defaults : object
        As they stood before.
    """
    place, colon, rest = error.where.partition(": ")
    section, _, key = place.partition(".")
    if section != "study" or not key:
        return error
    key = _below_defaults(key, arms, defaults)
    where = next(
        (f"--set {one}" for one in reversed(overrides) if _gives(one, key, rest, error.got)),
        f"study.{key}",
    )
    return InputError(f"{where}{colon}{rest}", got=error.got, wanted=error.wanted, do=error.do)


def _below_defaults(key: str, arms: object, defaults: object) -> str:
    """The place in ``defaults`` of what an arm has from there."""
    section, _, entry = key.partition(".")
    name, _, inner = entry.partition(".")
    if section != "arms" or not (isinstance(arms, Mapping) and isinstance(defaults, Mapping)):
        return key
    inherited = inner and _holds(defaults, inner) and not _holds(arms.get(name) or {}, inner)
    return f"defaults.{inner}" if inherited else key


def _holds(value: object, place: str) -> bool:
    for part in place.split("."):
        if not isinstance(value, Mapping):
            return True  # of a list, an item of which is meant
        if part not in value:
            return False
        value = value[part]
    return True


def _gives(override: str, key: str, rest: str, got: str) -> bool:
    """Whether an override wrote a place, or the setting there that the error names."""
    given = override.partition("=")[0]
    parent, _, last = given.rpartition(".")
    named = last in re.findall(r"\w+", rest) or repr(last) in got
    return f"{key}.".startswith(f"{given}.") or (parent == key and named)
