"""Spaces: what they hold, and what is refused before any trial runs."""

from __future__ import annotations

import itertools
import json
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from search_trees import ARM, SPACE, save_both, save_space, search, searched_study
from study_trees import Cli, merged

from brainaligner.core import InputError
from brainaligner.study._search_keys import short_names
from brainaligner.study._search_space import Choices, Range, SearchSpace, read_space

ROOT = Path(__file__).resolve().parents[2]
LAYER = "features.two.text.layer"
TUNED = {
    "brains": {"noise": {"encoder": {"kind": "noise", "width": 3}}},
    "tunings": {"tuned": {"brain": "noise", "cross_fit": None, "validation_stories": 1}},
    "features": {"three": {"tuning": "tuned"}},
}


@pytest.fixture(scope="module")
def places(
    checkpoint: Path, sound_data: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Path]:
    """A study whose entries of all kinds can be named, and a space."""
    changes = merged(TUNED, {"tunings": {"tuned": {"model": str(checkpoint)}}})
    study = searched_study(checkpoint, sound_data, changes)
    return save_both(tmp_path_factory.mktemp("spaces"), study, SPACE)


BAD_SPACES: dict[str, tuple[Any, str]] = {
    "empty": ({}, "no key"),
    "a list": ([1], "list; wanted a mapping of dotted keys"),
    "a bare value": ({LAYER: 3}, "layer: got 3; wanted a range or choices"),
    "null": ({LAYER: None}, "None; wanted a range or choices"),
    "an unknown word": ({LAYER: {"lo": 1, "high": 2}}, "Did you mean 'low'"),
    "choice for choices": ({LAYER: {"choice": [1, 2]}}, "Did you mean 'choices'"),
    "one end": ({LAYER: {"low": 1}}, "high: got nothing"),
    "no end": ({LAYER: {"log": True}}, "low: got nothing"),
    "turned round": ({LAYER: {"low": 2, "high": 1}}, "an empty range"),
    "one value": ({LAYER: {"low": 2, "high": 2}}, "an empty range"),
    "log of 0": ({LAYER: {"low": 0, "high": 2, "log": True}}, "log from 0 or below"),
    "log below 0": ({LAYER: {"low": -1.0, "high": 2.0, "log": True}}, "log from 0 or below"),
    "log and step": (
        {LAYER: {"low": 1, "high": 2, "log": True, "step": 1}},
        "log and step",
    ),
    "log in words": ({LAYER: {"low": 1, "high": 2, "log": "yes"}}, "log: got 'yes'"),
    "a step of 0": ({LAYER: {"low": 0, "high": 2, "step": 0}}, "a step that is not above 0"),
    "a step past high": ({LAYER: {"low": 0, "high": 2, "step": 3}}, "does not lead"),
    "half a layer": ({LAYER: {"low": 0, "high": 2, "step": 0.5}}, "no whole number"),
    "endless": ({LAYER: {"low": 0, "high": float("inf")}}, "not finite"),
    "no number": ({LAYER: {"low": float("nan"), "high": 1.0}}, "not finite"),
    "true": ({LAYER: {"low": False, "high": True}}, "low: got False; wanted a number"),
    "text": ({LAYER: {"low": "first", "high": "last"}}, "low: got 'first'; wanted a number"),
    "no choice": ({LAYER: {"choices": []}}, "0 values"),
    "one choice": ({LAYER: {"choices": [1]}}, "1 values"),
    "choices twice": ({LAYER: {"choices": [1, 2, 1]}}, "3 values, 2 of them different"),
    "choices as text": ({LAYER: {"choices": "1, 2"}}, "choices alone, a list"),
    "choices and ends": ({LAYER: {"choices": [1, 2], "low": 1}}, "choices alone, a list"),
    "unknown section": ({"feature.two.text.layer": {"low": 0, "high": 1}}, "mean 'features'"),
    "unknown entry": ({"features.tow.text.layer": {"low": 0, "high": 1}}, "Did you mean 'two'"),
    "unknown arm": ({"arms.secnod.design.delays": {"choices": [[0], [1]]}}, "mean 'second'"),
    "unknown tuning": (
        {"tunings.tund.aligner.learning_rate": {"low": 0.1, "high": 1.0}},
        "Did you mean 'tuned'",
    ),
    "unknown setting": ({"features.two.text.layr": {"low": 0, "high": 1}}, "Did you mean 'layer'"),
    "unknown inner setting": (
        {"tunings.tuned.aligner.learning_rates": {"low": 0.1, "high": 1.0}},
        "Did you mean 'learning_rate'",
    ),
    "unknown default": ({"defaults.designs": {"choices": [1, 2]}}, "Did you mean 'design'"),
    "a part of a number": ({f"{LAYER}.deep": {"low": 0, "high": 1}}, "no parts"),
    "a section alone": ({"features": {"choices": [1, 2]}}, "unknown entry"),
    "the division": ({"split.seed": {"low": 0, "high": 9}}, "'split', which all trials"),
    "the data": ({"dataset.subjects": {"choices": [["P1"], ["P2"]]}}, "'dataset', which all"),
    "the scoring": ({"evaluation.cuts": {"choices": [[0], [5]]}}, "'evaluation', which all"),
    "what is scored": ({"scored_on": {"choices": ["test", "validation"]}}, "'scored_on', which"),
    "the name": ({"name": {"choices": ["a", "b"]}}, "'name', which all trials"),
    "a layer too deep": ({LAYER: {"low": 0, "high": 3}}, "layer = 3"),
    "a wrong type": ({LAYER: {"low": 0.5, "high": 1.5}}, "layer = 0.5"),
    "a wrong word": (
        {"features.two.text.pooling": {"choices": ["own", "none"]}},
        'pooling = "none"',
    ),
    "a delay twice": (
        {"arms.second.design.delays": {"choices": [[1], [1, 1]]}},
        "delays = [1, 1]",
    ),
    "an unknown feature": (
        {"arms.second.features": {"choices": [["one"], ["four"]]}},
        'features = ["four"]',
    ),
    "a delay beyond what it is": (
        {"arms.second.design.nuisance_scale": {"low": -1.0, "high": 1.0}},
        "nuisance_scale = -1.0",
    ),
    "nothing of the arm": (
        {"arms.first.design.delays": {"choices": [[0], [1]]}},
        "nothing of this changes arm 'second'",
    ),
    "nothing of the arm's tunings": (
        {"tunings.tuned.aligner.learning_rate": {"low": 1.0e-5, "high": 1.0e-4}},
        "nothing of this changes arm 'second'",
    ),
}


