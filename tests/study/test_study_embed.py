"""``brainaligner embed``: vectors of sentences and of TRs, against plain loops of transformers."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from embed_trees import LINES, OPTIONS, ROWS, UNCHECKED, sentence_means, table
from study_trees import WORDS, Cli, textgrid
from transformers import AutoModel, AutoTokenizer

from brainaligner.core import InputError
from brainaligner.data import read_transcripts
from brainaligner.study import EmbedSettings, embed_text


@pytest.mark.parametrize("layer", [0, 1, 2, -1])
@pytest.mark.parametrize("special", ["input", "pooled"])
def test_lines_are_the_means_of_a_plain_loop(
    checkpoint: Path, text_lines: Path, layer: int, special: str
) -> None:
    settings = EmbedSettings({"layer": layer, "special_tokens": special})
    found = embed_text(str(checkpoint), text_lines, settings, options=OPTIONS)
    wanted = sentence_means(checkpoint, LINES, layer, special=special == "pooled")
    assert found.times == {}
    np.testing.assert_allclose(found.vectors["lines"], wanted, atol=1e-6)


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


@UNCHECKED
@pytest.mark.parametrize(
    ("rows", "said"),
    [
        (ROWS, []),
        (("we,20,30", "river,90,95"), ["44 of 46 rows have no word: are the times in seconds?"]),
        (
            ("we,200,300", "river,900,1200"),
            [
                "449 of 451 rows have no word: are the times in seconds?",
                "a word lasts 300 s: are the times in seconds?",
            ],
        ),
    ],
)
def test_times_that_are_hardly_seconds_are_doubted(
    cli: Cli, checkpoint: Path, tmp_path: Path, rows: tuple[str, ...], said: list[str]
) -> None:
    done = cli("embed", checkpoint, table(tmp_path, *rows), "--to", tmp_path / "v.npz")
    assert done.code == 0
    assert [line for line in done.lines if "?" in line] == said


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


def test_the_embedded_model_is_there(text_lines: Path) -> None:
    found = embed_text("embedded", text_lines, options=OPTIONS)
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
    "not UTF-8": (written("a.txt", b"caf\xe9\n"), "iconv -f latin1 -t utf8 a.txt"),
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
    "milliseconds": (written("a.csv", HEAD + "hi,86401,86402\n"), "wanted times in seconds"),
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
    "no such pooling": (("--pooling", "mean"), "one of: own, all"),
    "no such clock": (("--clock", "prevous"), "one of: own, previous"),
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
    "an option and its setting": (("--set", "layer=1", "--layer", "2"), "'layer' twice"),
    "a setting twice": (("--set", "dtype=float32", "--set", "dtype=float64"), "'dtype' twice"),
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
    cli: Cli, checkpoint: Path, text_lines: Path, options: tuple[str, str], tmp_path: Path
) -> None:
    done = cli("embed", checkpoint, text_lines, "--to", tmp_path / "v.npz", *options)
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
    cli: Cli,
    text_lines: Path,
    name: str,
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("brainaligner.study._embed.load_language_model", _no_work)
    (tmp_path / "taken.npz").write_bytes(b"mine")
    done = cli("embed", "embedded", text_lines, "--to", tmp_path / name)
    assert done.code == 2
    assert said in done.lines[0]
    assert (tmp_path / "taken.npz").read_bytes() == b"mine"


def test_models_that_are_not_there_are_refused(text_lines: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="a folder that does not exist"):
        embed_text(str(tmp_path / "none"), text_lines, options=OPTIONS)
    with pytest.raises(InputError, match=r"no config\.json"):
        embed_text(str(tmp_path), text_lines, options=OPTIONS)


def test_a_line_of_which_nothing_is_left_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("the river\n\x01\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"line 2: got .*leaves nothing"):
        embed_text("embedded", path, options=OPTIONS)
