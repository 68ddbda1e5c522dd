"""Tables for a notebook: escaped, accessible, and with as many cells as columns."""

from __future__ import annotations

from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from brainaligner.core import InputError, html_table

TEXT = st.text(st.characters(exclude_categories=("Cs", "Cc")), max_size=20)
HOSTILE = "<script>alert('x')</script>\"&amp;</table>"


class Reader(HTMLParser):
    """Reads a table back: tags as they come, and the text of every cell."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[str] = []
        self.scopes: list[str | None] = []
        self.texts: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag == "th":
            self.scopes.append(dict(attrs).get("scope"))
        if tag in ("caption", "th", "td", "p"):
            self.texts.append("")

    def handle_data(self, data: str) -> None:
        self.texts[-1] += data


def read_back(html: str) -> Reader:
    reader = Reader()
    reader.feed(html)
    reader.close()
    return reader


@given(
    caption=TEXT,
    note=TEXT,
    table=st.integers(1, 4).flatmap(
        lambda n: st.lists(st.lists(TEXT, min_size=n, max_size=n), min_size=1, max_size=5)
    ),
)
def test_any_text_comes_back_as_it_went_in(caption: str, note: str, table: list[list[str]]) -> None:
    columns, *rows = table
    reader = read_back(html_table(caption, columns, rows, note=note))
    wanted = [caption, *columns, *(cell for row in rows for cell in row)]
    assert reader.texts == wanted + ([note] if note else [])
    assert reader.scopes == ["col"] * len(columns) + ["row"] * len(rows)
    allowed = {"table", "caption", "thead", "tbody", "tr", "th", "td", "p"}
    assert set(reader.tags) <= allowed


def test_tags_in_a_text_stay_text() -> None:
    html = html_table(HOSTILE, [HOSTILE], [[HOSTILE]], note=HOSTILE)
    assert "<script" not in html
    assert html.count("</table>") == 1


@pytest.mark.parametrize(("columns", "rows"), [([], []), (["a"], [["x", "y"]]), (["a"], [[]])])
def test_rows_that_do_not_fit_are_refused(columns: list[str], rows: list[list[str]]) -> None:
    with pytest.raises(InputError, match="a cell in each row for every column"):
        html_table("t", columns, rows)
