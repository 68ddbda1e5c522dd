"""Figures of a run: curves over arms that differ in one setting, and arms less the reference."""

from __future__ import annotations

import base64
import csv
import io
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from study_trees import Cli, merged, run_process, save_study, tiny_study

from brainaligner.study._compare import StoredRows
from brainaligner.study._curves import context_families, layer_families
from brainaligner.study._progress import SilentReporter
from brainaligner.study._reopened import reopen_run

LAYERS = {"zero": 0, "one": 1, "last": -1}
CONTEXTS = {"near": 2, "far": 4}
ARMS = [*LAYERS, *CONTEXTS, "from-first", "delayed"]


def wide_study(checkpoint: Path, data: Path) -> dict[str, Any]:
    """Arms that differ in one setting each."""
    model = {"model": str(checkpoint)}
    texts = {name: {"layer": layer} for name, layer in LAYERS.items()}
    texts |= {name: {"layer": 1, "context_rows": rows} for name, rows in CONTEXTS.items()}
    texts["from-first"] = texts["near"] | {"context_from": "first_row"}
    changes = {
        "name": "wide",
        "features": {"two": None} | {name: model | {"text": text} for name, text in texts.items()},
        "arms": {"first": None, "second": None}
        | {name: {"features": [name]} for name in texts}
        | {"delayed": {"features": ["last"], "design": {"delays": [3]}}},
    }
    return merged(tiny_study(checkpoint, data), changes)


