"""Runs that score validation stories, and what is said before test stories are opened."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats
from study_trees import (
    STORIES,
    Cli,
    StudyFile,
    artifacts,
    made_stages,
    merged,
    run_process,
    save_own_data,
    save_study,
    tiny_study,
)

from brainaligner.core import InputError, Split, ValidationSplit
from brainaligner.data import open_dataset
from brainaligner.study import RunOptions, load_study, run_study
from brainaligner.study._ledger import Ledger
from brainaligner.study._ranking import ranking

CONTROLLED = {"split": {"counts": [2, 2, 2]}}
"""Two validation stories: a spread can be measured."""


@pytest.fixture(scope="module")
def data_without_test(tmp_path_factory: pytest.TempPathFactory, sound_data: Path) -> Path:
    return shutil.copytree(sound_data, tmp_path_factory.mktemp("withheld") / "own")


def run_json(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "run.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def made(checkpoint: Path, sound_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny study, run on its validation stories in a process of its own; to be copied."""
    folder = tmp_path_factory.mktemp("validated")
    study = merged(tiny_study(checkpoint, sound_data), CONTROLLED)
    path = save_study(folder / "study.yaml", study)
    done = run_process("run", path, "--out", folder / "out", "--validation", "--threads", "1")
    assert done.code == 0, done.err
    assert "no test story was read" in done.out
    return folder / "out"


@pytest.fixture
def validated(made: Path, tmp_path: Path) -> Path:
    """A copy of that run's output folder."""
    return shutil.copytree(made, tmp_path / "new")


def inputs_of(out: Path) -> dict[str, dict[str, Any]]:
    return {
        str(path.relative_to(out / "store")): json.loads(path.read_text(encoding="utf-8"))
        for path in (out / "store").glob("*/*/recipe.json")
    }


def sides(out: Path, name: str = "tiny-validation") -> dict[str, set[str]]:
    """Stories of the readouts of a run: what trains, and what chooses and is scored."""
    found = [one["settings"] for one in inputs_of(out).values() if one["stage"] == "readout"]
    assert name in {path.name for path in out.iterdir()}
    return {side: {p[0] for one in found for p in one[side]} for side in ("train", "validation")}


def test_a_validation_run_opens_nothing(validated: Path) -> None:
    run = run_json(validated / "tiny-validation")
    assert run["label"] == "validation stories, also chosen on"
    assert {row["group"] for row in run["results"]} == {"validation"}
    assert {row["rows_cut"] for row in run["results"]} == {0, 5}
    assert run["audit"]["verdict"] != "FAIL"
    assert any("no response to a test story was read" in text for text in run["audit"]["proven"])
    assert not (validated / "store" / "openings.jsonl").exists()
    assert run["openings"] == 0
    page = (validated / "tiny-validation" / "report.html").read_text(encoding="utf-8")
    assert "not read by this run; scored by 0 configurations so far" in page


def test_no_artifact_names_the_responses_to_a_test_story(validated: Path, sound_data: Path) -> None:
    used = sides(validated)
    known = set(open_dataset("folder", sound_data).stories("P1"))
    tested = known - used["train"] - used["validation"]
    assert len(tested) == 2
    for place, one in inputs_of(validated).items():
        read = {role.rpartition("/")[2] for role in one["inputs"] if role.startswith("responses")}
        assert not read & tested, place


def test_scores_are_those_of_the_stored_predictions(validated: Path, sound_data: Path) -> None:
    run = run_json(validated / "tiny-validation")
    dataset = open_dataset("folder", sound_data)
    key = run["recipes"]["first, P1: readout"]
    recipe = json.loads((validated / "store" / "readout" / key / "recipe.json").read_text())
    stories = [piece[0] for piece in recipe["settings"]["test"]]
    with np.load(validated / "store" / "readout" / key / "predictions.npz") as archive:
        predicted = [archive[f"piece{i}/from000000000"] for i in range(len(stories))]
    measured = [dataset.responses("P1", story).values for story in stories]

    def r(p: np.ndarray, y: np.ndarray) -> float:
        return float(np.mean([np.corrcoef(a, b)[0, 1] for a, b in zip(p.T, y.T, strict=True)]))

    (row,) = [
        one
        for one in run["results"]
        if (one["arm"], one["subject"], one["rows_cut"]) == ("first", "P1", 0)
    ]
    together = r(np.concatenate(predicted), np.concatenate(measured))
    assert row["mean"] == pytest.approx(together, abs=1e-6)
    (alone,) = [
        one
        for one in run["foresight"]["validation_stories"]
        if (one["arm"], one["subject"], one["rows_cut"]) == ("first", "P1", 0)
    ]
    wanted = {s: r(p, y) for s, p, y in zip(stories, predicted, measured, strict=True)}
    assert alone["r"] == pytest.approx(wanted, abs=1e-6)


