"""Bad studies, arguments and places: one clear line, exit code 2, nothing left behind."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from study_trees import (
    NAMED,
    Cli,
    StudyFile,
    assert_refused,
    run_process,
    save_own_data,
    save_study,
    tiny_study,
)

from brainaligner.core import InputError
from brainaligner.study import load_study

pytestmark = pytest.mark.usefixtures("unchecked")


def _arm(**settings: Any) -> dict[str, Any]:
    return {"arms": {"first": settings}}


def _text(**settings: Any) -> dict[str, Any]:
    return {"features": {"one": {"text": settings}}}


STUDIES: dict[str, tuple[dict[str, Any], str]] = {
    "unknown key": ({"arm": {}}, "Did you mean 'arms'?"),
    "unknown key, second depth": ({"dataset": {"foldr": "x"}}, "Did you mean 'folder'?"),
    "unknown key, third depth": ({"features": {"one": {"txt": {}}}}, "Did you mean 'text'?"),
    "unknown key, fourth depth": (_text(layr=1), "Did you mean 'layer'?"),
    "unknown key in defaults": ({"defaults": {"desing": {}}}, "Did you mean 'design'?"),
    "defaults are a list": ({"defaults": [1]}, "study.defaults"),
    "no arms": ({"arms": None}, "arms"),
    "an arm without features": ({"arms": {"third": {}}}, "study.arms.third.features: got nothing"),
    "section is a word": ({"split": "random"}, "study.split"),
    "wrong type": (_text(layer="four"), "study.features.one.text.layer"),
    "features as text": (_arm(features="one"), "study.arms.first.features"),
    "layer": (_text(layer=7), "layer 7"),
    "negative layer": (_text(layer=-4), "layer -4"),
    "two contexts": (_text(context_rows=2, context_words=3), "context_rows and context_words"),
    "infinite context": (_text(context_seconds=float("inf")), "context_seconds"),
    "float16 on a CPU": (_text(dtype="float16"), "float16 on a CPU"),
    "unknown dtype": (_text(dtype="float8"), "float8"),
    "unknown model": ({"features": {"one": {"model": "no-such/model"}}}, "no-such/model"),
    "no model folder": ({"features": {"one": {"model": "/no/such folder"}}}, "/no/such folder"),
    "unknown feature entry": (_arm(features=["on"]), "Did you mean 'one'?"),
    "no delay": (_arm(design={"delays": []}), "delays"),
    "two clocks in one arm": (
        {
            "features": {"one": {}, "late": {"text": {"clock": "previous"}}},
            **_arm(features=["one", "late"]),
        },
        "arms.first.features: got one (own), late (previous)",
    ),
    "a weight of no columns": (_arm(design={"nuisance_scale": 10}), "nuisance_scale"),
    "delay twice": (_arm(design={"delays": [1, 1]}), "delays"),
    "alphas out of order": (_arm(ridge={"alphas": [10, 1]}), "ridge alphas"),
    "negative alpha": (_arm(ridge={"alphas": [-1, 1]}), "ridge alphas"),
    "alphas are words": (_arm(ridge={"alphas": ["many"]}), "alphas.0"),
    "unknown selection": (_arm(ridge={"selection": "validate"}), "validat"),
    "reference number": (_arm(reference={"test": {"P1": float("nan")}}), "got nan"),
    "unknown group": (_arm(reference={"tests": {"P1": 0.1}}), "Did you mean 'test'?"),
    "reference for nobody": (_arm(reference={"test": {"P7": 0.1}}), "unknown subject 'P7'"),
    "bootstrap": ({"evaluation": {"n_bootstrap": 1}}, "n_bootstrap"),
    "level": ({"evaluation": {"level": 95}}, "level"),
    "cut too long": ({"evaluation": {"cuts": [0, 23]}}, "evaluation.cuts drops 23"),
    "no cuts": ({"evaluation": {"cuts": []}}, "cuts"),
    "unknown subject": ({"dataset": {"subjects": ["P3"]}}, "unknown subject 'P3'"),
    "subject twice": ({"dataset": {"subjects": ["P1", "P1"]}}, "P1, P1"),
    "unknown reader": ({"dataset": {"reader": "foldr"}}, "Did you mean 'folder'?"),
    "missing data": ({"dataset": {"folder": "/no/such/data"}}, "/no/such/data"),
    "no data folder": ({"dataset": {"folder": None}}, "no data folder"),
    "simulation with a reader": ({"dataset": {"simulation": {"features": "one"}}}, "simulation"),
    "unknown story": ({"split": NAMED | {"test": ["figs"]}}, "Did you mean 'fig'?"),
    "story on two sides": ({"split": NAMED | {"test": ["apple"]}}, "'apple' twice"),
    "two ways to divide": ({"split": {"folds": 5}}, "counts and folds"),
    "lists beside counts": ({"split": {"test_repeated": ["fig"]}}, "counts and names"),
    "one side missing": ({"split": NAMED | {"test": None}}, "all three lists"),
    "story list as text": ({"split": NAMED | {"test": "fig"}}, "split.test"),
    "folds on many stories": ({"split": {"counts": None, "folds": 5}}, "6 stories"),
    "no folds": ({"split": {"counts": None, "folds": 0}}, "split.folds"),
    "negative seed": ({"split": {"seed": -1}}, "split.seed"),
    "count of zero": ({"split": {"counts": [4, 0, 2]}}, "(4, 0, 2)"),
    "two counts": ({"split": {"counts": [4, 2]}}, "study.split.counts: got [4, 2]"),
    "no split file": ({"split": {"counts": None, "file": "split.json"}}, "split.json"),
    "left out of one story": (
        {
            "split": NAMED | {"train": ["apple"]},
            **_arm(ridge={"selection": "leave_story_out"}),
        },
        "leave_story_out with 1 training story",
    ),
    "name with a slash": ({"name": "../tiny"}, "no space or slash"),
    "name of the store": ({"name": "Store"}, "finished stages"),
    "arm with a slash": ({"arms": {"a/b": {"features": ["one"]}}}, "no space or slash"),
    "feature with a space": ({"features": {"a b": {}}}, "no space or slash"),
}


@pytest.mark.parametrize("kind", STUDIES)
def test_a_bad_study_is_refused(cli: Cli, study_file: StudyFile, tmp_path: Path, kind: str) -> None:
    changes, said = STUDIES[kind]
    out = tmp_path / "out"
    assert_refused(cli("run", study_file(changes), "--out", out), said, out)


SIMULATIONS: dict[str, tuple[dict[str, Any], str]] = {
    "unknown listener": ({"subjects": ["SIM09"]}, "SIM09"),
    "unknown entry": ({"simulation": {"features": "three"}}, "three"),
    "nested key": ({"simulation": {"features": "one", "tree": {"sed": 1}}}, "Did you mean 'seed'?"),
    "bad number": ({"simulation": {"features": "one", "tree": {"noise_ar": 2}}}, "noise_ar"),
    "unknown story": (
        {"simulation": {"features": "one", "tree": {"repeated_story": "lanternkeepr"}}},
        "Did you mean 'lanternkeeper'?",
    ),
    "too many voxels": (
        {"simulation": {"features": "one", "tree": {"n_voxels": [10**6], "signal": [1.0]}}},
        "1000000",
    ),
}


@pytest.mark.parametrize("kind", SIMULATIONS)
def test_a_bad_simulation_is_refused(
    cli: Cli, study_file: StudyFile, tmp_path: Path, kind: str
) -> None:
    changes, said = SIMULATIONS[kind]
    dataset = {"reader": "simulated", "folder": None, "simulation": {"features": "one"}}
    done = cli("run", study_file({"dataset": dataset | changes}), "--out", tmp_path / "out")
    if kind != "too many voxels":
        assert_refused(done, said, tmp_path / "out")
    else:  # known only once the cortex is drawn: finished stages stay, and the log of them
        assert (done.code, done.lines[-1].startswith("error: ")) == (2, True)
        assert said in done.lines[-1]
        assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["store", "tiny"]
        assert [path.name for path in (tmp_path / "out" / "tiny").iterdir()] == ["log.txt"]


def test_a_story_on_two_sides_of_a_simulation_is_refused(
    cli: Cli, study_file: StudyFile, tmp_path: Path
) -> None:
    dataset = {"reader": "simulated", "folder": None, "simulation": {"features": "one"}}
    done = cli("run", study_file({"dataset": dataset, "split": NAMED}), "--out", tmp_path / "out")
    assert_refused(done, "unknown story 'apple'", tmp_path / "out")


FILES = {
    "not YAML": ("name: [tiny\n", "not YAML"),
    "duplicate key": ("name: a\nname: b\n", "'name' stands twice"),
    "duplicate key inside": ("split: {seed: 1, seed: 2}\n", "'seed' stands twice"),
    "a list as key": ("? [a, b]\n: c\n", "is no plain name"),
    "a list": ("- name\n", "got list"),
    "empty": ("", "got NoneType"),
    "python object": ("name: !!python/object:os.system x\n", "not YAML"),
    "deep nesting": ("[" * 5000, "not YAML"),
    "impossible date": ("name: 2020-13-45\n", "not YAML"),
}


@pytest.mark.parametrize("kind", FILES)
def test_a_bad_file_is_refused(cli: Cli, tmp_path: Path, kind: str) -> None:
    text, said = FILES[kind]
    path = tmp_path / "bad.yaml"
    path.write_text(text, encoding="utf-8")
    assert_refused(cli("run", path, "--out", tmp_path / "out"), said, tmp_path / "out")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"split": {"counts": [3, 1, 2]}}, "one story (alice)"),
        (
            {
                "split": {"counts": None, "folds": 5, "gap": 4},
                "defaults": {"design": {"delays": [5]}},
            },
            "a delay of 5 rows",
        ),
        ({"split": {"counts": None, "folds": 5, "gap": 60}}, "gap 60"),
    ],
    ids=["counts", "delays beyond the gap", "gap too wide"],
)
def test_a_study_that_does_not_fit_one_story_is_refused(
    cli: Cli, study_file: StudyFile, tmp_path: Path, changes: dict[str, Any], said: str
) -> None:
    folder = save_own_data(tmp_path / "alice", stories=["alice"], n_rows=150)
    done = cli("run", study_file(changes, data=folder), "--out", tmp_path / "out")
    assert_refused(done, said, tmp_path / "out")


ARGUMENTS = {
    "--set without a value": (["--set", "split.seed"], "no '='"),
    "--set without a key": (["--set", "=3"], "no key before '='"),
    "--set of a key that lies deeper": (["--set", "regions.names=[V1]"], "'dataset.regions'?"),
    "--set of an arm's key": (["--set", "design.delays=[1]"], "'defaults.design'"),
    "--set beside its mapping": (["--set", "dataset.names=[V1]"], "'regions.names'?"),
    "--set of an unknown key": (["--set", "split.sed=1"], "Did you mean 'seed'?"),
    "--set inside a number": (["--set", "name.x=1"], "not a mapping"),
    "unknown device": (["--device", "cud"], "unknown device 'cud'"),
    "no threads": (["--threads", "0"], "--threads"),
    "no tokens": (["--batch-tokens", "0"], "--batch-tokens"),
    "no data": (["--data", "/no/such/data"], "/no/such/data"),
}


@pytest.mark.parametrize("kind", ARGUMENTS)
def test_bad_arguments_are_refused(
    cli: Cli, study_file: StudyFile, tmp_path: Path, kind: str
) -> None:
    arguments, said = ARGUMENTS[kind]
    done = cli("run", study_file(), "--out", tmp_path / "out", *arguments)
    assert_refused(done, said, tmp_path / "out")


FAULTS = {
    "defaults.design.delays=4": "got 4; wanted a list, such as [4].",
    "defaults.design.delays=[1,2": "got '[1,2'; wanted a list, such as [1,2].",
    "defaults.design.delay=[1]": ": got unknown key 'delay'; ",
    "dataset.subjects=P1": "got 'P1'; wanted a list, such as [P1].",
    "split.counts=[4,2]": "got [4, 2]; wanted 3 whole numbers.",
    "split.counts=[4]": "got [4]; wanted 3 whole numbers.",
    "split.counts=[1,1,1,1]": "got [1, 1, 1, 1]; wanted 3 whole numbers.",
    "split.counts=[.6,.2,.2]": "got 0.6; wanted a whole number.",
    "arms.first.design.nuisance=yes": "got True; wanted one of: none, with, alone.",
    "defaults.ridge.alpha=100": "wanted one of: shared, per_target. Write alphas: [100] for one",
    "features.one.untrained=maybe": "got 'maybe'; wanted true or false or a whole number.",
    "evaluation.level=95": "evaluation setting 'level': got 95.0; ",
}


@pytest.mark.parametrize("override", FAULTS)
def test_a_fault_is_named_where_it_was_written_and_in_plain_words(
    study_file: StudyFile, override: str
) -> None:
    with pytest.raises(InputError) as caught:
        load_study(str(study_file()), overrides=[override])
    assert str(caught.value).startswith(f"--set {override}: ")
    assert FAULTS[override] in str(caught.value)


def test_a_fault_of_the_file_is_named_in_its_defaults_or_its_arm(study_file: StudyFile) -> None:
    faulty = {"design": {"delays": 4}}
    for changes, place in (
        ({"defaults": faulty}, "study.defaults.design.delays: got 4"),
        ({"arms": {"first": faulty}}, "study.arms.first.design.delays: got 4"),
        ({"arms": {"first": {"features": None}}}, "study.arms.first.features: got nothing"),
        ({"defaults": {"ridge": {"alphas": ["x"]}}}, "study.defaults.ridge.alphas.0: got 'x'"),
    ):
        with pytest.raises(InputError) as caught:
            load_study(str(study_file(changes)), overrides=["title=other"])
        assert str(caught.value).startswith(place)


def test_a_missing_study_is_refused(cli: Cli, tmp_path: Path) -> None:
    for study, said in (("basline", "Did you mean 'baseline'?"), ("no.yaml", "no.yaml")):
        assert_refused(cli("run", study, "--out", tmp_path / "out"), said, tmp_path / "out")


def test_a_full_disk_is_refused_before_any_work(
    cli: Cli, study_file: StudyFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=1000))
    done = cli("run", study_file(), "--out", tmp_path / "out")
    assert_refused(done, "0.00 GiB free disk space", tmp_path / "out")


def test_a_folder_below_a_file_is_refused(cli: Cli, study_file: StudyFile, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("here")
    done = cli("run", study_file(), "--out", tmp_path / "file" / "out")
    assert_refused(done, "cannot be written (Not a directory)", tmp_path / "file" / "out")
    done = cli("data", "simulate", tmp_path / "file" / "tree")
    assert_refused(done, "Not a directory", tmp_path / "file" / "tree")


def test_refusals_of_other_commands(cli: Cli, data: Path, tmp_path: Path) -> None:
    nowhere = tmp_path / "nowhere"
    (tmp_path / "run.json").write_text("{", encoding="utf-8")
    for arguments, said in (
        (["show", nowhere], "no run.json"),
        (["show", tmp_path], "damaged"),
        (["studies", "show", "basline"], "Did you mean 'baseline'?"),
        (["data", "check", nowhere], "nowhere"),
        (["data", "check", data, "--reader", "lebel"], "Did you mean 'lebel2023'"),
        (["data", "simulate", data], "already there"),
        (["data", "simulate", nowhere, "--study", "baseline"], "reader 'simulated'"),
    ):
        assert_refused(cli(*arguments), said, nowhere)


@pytest.mark.parametrize("kind", ["unknown key", "two contexts", "missing data"])
def test_a_process_of_its_own_says_the_same(
    sound_data: Path, checkpoint: Path, tmp_path: Path, kind: str, study_file: StudyFile
) -> None:
    changes, said = STUDIES[kind]
    done = run_process("run", study_file(changes), "--out", tmp_path / "out")
    assert_refused(done, said, tmp_path / "out")
    assert done.out == ""
    assert len(done.lines) == 1


@pytest.mark.long
def test_a_disk_that_fills_up_leaves_nothing_half_written(
    checkpoint: Path, sound_data: Path, tmp_path: Path
) -> None:
    """A real failing write: no file may grow beyond a few kilobytes."""
    study = save_study(tmp_path / "study.yaml", tiny_study(checkpoint, sound_data))
    done = run_process(
        "run", study, "--out", tmp_path / "out", "--threads", "1", largest_file=9_000
    )
    assert done.code == 2, done.err
    assert "no space left to write" in done.lines[-1]
    assert "Traceback" not in done.err
    store = tmp_path / "out" / "store"
    complete = {path.parent for path in store.glob("*/*/recipe.json")}
    assert set(store.glob("*/*")) - set((store / "tmp").glob("*")) == complete
    assert not list((store / "tmp").iterdir()) if (store / "tmp").exists() else True
    again = run_process("run", study, "--out", tmp_path / "out", "--threads", "1")
    assert again.code == 0, again.err
