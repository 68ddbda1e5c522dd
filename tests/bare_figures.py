"""Figures without their drawing, for tests that run whole studies and look at numbers.

Drawing takes a third of the time of a tiny run. Titles, descriptions and everything else of a
page are the real ones; what matplotlib draws is looked at by the tests of the report, by those
marked ``drawn``, and in every run of the command line in a process of its own.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING
from unittest.mock import patch

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@contextlib.contextmanager
def bare_figures() -> Iterator[None]:
    """Leave out what matplotlib draws."""
    with patch("brainaligner.report._svg.drawn", bare):
        yield


def bare(figure: Figure) -> str:
    """An ``<svg>`` of the figure's size, with nothing in it."""
    width, height = (72 * inches for inches in figure.get_size_inches())
    return f'<svg width="{width}pt" height="{height}pt" viewBox="0 0 {width} {height}"></svg>\n'