@pytest.fixture(scope="module")
def wide(checkpoint: Path, sound_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a finished run."""
    folder = tmp_path_factory.mktemp("wide")
    study = save_study(folder / "study.yaml", wide_study(checkpoint, sound_data))
    done = run_process("run", study, "--out", folder / "out", "--threads", "1")
    assert done.code == 0, done.err
    return folder / "out" / "wide"


@pytest.fixture(scope="module")
def page(wide: Path) -> str:
    return (wide / "report.html").read_text(encoding="utf-8")


def data_of(page: str, name: str) -> list[dict[str, str]]:
    address = re.search(rf'<a download="{name}" href="([^"]+)"', page).group(1)
    text = base64.b64decode(address.partition("base64,")[2]).decode()
    return list(csv.DictReader(io.StringIO(text), delimiter="\t"))


def scores(run: Path, arm: str, subject: str) -> np.ndarray:
    with np.load(run / "scores.npz") as file:
        return file[f"{arm}/{subject}/test/cut0"]


def test_arms_that_differ_in_the_layer_alone_make_a_curve(wide: Path, page: str) -> None:
    (name,) = re.findall(r'download="(Mean-r-by-layer-[^"]+)"', page)
    rows = data_of(page, name)
    assert [(row["line"], row["layer"]) for row in rows] == [
        (subject, x) for subject in ("P1", "P2") for x in ("0.0", "1.0", "2.0")
    ]
    for row, arm in zip(rows, [*LAYERS] * 2, strict=True):
        assert float(row["mean r"]) == pytest.approx(scores(wide, arm, row["line"]).mean())
    assert "The arms zero, one, last differ in nothing else" in page


def test_arms_that_differ_in_the_context_alone_make_a_curve(wide: Path, page: str) -> None:
    names = re.findall(r'download="(Mean-r-by-rows-of-left-context[^"]+)"', page)
    first, second = (data_of(page, name) for name in names)
    places = [row["rows of left context (TRs)"] for row in first if row["line"] == "P1"]
    assert places == ["0.0", "2.0", "4.0"]
    assert float(first[1]["mean r"]) == pytest.approx(scores(wide, "near", "P1").mean())
    assert [row["rows of left context (TRs)"] for row in second] == ["0.0", "2.0"] * 2
    assert float(second[1]["mean r"]) == pytest.approx(scores(wide, "from-first", "P1").mean())


def test_arms_that_differ_in_more_make_none(wide: Path) -> None:
    plan, _ = reopen_run(wide, data=None, out=None, reporter=SilentReporter())
    named = [{run.name for run in family.values()} for family in layer_families(plan)]
    assert named == [{*LAYERS}]
    named = [{run.name for run in family.values()} for family in context_families(plan)]
    assert named == [{"one", "near", "far"}, {"one", "from-first"}]


def test_one_layer_makes_no_curve(finished: Path) -> None:
    page = (finished / "tiny" / "report.html").read_text(encoding="utf-8")
    assert "Mean r by layer" not in page
    assert "Mean r by alpha" in page


def test_differences_are_those_of_the_scores(wide: Path, page: str) -> None:
    run = json.loads((wide / "run.json").read_text(encoding="utf-8"))
    reference = run["foresight"]["reference"]
    found = run["contrasts"]
    assert {(one["arm"], one["subject"]) for one in found} == {
        (arm, subject) for arm in ARMS if arm != reference for subject in ("P1", "P2")
    }
    for one, row in zip(found, data_of(page, "paired-differences.tsv"), strict=True):
        ours, theirs = (scores(wide, arm, one["subject"]) for arm in (one["arm"], reference))
        assert one["difference"] == pytest.approx(ours.mean() - theirs.mean(), abs=1e-6)
        assert one["interval_low"] <= one["difference"] <= one["interval_high"]
        assert float(row["difference"]) == one["difference"]
        kept = np.load(wide.parent / "store" / "contrast" / one["recipe"] / "targets.npz")
        np.testing.assert_allclose(kept["difference"], ours - theirs, atol=1e-6)


def test_stories_one_by_one_are_correlations_of_their_rows(wide: Path, page: str) -> None:
    plan, store = reopen_run(wide, data=None, out=None, reporter=SilentReporter())
    rows = data_of(page, "stories-one-by-one.tsv")
    assert len(rows) == 2 * (len(ARMS) - 1) * 2
    group = plan.prepared.division.groups["P1"][0]
    sides = {
        (run.name, subject): StoredRows(plan, store, subject, group.name).sides(run)
        for run in plan.runs
        for subject in ("P1", "P2")
    }
    for row in rows:
        for arm, named in ((row["arm"], "r_arm"), (row["reference"], "r_reference")):
            predicted, measured = sides[arm, row["subject"]]
            i = group.stories.index(row["story"])
            r = [
                np.corrcoef(p, y)[0, 1] for p, y in zip(predicted[i].T, measured[i].T, strict=True)
            ]
            assert float(row[named]) == pytest.approx(np.mean(r), abs=1e-5)


def test_figures_lead_to_their_recipes(page: str) -> None:
    figures = re.findall(r"<figure>.*?</figure>", page, re.S)
    ids = {*re.findall(r'id="(recipe-[^"]+)"', page)}
    assert len(figures) > 8
    for figure in figures:
        links = re.findall(r'href="#(recipe-[^"]+)"', figure)
        assert links
        assert {*links} <= ids


def test_differences_list_the_responses_that_they_look_at(wide: Path) -> None:
    store = wide.parent / "store" / "contrast"
    for folder in store.iterdir():
        recipe = json.loads((folder / "recipe.json").read_text(encoding="utf-8"))
        stories = recipe["settings"]["group"][1:]
        assert {f"responses/{story}" for story in stories} == {
            role for role in recipe["inputs"] if role.startswith("responses/")
        }
        scored = [one["story"] for one in recipe["lineage"]["scored_on"]]
        assert {*scored} == {*stories}


def test_one_arm_has_no_differences(
    checkpoint: Path, sound_data: Path, tmp_path: Path, cli: Cli
) -> None:
    study = merged(tiny_study(checkpoint, sound_data), {"arms": {"second": None}})
    done = cli("run", save_study(tmp_path / "s.yaml", study), "--out", tmp_path / "out")
    assert done.code == 0, done.err
    folder = tmp_path / "out" / "tiny"
    assert json.loads((folder / "run.json").read_text(encoding="utf-8"))["contrasts"] == []
    assert "Arms less the reference" not in (folder / "report.html").read_text(encoding="utf-8")
