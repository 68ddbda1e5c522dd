"""Arms tuned on null brains: which are added, which are found, what is refused."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from study_trees import Cli, merged, save_own_data, save_study
from tuning_trees import tuned_study, tuning

from brainaligner.study import load_study
from brainaligner.study._config import NULL_TUNINGS, StudyConfig
from brainaligner.study._null_tunings import (
    NULL_BRAINS,
    null_arms,
    null_findings,
    tuned_on_brains,
    with_null_tunings,
)

TUNED = ("components-crossfit", "components-table1", "demo", "report-table1")


def asked(name: str, **changes: Any) -> StudyConfig:
    return replace(load_study(name), nulls=True, **changes)


def test_kinds_are_those_that_a_study_file_may_name() -> None:
    assert tuple(NULL_BRAINS) == NULL_TUNINGS


@pytest.mark.parametrize("name", TUNED)
def test_nothing_is_added_unasked_and_nothing_twice(name: str) -> None:
    plain = load_study(name)
    assert with_null_tunings(plain, 3) is plain
    made = with_null_tunings(asked(name), 3)
    assert set(made.arms) > set(plain.arms)
    assert with_null_tunings(made, 3) == made
    assert with_null_tunings(asked("baseline"), 3) == asked("baseline")


@pytest.mark.parametrize("name", TUNED)
def test_a_null_differs_from_its_arm_by_the_brain_alone(name: str) -> None:
    made = with_null_tunings(asked(name), 3)
    for pair in null_arms(made, 3):
        own, null = made.arms[pair.arm], made.arms[pair.null]
        assert replace(own, features=("x",), reference={}) == replace(
            null, features=("x",), reference={}
        )
        for one, other in zip(own.features, null.features, strict=True):
            first, second = made.features[one], made.features[other]
            assert replace(first, tuning=None) == replace(second, tuning=None)
            if first.tuning == second.tuning:
                continue
            tunings = made.tunings[str(first.tuning)], made.tunings[str(second.tuning)]
            assert replace(tunings[0], brain=None) == replace(
                tunings[1], brain=None, seeds=tunings[0].seeds
            )
            brain = made.brains[str(tunings[1].brain)]
            told = {
                "shifted": brain.shifted,
                "other-listener": brain.subject == "next",
                "noise": brain.encoder is not None and brain.encoder.kind == "noise",
            }
            assert told[pair.kind]


def test_every_tuned_arm_gets_each_kind_that_its_encoder_allows() -> None:
    made = with_null_tunings(asked("demo"), 2)
    kinds = {arm: {p.kind for p in null_arms(made, 2) if p.arm == arm} for arm in ("es", "brainlm")}
    assert kinds["es"] == set(NULL_TUNINGS)
    assert kinds["brainlm"] == set(NULL_TUNINGS)
    assert list(null_findings(made)) == []
    some = with_null_tunings(asked("demo", null_tunings=("noise",)), 2)
    assert all("not: shifted, other-listener" in f.text for f in null_findings(some))
    assert {f.where for f in null_findings(some)} == set(tuned_on_brains(some))


def test_one_listener_has_no_other_and_a_kind_may_be_left_out() -> None:
    alone = with_null_tunings(asked("components-crossfit"), 1)
    assert {p.kind for p in null_arms(alone, 2)} == {"shifted", "noise"}
    some = with_null_tunings(asked("components-crossfit", null_tunings=("shifted",)), 3)
    assert set(some.arms) == set(load_study("components-crossfit").arms)  # it has them


def test_an_unknown_kind_is_refused(cli: Cli, tmp_path: Path) -> None:
    done = cli("run", "baseline", "--set", "null_tunings=[shiftd]", "--out", tmp_path)
    assert done.code == 2
    assert "shifted" in done.err


def test_the_switch_prices_and_runs_the_tunings_and_puts_them_through_the_battery(
    cli: Cli, checkpoint: Path, tmp_path: Path
) -> None:
    data = save_own_data(tmp_path / "data")
    made = tuned_study(checkpoint, data, {"all": tuning(checkpoint, "all")})
    split = {key: value for key, value in made["split"].items() if key != "test_repeated"}
    study = save_study(
        tmp_path / "study.yaml", merged(made, {"null_tunings": ["shifted"]}) | {"split": split}
    )
    out = tmp_path / "out"
    planned = cli("run", study, "--out", out, "--nulls", "--plan", "--json")
    assert planned.code == 0, planned.err
    tunings = [s["what"] for s in json.loads(planned.out)["stages"] if s["stage"] == "tuning"]
    assert sorted(tunings) == sorted(
        f"{name}, {subject}, seed 0" for name in ("all", "all-shifted") for subject in ("P1", "P2")
    )
    done = cli("run", study, "--out", out, "--nulls")
    assert done.code == 0, done.err
    run = json.loads((out / "tuned" / "run.json").read_text("utf-8"))
    assert {row["arm"] for row in run["results"]} == {"plain", "all", "all-shifted"}
    (battery,) = [t for t in run["tables"] if t["title"].startswith("Null battery")]
    heads = {row[0] for row in battery["rows"]}
    for arm in ("all", "all-shifted"):
        assert f"{arm}, as fitted: noise" in heads
        assert f"{arm}, fitted again on null responses: shifted" in heads
        assert f"{arm}, fitted again: another subject's tuned features" in heads
    assert "plain, fitted again: another subject's responses" in heads
    assert "plain, fitted again: another subject's tuned features" not in heads
    (beside,) = [t for t in run["tables"] if t["title"].startswith("Tuned on its brain")]
    assert beside["rows"][0][0] == "all, null: shifted (all-shifted)"
