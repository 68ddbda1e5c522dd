"""One study under several values of its settings."""

from __future__ import annotations

import csv
import io
import itertools
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from brainaligner.core import InputError
from brainaligner.study._config import StudyConfig
from brainaligner.study._disk import replace_file
from brainaligner.study._files import load_study, yaml_value
from brainaligner.study._options import RunOptions
from brainaligner.study._run import run_study

_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")


@dataclass(frozen=True)
class Variant:
    """One combination of values.

    Parameters
    ----------
    values : mapping of key to value
    config : StudyConfig
        Named after them.
    """

    values: Mapping[str, Any]
    config: StudyConfig


def sweep_variants(
    study: str, overrides: Sequence[str], over: Sequence[str]
) -> tuple[Variant, ...]:
    """All combinations of values, each as a study of its own; every one is checked here.

    Parameters
    ----------
    study : str
        As `load_study` takes it.
    overrides : sequence of str
        As `load_study` takes them, for all combinations.
    over : sequence of str
        ``"dotted.key=[value, value]"`` in YAML.

    Raises
    ------
    InputError
        For a key without a list of values, or whatever `load_study` refuses.
    """
    axes = dict(_axis(text) for text in over)
    if len(axes) < len(over) or not axes:
        raise InputError(
            "--over",
            got=f"{len(over)} times, {len(axes)} different keys",
            wanted="at least one key, each once",
            do="Write --over arms.plain.design.delays=[[1],[1,2]].",
        )
    variants = []
    for values in itertools.product(*axes.values()):
        chosen = dict(zip(axes, values, strict=True))
        changes = [f"{key}={json.dumps(value, default=str)}" for key, value in chosen.items()]
        config = load_study(study, overrides=[*overrides, *changes])
        variants.append(Variant(chosen, replace(config, name=_name(config.name, chosen))))
    names = [variant.config.name for variant in variants]
    if len(set(names)) < len(names):
        raise InputError(
            "--over", got="two equal values", wanted="different ones", do="Leave one out."
        )
    return tuple(variants)


def _axis(text: str) -> tuple[str, list[Any]]:
    key, _, values = text.partition("=")
    found = yaml_value(values)
    if not key or not isinstance(found, list) or not found:
        raise InputError(
            f"--over {text!r}",
            got="no key, or no list of values",
            wanted="key=[value, value]",
            do="Write, for example, --over split.seed=[0,1,2].",
        )
    return key, found


def _name(study: str, values: Mapping[str, Any]) -> str:
    parts = [f"{key.rpartition('.')[2]}-{value}" for key, value in values.items()]
    return "-".join([study, *(_UNSAFE.sub("_", part).strip("_") for part in parts)])


def run_sweep(variants: Sequence[Variant], options: RunOptions, *, name: str) -> Path:
    """Run each combination, and join their tables.

    Parameters
    ----------
    variants : sequence of Variant
    options : RunOptions
        All share one store, so that what they have in common is made once.
    name : str
        Of the joined table, ``<name>-sweep.tsv``.

    Returns
    -------
    Path
        The table: one line for each result, the swept keys in the first columns.
    """
    rows: list[dict[str, str]] = []
    for variant in variants:
        folder = run_study(variant.config, options)
        keys = {key: str(value) for key, value in variant.values.items()}
        rows += [keys | row for row in _lines(folder / "table.tsv")]
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), delimiter="\t", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    target = options.out / f"{name}-sweep.tsv"
    replace_file(target, text.getvalue().encode())
    return target


def _lines(path: Path) -> Iterator[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        yield from csv.DictReader(file, delimiter="\t")
