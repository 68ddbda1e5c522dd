"""Exports that are refused, killed or fail: what is said, and that nothing is left behind."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from export_trees import one_model, stored_joint
from safetensors.numpy import load_file, save_file
from study_trees import Cli, environment

from brainaligner.core import BrainAlignerError, InputError
from brainaligner.study import export_models

REFUSED: dict[str, tuple[str, tuple[str, ...], list[str]]] = {
    "several models": (
        "crossed",
        (),
        ["6 models", "UTS02, seed 0, fold 3", "--subject and --fold"],
    ),
    "several folds": ("crossed", ("--subject", "UTS01"), ["3 models", "Give --fold, or --all"]),
    "several seeds": ("text", (), ["UTS01 and UTS02, seed 1", "Give --seed, or --all"]),
    "several subjects": ("lora", (), ["lora, UTS01", "Give --subject"]),
    "several tunings": ("several", ("--subject", "UTS01"), ["Give --tuning"]),
    "no such subject": ("joint", ("--subject", "UTS09"), ["nothing for subject UTS09", "one of"]),
    "no such seed": ("text", ("--seed", "7"), ["nothing for seed 7", "seed 1"]),
    "no such fold": ("crossed", ("--fold", "4"), ["nothing for fold 4"]),
    "no such fold, all": ("crossed", ("--fold", "0", "--all"), ["nothing for fold 0"]),
    "a fold of none": ("joint", ("--fold", "1"), ["nothing for fold 1"]),
    "no such tuning": ("several", ("--tuning", "text"), ["nothing for tuning text"]),
    "no such arm": ("jont", (), ["Did you mean 'joint'?"]),
    "a frozen arm": ("plain", (), ["reads no tuned model", "crossed, text, shifted, lora"]),
    "Z alone": ("nuisance-alone", (), ["reads no tuned model"]),
    "an untrained arm": ("untrained", (), ["reads no tuned model"]),
    "no store": ("joint", ("--out", "elsewhere"), ["the store that the run was made in"]),
}


@pytest.mark.usefixtures("unchecked")  # typer hands commands a Context of another class
@pytest.mark.parametrize("kind", REFUSED)
def test_bad_requests_are_refused_and_say_what_there_is(
    cli: Cli, exportable: Path, kind: str, tmp_path: Path
) -> None:
    arm, options, said = REFUSED[kind]
    done = cli("export", exportable / "tuned", "--arm", arm, "--to", tmp_path / "model", *options)
    assert done.code == 2
    assert len(done.lines) == 1
    assert [text for text in said if text not in done.lines[0]] == []
    assert not list(tmp_path.iterdir())


@pytest.mark.usefixtures("unchecked")
def test_a_folder_without_a_run_and_an_untuned_study_are_refused(
    cli: Cli, finished: Path, tmp_path: Path
) -> None:
    done = cli("export", tmp_path, "--arm", "joint", "--to", tmp_path / "model")
    assert (done.code, "no run.json" in done.err) == (2, True)
    done = cli("export", finished / "tiny", "--arm", "first", "--to", tmp_path / "model")
    assert (done.code, "This study tunes nothing" in done.err) == (2, True)
    assert not (tmp_path / "model").exists()


@pytest.mark.parametrize("kind", ["file", "full", "link", "dangling"])
def test_a_place_that_is_taken_is_refused_and_left_alone(
    exportable: Path, kind: str, tmp_path: Path
) -> None:
    to, other = tmp_path / "model", tmp_path / "other"
    other.mkdir()
    if kind == "file":
        to.write_text("mine")
    elif kind == "full":
        to.mkdir()
        (to / "mine.txt").write_text("mine")
    else:
        to.symlink_to(other if kind == "link" else tmp_path / "nothing")
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(InputError, match="already there"):
        export_models(exportable / "tuned", "joint", to)
    assert sorted(tmp_path.rglob("*")) == before


def test_a_folder_that_cannot_be_written_is_refused(exportable: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be written"):
        export_models(exportable / "tuned", "joint", tmp_path / "file" / "model")


DIES = """
import os, sys
from pathlib import Path
from brainaligner.study import export_models
from brainaligner.study import _export
_export.export_record = lambda *_: os._exit(9)
export_models(Path(sys.argv[1]), "joint", Path(sys.argv[2]))
"""


def test_an_export_that_is_killed_leaves_nothing_under_its_name(
    exportable: Path, tmp_path: Path
) -> None:
    to = tmp_path / "model"
    done = subprocess.run(
        [sys.executable, "-c", DIES, exportable / "tuned", to],
        env=environment(),
        timeout=120,
        check=False,
    )
    assert done.returncode == 9
    assert not to.exists()
    (left,) = tmp_path.iterdir()  # weights were copied, and lie beside it
    assert list(left.rglob("model.safetensors"))
    one_model(exportable, "joint", to)
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_an_export_that_fails_takes_back_what_it_wrote(
    exportable: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> str:
        raise RuntimeError("planted")

    monkeypatch.setattr("brainaligner.study._export.render_card", fails)
    with pytest.raises(RuntimeError, match="planted"):
        export_models(exportable / "tuned", "joint", tmp_path / "model")
    assert not list(tmp_path.iterdir())


def test_damaged_checkpoints_are_refused(exportable_copy: Path, tmp_path: Path) -> None:
    stored, to = stored_joint(exportable_copy), tmp_path / "model"
    weights = stored / "model.safetensors"
    whole = weights.read_bytes()

    def refused(match: str) -> None:
        with pytest.raises(BrainAlignerError, match=match):
            export_models(exportable_copy / "tuned", "joint", to)
        assert not to.exists()

    (stored / "pytorch_model.bin").write_bytes(b"\x80\x04K\x01.")
    refused("pytorch_model.bin")
    (stored / "pytorch_model.bin").unlink()
    tensors = load_file(weights)
    save_file({**tensors, "bert.lora_A.weight": tensors["cls.predictions.bias"]}, weights)
    refused("not merged")
    weights.write_bytes(whole[: len(whole) // 2])
    refused("model.safetensors|damaged")
    weights.unlink()
    refused("no safetensors file")
    shutil.rmtree(stored)
    refused("damaged artifact")
    shutil.rmtree(stored.parent)
    refused("the store lacks the tunings")
