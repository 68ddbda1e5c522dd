"""Lines as SVG text: r by layer and by context, by lag, by alpha; losses by epoch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from brainaligner.core import InputError
from brainaligner.report._figure_inputs import Curve, Line
from brainaligner.report._svg import (
    INK,
    curve_canvas,
    look,
    svg_text,
    write_legend,
)
from brainaligner.report._texts import Texts, page_texts
from brainaligner.report._words import line_words, plain, signed

if TYPE_CHECKING:
    from matplotlib.axes import Axes

TICKS = 9  # at most so many values of x are each named on the axis
CHOSEN: dict[str, Any] = {"markerfacecolor": "none", "markeredgecolor": INK, "markersize": 11}


def curve_figure(curve: Curve, *, signs: Sequence[str] = (), texts: Texts | None = None) -> str:
    """Draw lines, with intervals where they have some.

    Parameters
    ----------
    curve : Curve
    signs : sequence of str
        What must be known of a figure that travels alone; stands at the axis.
    texts : Texts, optional
        English by default.

    Returns
    -------
    str
        An ``<svg>`` element with a title, and a description that says the numbers.

    Raises
    ------
    InputError
        If there is no line.
    """
    texts = page_texts() if texts is None else texts
    if not curve.lines:
        raise InputError(
            f"figure {curve.title!r}", got="no line", wanted="one or more", do="Leave it out."
        )
    names = list(dict.fromkeys(line.name for line in curve.lines))
    chosen = any(line.marked is not None for line in curve.lines)
    shown = [texts.told(plain(name)) for name in names]
    shown += [texts("figure.chosen")] if chosen else []
    figure, axes = curve_canvas(shown)
    if curve.logarithmic:
        axes.set_xscale("log")
        axes.minorticks_off()
    for i, line in enumerate(curve.lines):
        _draw_line(axes, line, names.index(line.name), i)
    x_name, y_name = (texts.told(plain(name)) for name in (curve.x_name, curve.y_name))
    _place_ticks(axes, curve)
    axes.set_xlabel(signed(x_name, signs, texts), color=INK, parse_math=False)
    axes.set_ylabel(y_name, color=INK, parse_math=False)
    write_legend(figure, _keys(names, chosen), shown)
    said = texts("separator.semicolon").join(line_words(line, texts) for line in curve.lines)
    words = texts("figure.curve", y=y_name, x=x_name, said=said)
    return svg_text(figure, texts.told(plain(curve.title)), words)


def _draw_line(axes: Axes, line: Line, place: int, number: int) -> None:
    colour, marker = look(place)
    x, y = np.array(line.x), np.array(line.y)
    known = np.isfinite(y)
    if line.faint:
        axes.plot(x[known], y[known], "--", color=colour, linewidth=1, alpha=0.6)
        return
    if line.low:
        low, high = np.array(line.low), np.array(line.high)
        ends = known & np.isfinite(low) & np.isfinite(high)
        axes.vlines(x[ends], low[ends], high[ends], color=colour, linewidth=1.5, alpha=0.7)
    axes.plot(
        x[known], y[known], marker=marker, color=colour, ms=4.5, linewidth=1.3, gid=f"line-{number}"
    )
    at = np.flatnonzero(known & (x == line.marked))
    if len(at):
        axes.plot(x[at[0]], y[at[0]], "o", gid=f"chosen-{number}", **CHOSEN)


def _place_ticks(axes: Axes, curve: Curve) -> None:
    places = sorted({x for line in curve.lines for x in line.x})
    if len(places) <= TICKS and not curve.logarithmic:
        axes.set_xticks(places, [f"{x:g}" for x in places])


def _keys(names: list[str], chosen: bool) -> list[Any]:
    from matplotlib.lines import Line2D

    keys = [Line2D([], [], color=look(i)[0], marker=look(i)[1]) for i in range(len(names))]
    return keys + ([Line2D([], [], linestyle="none", marker="o", **CHOSEN)] if chosen else [])
