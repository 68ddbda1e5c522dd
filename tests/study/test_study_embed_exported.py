"""``brainaligner embed`` with an exported model: its own settings, files of vectors, and stamps."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from embed_trees import LINES, OPTIONS, ROWS, UNCHECKED, sentence_means, table
from export_trees import READERS
from safetensors import safe_open
from safetensors.numpy import load_file
from study_trees import N_ROWS, STORIES, Cli, save_study
from tuning_trees import recipes, save_listeners, tuned_study, tuning

from brainaligner.core import InputError
from brainaligner.study import (
    EmbedSettings,
    RunOptions,
    embed_text,
    export_models,
    load_study,
    run_study,
)
from brainaligner.text import TextSettings


@pytest.fixture(scope="module")
def run(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished study whose arm reads layer 1 with two TRs of left context, clock previous."""
    folder = tmp_path_factory.mktemp("embedded")
    data = save_listeners(folder / "data", READERS)
    own = {"clock": "previous", "context_rows": 2}
    text = {"text": {"layer": 1, "max_tokens": 60, **own}}
    tunings = {"words": tuning(checkpoint, **own)}
    arms = {"plain": None}
    study = tuned_study(checkpoint, data, tunings, features={"words": text}, arms=arms)
    study["dataset"]["subjects"] = ["UTS01"]
    path = save_study(folder / "study.yaml", study)
    run_study(load_study(str(path)), RunOptions(folder / "out", threads=1))
    return folder


@pytest.fixture(scope="module")
def exported(run: Path) -> Path:
    """The tuned model of that study, exported. Tests must not change it."""
    export_models(run / "out" / "tuned", "words", run / "model")
    return run / "model"


def test_lines_of_an_exported_model_are_read_at_its_layer(exported: Path, text_lines: Path) -> None:
    found = embed_text(str(exported), text_lines, options=OPTIONS)
    np.testing.assert_allclose(
        found.vectors["lines"], sentence_means(exported, LINES, 1), atol=1e-6
    )
    assert found.about["text"]["layer"] == 1
    assert found.about["text"]["context_rows"] == 0  # a line has no rows before it


def test_rows_of_an_exported_model_are_the_features_of_its_study(run: Path, exported: Path) -> None:
    """The study's own rows, made from its store, are a road apart: no export, no embed."""
    found = embed_text(
        str(exported), run / "data" / "words.csv", EmbedSettings(rows=N_ROWS), options=OPTIONS
    )
    (key,) = [k for k, r in recipes(run / "out", "features").items() if "tuning" in r["inputs"]]
    with np.load(run / "out" / "store" / "features" / key / "features.npz") as features:
        assert sorted(found.vectors) == sorted(features.files) == sorted(STORIES)
        for story in STORIES:
            np.testing.assert_allclose(found.vectors[story], features[story], atol=1e-6)
            np.testing.assert_array_equal(found.times[story], 11.0 + 2.0 * np.arange(N_ROWS))
    assert np.abs(found.vectors["apple"]).max() > 0.1
    assert found.about["clock"] == {"tr": 2.0, "first": 11.0}


@UNCHECKED
@pytest.mark.parametrize("suffix", [".npz", ".safetensors", ".csv"])
@pytest.mark.parametrize("timed", [False, True])
def test_files_hold_the_vectors_and_times(
    cli: Cli, exported: Path, text_lines: Path, tmp_path: Path, suffix: str, timed: bool
) -> None:
    given = table(tmp_path, *ROWS) if timed else text_lines
    options = ("--tr", "1.5", "--first", "0.75") if timed else ()
    to = tmp_path / f"vectors{suffix}"
    done = cli("embed", exported, given, "--to", to, *options)
    assert done.code == 0, done.err
    settings = EmbedSettings(tr=1.5, first=0.75) if timed else None
    wanted = embed_text(str(exported), given, settings, options=OPTIONS)
    name = "tale" if timed else "lines"
    vectors, times, about = _read(to, timed)
    np.testing.assert_array_equal(vectors, wanted.vectors[name])
    assert vectors.dtype == np.float32
    if timed:
        np.testing.assert_array_equal(times, wanted.times["tale"])
    if about is not None:
        assert about == dict(wanted.about)
    n_rows = len(vectors)
    assert f"{name}: {n_rows} rows of 16 numbers, layer 1" in done.out


