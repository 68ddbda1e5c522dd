"""``brainaligner init``: a commented study file after a few questions."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import typer

from brainaligner.core import InputError, unknown_name
from brainaligner.study import _completion as complete
from brainaligner.study._printing import AsJson, ask, help_end, print_json

EXAMPLES = help_end("init", "init mine.yaml --reader folder --data ~/mydata --aim tune --yes")
AIMS = ("layers", "tune")
_READERS = "folder (your own data), lebel2023, lebel2023-pcs, alice2016"
_SPLITS = {
    "folder": "  counts: [7, 1, 2]   # training, validation, test: stories or shares\n  seed: 0",
    "lebel2023": "  counts: [60, 8, 16]  # training, validation, test: stories or shares\n"
    "  seed: 0",
    "lebel2023-pcs": "  file: split.json     # the division that comes with the data",
    "alice2016": "  folds: 5             # one story only: contiguous parts of it\n"
    "  gap: 10              # rows left out between parts",
}
_HEAD = """\
# {title}
#
#   brainaligner run {file} --plan         what it would take; nothing runs
#   brainaligner run {file} --validation   compare ideas so: no response to a test story is read
#   brainaligner run {file}                once, at the end
#
# Every key: docs/study-file.md. `brainaligner studies` lists packaged studies to copy from.
name: {name}
title: {title}

dataset:
  reader: {reader}
  folder: {folder}  # --data goes before it

# No story may stand on two sides. Settings are chosen on validation stories, scores are of test
# stories.
split:
{split}

"""
_LAYERS = """\
# One row of model states per TR. Ten TRs of left context: no word that comes later is read.
features:
  middle: {{model: {model}, text: &words {{layer: {middle}, context_rows: 10}}}}
  last: {{model: {model}, text: {{<<: *words, layer: -1}}}}

# Delays of one to four TRs for the haemodynamic response; the nuisance block Z holds onsets, word
# rate and place in the story.
defaults:
  design: {{delays: [1, 2, 3, 4], nuisance: with}}

arms:
  nuisance-alone: {{features: [middle], design: {{nuisance: alone}}}}  # knows no word's meaning
  middle: {{features: [middle]}}
  last: {{features: [last]}}
"""
_TUNE = """\
# One row of model states per TR. Ten TRs of left context: no word that comes later is read.
features:
  plain: {{model: {model}, text: &words {{layer: {middle}, clock: previous, context_rows: 10}}}}
  tuned: {{tuning: tuned, text: *words}}
  text: {{tuning: text, text: *words}}
  shifted: {{tuning: shifted, text: *words}}

brains:
  all: {{encoder: {{kind: all}}}}
  shifted: {{encoder: {{kind: all, shift: true}}}}  # the control: the same brain, moved in time

# The layers below the one that is read learn to predict all listeners. Cross-fitted: each
# training story is read by a model that never saw it. `text` is the same training without a brain.
tunings:
  tuned: &tuned
    model: {model}
    brain: all
    subjects: all
    clock: previous
    context_rows: 10
    validation_stories: {stop}
    seeds: [0, 1, 2]
    cross_fit: 5              # folds of the training stories; null for the plain protocol
    objectives: &settings
      predict: {{loss: correlation}}
      heads: {{kind: cross_fitted}}
      read_layers: [{middle}]
      trained_layers: {trained}
      learning_rate: 1.0e-3
  shifted: {{<<: *tuned, brain: shifted}}
  text:
    <<: *tuned
    brain: null
    objectives: {{<<: *settings, predict: null, language: {{}}, learning_rate: 3.0e-4}}

defaults:
  design: {{delays: [1, 2, 3, 4], nuisance: with}}

arms:
  nuisance-alone: {{features: [plain], design: {{nuisance: alone}}}}  # knows no word's meaning
  plain: {{features: [plain]}}
  tuned: {{features: [tuned]}}      # believe a gain only where text and shifted fail to have it
  text: {{features: [text]}}
  shifted: {{features: [shifted]}}
