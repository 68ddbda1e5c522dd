"""``brainaligner embed``: vectors of sentences and of TRs, against plain loops of transformers."""

from __future__ import annotations

import csv
import gzip
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from export_trees import READERS
from safetensors import safe_open
from safetensors.numpy import load_file
from study_trees import N_ROWS, STORIES, WORDS, Cli, save_study, textgrid
from transformers import AutoModel, AutoTokenizer
from tuning_trees import recipes, save_listeners, tuned_study, tuning

from brainaligner.core import InputError
from brainaligner.data import read_transcripts
from brainaligner.study import (
    EmbedSettings,
    RunOptions,
    embed_text,
    export_models,
    load_study,
    run_study,
)
from brainaligner.text import TextSettings

LINES = ("we walked along the river", "she laughed", "nobody said a word until the bridge was warm")
OPTIONS = RunOptions(Path("unused"))
UNCHECKED = pytest.mark.usefixtures("unchecked")  # typer hands commands another Context


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


@pytest.fixture
def lines(tmp_path: Path) -> Path:
    path = tmp_path / "lines.txt"
    path.write_text("\n".join(LINES) + "\n", encoding="utf-8")
    return path


def table(folder: Path, *rows: str, header: str = "word,onset_s,offset_s") -> Path:
    path = folder / "tale.csv"
    path.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    return path


def sentence_means(
    model: Path, sentences: tuple[str, ...], layer: int, *, special: bool = False
) -> np.ndarray:
    """Mean state of each sentence's tokens, one sentence at a time, by transformers alone."""
    tokenizer, module = (k.from_pretrained(model) for k in (AutoTokenizer, AutoModel))
    means = []
    for sentence in sentences:
        with torch.no_grad():
            ids = tokenizer(sentence, return_tensors="pt")
            states = module(**ids, output_hidden_states=True).hidden_states[layer][0]
        means.append((states if special else states[1:-1]).mean(0).numpy())
    return np.stack(means)


@pytest.mark.parametrize("layer", [0, 1, 2, -1])
@pytest.mark.parametrize("special", ["input", "pooled"])
def test_lines_are_the_means_of_a_plain_loop(
    checkpoint: Path, lines: Path, layer: int, special: str
) -> None:
    settings = EmbedSettings({"layer": layer, "special_tokens": special})
    found = embed_text(str(checkpoint), lines, settings, options=OPTIONS)
    wanted = sentence_means(checkpoint, LINES, layer, special=special == "pooled")
    assert found.times == {}
    np.testing.assert_allclose(found.vectors["lines"], wanted, atol=1e-6)


def test_lines_of_an_exported_model_are_read_at_its_layer(exported: Path, lines: Path) -> None:
    found = embed_text(str(exported), lines, options=OPTIONS)
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


ROWS = ("we,0.1,0.3", "walked,0.9,1.2", "along,1.5,1.9", "the,4.5,4.6", "river,4.9,5.2")


def test_rows_are_the_words_of_their_windows(checkpoint: Path, tmp_path: Path) -> None:
    path = table(tmp_path, *ROWS)
    found = embed_text(str(checkpoint), path, EmbedSettings(tr=1.5), options=OPTIONS)
    windows = ("we walked", "along", "", "the river")
    wanted = sentence_means(checkpoint, tuple(filter(None, windows)), -1)
    assert list(found.vectors) == ["tale"]
    rows = found.vectors["tale"]
    np.testing.assert_array_equal(found.times["tale"], [0.75, 2.25, 3.75, 5.25])
    assert not rows[2].any()
    np.testing.assert_allclose(rows[[0, 1, 3]], wanted, atol=1e-6)


def test_the_previous_clock_moves_rows_by_one(checkpoint: Path, tmp_path: Path) -> None:
    path = table(tmp_path, *ROWS)
    own = embed_text(str(checkpoint), path, EmbedSettings(tr=1.5), options=OPTIONS)
    settings = EmbedSettings({"clock": "previous"}, tr=1.5, rows=5)
    moved = embed_text(str(checkpoint), path, settings, options=OPTIONS)
    np.testing.assert_allclose(moved.vectors["tale"][1:], own.vectors["tale"], atol=1e-6)
    assert not moved.vectors["tale"][0].any()
    fitted = EmbedSettings({"clock": "previous"}, tr=1.5)
    assert len(embed_text(str(checkpoint), path, fitted, options=OPTIONS).vectors["tale"]) == 5


