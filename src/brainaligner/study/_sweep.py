"""One study under several values of its settings."""

from __future__ import annotations

import csv
import io
import itertools
import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from brainaligner.core import InputError
from brainaligner.study._config import StudyConfig
from brainaligner.study._disk import replace_file
from brainaligner.study._files import load_study, yaml_value
from brainaligner.study._job import refuse_processes
from brainaligner.study._lay_out import lay_out_study
from brainaligner.study._options import RunOptions
from brainaligner.study._pricing import price
from brainaligner.study._pricing_tunings import PricedStage
from brainaligner.study._ranking import Ranked, ranking
from brainaligner.study._record import read_run, without_nan
from brainaligner.study._run import run_study
from brainaligner.study._speed import Speed, measured_speed
from brainaligner.study._validation import scored_plan, validation_study

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
            do="Write, for example, --over defaults.design.scaling=[none,story].",
        )
    return key, found


def _name(study: str, values: Mapping[str, Any]) -> str:
    parts = [f"{key.rpartition('.')[2]}-{value}" for key, value in values.items()]
    return "-".join([study, *(_UNSAFE.sub("_", part).strip("_") for part in parts)])


@dataclass(frozen=True)
class Swept:
    """What a sweep wrote.

    Parameters
    ----------
    table, ranking : Path
        Scores of all variants; the order of the variants on validation stories.
    ranked : tuple of (values, Ranked)
        The same order, with the swept values of each variant.
    """

    table: Path
    ranking: Path
    ranked: tuple[tuple[Mapping[str, str], Ranked], ...]


@dataclass(frozen=True)
class PlannedVariant:
    """What one combination would add to those before it.

    Parameters
    ----------
    study : str
        Its name.
    values : mapping of key to value
    stages : tuple of PricedStage
    """

    study: str
    values: Mapping[str, Any]
    stages: tuple[PricedStage, ...]


def run_sweep(
    variants: Sequence[Variant], options: RunOptions, *, name: str, test: bool = False
) -> Swept:
    """Run each combination, join their tables, and rank them on validation stories.

    Parameters
    ----------
    variants : sequence of Variant
    options : RunOptions
        All share one store, so that what they have in common is made once.
    name : str
        Of the joined table, ``<name>-sweep.tsv``, and of ``<name>-sweep-ranking.tsv``.
    test : bool
        Score test stories too: each combination is then counted as an opening of them. The
        ranking is that of validation stories all the same.

    Returns
    -------
    Swept

    Raises
    ------
    InputError
        As `run_study`, and where several processes share the work.
    """
    _refuse_processes()
    runs: list[dict[str, Any]] = []
    rows: list[dict[str, str]] = []
    keys = [{k: str(value) for k, value in variant.values.items()} for variant in variants]
    for variant, values in zip(variants, keys, strict=True):
        folder = run_study(variant.config if test else validation_study(variant.config), options)
        rows += [values | row for row in _lines(folder / "table.tsv")]
        runs.append(read_run(folder))
    ranked = tuple((keys[one.variant], one) for one in ranking(runs))
    table, order = (options.out / f"{name}-sweep{end}.tsv" for end in ("", "-ranking"))
    _write(table, rows)
    _write(order, [_ranking_row(values, one) for values, one in ranked])
    return Swept(table, order, ranked)


def plan_sweep(
    variants: Sequence[Variant], options: RunOptions, *, test: bool = False
) -> tuple[list[PlannedVariant], Speed]:
    """Lay out and price all combinations without running any; what they share is priced once.

    Returns
    -------
    planned : list of PlannedVariant
    speed : Speed

    Raises
    ------
    InputError
        As `run_sweep`.
    """
    _refuse_processes()
    priced: set[str] = set()
    planned = []
    for variant in variants:
        config = variant.config if test else validation_study(variant.config)
        plan, store = lay_out_study(config, options)
        stages = tuple(price(scored_plan(plan), store, priced))
        planned.append(PlannedVariant(config.name, variant.values, stages))
    priced_stages = [stage for one in planned for stage in one.stages]
    return planned, measured_speed(priced_stages, options.device)


def _refuse_processes() -> None:
    refuse_processes("sweep", "it reads what each combination wrote before the next one begins")


def sweep_record(swept: Swept) -> dict[str, Any]:
    """A sweep for programs: the order of variants, and where the tables are."""
    ranked = [{"values": dict(values), **without_nan(asdict(one))} for values, one in swept.ranked]
    return {"ranked": ranked, "table": str(swept.table), "ranking": str(swept.ranking)}


def _ranking_row(values: Mapping[str, str], one: Ranked) -> dict[str, str]:
    numbers = {k: str(value) for k, value in asdict(one).items() if k not in ("arm", "variant")}
    return {"arm": one.arm, **values, **numbers}


def _write(target: Path, rows: Sequence[Mapping[str, str]]) -> None:
    text = io.StringIO()
    names = list(dict.fromkeys(name for row in rows for name in row))
    writer = csv.DictWriter(text, names, delimiter="\t", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    replace_file(target, text.getvalue().encode())


def ranking_rows(swept: Swept) -> tuple[list[str], list[list[str]]]:
    """The order of variants for a terminal: columns, and one row for each arm and variant."""
    names = list(dict.fromkeys(key for values, _ in swept.ranked for key in values))
    columns = ["arm", *names, "validation r", "less the first"]
    rows = [
        [
            one.arm,
            *(values.get(name, "") for name in names),
            _with_ends(one.mean, one.low, one.high, ""),
            "" if one.rank == 1 else _with_ends(
                one.difference, one.difference_low, one.difference_high, "+"
            ),
        ]
        for values, one in swept.ranked
    ]  # fmt: skip
    return columns, rows


def _with_ends(mean: float, low: float, high: float, sign: str) -> str:
    if math.isnan(mean):
        return "other stories"
    ends = "" if math.isnan(low) else f" [{low:{sign}.4f}, {high:{sign}.4f}]"
    return f"{mean:{sign}.4f}{ends}"


def _lines(path: Path) -> Iterator[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        yield from csv.DictReader(file, delimiter="\t")
