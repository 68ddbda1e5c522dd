"""Controls that stand beside every study, and untrained features."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from study_trees import Cli, StudyFile, merged, save_study, tiny_study

from brainaligner.study import StudyConfig, load_study, preset_names
from brainaligner.study._controls import nuisance_arms, untrained_arms, with_controls


def study(tmp_path: Path, changes: dict[str, Any] | None = None) -> StudyConfig:
    own = merged(tiny_study(tmp_path / "model", tmp_path), {"controls": None, **(changes or {})})
    return load_study(str(save_study(tmp_path / "study.yaml", own)))


def test_all_are_added_below_with_the_design_of_the_first_arm(tmp_path: Path) -> None:
    changes = {"arms": {"first": {"design": {"delays": [3], "nuisance": "with"}}}}
    found = with_controls(study(tmp_path, changes))
    controls = {"nuisance-alone": "alone", "nuisance-word-length": "alone", "untrained": "with"}
    assert list(found.arms) == ["first", "second", *controls]
    first = found.arms["first"]
    for control, nuisance in controls.items():
        arm = found.arms[control]
        assert arm.design.word_length == (control == "nuisance-word-length")
        assert arm.design.delays == first.design.delays == (3,)
        assert (arm.design.nuisance, arm.ridge) == (nuisance, first.ridge)
    drawn = found.features[found.arms["untrained"].features[0]]
    assert drawn.seed == 0
    assert drawn.text == found.features["one"].text
    assert drawn.model == found.features["one"].model


def test_adding_them_twice_adds_them_once(tmp_path: Path) -> None:
    once = with_controls(study(tmp_path))
    assert with_controls(once) is once


@pytest.mark.parametrize(
    ("controls", "added"),
    [
        ([], []),
        (["untrained"], ["untrained"]),
        (["nuisance-alone"], ["nuisance-alone"]),
        (["nuisance-word-length"], ["nuisance-word-length"]),
    ],
)
def test_the_study_says_which(tmp_path: Path, controls: list[str], added: list[str]) -> None:
    found = with_controls(study(tmp_path, {"controls": controls}))
    assert list(found.arms) == ["first", "second", *added]


def test_controls_under_other_names_count(tmp_path: Path) -> None:
    changes = {
        "features": {"random": {"model": str(tmp_path / "model"), "untrained": 7}},
        "arms": {
            "onsets": {"features": ["one"], "design": {"nuisance": "alone"}},
            "lengths": {"features": ["one"], "design": {"nuisance": "alone", "word_length": True}},
            "nobody": {"features": ["random"]},
        },
    }
    given = study(tmp_path, changes)
    assert with_controls(given) is given
    assert nuisance_arms(given) == ("onsets", "lengths")
    assert untrained_arms(given) == ("nobody",)


def test_names_that_are_taken_are_left_alone(tmp_path: Path) -> None:
    changes = {"arms": {"untrained": {"features": ["two"]}}}
    found = with_controls(study(tmp_path, changes))
    assert found.arms["untrained"].features == ("two",)
    assert found.arms["untrained-control"].features == ("untrained",)


def test_a_study_of_z_alone_needs_no_control(tmp_path: Path) -> None:
    alone = {"design": {"nuisance": "alone"}}
    given = study(tmp_path, {"arms": {"first": alone, "second": alone}})
    assert with_controls(given) is given


def test_tuned_first_arms_are_held_against_their_own_architecture(tmp_path: Path) -> None:
    given = load_study("report-table1")
    found = with_controls(given)
    drawn = [f for name, f in found.features.items() if name not in given.features]
    assert all(f.tuning is None and f.seed == 0 for f in drawn)
    assert list(found.arms)[: len(given.arms)] == list(given.arms)
    assert found.published == given.published


@pytest.mark.parametrize("name", preset_names())
def test_every_packaged_study_has_both(name: str) -> None:
    found = with_controls(load_study(name))
    assert nuisance_arms(found)
    assert untrained_arms(found)


@pytest.mark.parametrize(
    ("value", "seed"), [(True, 0), (0, 0), (5, 5), (False, None), (None, None)]
)
def test_untrained_is_a_switch_or_a_seed(tmp_path: Path, value: object, seed: int | None) -> None:
    feature = {"model": str(tmp_path / "model"), "untrained": value}
    found = study(tmp_path, {"features": {"x": feature}})
    assert found.features["x"].seed == seed


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"controls": ["untraned"]}, "Did you mean 'untrained'"),
        ({"null_draws": 1}, "2 or more"),
        ({"features": {"one": {"untrained": -1}}}, "0 or more"),
        ({"features": {"one": {"untrained": "yes please"}}}, "one.untrained"),
        ({"nulls": "some"}, "nulls"),
    ],
)
def test_bad_settings_are_refused(
    cli: Cli, study_file: StudyFile, tmp_path: Path, changes: dict[str, Any], said: str
) -> None:
    done = cli("run", study_file(changes), "--out", tmp_path / "out")
    assert done.code == 2
    assert said in " ".join(done.err.split())
    assert not (tmp_path / "out").exists()


def test_untrained_features_are_scored_and_named_so(
    cli: Cli, study_file: StudyFile, checkpoint: Path, tmp_path: Path
) -> None:
    changes = {
        "features": {"random": {"model": str(checkpoint), "untrained": 4, "text": {"layer": 1}}},
        "arms": {"second": {"features": ["random"]}},
    }
    done = cli("run", study_file(changes), "--out", tmp_path / "out")
    assert done.code == 0, done.err
    page = (tmp_path / "out" / "tiny" / "report.html").read_text(encoding="utf-8")
    assert "untrained (weights drawn, seed 4)" in page
    assert len(list((tmp_path / "out" / "store" / "features").iterdir())) == 2
