"""All figures of a page, each with its caption, its data and its recipes."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from brainaligner.report._curves import curve_figure
from brainaligner.report._difference_figures import (
    contrasted_arm,
    difference_figure,
    story_figure,
)
from brainaligner.report._figure_data import (
    arm_data,
    curve_data,
    data_address,
    difference_data,
    distribution_data,
    story_data,
)
from brainaligner.report._figure_inputs import Curve
from brainaligner.report._figures import arm_figure, r_distribution_figure
from brainaligner.report._inputs import Result, RunReport
from brainaligner.report._texts import Texts
from brainaligner.report._trace import KEY_SHOWN
from brainaligner.report._words import (
    distribution_caption,
    figure_signs,
    plain,
    story_caption,
)

CURVE_KINDS = ("layer", "context", "lag", "alpha", "training")  # in the order of the page
LONGEST_DATA = 100_000  # letters
_UNSAFE = re.compile(r"[^A-Za-z0-9.+-]+")


@dataclass(frozen=True)
class Drawing:
    """A figure as a page shows it.

    Parameters
    ----------
    name : str
        What it is, in English; names the file of its data.
    picture : str
        An ``<svg>`` element, which holds words for those who cannot see it.
    caption : str
        Markup where a part may be in another language than the page.
    data : str
        Tab-separated values.
    keys : tuple of str
        Of the artifacts that it is drawn from.
    """

    name: str
    picture: str
    caption: str
    data: str
    keys: tuple[str, ...] = ()

    @property
    def file_name(self) -> str:
        """Under which a browser saves the data."""
        return f"{_UNSAFE.sub('-', self.name).strip('-')}.tsv{'.gz' * self.packed}"

    @property
    def address(self) -> str:
        """From which a browser saves the data."""
        return data_address(self.data, packed=self.packed)

    @property
    def packed(self) -> bool:
        """Whether the data are long enough to be packed: maps hold 20,484 vertices."""
        return len(self.data) > LONGEST_DATA

    def recipes(self, stages: dict[str, str]) -> list[tuple[str, str]]:
        """Name and key of each recipe that the page holds; `stages` by key."""
        kept = [key for key in dict.fromkeys(self.keys) if key in stages]
        return [(f"{stages[key]} {key[:KEY_SHOWN]}", key) for key in kept]


def score_drawings(report: RunReport, texts: Texts) -> list[Drawing]:
    """Means of all arms, and how r is distributed in each subject."""
    group, cut = report.groups[0].name, report.cuts[0]
    shown = [r for r in report.results if (r.scores.group.name, r.scores.rows_cut) == (group, cut)]
    drawings = [
        Drawing(
            "mean r",
            arm_figure(report, texts=texts),
            texts("figures.arms"),
            arm_data(shown),
            _score_keys(shown),
        )
    ]
    for name, own in _with_distribution(report, cut):
        for subject in report.subjects:
            results = [r for r in own if r.scores.subject == subject]
            if results:
                drawings.append(_distribution(report, subject, name, results, texts))
    return drawings


def _with_distribution(report: RunReport, cut: int) -> Iterator[tuple[str, list[Result]]]:
    """The first group of stories, and those that have a noise ceiling."""
    for place, group in enumerate(report.groups):
        own = [
            r
            for r in report.results
            if (r.scores.group.name, r.scores.rows_cut) == (group.name, cut)
        ]
        if place == 0 or any(r.ceiling is not None for r in own):
            yield group.name, own


def _distribution(
    report: RunReport, subject: str, group: str, results: Sequence[Result], texts: Texts
) -> Drawing:
    ceilings = [r.keys["ceilings"] for r in results if "ceilings" in r.keys]
    return Drawing(
        f"distribution of r {subject} {group}",
        r_distribution_figure(report, subject, group=group, texts=texts),
        distribution_caption(report, subject, group, texts),
        distribution_data(report, results),
        (*_score_keys(results), *ceilings),
    )


def difference_drawings(report: RunReport, texts: Texts) -> list[Drawing]:
    """Arms less the reference arm, and one of them story by story."""
    if not report.compared:
        return []
    own = [one for one in report.compared if one.arm == contrasted_arm(report)]
    every = tuple(one.key for one in report.compared)
    drawings = [
        Drawing(
            "paired differences",
            difference_figure(report, texts=texts),
            texts("figures.differences"),
            difference_data(report.compared),
            every,
        )
    ]
    if any(one.stories for one in own):
        drawings.append(
            Drawing(
                "stories one by one",
                story_figure(report, texts=texts),
                story_caption(own[0], texts),
                story_data(report.compared),
                every,
            )
        )
    return drawings


def curve_drawings(report: RunReport, texts: Texts) -> list[tuple[str, list[Drawing]]]:
    """Curves under their headings."""
    signs = figure_signs(report, texts)
    found = []
    for kind in CURVE_KINDS:
        own = [_curve(one, signs, texts) for one in report.curves if one.kind == kind]
        if own:
            found.append((texts(f"figures.{kind}"), own))
    return found


def _curve(curve: Curve, signs: Sequence[str], texts: Texts) -> Drawing:
    title, note = (texts.told_html(plain(text)) for text in (curve.title, curve.note))
    caption = texts.html("figures.curve", title=title, note=note).strip()
    drawn = curve_figure(curve, signs=signs, texts=texts)
    return Drawing(curve.title, drawn, caption, curve_data(curve), curve.keys)


def _score_keys(results: Iterable[Result]) -> tuple[str, ...]:
    return tuple(r.keys["scores"] for r in results if "scores" in r.keys)
