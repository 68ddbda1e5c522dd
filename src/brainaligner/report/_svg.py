"""A bare canvas, and its SVG text with a title and a description in words."""

from __future__ import annotations

import contextlib
import hashlib
import html
import io
import math
import re
import warnings
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from brainaligner.report._words import plain

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito (2008), "Color Universal Design"; markers tell the same apart in print.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
MARKERS = ("o", "s", "D", "^", "v", "P", "X")
INK, FAINT = "#1f2933", "#d5dbe1"
WIDTH, ROW, MARGIN, KEY = 4.8, 0.62, 0.95, 0.19  # inches: readable at the width of a phone
CURVE = 3.1  # inches
LINE = 325.0  # points that a row of words may take
LETTERS = 400  # of a name are looked at, at the most
MOST_KEYS = 4  # in a line of the legend
KEY_SPACE = 43.0  # points beside a name of the legend: its mark, and the gap to the next
NO_METADATA = {"Creator": None, "Date": None, "Format": None, "Type": None}


def row_canvas(n_rows: int, *, band: int = 1, names: Sequence[str] = ()) -> tuple[Figure, Axes]:
    """Make a figure with one band of height `band` for each row, the first at the top.

    `names` are those of the legend to come, which needs room below.
    """
    figure, axes = _bare_canvas(MARGIN + ROW * n_rows * band, names)
    axes.spines["left"].set_visible(False)
    axes.set_yticks([])
    axes.set_ylim(n_rows * band, 0)
    for row in range(1, n_rows):
        axes.axhline(row * band, color=FAINT, linewidth=0.7, zorder=0.5)
    axes.grid(axis="x", color=FAINT, linewidth=0.7)
    axes.set_axisbelow(True)
    return figure, axes


def curve_canvas(names: Sequence[str]) -> tuple[Figure, Axes]:
    """Make a figure for lines; `names` are those of the legend to come."""
    figure, axes = _bare_canvas(CURVE, names)
    axes.spines["left"].set_color(INK)
    axes.grid(color=FAINT, linewidth=0.7)
    axes.set_axisbelow(True)
    return figure, axes


def _bare_canvas(height: float, names: Sequence[str]) -> tuple[Figure, Axes]:
    from matplotlib.figure import Figure

    height += KEY * max(0, _legend_shape(names)[0] - 1)
    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    figure.patch.set_visible(False)
    axes = figure.subplots()
    axes.patch.set_visible(False)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(INK)
    axes.tick_params(colors=INK, labelsize=9)
    return figure, axes


def look(i: int) -> tuple[str, str]:
    """Colour and marker of subject or line `i`: another pair for each of the first 49."""
    return COLOURS[i % len(COLOURS)], MARKERS[(i + i // len(COLOURS)) % len(MARKERS)]


def write_above(axes: Axes, row: int, left: str, right: str = "") -> None:
    """Write a row's name, and its numbers, in the upper strip of the band that starts at `row`."""
    name = shortened(left, LINE - text_width(right), weight="bold")
    for x, text, side, weight in ((0.0, name, "left", "bold"), (1.0, right, "right", "normal")):
        axes.text(
            x,
            row + 0.2,
            text,
            transform=axes.get_yaxis_transform(),
            ha=side,
            color=INK,
            fontsize=9,
            fontweight=weight,
            parse_math=False,
            bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.75, "pad": 1},
        )


def write_legend(figure: Figure, handles: Sequence[Artist], names: Sequence[str]) -> None:
    """Put a legend under the axes; names are taken letter by letter, never as formulas."""
    # Names are set afterwards: Legend drops those that begin with an underscore.
    placeholders = [str(i) for i in range(len(names))]
    n_columns = _legend_shape(names)[1]
    legend = figure.legend(
        list(handles),
        placeholders,
        loc="outside lower center",
        ncols=n_columns,
        frameon=False,
        fontsize=9,
        borderpad=0,
        borderaxespad=0.3,
    )
    for text, name in zip(legend.get_texts(), names, strict=True):
        text.set_parse_math(False)
        text.set_text(shortened(name, LINE - KEY_SPACE))
        text.set_color(INK)


def _legend_shape(names: Sequence[str]) -> tuple[int, int]:
    """Lines and columns of a legend: as many columns as fit side by side."""
    widths = [min(text_width(name) + KEY_SPACE, LINE) for name in names]
    fitting = (n for n in range(min(MOST_KEYS, len(names)), 1, -1) if _side_by_side(widths, n))
    columns = next(fitting, 1)
    return math.ceil(len(names) / columns), columns


def _side_by_side(widths: Sequence[float], columns: int) -> bool:
    """Whether names fit when each column, filled from top to bottom, is as wide as its widest."""
    widest = [float(column.max()) for column in np.array_split(widths, columns)]
    return sum(widest) <= LINE


def shortened(text: str, room: float, *, weight: str = "normal") -> str:
    """Return as much of a name as fits into `room` points, with an ellipsis where it is cut."""
    name = plain(text)[:LETTERS]
    if text_width(name, weight=weight) <= room:
        return name
    cuts = (f"{name[:n]}…" for n in range(len(name) - 1, 0, -1))
    return next((cut for cut in cuts if text_width(cut, weight=weight) <= room), "…")


def text_width(text: str, *, weight: str = "normal") -> float:
    """Width of a name in the 9-point letters of the figures, in points."""
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import text_to_path

    letters = FontProperties(size=9, weight=weight)
    with any_script():
        found = text_to_path.get_text_width_height_descent(
            plain(text)[:LETTERS], letters, ismath=False
        )
    return float(found[0])


@contextlib.contextmanager
def any_script() -> Iterator[None]:
    """Draw names in any script: the reader's fonts may have letters that matplotlib's lack."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from", category=UserWarning)
        yield


def svg_text(figure: Figure, title: str, description: str) -> str:
    """Write a figure as an ``<svg>`` element that says in words what it shows.

    Identifiers get a prefix made of title and description, so that several figures can
    stand in one page. Nothing depends on the date.
    """
    prefix = "f" + hashlib.sha256(f"{title}\n{description}".encode()).hexdigest()[:10]
    return _described(_prefixed(drawn(figure), prefix), prefix, title, description)


def drawn(figure: Figure) -> str:
    """Draw a figure as an ``<svg>`` element, its letters left to the reader's fonts."""
    import matplotlib

    buffer = io.StringIO()
    with (
        matplotlib.rc_context({"svg.hashsalt": "brainaligner", "svg.fonttype": "none"}),
        any_script(),
    ):
        figure.savefig(buffer, format="svg", metadata=NO_METADATA)
    text = buffer.getvalue()
    return text[text.index("<svg") :]


def _prefixed(svg: str, prefix: str) -> str:
    """Put `prefix` before every identifier and every reference to one, in tags only."""

    def renamed(tag: re.Match[str]) -> str:
        return re.sub(r'(\bid="|url\(#|href="#)', rf"\g<1>{prefix}-", tag.group())

    return re.sub(r"<[^>]+>", renamed, svg)


def _described(svg: str, prefix: str, title: str, description: str) -> str:
    names = f'role="img" aria-labelledby="{prefix}-title {prefix}-desc"'
    words = (
        f'<title id="{prefix}-title">{html.escape(plain(title))}</title>'
        f'<desc id="{prefix}-desc">{html.escape(plain(description))}</desc>'
    )
    opening, rest = svg.split(">", 1)
    return f"{opening.replace('<svg', f'<svg {names}', 1)}>{words}{rest.rstrip()}\n"
