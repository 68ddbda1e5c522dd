"""Diagnostics, controls and nulls of whole studies, honest ones and such with a planted leak."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from study_trees import STORIES, Cli, StudyFile, save_own_data, save_words, word_lines

N_TARGETS = 40
SPLIT = {
    "counts": None,
    "train": ["apple", "birch", "cedar"],
    "validation": ["daisy"],
    "test": ["elder", "fig"],
}
Row = dict[str, Any]


def slow(rng: np.random.Generator, n_rows: int, n_targets: int = N_TARGETS) -> np.ndarray:
    """AR(1) series of coefficient .6, by a plain loop."""
    values = rng.standard_normal((n_rows, n_targets))
    for t in range(1, n_rows):
        values[t] = 0.6 * values[t - 1] + 0.8 * values[t]
    return values.astype(np.float32)


def save_listeners(folder: Path, *, n_rows: int = 90) -> Path:
    """Two listeners of independent slow noise."""
    save_own_data(folder, n_rows=n_rows)
    for seed, subject in enumerate(("P1", "P2")):
        rng = np.random.default_rng(seed)
        np.savez(folder / f"{subject}.npz", **{story: slow(rng, n_rows) for story in STORIES})
    return folder


@pytest.fixture(scope="module")
def listeners(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_listeners(tmp_path_factory.mktemp("listeners") / "data")


@pytest.fixture
def run_json(cli: Cli, study_file: StudyFile, tmp_path: Path) -> Callable[..., dict[str, Any]]:
    """Run the tiny study on a folder of listeners, and read what it says of itself."""

    def run(data: Path, changes: dict[str, Any] | None = None, *more: str) -> dict[str, Any]:
        study = study_file({"split": SPLIT, "null_draws": 20, **(changes or {})}, data=data)
        done = cli("run", study, "--out", tmp_path / "out", *more)
        assert done.code in (0, 4), done.err  # the audit has a code of its own
        return json.loads((tmp_path / "out" / "tiny" / "run.json").read_text(encoding="utf-8"))

    return run


def of(run: dict[str, Any], number: int) -> list[Row]:
    return [row for row in run["diagnostics"] if row["number"] == number]


def verdicts(run: dict[str, Any], number: int) -> set[str]:
    return {row["verdict"] for row in of(run, number)}


def test_an_honest_study_of_noise_fails_nothing(
    run_json: Callable[..., dict[str, Any]], listeners: Path, tmp_path: Path
) -> None:
    run = run_json(listeners)
    failed = [row for row in run["diagnostics"] if row["verdict"] == "FAIL"]
    assert not failed
    assert {row["number"] for row in run["diagnostics"]} == set(range(1, 15))
    for number in (1, 2, 4, 5, 13, 14):
        assert verdicts(run, number) == {"PASS"}, of(run, number)
    assert verdicts(run, 3) == {"NOT RUN"}  # controls: []
    page = (tmp_path / "out" / "tiny" / "report.html").read_text(encoding="utf-8")
    assert page.index('id="diagnostics"') < page.index('id="result"')
    assert "null features score nothing" in page


def test_every_diagnostic_carries_the_recipes_of_its_figure(
    run_json: Callable[..., dict[str, Any]], listeners: Path, tmp_path: Path
) -> None:
    run = run_json(listeners)
    store = tmp_path / "out" / "store"
    for row in run["diagnostics"]:
        if row["verdict"] != "NOT RUN" and row["number"] != 14:
            assert row["recipes"], row
        for place in row["recipes"]:
            assert (store / place / "recipe.json").is_file(), place


def test_a_second_run_looks_at_nothing_again(
    cli: Cli, run_json: Callable[..., dict[str, Any]], listeners: Path, tmp_path: Path
) -> None:
    first = run_json(listeners)
    made = {p: p.stat().st_mtime_ns for p in (tmp_path / "out" / "store").glob("*/*/recipe.json")}
    assert run_json(listeners) == first
    after = {p: p.stat().st_mtime_ns for p in (tmp_path / "out" / "store").glob("*/*/recipe.json")}
    assert after == made


@pytest.fixture
def twice(listeners: Path, tmp_path: Path) -> Path:
    """A test story that trains as well, under another name: same words, same responses."""
    folder = shutil.copytree(listeners, tmp_path / "twice")
    lines = [line for line in word_lines(STORIES, n_rows=90) if not line.startswith("apple,")]
    copied = [line.replace("elder,", "apple,", 1) for line in lines if line.startswith("elder,")]
    save_words(folder, copied + lines)
    for subject in ("P1", "P2"):
        with np.load(folder / f"{subject}.npz") as archive:
            arrays = {name: archive[name] for name in archive.files}
        np.savez(folder / f"{subject}.npz", **{**arrays, "apple": arrays["elder"]})
    return folder


def test_a_story_under_two_names_fails_by_its_responses_and_by_its_nulls(
    run_json: Callable[..., dict[str, Any]], twice: Path
) -> None:
    run = run_json(twice)
    assert verdicts(run, 1) == {"FAIL"}
    assert {fault["name"] for fault in run["audit"]["faults"]} == {
        "same-story-two-names",
        "test-rows-in-fit",
    }
    again = [row for row in of(run, 2) if "fitted again" in row["where"]]
    assert {row["verdict"] for row in again} == {"FAIL"}
    assert "noise" in again[0]["figure"]


def test_one_person_under_two_names_fails(
    run_json: Callable[..., dict[str, Any]], listeners: Path, tmp_path: Path
) -> None:
    folder = shutil.copytree(listeners, tmp_path / "one-person")
    rng = np.random.default_rng(5)
    order = rng.permutation(N_TARGETS)
    with np.load(folder / "P1.npz") as archive:
        turned = {name: archive[name][:, order] + 0.1 * slow(rng, 90) for name in archive.files}
    np.savez(folder / "P2.npz", **turned)
    assert verdicts(run_json(folder), 5) == {"FAIL"}


def test_rows_out_of_order_are_said(
    run_json: Callable[..., dict[str, Any]], listeners: Path, tmp_path: Path
) -> None:
    folder = shutil.copytree(listeners, tmp_path / "shuffled")
    rng = np.random.default_rng(6)
    for subject in ("P1", "P2"):
        with np.load(folder / f"{subject}.npz") as archive:
            rows = {name: archive[name] for name in archive.files}
        whole = np.concatenate(list(rows.values()))[rng.permutation(90 * len(rows))]
        parts = dict(zip(rows, np.split(whole, len(rows)), strict=True))
        np.savez(folder / f"{subject}.npz", **parts)
    assert verdicts(run_json(folder), 12) == {"WARN"}


def test_controls_are_scored_by_default_with_the_design_of_the_first_arm(
    run_json: Callable[..., dict[str, Any]], listeners: Path, tmp_path: Path
) -> None:
    run = run_json(listeners, {"controls": None})
    assert list(dict.fromkeys(row["arm"] for row in run["results"])) == [
        "first", "second", "nuisance-alone", "nuisance-word-length", "untrained",
    ]  # fmt: skip
    gains = of(run, 3)
    assert {row["where"] for row in gains} == {"first", "second"}
    assert all("over Z alone" in row["figure"] and "untrained" in row["figure"] for row in gains)
    recipes = [
        json.loads(path.read_text(encoding="utf-8"))
        for path in (tmp_path / "out" / "store" / "features").glob("*/recipe.json")
    ]
    (drawn,) = [one for one in recipes if "architecture" in one["inputs"]]
    assert drawn["settings"]["untrained"] == 0
    assert "model" not in drawn["inputs"]


@pytest.mark.long
def test_nulls_of_every_arm_stand_in_one_table(
    run_json: Callable[..., dict[str, Any]], listeners: Path, tmp_path: Path
) -> None:
    run = run_json(listeners, {"nulls": None}, "--nulls")
    (table,) = [t for t in run["tables"] if t["title"].startswith("Null battery")]
    heads = [row[0] for row in table["rows"]]
    ways = ("as fitted", "fitted again on null features", "fitted again on null responses")
    kinds = ("shifted", "reversed", "other story", "noise")
    wanted = {
        f"{arm}, {way}: {kind}" for arm in ("first", "second") for way in ways for kind in kinds
    }
    wanted |= {f"{arm}, as fitted: another subject's responses" for arm in ("first", "second")}
    wanted |= {
        f"{arm}, fitted again: {what}"
        for arm in ("first", "second")
        for what in ("own features and responses", "another subject's responses")
    }
    assert set(heads) == wanted
    for row in table["rows"]:
        mean, error = (float(part) for part in f"{row[-2]} ± nan".split(" ± ")[:2])
        off = abs(mean) > 3.1 * error  # of rounded numbers, and a wider bound for few draws
        judged = ("within 3 SE", "drawn again") if off else ("within 3 SE",)
        assert row[-1] in (*judged, "not judged"), row
    assert "FAIL" not in verdicts(run, 2)
    where = {row["where"] for row in of(run, 2)}
    assert "second, fitted again on null responses, test" in where
    assert "null battery" in (tmp_path / "out" / "tiny" / "report.html").read_text("utf-8").lower()


def test_the_chain_of_recipes_of_a_number_is_printed(cli: Cli, out: Path) -> None:
    listed = cli("recipe", out / "tiny")
    assert "first, P1: scores" in listed.out.splitlines()
    assert any(line.startswith("diagnostic 2, ") for line in listed.out.splitlines())
    shown = cli("recipe", out / "tiny", "first, P1: scores")
    assert shown.code == 0
    heads = [line for line in shown.out.splitlines() if ":" not in line and "from" not in line]
    assert [line.split()[0] for line in heads] == ["scores", "readout", "features"]
    assert [len(line) - len(line.lstrip()) for line in heads] == [0, 2, 4]
    as_json = json.loads(cli("recipe", out / "tiny", "first, P1: scores", "--json").out)
    assert {one["stage"] for one in as_json.values()} == {"scores", "readout", "features"}
    chain = {one["stage"]: one for one in as_json.values()}
    assert chain["readout"]["inputs"]["features/0"] in as_json


def test_a_number_that_is_not_there_is_refused(cli: Cli, out: Path) -> None:
    done = cli("recipe", out / "tiny", "third arm")
    assert done.code == 2
    assert "no number of that name" in done.err


def test_a_store_that_is_gone_is_refused(cli: Cli, out: Path) -> None:
    shutil.rmtree(out / "store" / "scores")
    done = cli("recipe", out / "tiny", "first, P1: scores")
    assert done.code == 2
    assert "run the study again" in done.err


def test_the_terminal_says_each_number_that_is_off_once(cli: Cli, out: Path) -> None:
    shown = cli("show", out / "tiny").out.splitlines()
    (counts,) = [line for line in shown if line.startswith("diagnostics: ")]
    assert "NOT RUN" in counts
    off = [
        line.split()[:2]
        for line in shown
        if line.startswith(("FAIL ", "WARN ")) and line.split()[1].isdigit()
    ]
    assert len({tuple(one) for one in off}) == len(off)
