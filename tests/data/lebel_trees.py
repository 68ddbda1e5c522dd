"""Files of a small tree of ds003020, and what is said of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
from data_trees import long_textgrid

from brainaligner.data import Problem, open_dataset


def hf5(root: Path, subject: str = "UTS01", story: str = "buck") -> Path:
    """Where the responses of a story lie."""
    return root / "preprocessed_data" / subject / f"{story}.hf5"


def rewrite(path: Path, data: np.ndarray, key: str = "data") -> None:
    """Put another array in the place of a file."""
    path.unlink()
    with h5py.File(path, "w") as file:
        file[key] = data


def stored(path: Path, key: str = "data") -> np.ndarray:
    """An array of a file, as h5py reads it."""
    with h5py.File(path) as file:
        return file[key][:]


def found(root: Path, severity: str = "error") -> list[Problem]:
    """Problems of a tree, of one severity."""
    problems = open_dataset("lebel2023", root).problems()
    return [problem for problem in problems if problem.severity == severity]


def write_grid(text: str) -> Callable[[Path], None]:
    """A function that gives 'buck' another TextGrid."""
    return lambda root: (root / "TextGrids" / "buck.TextGrid").write_text(text, "utf-8") and None


def textgrid_of(words: list[tuple[float, float, str]]) -> str:
    """A TextGrid of one tier."""
    return long_textgrid({"word": words}, 1000.0)