def test_left_context_is_read_and_own_words_are_pooled(checkpoint: Path, tmp_path: Path) -> None:
    path = table(tmp_path, *ROWS)
    settings = EmbedSettings({"context_rows": 1}, tr=1.5)
    rows = embed_text(str(checkpoint), path, settings, options=OPTIONS).vectors["tale"]
    tokenizer, module = (k.from_pretrained(checkpoint) for k in (AutoTokenizer, AutoModel))
    with torch.no_grad():
        states = module(**tokenizer("we walked along", return_tensors="pt")).last_hidden_state[0]
    np.testing.assert_allclose(rows[1], states[3].numpy(), atol=1e-6)
    pooled = EmbedSettings({"context_rows": 1, "pooling": "all"}, tr=1.5)
    rows = embed_text(str(checkpoint), path, pooled, options=OPTIONS).vectors["tale"]
    np.testing.assert_allclose(rows[1], states[1:4].mean(0).numpy(), atol=1e-6)


@pytest.mark.parametrize(
    ("change", "count", "said"),
    [
        ({"first": 2.25}, 3, "2 words are before the first row"),
        ({"rows": 2}, 2, "2 words are after the last row"),
        ({}, 4, None),
    ],
)
def test_words_without_a_row_are_counted(
    checkpoint: Path, tmp_path: Path, change: dict[str, Any], count: int, said: str | None
) -> None:
    settings = EmbedSettings(tr=1.5, **change)
    found = embed_text(str(checkpoint), table(tmp_path, *ROWS), settings, options=OPTIONS)
    assert len(found.vectors["tale"]) == count
    assert [note.startswith(said or "") for note in found.notes] == [True] * (said is not None)


def test_every_kind_of_file_with_the_same_words_gives_the_same(
    checkpoint: Path, tmp_path: Path
) -> None:
    path = tmp_path / "tale.TextGrid"
    path.write_text(textgrid(WORDS), encoding="utf-8")
    (story,) = read_transcripts(path).values()
    rows = [
        f"{word},{on},{off}"
        for word, on, off in zip(story.words, story.onsets, story.offsets, strict=True)
    ]
    files = [path, table(tmp_path, *rows)]
    (tmp_path / "two").mkdir()
    files.append(
        table(tmp_path / "two", *(f"tale,{r}" for r in rows), header="story,word,onset_s,offset_s")
    )
    tabbed = tmp_path / "tale.tsv"
    tabbed.write_text(files[1].read_text().replace(",", "\t"))
    zipped = tmp_path / "tale.csv.gz"
    zipped.write_bytes(gzip.compress(files[1].read_bytes()))
    first, *rest = (
        embed_text(str(checkpoint), file, options=OPTIONS).vectors
        for file in (*files, tabbed, zipped)
    )
    assert list(first) == ["tale"]
    assert first["tale"].any()
    for other in rest:
        np.testing.assert_array_equal(other["tale"], first["tale"])


def test_lanczos_rows_come_out(checkpoint: Path, tmp_path: Path) -> None:
    settings = EmbedSettings({"resample": "lanczos"}, tr=1.5)
    found = embed_text(str(checkpoint), table(tmp_path, *ROWS), settings, options=OPTIONS)
    assert found.vectors["tale"].shape == (4, 16)
    assert found.vectors["tale"][2].any()  # the filter spreads words over rows


def test_the_embedded_model_is_there(lines: Path) -> None:
    found = embed_text("embedded", lines, options=OPTIONS)
    assert found.vectors["lines"].shape == (3, 384)
    norms = found.vectors["lines"] @ found.vectors["lines"].T
    assert norms[0, 0] > norms[0, 1]


def test_lines_that_are_too_long_are_counted(checkpoint: Path, tmp_path: Path) -> None:
    path = tmp_path / "long.txt"
    path.write_text(" ".join(WORDS * 5) + "\nthe river\n", encoding="utf-8")
    found = embed_text(str(checkpoint), path, options=OPTIONS)
    assert [note.partition(":")[0] for note in found.notes] == [
        "1 lines are longer than the model or max_tokens takes"
    ]


