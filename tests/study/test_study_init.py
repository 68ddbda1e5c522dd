"""``init``: what it writes is a study that runs."""

from __future__ import annotations

import shutil
from itertools import product
from pathlib import Path

import pytest
import yaml
from study_trees import Cli, merged, run_process
from typer.testing import CliRunner

from brainaligner.study import app, load_study

PAIRS = [
    pair
    for pair in product(("folder", "lebel2023", "lebel2023-pcs", "alice2016"), ("layers", "tune"))
    if pair != ("alice2016", "tune")
]

pytestmark = pytest.mark.usefixtures("unchecked")


@pytest.mark.parametrize(("reader", "aim"), PAIRS)
def test_every_answer_gives_a_study_that_loads(
    cli: Cli, tmp_path: Path, reader: str, aim: str
) -> None:
    path = tmp_path / "mine.yaml"
    done = cli("init", path, "--reader", reader, "--data", "a b: c", "--aim", aim, "--yes")
    assert done.code == 0, done.err
    config = load_study(str(path))
    assert config.name == "mine"
    assert config.dataset.reader == reader
    assert config.dataset.folder == "a b: c"
    assert "nuisance-alone" in config.arms
    assert {"tuned", "text", "shifted"} <= set(config.arms) or aim == "layers"
    assert path.read_text(encoding="utf-8").count("#") > 8


def test_the_study_of_layers_runs_on_own_data(
    cli: Cli, checkpoint: Path, sound_data: Path, tmp_path: Path
) -> None:
    path = tmp_path / "first.yaml"
    done = cli("init", path, "--data", sound_data, "--model", checkpoint, "--yes")
    assert done.code == 0, done.err
    small = {
        "split": {"counts": [3, 1, 2]},
        "evaluation": {"n_bootstrap": 20, "n_shifts": 20, "cuts": [0]},
        "controls": [],
        "null_draws": 2,
    }
    study = merged(yaml.safe_load(path.read_text(encoding="utf-8")), small)
    path.write_text(yaml.safe_dump(study, sort_keys=False), encoding="utf-8")
    ran = run_process("run", path, "--out", tmp_path / "out", "--threads", "1")
    assert ran.code == 0, ran.err
    assert (tmp_path / "out" / "first" / "report.html").exists()


def test_the_study_of_tuning_can_be_planned(
    cli: Cli, checkpoint: Path, sound_data: Path, tmp_path: Path
) -> None:
    path = tmp_path / "tune.yaml"
    arguments = ("--data", sound_data, "--model", checkpoint, "--aim", "tune", "--yes")
    assert cli("init", path, *arguments).code == 0
    changes = ["split.counts=[3, 1, 2]"]
    changes += [f"tunings.{name}.cross_fit=null" for name in ("tuned", "text", "shifted")]
    options = [word for change in changes for word in ("--set", change)]
    planned = cli("run", path, "--plan", "--out", tmp_path / "out", *options)
    assert planned.code == 0, planned.err
    assert "tuning" in planned.out


def test_questions_are_asked_and_answers_taken(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    answers = f"new\nlebel2023-pcs\nrecordings\n{checkpoint}\ntune\n"
    done = CliRunner().invoke(app, ["init"], input=answers, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    config = load_study("new.yaml")
    assert config.dataset.reader == "lebel2023-pcs"
    assert config.dataset.folder == "recordings"
    assert set(config.tunings) == {"tuned", "text", "shifted"}
    assert config.tunings["tuned"].model == str(checkpoint)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--reader", "alice2016", "--aim", "tune"], "dataset of one story"),
        (["--model", "no-such-folder/model"], "no-such-folder"),
    ],
)
def test_what_cannot_be_is_refused_and_nothing_written(
    cli: Cli, tmp_path: Path, arguments: list[str], says: str
) -> None:
    done = cli("init", tmp_path / "x.yaml", *arguments, "--yes")
    assert done.code == 2
    assert says in done.err
    assert not (tmp_path / "x.yaml").exists()


@pytest.mark.parametrize(
    "name", ["my study.yaml", ".yaml", ".", "store", "Store.yml", "-x.yaml", "été.yaml", "a:b"]
)
def test_a_name_that_no_study_may_have_is_refused(
    cli: Cli, checkpoint: Path, tmp_path: Path, name: str
) -> None:
    done = cli("init", f"{tmp_path}/{name}", "--model", checkpoint, "--yes")
    assert done.code == 2
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["yes", "null", "123", "1e3", "2026-01-01"])
def test_a_name_that_yaml_takes_for_something_else_stays_a_name(
    cli: Cli, checkpoint: Path, tmp_path: Path, name: str
) -> None:
    assert cli("init", tmp_path / name, "--model", checkpoint, "--yes").code == 0
    assert load_study(str(tmp_path / f"{name}.yaml")).name == name


def test_folders_may_have_any_letters(cli: Cli, checkpoint: Path, tmp_path: Path) -> None:
    odd = 'données: #1 \U0001f600 "x"'
    model = shutil.copytree(checkpoint, tmp_path / odd)
    path = tmp_path / "x.yaml"
    assert cli("init", path, "--data", odd, "--model", model, "--yes").code == 0
    config = load_study(str(path))
    assert config.dataset.folder == odd
    assert config.features["middle"].model == str(model)


def test_a_place_that_cannot_be_written_is_one_clear_line(
    cli: Cli, checkpoint: Path, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    done = cli("init", tmp_path / "file" / "x.yaml", "--model", checkpoint, "--yes")
    assert done.code == 2
    assert len(done.lines) == 1


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="/proc is Linux's")
@pytest.mark.parametrize("place", ["x.yaml", "folder/x.yaml"])
def test_a_place_that_makes_no_files_is_one_clear_line(
    cli: Cli, checkpoint: Path, place: str
) -> None:
    done = cli("init", Path("/proc") / place, "--model", checkpoint, "--yes")
    assert done.code == 2
    assert len(done.lines) == 1
    assert "no file can be made" in done.err


def test_the_middle_layer_is_not_the_last(cli: Cli, checkpoint: Path, tmp_path: Path) -> None:
    """Two thirds of two layers: the first, which is all that can be tuned below it."""
    for aim in ("layers", "tune"):
        path = tmp_path / f"{aim}.yaml"
        assert cli("init", path, "--model", checkpoint, "--aim", aim, "--yes").code == 0
    assert load_study(str(tmp_path / "layers.yaml")).features["middle"].text.layer == 1
    tuned = load_study(str(tmp_path / "tune.yaml")).tunings["tuned"].objectives
    assert tuned is not None
    assert (tuned.read_layers, tuned.trained_layers) == ((1,), 1)


def test_no_file_is_overwritten(cli: Cli, tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_text("mine", encoding="utf-8")
    done = cli("init", path, "--yes")
    assert done.code == 2
    assert "exists" in done.err
    assert path.read_text(encoding="utf-8") == "mine"


def test_a_wrong_answer_names_the_nearest(
    tmp_path: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("brainaligner.study._init_command._asked", lambda *_: "lebel2032")
    done = cli("init", tmp_path / "x.yaml")
    assert done.code == 2
    assert "lebel2023" in done.err