def test_a_plain_run_reuses_what_the_validation_run_made(
    cli: Cli, study_file: StudyFile, validated: Path
) -> None:
    before = artifacts(validated)
    done = cli("run", study_file(CONTROLLED), "--out", validated)
    assert done.code == 0, done.err
    made = made_stages(before, artifacts(validated))
    assert set(made) == {"readout", "scores", "report"}  # predictions of test text, and on
    assert len(Ledger(validated / "store").openings()) == 1
    plain, first = (run_json(validated / name) for name in ("tiny", "tiny-validation"))
    assert plain["foresight"] == first["foresight"]
    assert {row["group"] for row in plain["results"]} == {"test"}
    before = artifacts(validated)
    assert cli("run", study_file(CONTROLLED), "--out", validated, "--validation").code == 0
    assert run_json(validated / "tiny-validation")["openings"] == 1
    assert set(made_stages(before, artifacts(validated))) == {"report"}


def test_test_responses_that_cannot_be_read_do_not_matter(
    cli: Cli, study_file: StudyFile, validated: Path, data_without_test: Path, tmp_path: Path
) -> None:
    used = sides(validated)
    for subject in ("P1", "P2"):
        with np.load(data_without_test / f"{subject}.npz") as archive:
            rows = {name: archive[name] for name in archive.files}
        for story in set(rows) - used["train"] - used["validation"]:
            rows[story] = np.full_like(rows[story], 7.0)
        np.savez(data_without_test / f"{subject}.npz", **rows)
    study = study_file(CONTROLLED, data=data_without_test)
    assert cli("run", study, "--out", tmp_path / "other", "--validation").code == 0
    both = [run_json(out / "tiny-validation") for out in (validated, tmp_path / "other")]
    assert both[0]["results"] == both[1]["results"]
    assert both[0]["foresight"] == both[1]["foresight"]


def test_a_withheld_dataset_refuses(sound_data: Path) -> None:
    dataset = open_dataset("folder", sound_data)
    kept = dataset.withholding(["birch"])
    assert kept.n_rows("P1", "birch") == dataset.n_rows("P1", "birch")
    assert kept.transcript("birch").words == dataset.transcript("birch").words
    for ask in (kept.responses, kept.repeats, kept.responses_digest):
        with pytest.raises(InputError, match="reads no test responses"):
            ask("P1", "birch")
    assert kept.responses("P1", "apple").values.shape == (48, 6)
    assert dataset.responses("P1", "birch").values.shape == (48, 6)


def test_what_test_stories_can_show_is_said_before_their_scores(
    cli: Cli, study_file: StudyFile, validated: Path
) -> None:
    planned = cli("run", study_file(CONTROLLED), "--out", validated, "--plan")
    assert "smallest difference from" in planned.out
    done = cli("run", study_file(CONTROLLED), "--out", validated)
    lines = done.err.splitlines()
    said = [i for i, line in enumerate(lines) if "smallest difference from" in line]
    scored = [i for i, line in enumerate(lines) if "test mean r" in line]
    assert len(said) == 1
    assert said[0] < min(scored)
    found = run_json(validated / "tiny")["foresight"]
    arms = {"first": {}, "second": {}}
    for row in found["validation_stories"]:
        if (row["subject"], row["rows_cut"]) == ("P1", 0):
            arms[row["arm"]] = row["r"]
    other = next(arm for arm in arms if arm != found["reference"])
    d = [arms[other][story] - arms[found["reference"]][story] for story in arms[other]]
    (one,) = [row for row in found["planned"] if (row["arm"], row["subject"]) == (other, "P1")]
    assert one["sd"] == pytest.approx(np.std(d, ddof=1))
    assert (one["n_seen"], one["n_stories"]) == (2, 2)
    drawn = np.random.default_rng(0).normal(one["detectable"], one["sd"], (40_000, 2))
    power = (stats.ttest_1samp(drawn, 0, axis=1).pvalue < 0.05).mean()
    assert power == pytest.approx(0.8, abs=0.01)


