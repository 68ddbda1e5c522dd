"""Sentences that stand beside the numbers, the same on a page and in a terminal."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence

import numpy as np

from brainaligner.core import Scores, StoryGroup
from brainaligner.report._figure_inputs import Difference, Line
from brainaligner.report._inputs import NOT_VALID, Result, RunReport

SIMULATED = "SIMULATED DATA"
MISSING = "n/a"
ARM_CAPTION = "Mean r of each arm, with its interval; one mark for each subject."
DIFFERENCE_HEADING = "Arms less the reference, and stories one by one"
DIFFERENCE_CAPTION = (
    "Mean r of each arm less that of the reference arm: of the arms that read language models as "
    "they come, the best on validation stories. Paired intervals, one mark for each subject. All "
    "arms are shown, and no correction is made for their number."
)
DIFFERENCE_LABEL = "difference in Pearson r"
CURVE_HEADINGS = {
    "layer": "By layer",
    "context": "By left context",
    "lag": "By delay",
    "alpha": "Choice of the penalty",
    "training": "Training",
}
"""By kind of curve, in the order of the page."""
NAMED_STORIES = 20
NAMED_SUBJECTS = 6
MOST_POINTS = 16


def plain(text: str) -> str:
    """Return `text` on one line, without the control characters that no XML may hold."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def number(value: float | None, digits: int = 3) -> str:
    """Return a number with `digits` decimals; ``"n/a"`` for None, NaN and infinity."""
    if value is None or not math.isfinite(value):
        return MISSING
    text = f"{value:.{digits}f}"
    return text.removeprefix("-") if float(text) == 0 else text


def percent(share: float) -> str:
    """Return a share as whole percent, such as ``"62 %"``."""
    return f"{100 * share:.0f} %" if math.isfinite(share) else MISSING


def rows_cut(cut: int) -> str:
    """Say how many rows were dropped."""
    return f"{cut} rows cut at each end of each story" if cut else "no rows cut"


def banners(report: RunReport) -> tuple[str, ...]:
    """What must be read before anything else."""
    invalid = (report.audit,) if report.audit.startswith(NOT_VALID) else ()
    simulated = (*invalid, SIMULATED) if report.simulated else invalid
    return simulated + (() if report.label == "held-out stories" else (report.label,))


def target_note(report: RunReport) -> str:
    """Say what the targets are and how many each subject has."""
    counts = {r.scores.subject: f"{r.scores.space.size:,}" for r in report.results}
    if len(set(counts.values())) == 1:
        return f"{next(iter(counts.values()))} {report.targets} in each of {_subjects(report)}"
    return f"{report.targets} ({', '.join(f'{s} {n}' for s, n in counts.items())})"


def _subjects(report: RunReport) -> str:
    n = len(report.subjects)
    return f"{n} subjects" if n > 1 else f"{n} subject"


def group_note(report: RunReport, group: StoryGroup, cut: int) -> str:
    """Say which stories and how many rows one group is."""
    place = (group.name, cut)
    here = [r for r in report.results if (r.scores.group.name, r.scores.rows_cut) == place]
    rows = span([r.scores.n_rows for r in here])
    once = group.presentations == "single"
    times = "heard once" if once else "responses averaged over repeated presentations"
    n = len(group.stories)
    return f"{plain(group.name)}: {n} {'story' if n == 1 else 'stories'}, {times}, {rows} rows"


def story_names(group: StoryGroup) -> str:
    """Names of a group's stories, shortened where they are many."""
    names = ", ".join(plain(story) for story in group.stories[:NAMED_STORIES])
    more = len(group.stories) - NAMED_STORIES
    return f"{names} and {more} more" if more > 0 else names


def interval_notes(results: Sequence[Result]) -> tuple[str, ...]:
    """Say what the brackets are, once for each way in which they were made."""
    units: dict[tuple[str, str], set[int]] = {}
    for result in results:
        interval = result.summary.interval
        kind = "blocks of rows" if interval.conditional else "stories"
        said = f"{100 * interval.level:g} % interval, {interval.method}", kind
        units.setdefault(said, set()).add(interval.n_units)
    return tuple(f"{how}: {span(numbers)} {kind}" for (how, kind), numbers in units.items())


def span(numbers: Collection[int]) -> str:
    """Return one number, or the lowest "to" the highest."""
    low, high = min(numbers), max(numbers)
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"


def alpha_note(report: RunReport, cut: int) -> str:
    """Say how the penalty was chosen and what it came to."""
    chosen = dict.fromkeys(plain(r.alpha) for r in report.results if r.scores.rows_cut == cut)
    shown = ", ".join(list(chosen)[:6]) + (", ..." if len(chosen) > 6 else "")
    return f"{plain(report.fact('ridge'))}; chosen: {shown}; penalty alpha ||W||^2"


def mean_over_subjects(values: Sequence[float | None]) -> float:
    """Mean of one number per subject; NaN as soon as one of them is missing."""
    known = [value for value in values if value is not None and math.isfinite(value)]
    return sum(known) / len(known) if known and len(known) == len(values) else math.nan


def mean_r(report: RunReport, arm: str, group: StoryGroup, cut: int) -> float:
    """Mean over subjects of an arm's mean r."""
    found = [report.find(arm, subject, group.name, cut) for subject in report.subjects]
    return mean_over_subjects([r.summary.mean if r else None for r in found])


def ranked_arms(report: RunReport) -> list[tuple[str, float]]:
    """Arms with their mean r over subjects on the first group and cut, highest first.

    Arms that lack a subject are left out.
    """
    means = [(arm, mean_r(report, arm, report.groups[0], report.cuts[0])) for arm in report.arms]
    return sorted((pair for pair in means if math.isfinite(pair[1])), key=lambda pair: -pair[1])