def _read(path: Path, timed: bool) -> tuple[np.ndarray, np.ndarray | None, Any]:
    names = ("vectors/tale", "times_s/tale") if timed else ("vectors",)
    if path.suffix == ".csv":
        with path.open(encoding="utf-8", newline="") as file:
            header, *rows = csv.reader(file)
        place = ["story", "row", "time_s"] if timed else ["line"]
        assert header == [*place, *(f"v{i}" for i in range(16))]
        vectors = np.array([row[len(place) :] for row in rows], dtype=np.float32)
        if not timed:
            assert [row[0] for row in rows] == ["1", "2", "3"]
            return vectors, None, None
        assert [row[:2] for row in rows] == [["tale", str(i)] for i in range(len(rows))]
        return vectors, np.array([float(row[2]) for row in rows]), None
    if path.suffix == ".npz":
        with np.load(path, allow_pickle=False) as file:
            assert set(file.files) == {*names, "about"}
            arrays = {name: file[name] for name in names}
            about = json.loads(str(file["about"]))
    else:
        arrays = load_file(path)
        assert arrays.keys() == set(names)
        with safe_open(path, framework="np") as file:
            about = json.loads(file.metadata()["about"])
    return arrays[names[0]], arrays[names[1]] if timed else None, about


@UNCHECKED
def test_options_stand_above_the_exported_settings(
    cli: Cli, exported: Path, tmp_path: Path
) -> None:
    given = table(tmp_path, *ROWS)
    options = ("--layer", "-1", "--pooling", "all", "--clock", "own", "--context-rows", "0")
    to = tmp_path / "v.npz"
    done = cli(
        *("embed", exported, given, "--to", to, *options, "--tr", "1.5", "--first", "0.75"),
        *("--set", "max_tokens=30", "--json"),
    )
    assert done.code == 0, done.err
    found = json.loads(done.out)
    text = found["about"]["text"]
    changed = {"layer": 2, "pooling": "all", "clock": "own", "context_rows": 0, "max_tokens": 30}
    assert changed.items() <= text.items()
    assert found["shapes"] == {"tale": [4, 16]}
    assert found["about"]["clock"] == {"tr": 1.5, "first": 0.75}
    assert text.keys() == vars(TextSettings()).keys()


@UNCHECKED
@pytest.mark.parametrize("suffix", [".npz", ".safetensors", ".csv"])
def test_a_model_of_a_run_that_is_not_valid_stamps_its_vectors(
    cli: Cli, exported: Path, text_lines: Path, tmp_path: Path, suffix: str
) -> None:
    model = shutil.copytree(exported, tmp_path / "model")
    record = json.loads((model / "brainaligner.json").read_text(encoding="utf-8"))
    record["not_valid"] = "NOT VALID: same rows"
    (model / "brainaligner.json").write_text(json.dumps(record), encoding="utf-8")
    to = tmp_path / f"v{suffix}"
    done = cli("embed", model, text_lines, "--to", to)
    assert done.code == 4
    assert done.out.startswith("NOT VALID: same rows\n")
    if suffix == ".csv":
        with to.open(encoding="utf-8", newline="") as file:
            assert {row["not_valid"] for row in csv.DictReader(file)} == {"NOT VALID: same rows"}
    elif suffix == ".npz":
        with np.load(to, allow_pickle=False) as file:
            assert str(file["NOT VALID"]) == "NOT VALID: same rows"
    else:
        with safe_open(to, framework="np") as file:
            assert json.loads(file.metadata()["about"])["not_valid"] == "NOT VALID: same rows"


@pytest.mark.parametrize(
    "content", ["{", "[]", "{}", '{"reading": {}}', '{"reading": {"text": 1}}']
)
def test_a_damaged_record_is_refused(
    exported: Path, text_lines: Path, content: str, tmp_path: Path
) -> None:
    model = shutil.copytree(exported, tmp_path / "model")
    (model / "brainaligner.json").write_text(content, encoding="utf-8")
    with pytest.raises(InputError, match=r"brainaligner\.json: got a damaged file"):
        embed_text(str(model), text_lines, options=OPTIONS)
