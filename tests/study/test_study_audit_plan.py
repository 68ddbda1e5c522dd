"""The audit of studies that have not run: named before anything is computed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from study_trees import STORIES, Cli, StudyFile, save_own_data, save_study
from tuning_trees import save_listeners, tuned_study, tuning

from brainaligner.study import RunOptions, audit_study, load_study

NAMED = {"counts": None, "train": [*STORIES[:3]], "validation": [STORIES[3]]}
NAMED |= {"test": [*STORIES[4:]]}


def _copied(data: Path, story: str, source: str, *, subject: str | None = None) -> None:
    """Give a story the responses to another, in one subject or in both."""
    for name in (subject,) if subject else ("P1", "P2"):
        with np.load(data / f"{name}.npz") as archive:
            kept = {key: archive[key] for key in archive.files}
        kept[story] = kept[source].copy()
        np.savez(data / f"{name}.npz", **kept)


def _story_copied(data: Path) -> None:
    """Responses alone: a training story has those of a test story."""
    _copied(data, STORIES[0], STORIES[4])


def _noisy_copy(data: Path) -> None:
    """The same with noise, so that no digest tells."""
    _copied(data, STORIES[0], STORIES[4])
    rng = np.random.default_rng(0)
    for name in ("P1", "P2"):
        with np.load(data / f"{name}.npz") as archive:
            kept = {key: archive[key] for key in archive.files}
        noise = 0.05 * rng.standard_normal(kept[STORIES[0]].shape)
        kept[STORIES[0]] = (kept[STORIES[0]] + noise).astype(np.float32)
        np.savez(data / f"{name}.npz", **kept)


def _words_copied(data: Path) -> None:
    """Words alone: a validation story is told as a test story is."""
    path = data / "words.csv"
    head, *lines = path.read_text(encoding="utf-8").splitlines()
    rest = [line for line in lines if not line.startswith(f"{STORIES[3]},")]
    told = [line for line in lines if line.startswith(f"{STORIES[5]},")]
    told = [line.replace(STORIES[5], STORIES[3], 1) for line in told]
    path.write_text("\n".join([head, *rest, *told]) + "\n", encoding="utf-8")


def _subject_twice(data: Path) -> None:
    """The second subject's file is the first one's."""
    (data / "P2.npz").write_bytes((data / "P1.npz").read_bytes())


FAULTY = {
    "same-story-two-names": (_story_copied, _noisy_copy, _words_copied),
    "subject-twice": (_subject_twice,),
}


@pytest.mark.parametrize(
    ("name", "alter"), [(name, alter) for name, found in FAULTY.items() for alter in found]
)
def test_what_is_wrong_with_the_data_is_named_before_the_run(
    cli: Cli, study_file: StudyFile, data: Path, tmp_path: Path, name: str, alter: Any
) -> None:
    alter(data)
    study = study_file({"split": NAMED}, data=data)
    done = cli("audit", study, "--out", tmp_path / "out", "--json")
    assert done.code == 4, done.out + done.err
    found = json.loads(done.out)
    assert found["verdict"] == "FAIL"
    assert {fault["name"] for fault in found["faults"]} == {name}
    assert not found["proven"]
    assert not (tmp_path / "out").exists()


def test_an_honest_plan_passes_and_says_what_is_open(
    cli: Cli, study_file: StudyFile, tmp_path: Path
) -> None:
    done = cli("audit", study_file({"split": NAMED}), "--out", tmp_path / "out")
    assert done.code == 0, done.out + done.err
    said = done.out.splitlines()
    assert said[0] == "audit: PASS"
    assert any("nothing has been computed yet" in line for line in said)
    assert any(line.startswith("proven: no story that is to be scored") for line in said)
    assert not (tmp_path / "out").exists()


def test_settings_can_be_changed_for_the_audit_of_a_plan(
    cli: Cli, study_file: StudyFile, data: Path, tmp_path: Path
) -> None:
    _story_copied(data)
    study = study_file({"split": NAMED}, data=data)
    kept = json.dumps([*STORIES[1:3]])
    done = cli("audit", study, "--out", tmp_path / "out", "--set", f"split.train={kept}")
    assert done.code == 0, done.out + done.err


def test_a_priced_plan_says_its_verdict(
    cli: Cli, study_file: StudyFile, data: Path, tmp_path: Path
) -> None:
    _subject_twice(data)
    study = study_file({"split": NAMED}, data=data)
    shown = cli("run", study, "--out", tmp_path / "out", "--plan")
    assert shown.code == 0, shown.err
    assert "audit: FAIL: subject-twice" in shown.out
    told = cli("run", study, "--out", tmp_path / "out", "--plan", "--json")
    found = json.loads(told.out)
    assert found["audit"]["verdict"] == "FAIL"
    assert found["stages"]


@pytest.mark.parametrize("kind", ["tuned", "crossed"])
def test_the_plain_protocol_is_warned_of_and_cross_fitting_is_not(
    checkpoint: Path, tmp_path: Path, kind: str
) -> None:
    data = save_listeners(tmp_path / "data", ["UTS01"])
    asked = {"tuned": tuning(checkpoint, "all"), "crossed": tuning(checkpoint, "all", cross_fit=2)}
    study = tuned_study(checkpoint, data, {"model": asked[kind]})
    study["split"] = {"train": [*STORIES[:4]], "validation": [STORIES[4]], "test": [STORIES[5]]}
    path = save_study(tmp_path / "s.yaml", study)
    audit = audit_study(load_study(str(path)), RunOptions(tmp_path / "out", threads=1))
    assert not audit.faults
    named = {warning.name for warning in audit.warnings}
    assert named == ({"not-cross-fitted"} if kind == "tuned" else set())


@pytest.mark.parametrize("cross_fit", [None, 2])
def test_a_projection_on_the_ridges_own_responses_is_warned_of(
    study_file: StudyFile, tmp_path: Path, cross_fit: int | None
) -> None:
    reduced = {"rank": [2], "alpha": [10], "cross_fit": cross_fit}
    arms = {"second": {"reduced_rank": {k: v for k, v in reduced.items() if v is not None}}}
    study = study_file({"split": NAMED, "arms": arms})
    audit = audit_study(load_study(str(study)), RunOptions(tmp_path / "out", threads=1))
    assert not audit.faults
    assert {w.name for w in audit.warnings} == ({"not-cross-fitted"} if not cross_fit else set())


def test_configurations_that_were_scored_before_are_counted(
    cli: Cli, out: Path, study_file: StudyFile
) -> None:
    ledger = out / "store" / "openings.jsonl"
    first = json.loads(ledger.read_text(encoding="utf-8").splitlines()[0])
    more = [json.dumps(first | {"configuration": f"{i:032d}"}) for i in range(2)]
    ledger.write_text("\n".join([json.dumps(first), *more]) + "\n", encoding="utf-8")
    done = cli("audit", study_file(), "--out", out, "--json")
    found = json.loads(done.out)
    assert done.code == 0, done.out + done.err
    assert "test-set-opened" in {warning["name"] for warning in found["warnings"]}


@pytest.mark.parametrize("what", ["cheap", "set", "nothing", "no study"])
def test_what_cannot_be_asked_is_refused(
    cli: Cli, finished: Path, study_file: StudyFile, tmp_path: Path, what: str
) -> None:
    asked = {
        "cheap": [study_file(), "--cheap"],
        "set": [finished / "tiny", "--set", "split.seed=1"],
        "nothing": [tmp_path / "nothing"],
        "no study": [tmp_path / "nothing.yaml"],
    }[what]
    done = cli("audit", *asked)
    assert done.code == 2, done.out + done.err
    assert len(done.lines) == 1


def test_a_split_with_a_story_on_two_sides_never_becomes_a_plan(
    cli: Cli, study_file: StudyFile
) -> None:
    both = NAMED | {"validation": [STORIES[4]]}
    done = cli("audit", study_file({"split": both}))
    assert done.code == 2
    assert STORIES[4] in done.err


def test_the_folder_of_a_dataset_is_read_as_a_study_only_by_its_file(
    cli: Cli, tmp_path: Path
) -> None:
    data = save_own_data(tmp_path / "demo")  # a packaged study has this name
    done = cli("audit", data)
    assert done.code == 2
    assert "run" in done.err