def headline(report: RunReport) -> str:
    """The result in one plain sentence: the highest mean r, and how far the next one is.

    It reports an order and claims no difference, for it has no interval of one.
    """
    group, ranked = report.groups[0], ranked_arms(report)
    if not ranked:
        return f"No arm has a mean r for every subject on {plain(group.name)}."
    arm, best = ranked[0]
    rest = f"; next comes {_quoted(ranked[1][0])} with {number(ranked[1][1])}" if ranked[1:] else ""
    return (
        f"{'In simulated data, t' if report.simulated else 'T'}he arm with the highest mean r "
        f"over {report.targets} is {_quoted(arm)}: {number(best)} ({_each_subject(report, arm)}) "
        f"on the group {_quoted(group.name)}, {report.label}{rest}."
    )


def _each_subject(report: RunReport, arm: str) -> str:
    """Mean r of each subject, or from the lowest to the highest where they are many."""
    group, cut = report.groups[0].name, report.cuts[0]
    found = [report.find(arm, subject, group, cut) for subject in report.subjects]
    means = [(r.scores.subject, r.summary.mean) for r in found if r is not None]
    if len(means) <= NAMED_SUBJECTS:
        return ", ".join(f"{plain(subject)} {number(mean)}" for subject, mean in means)
    values = [mean for _, mean in means]
    return f"{len(values)} subjects, {number(min(values))} to {number(max(values))}"


def _quoted(name: str) -> str:
    return f'"{plain(name)}"'


def line_words(line: Line) -> str:
    """A line of a figure in numbers: all of them where they are few."""
    points = [(x, y) for x, y in zip(line.x, line.y, strict=True) if math.isfinite(y)]
    if not points:
        return f"{plain(line.name)}: no value"
    if len(points) > MOST_POINTS:
        (x0, y0), (x1, y1) = points[0], points[-1]
        said = f"from {number(y0)} at {x0:.4g} to {number(y1)} at {x1:.4g}, {len(points)} points"
    else:
        said = ", ".join(f"{number(y)} at {x:.4g}" for x, y in points)
    chosen = f", chosen {line.marked:.4g}" if line.marked is not None else ""
    dashed = " (dashed)" if line.faint else ""
    return f"{plain(line.name)}{dashed}: {said}{chosen}"


def difference_words(one: Difference) -> str:
    """A paired difference in one subject."""
    return (
        f"{plain(one.arm)} in {plain(one.subject)}: {number(one.mean, 4)} "
        f"[{number(one.interval.low, 4)}, {number(one.interval.high, 4)}], {one.direction}"
    )


def distribution_caption(report: RunReport, subject: str, group: str) -> str:
    """Caption of a distribution; a group that is not the first one is named."""
    where = "" if group == report.groups[0].name else f", {plain(group)}"
    return f"{plain(subject)}{where}: distribution of r over {report.targets}."


def story_caption(one: Difference) -> str:
    """Caption of the stories one by one."""
    return (
        f"Mean r of each story by itself: {plain(one.arm)} (filled) and the reference arm "
        f"{plain(one.reference)} (hollow). The data hold all arms."
    )


def map_caption(scores: Scores) -> str:
    """Caption of a map of r."""
    vertices = scores.space.vertices
    on_surface = 0 if vertices is None else int((vertices >= 0).sum())
    return (
        f"{plain(scores.subject)}: {on_surface:,} of {scores.space.size:,} {scores.space.kind} "
        "lie on the surface."
    )


def map_words(result: Result, limits: tuple[float, float]) -> str:
    """What a map of r shows, for those who cannot see it."""
    scores = result.scores
    return (
        f"Cortex map of r in {plain(scores.subject)}, {plain(scores.arm)}: lateral and medial "
        f"views of both hemispheres, mean r {number(result.summary.mean)} over "
        f"{scores.space.size:,} {scores.space.kind}, colours from {number(limits[0], 2)} to "
        f"{number(limits[1], 2)}."
    )


def difference_map_note(report: RunReport) -> str:
    """What all maps of differences are; empty where the report has no difference."""
    if not report.compared:
        return ""
    first = report.compared[0]
    return (
        f"An arm less {plain(first.reference)}, target by target, on the same stories. A line "
        "surrounds places where at least half of the targets differ significantly: paired test of "
        "each target by its spread between stories (between blocks of rows where stories are fewer "
        f"than 8), two-sided, false discoveries at most {first.q_bound:g} by Benjamini-Hochberg."
    )


def difference_map_caption(one: Difference) -> str:
    """Caption of a map of differences."""
    better, worse, tested = significant_counts(one)
    return (
        f"{plain(one.subject)}, {plain(one.arm)} less {plain(one.reference)}: {better:,} of "
        f"{tested:,} targets are significantly better, {worse:,} worse."
    )


def difference_map_words(one: Difference, top: float) -> str:
    """What a map of differences shows, for those who cannot see it."""
    return (
        "Cortex map of a difference in r, lateral and medial views of both hemispheres. "
        f"{difference_map_caption(one)} Mean difference {number(one.mean, 4)}, colours from "
        f"{number(-top)} (blue) over 0 (white) to {number(top)} (red); significant places are "
        "outlined."
    )


def significant_counts(one: Difference) -> tuple[int, int, int]:
    """Targets that are significantly better, worse, and all that were tested."""
    found = one.q <= one.q_bound
    better = int(np.count_nonzero(found & (one.values > 0)))
    worse = int(np.count_nonzero(found & (one.values < 0)))
    return better, worse, int(np.isfinite(one.q).sum())
