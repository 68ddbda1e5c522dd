"""Study files: presets, defaults, overrides, and what comes back out."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from study_trees import NAMED, StudyFile

import brainaligner.study as room
from brainaligner.core import InputError
from brainaligner.data import READERS
from brainaligner.study import load_study, preset_names, study_yaml
from brainaligner.study._sweep import sweep_variants


def test_public_names_are_those_that_are_listed() -> None:
    assert room.__all__ == sorted(room.__all__)
    assert all(getattr(room, name).__doc__ for name in room.__all__ if name != "app")
    with pytest.raises(AttributeError, match="nothing"):
        room.nothing  # noqa: B018


@pytest.mark.parametrize("name", preset_names())
def test_packaged_studies_load_and_read_back_what_they_write(name: str, tmp_path: Path) -> None:
    study = load_study(name)
    assert study.name == name
    assert study.title
    assert study.dataset.reader in (*READERS, "simulated")
    (tmp_path / "again.yaml").write_text(study_yaml(study), encoding="utf-8")
    again = load_study(str(tmp_path / "again.yaml"))
    assert study_yaml(again) == study_yaml(study)
    assert again == study


def test_the_packaged_studies_are_the_promised_ones() -> None:
    assert {"alice", "baseline", "demo", "simulated-null"} <= set(preset_names())


def test_every_setting_can_be_written_down(study_file: StudyFile) -> None:
    """A field that a YAML file could not give would be a setting that nobody can set."""
    written = yaml.safe_load(study_yaml(load_study(str(study_file()))))

    def compare(value: Any, found: Any) -> None:
        if is_dataclass(value):
            assert list(found) == [field.name for field in fields(value)]
            for field in fields(value):
                compare(getattr(value, field.name), found[field.name])

    compare(load_study(str(study_file())), written)


def test_defaults_lie_below_every_arm(study_file: StudyFile) -> None:
    path = study_file(
        {"arms": {"first": {"design": {"nuisance": "with"}, "ridge": {"alphas": [5]}}}}
    )
    study = load_study(str(path))
    assert study.arms["first"].design.delays == study.arms["second"].design.delays == (1, 2)
    assert study.arms["first"].design.nuisance == "with"
    assert study.arms["second"].design.nuisance == "none"
    assert study.arms["first"].ridge.alphas == (5.0,)
    assert study.arms["second"].ridge.alphas == (1.0, 100.0, 10000.0)


@pytest.mark.parametrize(
    ("override", "path", "value"),
    [
        ("split.seed=3", "split.seed", 3),
        ("arms.first.design.delays=[0, 4]", "arms.first.design.delays", (0, 4)),
        ("defaults.ridge.alpha=per_target", "arms.second.ridge.alpha", "per_target"),
        ("title=a b", "title", "a b"),
        ("dataset.subjects=[P2]", "dataset.subjects", ("P2",)),
        ("arms.first.ridge.alphas=[1e3, 1e4]", "arms.first.ridge.alphas", (1000.0, 10000.0)),
        ("evaluation.level=0.9", "evaluation.level", 0.9),
    ],
)
def test_overrides_reach_their_place(
    study_file: StudyFile, override: str, path: str, value: object
) -> None:
    found: Any = load_study(str(study_file()), overrides=[override])
    for part in path.split("."):
        found = found[part] if isinstance(found, dict) else getattr(found, part)
    assert found == value


def test_anchors_merge_keys_and_byte_order_marks_are_read(study_file: StudyFile) -> None:
    path = study_file({"arms": None, "defaults": None})
    text = path.read_text() + (
        "arms:\n"
        "  first: &base {features: [one], design: {delays: [3]}}\n"
        "  second:\n    <<: *base\n    features: [two]\n"
    )
    path.write_bytes(b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode())
    study = load_study(str(path))
    assert study.arms["second"].features == ("two",)
    assert study.arms["second"].design.delays == (3,)


def test_an_override_changes_one_place_where_others_are_aliases_of_it() -> None:
    changed = load_study("components-table1", overrides=["tunings.all-t.aligner.epochs=7"])
    epochs = {name: tuning.aligner.epochs for name, tuning in changed.tunings.items()}
    assert epochs == dict.fromkeys(changed.tunings, 10) | {"all-t": 7}


@pytest.mark.parametrize(
    ("override", "nearest"),
    [
        ("tunings.brainlm_30.aligner.mask_rate=0.5", "brainlm-30"),
        ("features.brainml.text.layer=4", "brainlm"),
        ("brains.brain.encoder.kind=all", "brainlm"),
    ],
)
def test_an_override_that_makes_an_entry_which_nothing_reads_is_refused(
    override: str, nearest: str
) -> None:
    with pytest.raises(InputError, match=f"Did you mean '{nearest}'"):
        load_study("report-table2", overrides=[override])


@pytest.mark.parametrize(
    ("name", "override", "words"),
    [
        ("baseline", "split.seed=1", "divided by file; .* run --confirm, no others"),
        ("baseline", "split.seed=0", "divided by file"),
        ("baseline", "split.gap=3", "3, where stories are divided by file"),
        ("demo", "split.gap=10", "divided by counts"),
        ("alice", "split.seed=0", "divided by folds; .* Leave it out"),
        ("alice", "split={folds: 5, seed: 1}", "divided by folds"),
        ("demo", "split={counts: [8, 2, 3], gap: 3}", "divided by counts"),
    ],
)
def test_a_setting_of_the_division_that_divides_nothing_is_refused(
    name: str, override: str, words: str
) -> None:
    with pytest.raises(InputError, match=words):
        load_study(name, overrides=[override])


def test_a_sweep_over_a_seed_that_draws_nothing_is_refused() -> None:
    with pytest.raises(InputError, match="stories are divided by file"):
        sweep_variants("baseline", [], ["split.seed=[0,1,2]"])


def test_the_seed_of_a_confirmation_stands_beside_named_stories(study_file: StudyFile) -> None:
    assert load_study(str(study_file({"split": NAMED | {"seed": 3}}))).split.seed == 3


def test_a_seed_and_a_gap_are_read_where_they_divide() -> None:
    drawn = ["split={counts: [60, 8, 16]}", "split.seed=2"]
    assert load_study("baseline", overrides=drawn).split.seed == 2
    assert load_study("alice", overrides=["split.gap=12"]).split.gap == 12


def test_a_name_that_no_folder_can_have_is_refused() -> None:
    long = f"[[{', '.join(map(str, range(1, 80)))}]]"
    with pytest.raises(InputError, match=r"of 2[0-9]+ letters; wanted at most 200"):
        sweep_variants("baseline", [], [f"arms.layer4-wide-grid.design.delays={long}"])
    with pytest.raises(InputError, match=r"of 201 letters"):
        load_study("baseline", overrides=[f"name={'a' * 201}"])
    assert load_study("baseline", overrides=[f"name={'a' * 200}"])


def test_overrides_may_add_an_arm_with_all_that_it_reads() -> None:
    new = ["tunings.text.brain=null", "features.text.tuning=text", "arms.text.features=[text]"]
    assert load_study("report-table2", overrides=new).features["text"].tuning == "text"


def test_a_folder_of_a_presets_name_does_not_hide_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "demo").mkdir()
    monkeypatch.chdir(tmp_path)
    assert load_study("demo").name == "demo"


def test_an_error_names_the_place_of_a_nested_setting(study_file: StudyFile) -> None:
    path = study_file({"features": {"two": {"text": {"max_tokens": 0}}}})
    with pytest.raises(InputError, match=r"study\.features\.two\.text: .*max_tokens"):
        load_study(str(path))


LAUGHS = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{new}: &{new} [{', '.join([f'*{old}'] * 10)}]\n"
    for old, new in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize("text", [LAUGHS, "a: &a [*a]\n", "a: &a {b: *a}\n"])
def test_aliases_without_an_end_are_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "study.yaml"
    path.write_text(text)
    with pytest.raises(InputError, match="not YAML"):
        load_study(str(path))
