"""Figures as SVG text: the same input gives the same bytes."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float

from brainaligner.core import InputError, StoryGroup, unknown_name
from brainaligner.report._inputs import Result, RunReport
from brainaligner.report._svg import (
    COLOURS,
    FAINT,
    INK,
    look,
    row_canvas,
    svg_text,
    write_above,
    write_legend,
)
from brainaligner.report._texts import Texts, page_texts
from brainaligner.report._words import figure_signs, number, plain, rows_cut, signed

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FEWEST_BINS, MOST_BINS = 20, 60
CROWD = 6  # subjects that a band of height 1 has room for
WITHIN_95 = 1.96  # standard deviations
FLOOR, TOP = 0.93, 0.3  # of a row's band, counted downwards: below the row's name
HOLLOW: dict[str, Any] = {"markerfacecolor": "white", "markeredgecolor": INK, "markersize": 5.5}


def r_distribution_figure(
    report: RunReport,
    subject: str,
    *,
    group: str | None = None,
    cut: int | None = None,
    texts: Texts | None = None,
) -> str:
    """Draw how r is distributed over targets, one row for each arm.

    Each row is a histogram scaled to its own highest bin, with the mean, the median and
    the mean of the null marked (its bar holds the mean r under 95 % of shifts), and the mean
    noise ceiling where there is one. Bins are the same for all arms and subjects.

    Parameters
    ----------
    report : RunReport
    subject : str
    group : str, optional
        Name of the stories; the first group by default.
    cut : int, optional
        Rows cut; the smallest number by default.
    texts : Texts, optional
        Of the page's language; English by default.

    Returns
    -------
    str
        An ``<svg>`` element with a title, and a description that says the numbers.

    Raises
    ------
    InputError
        If the subject or the group is unknown, or nothing was scored there.
    """
    texts = page_texts() if texts is None else texts
    if subject not in report.subjects:
        raise unknown_name("distribution figure", "subject", subject, report.subjects)
    shown, cut = group_and_cut(report, group, cut)
    found = [report.find(arm, subject, shown.name, cut) for arm in report.arms]
    results = [result for result in found if result is not None]
    figure, axes = row_canvas(len(results))
    edges = bin_edges(report, shown.name, cut)
    ceilings = [r.ceiling.cc_max for r in results if r.ceiling is not None]
    axes.set_xlim(edges[0], max([edges[-1], *(1.03 * c for c in ceilings if np.isfinite(c))]))
    targets = texts.told(report.targets)
    label_axis(axes, report, texts("figure.r", targets=targets), texts)
    for row, result in enumerate(results):
        _draw_histogram(axes, row, result, edges)
        _draw_marks(axes, row, result, texts)
    _write_key(figure, texts, with_ceiling=bool(ceilings))
    title = texts("figure.distribution", targets=targets, subject=plain(subject))
    said = [_distribution_words(result, texts) for result in results]
    return svg_text(figure, title, described(shown.name, cut, said, texts))


def arm_figure(
    report: RunReport,
    *,
    group: str | None = None,
    cut: int | None = None,
    texts: Texts | None = None,
) -> str:
    """Draw each arm's mean r and interval, one mark for each subject.

    A reference number, where there is one, is a hollow mark at the same height.

    Parameters
    ----------
    report : RunReport
    group : str, optional
        Name of the stories; the first group by default.
    cut : int, optional
        Rows cut; the smallest number by default.
    texts : Texts, optional
        Of the page's language; English by default.

    Returns
    -------
    str
        An ``<svg>`` element with a title, and a description that says the numbers.

    Raises
    ------
    InputError
        If the group is unknown, or nothing was scored there.
    """
    texts = page_texts() if texts is None else texts
    shown, cut = group_and_cut(report, group, cut)
    band = math.ceil(len(report.subjects) / CROWD)
    figure, axes = row_canvas(len(report.arms), band=band, names=report.subjects)
    axes.axvline(0, color=INK, linewidth=0.8, zorder=1)
    targets = texts.told(report.targets)
    label_axis(axes, report, texts("figure.mean_r", targets=targets), texts)
    said = []
    for row, arm in enumerate(report.arms):
        write_above(axes, row * band, arm)
        heights = row * band + band_heights(len(report.subjects), band)
        for i, subject in enumerate(report.subjects):
            result = report.find(arm, subject, shown.name, cut)
            if result is not None:
                _draw_dot(axes, heights[i], result, (row, i))
                said.append(_mean_words(result, texts))
    known = any(result.reference is not None for result in report.results)
    write_subjects(figure, report, texts("figure.reference") if known else "")
    title = texts("figure.arms", targets=targets)
    return svg_text(figure, title, described(shown.name, cut, said, texts))


def group_and_cut(report: RunReport, group: str | None, cut: int | None) -> tuple[StoryGroup, int]:
    """Group and cut that a figure shows: the first group and the fewest rows by default."""
    by_name = {known.name: known for known in report.groups}
    name = report.groups[0].name if group is None else group
    if name not in by_name:
        raise unknown_name("figure", "group of stories", name, by_name)
    chosen = report.cuts[0] if cut is None else cut
    if not any(r.scores.group.name == name and r.scores.rows_cut == chosen for r in report.results):
        raise InputError(
            "figure",
            got=f"no score of {name!r} with {chosen} rows cut",
            wanted="a group and a cut that were scored together",
            do="Choose another cut.",
        )
    return by_name[name], chosen


def described(group: str, cut: int, said: list[str], texts: Texts) -> str:
    """What a figure shows, for those who cannot see it."""
    place = texts("separator.comma").join([plain(group), texts.told(rows_cut(cut))])
    return texts("figure.described", place=place, said=texts("separator.semicolon").join(said))


def label_axis(axes: Axes, report: RunReport, text: str, texts: Texts) -> None:
    """Name the axis, and say here too what must be known of a figure that travels alone."""
    name = signed(text, figure_signs(report, texts), texts)
    axes.set_xlabel(name, color=INK, parse_math=False)


def _mean_words(result: Result, texts: Texts) -> str:
    scores, interval = result.scores, result.summary.interval
    return texts(
        "figure.arm_words",
        arm=plain(scores.arm),
        subject=plain(scores.subject),
        mean=number(result.summary.mean),
        low=number(interval.low),
        high=number(interval.high),
    )


def _distribution_words(result: Result, texts: Texts) -> str:
    summary = result.summary
    numbers = {
        "arm": plain(result.scores.arm),
        "mean": number(summary.mean),
        "median": number(summary.median),
        "null": number(summary.null_mean),
    }
    if result.ceiling is None:
        return texts("figure.distribution_words", **numbers)
    ceiling = number(result.ceiling.cc_max)
    return texts("figure.distribution_ceiling_words", ceiling=ceiling, **numbers)


def bin_edges(report: RunReport, group: str, cut: int) -> Float[np.ndarray, "edge"]:
    """Bins over all finite r of all subjects, and over 0, with some room at both ends."""
    scores = [result.scores for result in report.results]
    shown = [s.r for s in scores if (s.group.name, s.rows_cut) == (group, cut)]
    values = np.concatenate([np.zeros(1), *(r[np.isfinite(r)] for r in shown)])
    room = max(0.04 * float(np.ptp(values)), 0.01)
    n_bins = int(np.clip(2 * np.sqrt(shown[0].size), FEWEST_BINS, MOST_BINS))
    return np.linspace(values.min() - room, values.max() + room, n_bins + 1)


def _draw_histogram(axes: Axes, row: int, result: Result, edges: Float[np.ndarray, "edge"]) -> None:
    r = result.scores.r[np.isfinite(result.scores.r)]
    counts = np.histogram(r, bins=edges)[0]
    floor = row + FLOOR
    heights = floor - (FLOOR - TOP) * counts / max(counts.max(), 1)
    colour = COLOURS[row % len(COLOURS)]
    axes.stairs(heights, edges, baseline=floor, fill=True, color=colour, alpha=0.4)
    axes.stairs(heights, edges, baseline=floor, color=colour, gid=f"distribution-{row}")
    axes.hlines(floor, edges[0], edges[-1], color=FAINT, linewidth=0.8, zorder=1)


def _draw_marks(axes: Axes, row: int, result: Result, texts: Texts) -> None:
    summary = result.summary
    top, floor = row + TOP, row + FLOOR
    if np.isfinite(summary.mean):
        axes.plot([summary.mean] * 2, [top, floor], color=INK, gid=f"mean-{row}")
        axes.plot(summary.median, (top + floor) / 2, "o", gid=f"median-{row}", **HOLLOW)
    if np.isfinite(summary.null_mean):
        ends = summary.null_mean + np.array([-1.0, 1.0]) * WITHIN_95 * summary.null_sd
        axes.plot(ends, [floor - 0.05] * 2, color=INK, linewidth=1)
        axes.plot(summary.null_mean, floor - 0.05, "^", gid=f"null-{row}", **HOLLOW)
    if result.ceiling is not None and np.isfinite(result.ceiling.cc_max):
        at = [result.ceiling.cc_max] * 2
        axes.plot(at, [top, floor], "--", color=INK, linewidth=1.2, gid=f"ceiling-{row}")
    mean, median = number(summary.mean), number(summary.median)
    numbers = texts("figure.numbers", mean=mean, median=median)
    write_above(axes, row, result.scores.arm, numbers)


def band_heights(n: int, band: int) -> Float[np.ndarray, "subject"]:
    """Where each of `n` subjects stands in a row's band, below its name."""
    return 0.38 + (band - 0.5) * (np.arange(n) + 0.5) / n