@UNCHECKED
@pytest.mark.parametrize("suffix", [".npz", ".safetensors", ".csv"])
@pytest.mark.parametrize("timed", [False, True])
def test_files_hold_the_vectors_and_times(
    cli: Cli, exported: Path, lines: Path, tmp_path: Path, suffix: str, timed: bool
) -> None:
    given = table(tmp_path, *ROWS) if timed else lines
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
    cli: Cli, exported: Path, lines: Path, tmp_path: Path, suffix: str
) -> None:
    model = shutil.copytree(exported, tmp_path / "model")
    record = json.loads((model / "brainaligner.json").read_text(encoding="utf-8"))
    record["not_valid"] = "NOT VALID: same rows"
    (model / "brainaligner.json").write_text(json.dumps(record), encoding="utf-8")
    to = tmp_path / f"v{suffix}"
    done = cli("embed", model, lines, "--to", to)
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


Place = Callable[[Path], Path]


def written(name: str, content: str | bytes) -> Place:
    def write(folder: Path) -> Path:
        path = folder / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


HEAD = "word,onset_s,offset_s\n"
BAD_INPUT: dict[str, tuple[Place, str]] = {
    "missing": (lambda folder: folder / "none.txt", "no such file"),
    "missing table": (lambda folder: folder / "none.csv", "no such file"),
    "missing grid": (lambda folder: folder / "none.TextGrid", "no such file"),
    "a folder": (lambda folder: folder, "neither lines of text nor timed words"),
    "empty": (written("a.txt", ""), "line 1: got an empty file"),
    "white space": (written("a.txt", " \n\t\n"), "an empty file"),
    "a blank line": (written("a.txt", "one\n\nthree\n"), "line 2: got a blank line"),
    "two ends": (written("a.txt", "one\n\n"), "line 2: got a blank line"),
    "not UTF-8": (written("a.txt", b"caf\xe9\n"), "cannot be read"),
    "an array": (written("a.npz", b"PK"), "neither lines of text nor timed words"),
    "empty table": (written("a.csv", ""), "columns 'word'"),
    "header alone": (written("a.csv", HEAD), "no words"),
    "no onset": (written("a.csv", "word,offset_s\nhi,1\n"), "columns 'onset_s'"),
    "nearly a story": (written("a.csv", "stories," + HEAD + "a,hi,1,2\n"), "the column 'stories'"),
    "NaN onset": (written("a.csv", HEAD + "hi,NaN,1\n"), "line 2: got onset_s 'NaN'"),
    "infinite offset": (written("a.csv", HEAD + "hi,0,inf\n"), "line 2: got offset_s 'inf'"),
    "no number": (written("a.csv", HEAD + "hi,one,2\n"), "onset_s 'one'"),
    "negative": (written("a.csv", HEAD + "hi,-1,2\n"), "0 <= onset <= offset"),
    "ends before": (written("a.csv", HEAD + "hi,2,1\n"), "0 <= onset <= offset"),
    "out of order": (written("a.csv", HEAD + "hi,2,3\nyou,1,2\n"), "line 3"),
    "twice": (written("a.csv", HEAD + "hi,2,3\nyou,2,3\n"), "the same times as 'hi'"),
    "markers alone": (written("a.csv", HEAD + "{BR},2,3\n"), "no words"),
    "short row": (written("a.csv", HEAD + "hi,2\n"), "line 2: got 2 columns"),
    "milliseconds": (written("a.csv", HEAD + "hi,4e9,5e9\n"), "Give times in seconds"),
    "no grid": (written("a.TextGrid", "hello"), "a complete Praat TextGrid"),
    "half a grid": (written("a.TextGrid", textgrid(WORDS)[:600]), "a complete Praat TextGrid"),
    "broken gzip": (written("a.csv.gz", b"nothing"), "a complete gzip file"),
}