"""


def init(
    file: Annotated[
        Path | None, typer.Argument(metavar="[FILE]", help="New study file; asked for if left out.")
    ] = None,
    reader: Annotated[
        str | None,
        typer.Option(
            "--reader", help=f"Kind of data: {_READERS}.", autocompletion=complete.readers
        ),
    ] = None,
    data: Annotated[str | None, typer.Option("--data", help="Folder of the data.")] = None,
    model: Annotated[
        str | None, typer.Option("--model", help="embedded, a folder, or a name on the hub.")
    ] = None,
    aim: Annotated[
        str | None,
        typer.Option(
            "--aim",
            help="layers (compare layers) or tune (on brain activity).",
            autocompletion=complete.one_of(*AIMS),
        ),
    ] = None,
    yes: Annotated[
        bool, typer.Option("--yes", help="Ask nothing: take the default of what is not given.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Write a commented study file, after a few questions."""
    path = _new_file(file or Path(_asked("File to write", "study.yaml", yes)))
    kind = reader or _asked(f"Data: {_READERS}", "folder", yes)
    _check_choice("--reader", kind, _SPLITS)
    folder = data or _asked("Folder of the data", "data", yes)
    name = model or _asked("Language model: embedded, a folder, or a hub name", "embedded", yes)
    wanted = aim or _asked(
        "Aim: layers (compare layers) or tune (on brain activity)", "layers", yes
    )
    _check_choice("--aim", wanted, AIMS)
    if wanted == "tune" and kind == "alice2016":
        raise InputError(
            "--aim",
            got="tune, on a dataset of one story",
            wanted="stories to tune on, others to choose by, and others to score",
            do="Compare layers, or tune on another dataset and read the exported model here.",
        )
    text = study_text(path, kind, folder, name, wanted)
    _write_new(path, text)
    if as_json:
        made = {"file": str(path), "study": path.stem, "reader": kind, "data": folder}
        print_json(made | {"model": name, "aim": wanted})
    else:
        print(f"{path} is written. Next: brainaligner run {shlex.quote(str(path))} --plan")


def _new_file(named: Path) -> Path:
    """The file that will be written; its name has to be one that a study may have."""
    from brainaligner.study._dataset_config import STORE, check_name

    path = named.expanduser()
    if path.is_dir():
        raise InputError(
            str(path), got="a folder", wanted="a new file", do=f"Write {path / 'study.yaml'}."
        )
    if path.suffix not in (".yaml", ".yml"):
        path = path.parent / f"{path.name}.yaml"
    check_name("name of the study file, which names the study", path.stem)
    if path.stem.casefold() == STORE or path.exists():
        got = "a file that exists" if path.exists() else "the name of the folder of finished stages"
        raise InputError(str(path), got=got, wanted="a new file", do="Name another, or move it.")
    return path


def _write_new(path: Path, text: str) -> None:
    from brainaligner.study._disk import writing_to

    try:
        with writing_to(path.parent):
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("x", encoding="utf-8") as new:
                new.write(text)
    except FileNotFoundError as error:  # /proc and its like make no files, and say so in this way
        raise InputError(
            str(path.parent),
            got="a folder in which no file can be made",
            wanted="a folder that you may write",
            do="Choose another one.",
        ) from error


def study_text(path: Path, reader: str, folder: str, model: str, aim: str) -> str:
    """Write a study as commented YAML.

    Parameters
    ----------
    path : Path
        Where it will lie; names the study.
    reader, folder, model : str
    aim : {"layers", "tune"}

    Raises
    ------
    InputError
        If there is no such model: its number of layers is asked for.
    """
    from brainaligner.text import model_info

    middle = max(1, round(model_info(model).n_layers * 2 / 3))
    titles = {
        "layers": "A middle layer and the last one, beside what words do without their meaning",
        "tune": "A model tuned to predict the listeners, beside its controls",
    }
    head = _HEAD.format(
        file=path,
        name=json.dumps(path.stem),
        title=titles[aim],
        reader=reader,
        folder=json.dumps(folder, ensure_ascii=False),
        split=_SPLITS[reader],
    )
    body = _LAYERS if aim == "layers" else _TUNE
    stop = 1 if reader == "folder" else 5
    named = json.dumps(model, ensure_ascii=False)
    trained = min(2, middle)
    return head + body.format(model=named, middle=middle, stop=stop, trained=trained)


def _asked(question: str, default: str, yes: bool) -> str:
    return default if yes else ask(question, default=default).strip()


def _check_choice(where: str, got: str, allowed: Iterable[str]) -> None:
    if got not in (names := tuple(allowed)):
        raise unknown_name(where, "choice", got, names)