def _draw_dot(axes: Axes, height: float, result: Result, place: tuple[int, int]) -> None:
    summary, name = result.summary, "{}-{}".format(*place)
    colour, marker = look(place[1])
    if not np.isfinite(summary.mean):
        return
    interval = summary.interval
    if np.isfinite([interval.low, interval.high]).all():
        axes.plot([interval.low, interval.high], [height] * 2, color=colour, linewidth=1.8)
    axes.plot(summary.mean, height, marker, color=colour, ms=6, gid=f"dot-{name}")
    if result.reference is not None:
        hollow = {**HOLLOW, "markeredgecolor": colour}
        axes.plot(result.reference, height, marker, gid=f"reference-{name}", **hollow)


def _write_key(figure: Figure, texts: Texts, *, with_ceiling: bool) -> None:
    from matplotlib.lines import Line2D

    marks = [Line2D([], [], linestyle="none", marker=marker, **HOLLOW) for marker in "o^"]
    keys, names = [Line2D([], [], color=INK), *marks], ["mean", "median", "null"]
    if with_ceiling:
        keys.append(Line2D([], [], color=INK, linestyle="--"))
        names.append("ceiling")
    write_legend(figure, keys, [texts(f"figure.{name}") for name in names])


def write_subjects(figure: Figure, report: RunReport, more: str = "") -> None:
    """Write the legend of subjects; `more` names a hollow mark."""
    from matplotlib.lines import Line2D

    looks = [look(i) for i in range(len(report.subjects))]
    keys = [Line2D([], [], color=colour, marker=marker) for colour, marker in looks]
    names = list(report.subjects)
    if more:
        keys.append(Line2D([], [], linestyle="none", marker="o", **HOLLOW))
        names.append(more)
    write_legend(figure, keys, names)