@pytest.mark.parametrize("name", BAD_SPACES)
def test_a_bad_space_is_refused_before_any_trial(
    places: tuple[Path, Path], tmp_path: Path, name: str
) -> None:
    space, said = BAD_SPACES[name]
    bad = save_space(tmp_path / "space.yaml", space)
    with pytest.raises(InputError) as refused:
        search((places[0], bad), tmp_path / "out", trials=1)
    assert said in str(refused.value)
    assert "space.yaml" in refused.value.where
    assert not (tmp_path / "out").exists()


BAD_CALLS: dict[str, tuple[list[str], str]] = {
    "no trials": (["--trials", "0"], "--trials: got 0"),
    "an unknown arm": (["--arm", "secand"], "Did you mean 'second'"),
    "a control": (["--arm", "nuisance-alone"], "unknown entry 'nuisance-alone'"),
    "a seed below 0": (["--seed", "-1"], "--seed: got -1"),
    "no space": (["--space", "nowhere.yaml"], "nowhere.yaml"),
    "no data": (["--data", "nowhere"], "nowhere"),
    "no threads": (["--threads", "0"], "--threads"),
    "no device": (["--device", "cuda:99"], "--device"),
    "a bad override": (["--set", "arms.second.design.delay=[1]"], "Did you mean 'delays'"),
    "one story": (["--set", "split={folds: 3}"], "one story"),
    "a confirmation": (["--set", "confirms=other"], "a study that is not final yet"),
}


@pytest.mark.parametrize("name", BAD_CALLS)
def test_a_bad_call_is_refused(
    cli: Cli, places: tuple[Path, Path], tmp_path: Path, name: str
) -> None:
    given_last, said = BAD_CALLS[name]
    usual = ["--space", str(places[1]), "--arm", ARM, "--trials", "2", "--out", str(tmp_path / "o")]
    done = cli("search", places[0], *usual, *given_last)
    assert done.code == 2
    assert said in " ".join(done.err.split())
    assert "Traceback" not in done.err
    assert not (tmp_path / "o").exists()


