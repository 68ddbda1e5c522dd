"""A table as HTML, for the values that people hold in a notebook."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from brainaligner.core._errors import InputError


def html_table(
    caption: str, columns: Sequence[str], rows: Sequence[Sequence[str]], *, note: str = ""
) -> str:
    """Write a table that a screen reader can follow; every text is escaped.

    The first cell of each row is its header. Nothing is styled, so that a notebook's own theme
    holds.

    Parameters
    ----------
    caption : str
        What the numbers are numbers of.
    columns : sequence of str
    rows : sequence of sequence of str
        As many cells in each as there are columns.
    note : str
        A sentence below the table.

    Raises
    ------
    InputError
        If there is no column, or a row has more or fewer cells than there are columns.
    """
    wrong = next((row for row in rows if len(row) != len(columns)), None)
    if wrong is not None or not columns:
        raise InputError(
            f"table {caption!r}",
            got=f"a row of {0 if wrong is None else len(wrong)} cells, {len(columns)} columns",
            wanted="a column at least, and a cell in each row for every column",
            do="Fill empty cells with an empty text.",
        )
    head = "".join(f'<th scope="col">{escape(column)}</th>' for column in columns)
    body = "".join(f"<tr>{_cells(row)}</tr>" for row in rows)
    below = f"<p>{escape(note)}</p>" if note else ""
    return (
        f"<table><caption>{escape(caption)}</caption><thead><tr>{head}</tr></thead>"
        f"<tbody>{body}</tbody></table>{below}"
    )


def _cells(row: Sequence[str]) -> str:
    first, *others = map(escape, row)
    return f'<th scope="row">{first}</th>' + "".join(f"<td>{cell}</td>" for cell in others)
