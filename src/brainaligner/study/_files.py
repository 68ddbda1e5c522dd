"""Study files: packaged presets, YAML from the user, overrides from the command line."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields
from itertools import count
from pathlib import Path
from typing import Any

import yaml

from brainaligner.core import InputError, nearest_name, unknown_name
from brainaligner.study._arm_config import ArmConfig
from brainaligner.study._config import StudyConfig
from brainaligner.study._presets import preset_names, preset_text
from brainaligner.study._settings import (
    canonical,
    check_keys,
    places_of,
    settings_from_mapping,
    unknown_key,
)
from brainaligner.study._written import as_written, misspelled

_NAMED = ("features", "brains", "tunings", "arms")
_MOST_VALUES = 100_000


class _StrictLoader(yaml.SafeLoader):
    """Safe YAML that refuses a key written twice instead of keeping the last."""


def _mapping_without_repeats(loader: _StrictLoader, node: yaml.MappingNode) -> dict[Any, Any]:
    seen: set[Any] = set()
    for key_node, _ in node.value:
        if key_node.tag == "tag:yaml.org,2002:merge":
            continue
        key = loader.construct_object(key_node, deep=True)
        if not isinstance(key, str | int | float | None) or key in seen:
            fault = "stands twice" if isinstance(key, str | int) else "is no plain name"
            raise yaml.constructor.ConstructorError(
                None, None, f"key {key!r} {fault}", key_node.start_mark
            )
        seen.add(key)
    loader.flatten_mapping(node)
    return loader.construct_mapping(node, deep=True)


_StrictLoader.add_constructor(yaml.resolver.Resolver.DEFAULT_MAPPING_TAG, _mapping_without_repeats)


def load_study(source: str, *, overrides: Sequence[str] = ()) -> StudyConfig:
    """Read and validate a study.

    Parameters
    ----------
    source : str
        Path of a YAML file, or the name of a packaged study.
    overrides : sequence of str
        ``"dotted.key=value"``, value in YAML: ``"arms.plain.design.delays=[1, 2]"``.

    Raises
    ------
    InputError
        For a missing file, bad YAML, an unknown key or a bad value.
    """
    mapping = _read_mapping(source)
    written = {section: _names(mapping.get(section)) for section in _NAMED}
    for override in overrides:
        _set_value(mapping, override)
    arms, defaults = mapping.get("arms"), mapping.pop("defaults", None)
    try:
        _check_sections(mapping)
        mapping["arms"] = _with_defaults(arms, defaults)
        config = settings_from_mapping(StudyConfig, mapping, where="study")
    except InputError as error:
        raise misspelled(error, overrides, written) or as_written(
            error, overrides, arms, defaults
        ) from None
    _check_read(config, overrides, written)
    return config


def _check_read(
    config: StudyConfig, overrides: Sequence[str], written: Mapping[str, Sequence[str]]
) -> None:
    """Refuse an override that nothing reads, of an entry or of the division: it changes nothing."""
    carried = config.dataset.simulation.features if config.dataset.simulation is not None else None
    of_brains = [brain.features for brain in config.brains.values()]
    read: dict[str, set[str | None]] = {
        "features": {carried, *of_brains, *(f for a in config.arms.values() for f in a.features)},
        "tunings": {feature.tuning for feature in config.features.values()},
        "brains": {tuning.brain for tuning in config.tunings.values()},
    }
    for override in overrides:
        section, _, rest = override.partition("=")[0].partition(".")
        name = rest.partition(".")[0]
        if section in read and name and name not in {*written[section], *read[section]}:
            raise unknown_name(f"--set {override}", f"entry of {section}", name, written[section])
        if section == "split" and rest in ("seed", "gap") and not config.split.divides_by(rest):
            raise config.split.unread(rest)


def _names(section: object) -> tuple[str, ...]:
    return tuple(map(str, section)) if isinstance(section, Mapping) else ()


def study_from_text(text: str) -> StudyConfig:
    """Read back what `study_yaml` wrote."""
    mapping = yaml_mapping("study", text, wanted="a study", do="Write it with study_yaml.")
    return settings_from_mapping(StudyConfig, mapping, where="study")


def override(key: str, value: object) -> str:
    """One of `load_study`'s overrides that gives a plain value exactly."""
    return f"{key}={yaml.safe_dump(value, default_flow_style=True, width=10**9)}"


def study_yaml(config: StudyConfig) -> str:
    """The study with every default written out, as YAML that `load_study` reads back."""
    return yaml.safe_dump(canonical(config), sort_keys=False, allow_unicode=True)