def test_a_plan_without_scores_says_what_it_needs(
    cli: Cli, study_file: StudyFile, tmp_path: Path
) -> None:
    done = cli("run", study_file(CONTROLLED), "--out", tmp_path / "none", "--plan")
    assert done.code == 0, done.err
    assert "run the study with --validation, and plan it again" in done.out
    assert not (tmp_path / "none").exists()


def test_one_validation_story_shows_no_spread(finished: Path) -> None:
    found = run_json(finished / "tiny")["foresight"]
    assert found["planned"] == []
    assert "fewer than two validation stories" in found["lacking"]


def test_a_sweep_ranks_on_validation_stories_and_opens_no_test_story(
    cli: Cli, study_file: StudyFile, tmp_path: Path
) -> None:
    over = ("--over", "features.two.text.layer=[0,2]")
    done = cli("sweep", study_file(CONTROLLED), *over, "--out", tmp_path / "out")
    assert done.code == 0, done.err
    assert not (tmp_path / "out" / "store" / "openings.jsonl").exists()
    with (tmp_path / "out" / "tiny-sweep-ranking.tsv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    assert {row["arm"] for row in rows} == {"second"}  # the arm that the key moves
    assert [row["rank"] for row in rows] == ["1", "2"]
    means = {row["features.two.text.layer"]: float(row["mean"]) for row in rows}
    for layer, mean in means.items():
        run = run_json(tmp_path / "out" / f"tiny-layer-{layer}-validation")
        r = [
            value
            for one in run["foresight"]["validation_stories"]
            if (one["arm"], one["rows_cut"]) == ("second", 0)
            for value in one["r"].values()
        ]
        assert mean == pytest.approx(np.mean(r))
    assert float(rows[0]["mean"]) >= float(rows[1]["mean"])


def test_a_sweep_of_test_scores_is_counted(cli: Cli, study_file: StudyFile, tmp_path: Path) -> None:
    over = ("--over", "features.two.text.layer=[0,2]", "--test")
    done = cli("sweep", study_file(CONTROLLED), *over, "--out", tmp_path / "out")
    assert done.code == 0, done.err
    assert len(Ledger(tmp_path / "out" / "store").openings()) == 2
    assert (tmp_path / "out" / "tiny-layer-0" / "run.json").is_file()
    assert "less the first" in done.out


def test_ranks_and_intervals_are_those_of_scipy() -> None:
    rng = np.random.default_rng(0)
    runs = []
    for shift in (0.0, 0.05, -0.02):
        r = {f"s{i}": 0.1 + shift + 0.01 * float(rng.standard_normal()) for i in range(6)}
        rows = [{"arm": "a", "subject": "P1", "rows_cut": 0, "recipe": "", "r": r}]
        rows.append({"arm": "b", "subject": "P1", "rows_cut": 0, "recipe": "", "r": {"s0": 0.1}})
        rows.append({"arm": "a", "subject": "P1", "rows_cut": 10, "recipe": "", "r": {"s0": 9.0}})
        runs.append({"foresight": {"rows_cut": 0, "validation_stories": rows}})
    found = ranking(runs)
    assert [(one.arm, one.variant) for one in found] == [("a", 1), ("a", 0), ("a", 2)]
    values = [list(run["foresight"]["validation_stories"][0]["r"].values()) for run in runs]
    for one in found:
        wanted = stats.t.interval(
            0.95, 5, np.mean(values[one.variant]), stats.sem(values[one.variant])
        )
        assert (one.low, one.high) == pytest.approx(wanted)
        test = stats.ttest_rel(values[one.variant], values[1])
        if one.rank > 1:
            ends = test.confidence_interval(0.95)
            assert (one.difference_low, one.difference_high) == pytest.approx(tuple(ends))


def test_both_at_once_and_confirmations_are_refused(
    cli: Cli, study_file: StudyFile, tmp_path: Path
) -> None:
    out = tmp_path / "none"
    done = cli("run", study_file(), "--out", out, "--validation", "--confirm")
    assert (done.code, "one of the two" in done.err) == (2, True)
    done = cli("run", study_file({"confirms": "other"}), "--out", out, "--validation")
    assert (done.code, "a confirmation of 'other'" in done.err) == (2, True)
    assert not out.exists()


def test_one_story_has_no_validation_stories(
    cli: Cli, study_file: StudyFile, tmp_path: Path
) -> None:
    data = save_own_data(tmp_path / "one", stories=("apple",), n_rows=150)
    study = study_file({"split": {"counts": None, "folds": 3, "gap": 2}}, data=data)
    done = cli("run", study, "--out", tmp_path / "none", "--validation")
    assert (done.code, "whole validation stories" in done.err) == (2, True)


def test_a_comparison_is_a_look_and_no_configuration(
    cli: Cli, study_file: StudyFile, validated: Path
) -> None:
    ledger = Ledger(validated / "store")
    compared = ("--arms", "first", "second", "--json")
    found = json.loads(cli("compare", validated / "tiny-validation", *compared).out)
    assert (found["group"], found["looks"]) == ("validation", [])
    assert ledger.looks() == ()
    study = study_file(CONTROLLED)
    assert cli("run", study, "--out", validated).code == 0
    for cut in ("0", "0", "5"):
        done = cli("compare", validated / "tiny", *compared, "--cut", cut)
        assert done.code == 0, done.err
    assert [(one["arms"], one["rows_cut"]) for one in json.loads(done.out)["looks"]] == [
        (["first", "second"], 0),
        (["first", "second"], 5),
    ]
    assert [one.rows_cut for one in ledger.looks()] == [0, 5]
    assert len(ledger.openings()) == 1
    done = cli("run", study, "--out", validated)
    assert "arms compared on these test stories: 2 times so far" in done.out
    run = run_json(validated / "tiny")
    assert run["openings"] == 1
    page = (validated / "tiny" / "report.html").read_text(encoding="utf-8")
    assert "first and second (tiny, test, 5 rows cut" in page


@pytest.mark.parametrize(
    ("sides", "said"),
    [
        ((("a",), ("b",), ("c",)), "1 validation"),
        ((("a",), (), ()), "0 test"),
        ((("a",), (), ("a",)), "'a' twice"),
        ((("a",), (), ("b",), ("c",)), "1 test_repeated"),
    ],
)
def test_divisions_of_validation_stories_are_checked(sides: Any, said: str) -> None:
    with pytest.raises(InputError, match=said):
        ValidationSplit(*sides)


def test_the_stories_that_choose_are_those_that_are_scored() -> None:
    found = ValidationSplit.of(Split(("a", "b"), ("c",), ("d",), ("e",)))
    (fold,) = found.folds
    assert fold.validation == fold.test
    assert [piece.story for piece in fold.test] == ["c"]
    assert found.stories == ("a", "b", "c")


def test_a_reference_that_predicts_nothing_leaves_a_run_without_a_margin(
    checkpoint: Path, tmp_path: Path
) -> None:
    """Mirrored validation responses mirror r: in one of both listeners it is not above 0."""
    data = save_own_data(tmp_path / "data")
    arrays = dict(np.load(data / "P1.npz"))
    train, chosen, tested = STORIES[:2], STORIES[2:4], STORIES[4:]
    np.savez(data / "P2.npz", **(arrays | {story: -arrays[story] for story in chosen}))
    study = tiny_study(checkpoint, data)
    study["split"] = {"train": [*train], "validation": [*chosen], "test": [*tested]}
    study["defaults"]["ridge"] = {"alphas": [100]}
    path = save_study(tmp_path / "study.yaml", study)
    folder = run_study(load_study(str(path)), RunOptions(tmp_path / "out", threads=1))
    planned = run_json(folder)["foresight"]["planned"]
    assert {one["subject"] for one in planned if one["margin"] is None} in ({"P1"}, {"P2"})
