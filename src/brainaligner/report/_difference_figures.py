"""Arms less a reference arm as SVG text: over all stories, and story by story."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from brainaligner.core import InputError
from brainaligner.report._figure_inputs import Difference
from brainaligner.report._figures import (
    CROWD,
    HOLLOW,
    band_heights,
    described,
    label_axis,
    write_subjects,
)
from brainaligner.report._inputs import RunReport
from brainaligner.report._svg import INK, look, row_canvas, svg_text, write_above
from brainaligner.report._texts import Texts, page_texts
from brainaligner.report._words import difference_words, number, plain, ranked_arms

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def contrasted_arm(report: RunReport) -> str | None:
    """The arm of the highest mean r among those with differences; None where there is none."""
    compared = {one.arm for one in report.compared}
    ranked = [arm for arm, _ in ranked_arms(report) if arm in compared]
    return next(iter((*ranked, *(arm for arm in report.arms if arm in compared))), None)


def difference_figure(report: RunReport, *, texts: Texts | None = None) -> str:
    """Draw each arm less the reference arm with its paired interval, one mark for each subject.

    Parameters
    ----------
    report : RunReport
    texts : Texts, optional
        English by default.

    Returns
    -------
    str
        An ``<svg>`` element with a title, and a description that says the numbers.

    Raises
    ------
    InputError
        If the report has no difference.
    """
    texts = page_texts() if texts is None else texts
    first = _first(report)
    arms = [arm for arm in report.arms if any(one.arm == arm for one in report.compared)]
    band = math.ceil(len(report.subjects) / CROWD)
    figure, axes = row_canvas(len(arms), band=band, names=report.subjects)
    axes.axvline(0, color=INK, linewidth=0.8, zorder=1)
    heights = band_heights(len(report.subjects), band)
    for one in report.compared:
        row, i = arms.index(one.arm), report.subjects.index(one.subject)
        _draw_difference(axes, row * band + heights[i], one, (row, i))
    for row, arm in enumerate(arms):
        write_above(axes, row * band, arm)
    reference = plain(first.reference)
    label_axis(axes, report, texts("figure.difference", reference=reference), texts)
    write_subjects(figure, report)
    title = texts("figure.differences", reference=reference)
    said = [difference_words(one, texts) for one in report.compared]
    return svg_text(figure, title, described(first.group, first.rows_cut, said, texts))


def story_figure(report: RunReport, *, texts: Texts | None = None) -> str:
    """Draw mean r of each story: of the contrasted arm, and hollow of the reference arm.

    Parameters
    ----------
    report : RunReport
    texts : Texts, optional
        English by default.

    Returns
    -------
    str
        An ``<svg>`` element with a title, and a description that says the numbers.

    Raises
    ------
    InputError
        If the report has no difference.
    """
    texts = page_texts() if texts is None else texts
    first, arm = _first(report), contrasted_arm(report)
    shown = [one for one in report.compared if one.arm == arm]
    stories = list(dict.fromkeys(story for one in shown for story in one.stories))
    band = math.ceil(len(report.subjects) / CROWD)
    figure, axes = row_canvas(len(stories), band=band, names=report.subjects)
    axes.axvline(0, color=INK, linewidth=0.8, zorder=1)
    heights = band_heights(len(report.subjects), band)
    said = []
    for row, story in enumerate(stories):
        write_above(axes, row * band, story)
        for one in shown:
            if story in one.stories:
                i = report.subjects.index(one.subject)
                _draw_pair(axes, row * band + heights[i], one.stories[story], (row, i))
                said.append(_story_words(one, story, texts))
    reference, targets = plain(first.reference), texts.told(report.targets)
    label_axis(axes, report, texts("figure.story_r", targets=targets), texts)
    write_subjects(figure, report, reference)
    title = texts("figure.stories", arm=plain(str(arm)), reference=reference)
    return svg_text(figure, title, described(first.group, first.rows_cut, said, texts))


def _first(report: RunReport) -> Difference:
    if not report.compared:
        raise InputError(
            "difference figure",
            got="no arm beside the reference",
            wanted="two arms or more",
            do="Leave the figure out.",
        )
    return report.compared[0]


def _draw_difference(axes: Axes, height: float, one: Difference, place: tuple[int, int]) -> None:
    colour, marker = look(place[1])
    if not np.isfinite(one.mean):
        return
    ends = [one.interval.low, one.interval.high]
    if np.isfinite(ends).all():
        axes.plot(ends, [height] * 2, color=colour, linewidth=1.8)
    name = "difference-{}-{}".format(*place)
    axes.plot(one.mean, height, marker, color=colour, ms=6, gid=name)


def _draw_pair(
    axes: Axes, height: float, pair: tuple[float, float], place: tuple[int, int]
) -> None:
    """A story's r in the reference, hollow, and in the arm."""
    colour, marker = look(place[1])
    name = "{}-{}".format(*place)
    if np.isfinite(pair).all():
        axes.plot(pair, [height] * 2, color=colour, linewidth=1)
    hollow = {**HOLLOW, "markeredgecolor": colour}
    axes.plot(pair[0], height, marker, gid=f"reference-story-{name}", **hollow)
    axes.plot(pair[1], height, marker, color=colour, ms=5.5, gid=f"story-{name}")


def _story_words(one: Difference, story: str, texts: Texts) -> str:
    reference, arm = one.stories[story]
    return texts(
        "figure.story_words",
        story=plain(story),
        subject=plain(one.subject),
        mean=number(arm),
        reference=plain(one.reference),
        reference_mean=number(reference),
    )
