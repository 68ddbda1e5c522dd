"""Rows of tables of text, with their line numbers; faults of quoting are refused, not read over."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from pathlib import Path

from brainaligner.core import InputError


def table_rows(path: Path, text: str, *, delimiter: str = ",") -> Iterator[tuple[int, list[str]]]:
    """Yield line number and cells of each row of a table; blank lines have no cells.

    Parameters
    ----------
    path : Path
        For messages.
    text : str
        The whole table. No cell may hold a line end, which a quote that is never closed would
        give it, with all that follows.
    delimiter : str

    Raises
    ------
    InputError
        With the line number, if a quote is never closed or a cell is too long.
    """
    line = 0
    try:
        lines = csv.reader(io.StringIO(text, newline=None), delimiter=delimiter)
        for line, cells in enumerate(lines, start=1):
            if "\n" in "".join(cells):
                raise wrong_row(path, line, "a quote that is never closed", "quotes in pairs")
            yield line, cells
    except csv.Error as error:
        raise wrong_row(path, line + 1, str(error), "a table of text") from error


def wrong_row(path: Path, line: int, got: str, wanted: str) -> InputError:
    """Return the error that names a line of a table."""
    return InputError(
        f"{path}, line {line}", got=got, wanted=wanted, do="Correct that line of the table."
    )