def _read_mapping(source: str) -> dict[str, Any]:
    path = Path(source).expanduser()
    if path.suffix in (".yaml", ".yml") or path.is_file():
        text = read_text(path)
    elif source in preset_names():
        text = preset_text(source)
    else:
        nearest = nearest_name(source, preset_names())
        raise InputError(
            f"study {source!r}",
            got="neither a file nor a packaged study",
            wanted=f"a YAML file or one of: {', '.join(preset_names())}",
            do=f"Did you mean {nearest!r}?" if nearest else "Run 'brainaligner studies'.",
        )
    example = "See 'brainaligner studies show baseline' for an example."
    return yaml_mapping(source, text, wanted="a mapping with name, dataset, arms ...", do=example)


def yaml_mapping(source: str, text: str, *, wanted: str, do: str) -> dict[str, Any]:
    """Read YAML that has to be a mapping.

    Parameters
    ----------
    source : str
        Where the text is from; named in errors.
    text : str
    wanted, do : str
        What is said where it is no mapping.

    Raises
    ------
    InputError
        For text that is not YAML, a key that stands twice, aliases without an end, or anything
        but a mapping.
    """
    try:
        mapping = _unshared(_from_yaml(text), count())
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise InputError(
            source,
            got=f"text that is not YAML ({' '.join(str(error).split())})",
            wanted="a YAML mapping",
            do="Correct that line.",
        ) from None
    if not isinstance(mapping, dict):
        raise InputError(source, got=type(mapping).__name__, wanted=wanted, do=do)
    return mapping


def _from_yaml(text: str) -> Any:
    return yaml.load(text, Loader=_StrictLoader)  # noqa: S506 (its base is the SafeLoader)


def _unshared(value: Any, counted: Iterator[int]) -> Any:
    """Give each place a copy of its own: what YAML's aliases share, an override would share too."""
    if next(counted) >= _MOST_VALUES:
        raise ValueError(f"more than {_MOST_VALUES:,} values, aliases counted each time")
    if isinstance(value, dict):
        return {key: _unshared(inner, counted) for key, inner in value.items()}
    return [_unshared(inner, counted) for inner in value] if isinstance(value, list) else value


def _check_sections(mapping: Mapping[str, Any]) -> None:
    sections = [field.name for field in fields(StudyConfig)] + ["defaults"]
    for key in mapping:
        if key not in sections:
            deeper = places_of(StudyConfig, str(key))
            deeper += [f"defaults.{place}" for place in places_of(ArmConfig, str(key))]
            raise unknown_key("study", str(key), sections, deeper)


def read_text(path: Path, *, kind: str = "YAML file") -> str:
    """Text of a UTF-8 file that a user wrote; refused where it cannot be read.

    Parameters
    ----------
    path : Path
    kind : str
        What it should be, for the error.
    """
    try:
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        fault, do = str(error), "Check the path and its permissions."
    except UnicodeDecodeError as error:
        fault, do = str(error), f"Convert it: iconv -f latin1 -t utf8 {path.name} > NEW."
    raise InputError(
        str(path), got=f"a file that cannot be read ({fault})", wanted=f"a UTF-8 {kind}", do=do
    )


def _set_value(mapping: dict[str, Any], override: str) -> None:
    key, equals, text = override.partition("=")
    if not equals or not key:
        raise InputError(
            f"--set {override!r}",
            got="no key before '='" if equals else "no '='",
            wanted="key=value",
            do="Write, for example, --set evaluation.level=0.9.",
        )
    *parents, last = key.split(".")
    place = mapping
    for parent in parents:
        if place.get(parent) is None:
            place[parent] = {}
        inner = place[parent]
        if not isinstance(inner, dict):
            raise InputError(
                f"--set {override!r}",
                got=f"{parent!r}, which is not a mapping",
                wanted="a key inside mappings",
                do="Check the dotted key.",
            )
        place = inner
    place[last] = yaml_value(text)


def yaml_value(text: str) -> Any:
    """A value as YAML reads it; what is no YAML is text."""
    try:
        return _from_yaml(text)
    except (yaml.YAMLError, ValueError):
        return text


def _with_defaults(arms: object, defaults: object) -> object:
    if not isinstance(defaults, Mapping | None):
        raise InputError(
            "study.defaults",
            got=repr(defaults)[:80],
            wanted="a mapping with keys of an arm, such as design and ridge",
            do="Write it as 'key: value' lines.",
        )
    check_keys(ArmConfig, defaults, where="study.defaults")
    if not isinstance(arms, Mapping) or defaults is None:
        return arms
    return {name: _merge(defaults, arm or {}) for name, arm in arms.items()}


def _merge(below: Any, above: Any) -> Any:
    """Mappings are merged key by key; anything else above replaces what is below."""
    if isinstance(below, Mapping) and isinstance(above, Mapping):
        keys = [*below, *(key for key in above if key not in below)]
        return {
            key: _merge(below[key], above[key])
            if key in below and key in above
            else above.get(key, below.get(key))
            for key in keys
        }
    return above
