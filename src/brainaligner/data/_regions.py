"""Regions of interest: any label file -> the response columns of each label."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Int64

from brainaligner.core import InputError, unknown_name
from brainaligner.data._files import decode_text, read_bytes, reading
from brainaligner.data._geometry import Anatomy
from brainaligner.data._images import imaging, load_image, read_labels
from brainaligner.data._surfaces import HEMISPHERES, stated_hemisphere
from brainaligner.data._table_rows import table_rows

Regions = dict[str, Int64[np.ndarray, "_column"]]

UNLABELLED = ("", "???", "unknown", "medial_wall", "medial wall")
_MOST_DIGITS = 40
_SIDES = {"lh": 0, "l": 0, "left": 0, "rh": 1, "r": 1, "right": 1}


class _VertexLabels(NamedTuple):
    """Labels of some vertices of one hemisphere: 0 left, 1 right."""

    side: int
    vertices: np.ndarray
    labels: np.ndarray
    names: dict[int, str]


def read_regions(path: Path, anatomy: Anatomy) -> Regions:
    """Read a label file and return the columns of each of its labels, sorted.

    ========================  ==========================================================
    ``?h.*.annot``            FreeSurfer annotation of the subject's own vertices
    ``?h.*.label``            one region of the subject's own vertices, named by the file
    ``*.gii``                 GIFTI labels of the subject's own vertices
    ``*.nii``, ``*.nii.gz``   whole numbers in the subject's functional space
    ``*.csv``                 a line ``column,label`` for each column
    ========================  ==========================================================

    Labels on vertices take their hemisphere as a prefix (``lh.superiortemporal``). A column
    belongs to the label of most of its vertices (ties: the first label of the file, and a
    label before none), so that a column stands in one region of a file at most.

    Parameters
    ----------
    path : Path
        A GIFTI file says its hemisphere itself, or by its name as the others do: ``lh.``,
        ``hemi-L``, ``.L.``, ``_left``.
    anatomy : Anatomy

    Raises
    ------
    InputError
        If the file is of no such kind, is broken, has no labels, or does not fit this subject.
    """
    readers = [reader for suffix, reader in _READERS.items() if path.name.endswith(suffix)]
    if not readers:
        raise unknown_name(str(path), "kind of label file", path.suffix, _READERS)
    return _at_least_one(path, readers[0](path, anatomy))


def read_column_labels(path: Path, n_columns: int, *, subject: str) -> Regions:
    """Read a table of regions that needs no anatomy: a line ``column,label`` for each column.

    Parameters
    ----------
    path : Path
        A csv file. A column may stand under several labels; an empty label is none.
    n_columns : int
        Columns of the subject's responses, counted from 0 in the file.
    subject : str
        For messages.

    Returns
    -------
    dict of label to int64 array, shape (column,)
        Columns sorted, each once.

    Raises
    ------
    InputError
        If the file is no such table, a quote in it is never closed, it has no label, or names a
        column that does not exist.
    """
    text = decode_text(path, read_bytes(path, "a csv file with column and label"))
    rows = table_rows(path, text)
    _, head = next(rows, (1, []))
    if not {"column", "label"} <= set(head):
        raise InputError(
            str(path),
            got=f"a first line of {', '.join(head) or 'nothing'}",
            wanted="a first line column,label",
            do="Name the two columns of the table.",
        )
    lines = (dict(zip(head, cells, strict=False)) for _, cells in rows if cells)
    pairs = (
        (line.get("label", ""), _column_number(path, line.get("column", ""), subject, n_columns))
        for line in lines
    )
    sets = _by_name((label.strip(), np.array([column])) for label, column in pairs)
    labelled = {name: found for name, found in sets.items() if name.lower() not in UNLABELLED}
    return _at_least_one(path, labelled)


def _at_least_one(path: Path, regions: Regions) -> Regions:
    if not regions:
        raise InputError(
            str(path),
            got="no label in any of the subject's columns",
            wanted="at least one",
            do="Check that the labels are this subject's, in the right space.",
        )
    return regions


def _read_annot(path: Path, anatomy: Anatomy) -> Regions:
    from nibabel.freesurfer import read_annot

    with imaging(path, "a FreeSurfer annotation"):
        try:
            labels, _, names = read_annot(path)
        except (OSError, MemoryError):
            raise
        except Exception as error:  # nibabel raises a bare one where the colours are missing
            raise OSError(error) from error
    by_number = {i: name.decode("utf-8", "replace") for i, name in enumerate(names)}
    side = _side_of_name(path)
    return _columns(path, anatomy, _VertexLabels(side, np.arange(len(labels)), labels, by_number))


def _read_label(path: Path, anatomy: Anatomy) -> Regions:
    vertices = _label_vertices(path)
    side = _side_of_name(path)
    name = path.stem.removeprefix(f"{HEMISPHERES[side]}.")
    ones = np.ones(len(vertices), dtype=np.int64)
    return _columns(path, anatomy, _VertexLabels(side, vertices, ones, {1: name}), partial=True)


def _label_vertices(path: Path) -> Int64[np.ndarray, "_vertex"]:
    """Vertices of a FreeSurfer label: a title, their number, then a line for each."""
    wanted = "a FreeSurfer label, each vertex once"
    lines = decode_text(path, read_bytes(path, wanted)).splitlines()
    with reading(path, wanted):
        announced = int("".join(lines[1:2]))
        vertices = np.array([int(line.split()[0]) for line in lines[2:] if line.strip()], np.int64)
    if (
        announced != len(vertices)
        or len(set(vertices.tolist())) < announced
        or (vertices < 0).any()
    ):
        raise InputError(
            str(path),
            got=f"{len(vertices)} vertices where {announced} are announced, "
            "or one below 0, or one that stands twice",
            wanted=wanted,
            do="Download or save the label again.",
        )
    return vertices


def _read_gifti(path: Path, anatomy: Anatomy) -> Regions:
    wanted = "a GIFTI label file"
    image = load_image(path, wanted)
    with imaging(path, wanted):
        labels = np.asarray(image.get_arrays_from_intent("NIFTI_INTENT_LABEL")[0].data)
        names = {int(key): str(name) for key, name in image.labeltable.get_labels_as_dict().items()}
        stated = stated_hemisphere(image)
    side = _side_of_name(path) if stated is None else stated
    return _columns(path, anatomy, _VertexLabels(side, np.arange(len(labels)), labels, names))


def _columns(
    path: Path, anatomy: Anatomy, found: _VertexLabels, *, partial: bool = False
) -> Regions:
    """Columns of each label on the vertices of one hemisphere."""
    of_vertex = anatomy.vertex_columns[found.side]
    n, size = len(found.vertices), len(of_vertex)
    if (n and found.vertices.max() >= size) or (n != size and not partial):
        raise InputError(
            str(path),
            got=f"labels of {n} vertices, up to {found.vertices.max() if n else 0}",
            wanted=f"those of the {size} vertices of {HEMISPHERES[found.side]} of "
            f"{anatomy.subject}",
            do="Give a label file of this subject's own surface.",
        )
    numbers = np.full(size, -1, dtype=np.int64)
    numbers[found.vertices] = found.labels
    named = {key: name for key, name in found.names.items() if name.lower() not in UNLABELLED}
    labels = _most_frequent(np.where(np.isin(numbers, list(named)), numbers, -1), of_vertex)
    prefix = HEMISPHERES[found.side]
    return dict(_by_name((f"{prefix}.{name}", columns) for name, columns in _sets(labels, named)))


def _most_frequent(
    labels: Int64[np.ndarray, "vertex"], columns: Int64[np.ndarray, "vertex"]
) -> dict[int, int]:
    """Column -> the label of most of its vertices; -1 is no label."""
    inside = columns >= 0
    if not inside.any():
        return {}
    pairs, counts = np.unique(
        np.column_stack([columns[inside], labels[inside]]), axis=0, return_counts=True
    )
    # By column; then the most frequent; then a label before none; then the lowest.
    order = np.lexsort((pairs[:, 1], pairs[:, 1] < 0, -counts, pairs[:, 0]))
    _, first = np.unique(pairs[order, 0], return_index=True)
    return {int(column): int(label) for column, label in pairs[order][first]}


def _sets(of_column: dict[int, int], names: dict[int, str]) -> Iterator[tuple[str, np.ndarray]]:
    columns = np.fromiter(of_column, dtype=np.int64, count=len(of_column))
    labels = np.fromiter(of_column.values(), dtype=np.int64, count=len(of_column))
    for key in sorted(set(of_column.values()) & names.keys()):
        yield names[key], columns[labels == key]


def _read_volume(path: Path, anatomy: Anatomy) -> Regions:
    labels, affine = read_labels(path, "a label volume in functional space")
    grid = anatomy.columns
    if labels.shape != grid.shape or not np.allclose(affine, grid.to_scanner, atol=1e-2):
        raise InputError(
            str(path),
            got=f"a volume of shape {labels.shape} and another place in space"
            if labels.shape == grid.shape
            else f"a volume of shape {labels.shape}",
            wanted=f"shape {grid.shape} and the affine of mask_thick.nii.gz",
            do="Resample the labels to the functional volume, by nearest neighbour.",
        )
    of_column = labels[tuple(grid.index.T)]
    return {str(key): np.flatnonzero(of_column == key) for key in np.unique(of_column) if key != 0}


def _read_csv(path: Path, anatomy: Anatomy) -> Regions:
    return read_column_labels(path, len(anatomy.columns), subject=anatomy.subject)


def _column_number(path: Path, text: str, subject: str, size: int) -> int:
    whole = text.strip().isdecimal() and len(text) < _MOST_DIGITS
    if not whole or int(text) >= size:
        raise InputError(
            str(path),
            got=f"column {text[:_MOST_DIGITS]!r}",
            wanted=f"a whole number from 0 to {size - 1}, the columns of {subject}",
            do="Count columns from 0.",
        )
    return int(text)


def _by_name(pairs: Iterator[tuple[str, np.ndarray]]) -> Regions:
    """Columns of each name, sorted and each once; a name may come several times."""
    parts: dict[str, list[np.ndarray]] = {}
    for name, columns in pairs:
        parts.setdefault(name, []).append(columns)
    return {name: np.unique(np.concatenate(arrays)) for name, arrays in parts.items()}


def _side_of_name(path: Path) -> int:
    words = path.name.lower().replace("hemi-", "").replace("-", ".").replace("_", ".").split(".")
    sides = {_SIDES[word] for word in words if word in _SIDES}
    if len(sides) != 1:
        raise InputError(
            str(path),
            got="a file name that does not say one hemisphere",
            wanted="a name such as lh.aparc.annot or sub_hemi-L.label.gii",
            do="Rename the file.",
        )
    return sides.pop()


_READERS: dict[str, Callable[[Path, Anatomy], Regions]] = {
    ".annot": _read_annot,
    ".label": _read_label,
    ".gii": _read_gifti,
    ".nii": _read_volume,
    ".nii.gz": _read_volume,
    ".csv": _read_csv,
}