def test_several_processes_are_refused(
    places: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(InputError, match="without torchrun"):
        search(places, tmp_path / "out", trials=1)


def test_without_the_tuner_the_extra_is_named(
    places: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(InputError, match=r"brainaligner\[search\]"):
        search(places, tmp_path / "out", trials=1)
    assert not (tmp_path / "out").exists()


def test_a_key_that_changes_nothing_is_warned_of(
    cli: Cli, places: tuple[Path, Path], tmp_path: Path
) -> None:
    idle = {"arms.first.design.delays": {"choices": [[0], [1]]}, LAYER: {"low": 0, "high": 1}}
    space = save_space(tmp_path / "space.yaml", idle)
    asked = ("--arm", ARM, "--trials", "1", "--out", tmp_path / "out", "--plan")
    done = cli("search", places[0], "--space", space, *asked)
    assert done.code == 0, done.err
    warned = [line for line in done.out.splitlines() if line.startswith("WARNING")]
    assert warned == ["WARNING arms.first.design.delays: changes nothing of arm 'second'"]


def test_a_key_that_matters_beside_another_is_not_warned_of(
    cli: Cli, places: tuple[Path, Path], tmp_path: Path
) -> None:
    together = {
        "arms.second.design.nuisance": {"choices": ["none", "with"]},
        "arms.second.design.nuisance_scale": {"choices": [10, 100]},
    }
    space = save_space(tmp_path / "space.yaml", together)
    asked = ("--arm", ARM, "--trials", "1", "--plan", "--set", "arms.second.design.nuisance=none")
    done = cli("search", places[0], "--space", space, *asked, "--out", tmp_path / "out")
    assert done.code == 0, done.err
    assert "WARNING" not in done.out
    assert "1 of 4 combinations" in done.out


def test_numbers_are_what_yaml_writes(tmp_path: Path) -> None:
    text = "a: {low: 1e-5, high: 1.0e-3, log: true}\nb: {low: 2, high: 6}\nc: {low: 0, high: 1.0}\n"
    (tmp_path / "space.yaml").write_text(text, encoding="utf-8")
    entries = read_space(tmp_path / "space.yaml").entries
    assert entries["a"] == Range(1e-5, 1e-3, log=True)
    assert [getattr(entries[key], "whole", None) for key in "abc"] == [False, True, False]
    assert [entries[key].size for key in "abc"] == [None, 5, None]


def test_keys_that_stand_twice_are_refused(tmp_path: Path) -> None:
    (tmp_path / "space.yaml").write_text("a: {low: 1, high: 2}\na: {low: 1, high: 3}\n")
    with pytest.raises(InputError, match="stands twice"):
        read_space(tmp_path / "space.yaml")


RANGES = st.tuples(st.integers(-5, 5), st.integers(1, 6), st.integers(1, 3))
CHOICES = st.lists(st.integers(0, 9), min_size=2, max_size=4, unique=True)


def entry(drawn: tuple[int, ...] | list[int]) -> Range | Choices:
    """A range from its start, number of steps and step, or choices."""
    if isinstance(drawn, list):
        return Choices(tuple(drawn))
    low, n, step = drawn
    return Range(low, low + n * step, step=step)


@given(st.lists(RANGES | CHOICES, min_size=1, max_size=3), st.integers(0, 10**6))
def test_combinations_are_the_product(drawn: list[Any], start: int) -> None:
    space = SearchSpace("space.yaml", {f"key{i}": entry(one) for i, one in enumerate(drawn)})
    axes = [d if isinstance(d, list) else [d[0] + i * d[2] for i in range(d[1] + 1)] for d in drawn]
    wanted = {json.dumps(list(values)) for values in itertools.product(*axes)}
    found = [json.dumps(list(one.values())) for one in space.combinations(start)]
    assert space.size == len(wanted) == len(found)
    assert set(found) == wanted
    one = space.draw(np.random.default_rng(start))
    assert json.dumps(list(one.values())) in wanted


@given(st.floats(1e-6, 1e3), st.floats(1.01, 1e3), st.booleans(), st.integers(0, 99))
def test_draws_lie_in_their_range(low: float, factor: float, log: bool, seed: int) -> None:
    entry = Range(low, low * factor, log=log)
    assert entry.size is None
    drawn = entry.draw(np.random.default_rng(seed))
    assert low * (1 - 1e-9) <= drawn <= low * factor * (1 + 1e-9)


def test_logarithmic_draws_are_even_in_the_logarithm() -> None:
    rng = np.random.default_rng(0)
    entry = Range(1e-6, 1e-2, log=True)
    logs = np.log10([entry.draw(rng) for _ in range(4000)])
    assert np.histogram(logs, bins=4, range=(-6, -2))[0].min() > 900


def test_short_names_stay_different() -> None:
    names = short_names(["features.a.text.layer", "features.b.text.layer", "arms.a.design.delays"])
    assert list(names.values()) == ["a.text.layer", "b.text.layer", "delays"]


def test_spaces_of_the_documents_are_spaces(tmp_path: Path) -> None:
    text = (ROOT / "docs" / "searching.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```space\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    assert blocks
    for block in blocks:
        (tmp_path / "space.yaml").write_text(block, encoding="utf-8")
        assert read_space(tmp_path / "space.yaml").entries
