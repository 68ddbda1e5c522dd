"""Vectors of a text as a file: npz, safetensors or csv."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from brainaligner.core import InputError
from brainaligner.report import NOT_VALID
from brainaligner.study._disk import replacing, write_npz, writing_to
from brainaligner.study._embed import TextVectors


def save_vectors(path: Path, found: TextVectors) -> None:
    """Write vectors in the form that the file's ending names, whole or not at all.

    npz and safetensors hold ``vectors/<story>`` (row, width) and ``times_s/<story>`` (row,), or
    for lines of text ``vectors``; settings as JSON under ``about``. csv has one line per row.

    Parameters
    ----------
    path : Path
    found : TextVectors

    Raises
    ------
    InputError
        As `check_vectors_file`.
    """
    check_vectors_file(path)
    with replacing(path.absolute()) as temporary:
        WRITERS[path.suffix.lower()](temporary, found)


def check_vectors_file(path: Path) -> None:
    """Refuse a file that cannot be written, before any work.

    Raises
    ------
    InputError
        For an ending that is not known, or a place that is taken or not there.
    """
    if path.suffix.lower() not in WRITERS:
        raise InputError(
            f"--to {path}",
            got=f"a file that ends in {path.suffix!r}",
            wanted=f"one of: {', '.join(WRITERS)}",
            do="Choose one of these endings.",
        )
    with writing_to(path):
        taken, folder = path.exists() or path.is_symlink(), path.absolute().parent.is_dir()
    if taken or not folder:
        raise InputError(
            f"--to {path}",
            got="something that is already there" if taken else "a folder that does not exist",
            wanted="a new file in a folder that is there",
            do="Choose another file." if taken else "Make the folder first.",
        )


def _arrays(found: TextVectors) -> dict[str, np.ndarray]:
    if not found.times:
        return {"vectors": next(iter(found.vectors.values()))}
    vectors = {f"vectors/{story}": rows for story, rows in found.vectors.items()}
    return vectors | {f"times_s/{story}": times for story, times in found.times.items()}


def _about(found: TextVectors) -> str:
    stamp = {} if found.not_valid is None else {"not_valid": found.not_valid}
    return json.dumps({**stamp, **found.about}, sort_keys=True)


def _write_npz(path: Path, found: TextVectors) -> None:
    stamp = {} if found.not_valid is None else {NOT_VALID: np.array(found.not_valid)}
    write_npz(path, {**_arrays(found), "about": np.array(_about(found)), **stamp})


def _write_safetensors(path: Path, found: TextVectors) -> None:
    from safetensors.numpy import save_file

    whole = {name: np.ascontiguousarray(array) for name, array in _arrays(found).items()}
    save_file(whole, path, metadata={"about": _about(found)})


def _write_csv(path: Path, found: TextVectors) -> None:
    width = next(iter(found.vectors.values())).shape[1]
    stamp = [] if found.not_valid is None else ["not_valid"]
    place = ["story", "row", "time_s"] if found.times else ["line"]
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow([*stamp, *place, *(f"v{i}" for i in range(width))])
        writer.writerows(_csv_rows(found))


def _csv_rows(found: TextVectors) -> Iterator[list[str]]:
    stamp = [] if found.not_valid is None else [found.not_valid]
    for story, rows in found.vectors.items():
        for i, row in enumerate(rows):
            timed = [story, str(i), repr(float(found.times[story][i]))] if found.times else None
            # str of a float32 is the shortest text that reads back as the same number
            yield [*stamp, *(timed or [str(i + 1)]), *map(str, row)]


WRITERS: dict[str, Callable[[Path, TextVectors], None]] = {
    ".npz": _write_npz,
    ".safetensors": _write_safetensors,
    ".csv": _write_csv,
}
"""How vectors are written, by the ending of the file."""
