"""What a shell offers for values: names of studies, runs, arms, subjects, settings.

A key press waits for the answer, so files are read as they lie and no room is imported. Where
nothing can be offered nothing is said: the shell then offers files.
"""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from brainaligner.study._presets import preset_names, preset_text

READERS = ("alice2016", "folder", "lebel2023", "lebel2023-pcs")
DATASETS = ("lebel2023",)
COPIES = ("float32", "float16", "parcels")
CONTENTS = ("responses", "textgrids", "surfaces", "repeats")
LANGUAGES = ("en", "ja")
_DEVICES = ("cpu", "cuda", "mps")
_RUN = "run.json"


def studies(incomplete: str) -> list[str]:
    """Packaged studies, and study files where a path has begun."""
    return _beginning(incomplete, [*preset_names(), *_paths(f"{incomplete}*.y*ml")])


def presets(incomplete: str) -> list[str]:
    """Packaged studies."""
    return _beginning(incomplete, preset_names())


def runs(incomplete: str) -> list[str]:
    """Folders of finished runs, one or two steps below what has been typed."""
    found = [*_paths(f"{incomplete}*/{_RUN}"), *_paths(f"{incomplete}*/*/{_RUN}")]
    return [str(Path(path).parent) for path in found]


def runs_and_studies(incomplete: str) -> list[str]:
    """Finished runs first, then studies."""
    return [*runs(incomplete), *studies(incomplete)]


def devices(incomplete: str) -> list[str]:
    """Kinds of torch devices."""
    return _beginning(incomplete, _DEVICES)


def languages(incomplete: str) -> list[str]:
    """Languages of the page."""
    return _beginning(incomplete, LANGUAGES)


def readers(incomplete: str) -> list[str]:
    """Readers of data."""
    return _beginning(incomplete, READERS)


def datasets(incomplete: str) -> list[str]:
    """Datasets that can be fetched."""
    return _beginning(incomplete, DATASETS)


def copies(incomplete: str) -> list[str]:
    """Kinds of compact copies."""
    return _beginning(incomplete, COPIES)


def contents(incomplete: str) -> list[str]:
    """What of a dataset can be fetched, in a list with commas."""
    return _in_list(incomplete, CONTENTS)


def arms(incomplete: str) -> list[str]:
    """Arms of the run or study that the command names."""
    names = [row["arm"] for row in _results()] or list(_study().get("arms") or {})
    return _beginning(incomplete, [*names, *(name.rpartition(".s")[0] for name in names)])


def subjects(incomplete: str) -> list[str]:
    """Subjects of the run, or of the data folder, that the command names; with commas."""
    return _in_list(incomplete, [*(row["subject"] for row in _results()), *_subjects_in_folders()])


def groups(incomplete: str) -> list[str]:
    """Groups of stories that a run scored."""
    return _beginning(incomplete, [row["group"] for row in _results()])


def settings(incomplete: str) -> list[str]:
    """Dotted keys that the named study has, ready for a value."""
    return [f"{key}=" for key in _beginning(incomplete, _dotted(_study()))]


def one_of(*names: str) -> Callable[[str], list[str]]:
    """What a shell offers where the names are few and known."""

    def offered(incomplete: str) -> list[str]:
        return _beginning(incomplete, names)

    return offered


def _beginning(incomplete: str, names: Iterable[str]) -> list[str]:
    found = (name for name in names if name and name.startswith(incomplete))
    return list(dict.fromkeys(found))


def _in_list(incomplete: str, names: Iterable[str]) -> list[str]:
    """The same for the last part of a list with commas."""
    before, comma, last = incomplete.rpartition(",")
    given = before.split(",")
    return [f"{before}{comma}{name}" for name in _beginning(last, names) if name not in given]


def _paths(pattern: str) -> list[str]:
    try:
        home = Path(pattern).expanduser()
        root = Path(home.anchor)
        return sorted(str(path) for path in root.glob(str(home.relative_to(root))))
    except (OSError, ValueError, RuntimeError):  # RuntimeError: no home of ~nobody; no such pattern
        return []


def _words() -> list[str]:
    """Words of the line so far. The shell gives them; a parser gives up at an option's end."""
    line = os.environ.get("_TYPER_COMPLETE_ARGS") or os.environ.get("COMP_WORDS") or ""
    try:
        return shlex.split(line)[2:]
    except ValueError:  # a quote that is still open
        return line.split()[2:]


def _run() -> Mapping[str, Any]:
    """What run.json of the first run in the line holds; nothing where there is none."""
    for word in _words():
        try:
            found = json.loads((Path(word).expanduser() / _RUN).read_text(encoding="utf-8"))
        except (OSError, ValueError, RuntimeError):
            continue
        return found if isinstance(found, dict) else {}
    return {}


def _results() -> list[Mapping[str, str]]:
    rows = _run().get("results", ())
    return [row for row in rows if isinstance(row, dict) and {"arm", "subject", "group"} <= {*row}]


def _study() -> Mapping[str, Any]:
    """The first study in the line as it is written; nothing where it cannot be read."""
    import yaml

    for word in _words():
        try:
            if word in preset_names():
                found = yaml.safe_load(preset_text(word))
            elif word.endswith((".yaml", ".yml")):
                found = yaml.safe_load(Path(word).expanduser().read_text(encoding="utf-8"))
            else:
                continue
        except (OSError, ValueError, RuntimeError, yaml.YAMLError):
            continue
        return found if isinstance(found, dict) else {}
    return {}


def _homes() -> Iterator[Path]:
    for word in _words():
        with suppress(RuntimeError):
            yield Path(word).expanduser()


def _subjects_in_folders() -> Iterator[str]:
    """Names that the layout of ds003020, or of an own folder, gives."""
    for home in _homes():
        for place in ("derivative/preprocessed_data", "derivative/pycortex-db"):
            yield from (Path(path).name for path in _paths(f"{home / place}/*"))
        if (home / "dataset.json").is_file():
            yield from (Path(path).stem for path in _paths(f"{home}/*.npz"))


def _dotted(mapping: Mapping[str, Any], before: str = "") -> Iterator[str]:
    for key, value in mapping.items():
        if isinstance(value, Mapping) and value:
            yield from _dotted(value, f"{before}{key}.")
        else:
            yield f"{before}{key}"
