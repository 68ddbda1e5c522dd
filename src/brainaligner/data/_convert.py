"""Compact copies of the responses of ds003020: rounded, chunked, verified."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
from jaxtyping import Float

from brainaligner.core import InputError, Progress, no_progress
from brainaligner.data._copies import ConvertedFile, CopyRecipe, blocks, chunk_shape, convert_tree

KINDS: dict[str, type[np.floating]] = {"float32": np.float32, "float16": np.float16}
"""What values can be rounded to, to the nearest (IEEE 754, ties to even)."""


def convert_responses(
    tree: Path, target: Path, *, kind: str, delete: bool = False, progress: Progress = no_progress
) -> tuple[ConvertedFile, ...]:
    """Write compact copies of all responses of a tree, as a tree that the same reader opens.

    Every value ``x`` becomes ``round(x)`` to the nearest number of `kind`, and nothing else
    changes. Each copy is read back and compared with the original, bit by bit, before it gets
    its name; only then is the original removed. TextGrids, surfaces and tables are linked, or
    copied where links cannot be. Files that were not downloaded (git-annex) are left out. A call
    that was stopped goes on where it was.

    Parameters
    ----------
    tree : Path
        A ds003020 tree, as `open_dataset` takes it.
    target : Path
        Folder of the new tree, outside the derivative folder of the old one.
    kind : {"float32", "float16"}
    delete : bool
        Whether to remove each original after its copy is verified.
    progress : Progress
        In bytes of originals.

    Returns
    -------
    tuple of ConvertedFile
        Those whose original was there in this call.

    Raises
    ------
    InputError
        For an unknown kind, a target inside the tree, a tree of which no responses were
        downloaded, a file that is damaged, holds more than responses or refers to another
        file, a value too large for `kind`, or a full disk.
    """
    recipe = Rounding(kind)
    return convert_tree(tree, target, lambda _: recipe, delete=delete, progress=progress)


@dataclass(frozen=True)
class Rounding(CopyRecipe):
    """Every value, rounded to the nearest of `kind`.

    Raises
    ------
    InputError
        For an unknown kind.
    """

    kind: str

    def __post_init__(self) -> None:
        check_kind(self.kind)

    @property
    def marks(self) -> dict[str, str]:
        """The kind."""
        return {"kind": self.kind}

    def write(self, path: Path, arrays: dict[str, h5py.Dataset]) -> None:
        """Write the rounded values in chunks of columns."""
        dtype = KINDS[self.kind]
        with h5py.File(path, "w") as file:
            for name, array in arrays.items():
                chunks = chunk_shape(array.shape, dtype)
                copy = file.create_dataset(name, array.shape, dtype, chunks=chunks)
                for block in blocks(array.shape, chunks):
                    where = f"{array.file.filename}, {name}"
                    copy[block] = rounded(where, array[block], self.kind)

    def compare(self, path: Path, arrays: dict[str, h5py.Dataset]) -> None:
        """Compare a copy on disk with what its original rounds to, bit by bit."""
        with h5py.File(path, "r") as file:
            for name, array in arrays.items():
                for block in blocks(array.shape, file[name].chunks):
                    wanted, got = array[block].astype(KINDS[self.kind]), file[name][block]
                    if got.dtype != wanted.dtype or got.tobytes() != wanted.tobytes():
                        raise InputError(
                            str(path),
                            got=f"values of {name!r} that differ from the rounded original",
                            wanted="the same bits",
                            do="Check the disk; the original was kept.",
                        )


def check_kind(kind: str) -> None:
    """Refuse what values cannot be rounded to."""
    if kind not in KINDS:
        raise InputError(
            "kind of compact copies",
            got=repr(kind),
            wanted=f"one of: {', '.join(KINDS)}",
            do="Choose one of them.",
        )


def rounded(where: str, values: Float[np.ndarray, "..."], kind: str) -> Float[np.ndarray, "..."]:
    with np.errstate(over="ignore"):
        single = values.astype(KINDS[kind])
    if (np.isinf(single) & np.isfinite(values)).any():
        raise InputError(
            where,
            got=f"a value of {np.abs(values[np.isfinite(values)]).max():g}",
            wanted=f"at most {np.finfo(KINDS[kind]).max:g}, the largest {kind}",
            do="Convert to float32, or keep the originals.",
        )
    return single