@UNCHECKED
@pytest.mark.parametrize("kind", BAD_INPUT)
def test_bad_text_is_refused_before_any_work(
    cli: Cli, kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place, said = BAD_INPUT[kind]
    monkeypatch.setattr("brainaligner.study._embed.load_language_model", _no_work)
    to = tmp_path / "made" / "v.npz"
    to.parent.mkdir()
    done = cli("embed", "embedded", place(tmp_path), "--to", to)
    assert done.code == 2
    assert len(done.lines) == 1
    assert said in done.lines[0]
    assert not list(to.parent.iterdir())


def _no_work(*_: object, **__: object) -> None:
    raise AssertionError("a model was loaded")


BAD_OPTIONS: dict[str, tuple[tuple[str, ...], str]] = {
    "layer too high": (("--layer", "3"), "0 (embeddings) to 2"),
    "layer too low": (("--layer", "-4"), "0 (embeddings) to 2"),
    "no such pooling": (("--pooling", "mean"), "'own' or 'all'"),
    "no such clock": (("--clock", "prevous"), "'own' or 'previous'"),
    "negative context": (("--context-rows", "-1"), "context_rows"),
    "two contexts": (("--context-rows", "1", "--set", "context_words=3"), "at once"),
    "no TR": (("--tr", "0"), "a repetition time above 0 s"),
    "negative TR": (("--tr", "-2"), "a repetition time above 0 s"),
    "NaN TR": (("--tr", "nan"), "a repetition time above 0 s"),
    "infinite first": (("--first", "inf"), "a finite first row"),
    "first after all": (("--first", "900"), "1 to 1,000,000 rows"),
    "tiny TR": (("--tr", "1e-8"), "1 to 1,000,000 rows"),
    "no rows": (("--rows", "0"), "--rows: got 0"),
    "too many rows": (("--rows", "1000001"), "--rows: got 1000001"),
    "unknown key": (("--set", "poling=all"), "Did you mean 'pooling'?"),
    "no value": (("--set", "pooling"), "key=value"),
    "no key": (("--set", "=all"), "key=value"),
    "a word for a number": (("--set", "max_tokens=many"), "settings.max_tokens"),
    "float16 on a CPU": (("--set", "dtype=float16"), "float16 on a CPU"),
    "no such device": (("--device", "tpu"), "--device"),
    "no batch": (("--batch-tokens", "0"), "--batch-tokens"),
}


@UNCHECKED
@pytest.mark.parametrize("kind", BAD_OPTIONS)
def test_bad_options_are_refused(cli: Cli, checkpoint: Path, kind: str, tmp_path: Path) -> None:
    options, said = BAD_OPTIONS[kind]
    to = tmp_path / "v.npz"
    done = cli("embed", checkpoint, table(tmp_path, *ROWS), "--to", to, *options)
    assert done.code == 2
    assert len(done.lines) == 1
    assert said in done.lines[0]
    assert "study file" not in done.lines[0]
    assert not to.exists()


@UNCHECKED
@pytest.mark.parametrize(
    "options",
    [("--tr", "2"), ("--first", "1"), ("--rows", "3"), ("--clock", "own"), ("--context-rows", "2")],
)
def test_settings_of_rows_are_refused_beside_lines(
    cli: Cli, checkpoint: Path, lines: Path, options: tuple[str, str], tmp_path: Path
) -> None:
    done = cli("embed", checkpoint, lines, "--to", tmp_path / "v.npz", *options)
    assert done.code == 2
    assert options[0].removeprefix("--").replace("-", "_") in done.lines[0]
    assert "words with times" in done.lines[0]


@UNCHECKED
@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("v.txt", "one of: .npz, .safetensors, .csv"),
        ("v", "one of: .npz"),
        ("taken.npz", "already there"),
        ("nowhere/v.npz", "a folder that does not exist"),
    ],
)
def test_bad_places_are_refused_before_any_work(
    cli: Cli, lines: Path, name: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("brainaligner.study._embed.load_language_model", _no_work)
    (tmp_path / "taken.npz").write_bytes(b"mine")
    done = cli("embed", "embedded", lines, "--to", tmp_path / name)
    assert done.code == 2
    assert said in done.lines[0]
    assert (tmp_path / "taken.npz").read_bytes() == b"mine"


@pytest.mark.parametrize(
    "content", ["{", "[]", "{}", '{"reading": {}}', '{"reading": {"text": 1}}']
)
def test_a_damaged_record_is_refused(
    exported: Path, lines: Path, content: str, tmp_path: Path
) -> None:
    model = shutil.copytree(exported, tmp_path / "model")
    (model / "brainaligner.json").write_text(content, encoding="utf-8")
    with pytest.raises(InputError, match=r"brainaligner\.json: got a damaged file"):
        embed_text(str(model), lines, options=OPTIONS)


def test_models_that_are_not_there_are_refused(lines: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="a folder that does not exist"):
        embed_text(str(tmp_path / "none"), lines, options=OPTIONS)
    with pytest.raises(InputError, match=r"no config\.json"):
        embed_text(str(tmp_path), lines, options=OPTIONS)


def test_a_line_of_which_nothing_is_left_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("the river\n\x01\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"line 2: got .*leaves nothing"):
        embed_text("embedded", path, options=OPTIONS)
