"""Sentences that stand beside the numbers, the same on a page and in a terminal."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence

import numpy as np

from brainaligner.core import Scores, StoryGroup
from brainaligner.report._figure_inputs import Difference, Line
from brainaligner.report._inputs import NOT_VALID, Result, RunReport
from brainaligner.report._texts import Texts, page_texts

SIMULATED = "SIMULATED DATA"
MISSING = "n/a"
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


def signed(name: str, signs: Sequence[str], texts: Texts) -> str:
    """Name of an axis, and what must be known of a figure that travels alone."""
    together = texts("separator.comma").join(signs)
    return texts("figure.signed", name=name, signs=together) if signs else name


def figure_signs(report: RunReport, texts: Texts) -> list[str]:
    """The banners in short, for a figure that may travel alone."""
    return [texts.told(banner.partition(":")[0]) for banner in banners(report)]


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


def headline(report: RunReport, *, texts: Texts | None = None) -> str:
    """The result in one plain sentence: the highest mean r, and how far the next one is.

    It reports an order and claims no difference, for it has no interval of one.
    """
    texts = page_texts() if texts is None else texts
    group, ranked = report.groups[0], ranked_arms(report)
    if not ranked:
        return texts("headline.none", group=plain(group.name))
    (arm, best), runner_up = ranked[0], ranked[1:2]
    rest = [texts("headline.next", arm=plain(name), mean=number(r)) for name, r in runner_up]
    return texts(
        "headline.simulated" if report.simulated else "headline.best",
        targets=texts.told(report.targets),
        arm=plain(arm),
        mean=number(best),
        subjects=_each_subject(report, arm, texts),
        group=plain(group.name),
        label=texts.told(report.label),
        rest="".join(rest),
    )


def _each_subject(report: RunReport, arm: str, texts: Texts) -> str:
    """Mean r of each subject, or from the lowest to the highest where they are many."""
    group, cut = report.groups[0].name, report.cuts[0]
    found = [report.find(arm, subject, group, cut) for subject in report.subjects]
    means = [(r.scores.subject, r.summary.mean) for r in found if r is not None]
    if len(means) <= NAMED_SUBJECTS:
        named = (f"{plain(subject)} {number(mean)}" for subject, mean in means)
        return texts("separator.comma").join(named)
    values = [mean for _, mean in means]
    low, high = number(min(values)), number(max(values))
    return texts("headline.subjects", n=len(values), low=low, high=high)


def line_words(line: Line, texts: Texts) -> str:
    """A line of a figure in numbers: all of them where they are few."""
    points = [(x, y) for x, y in zip(line.x, line.y, strict=True) if math.isfinite(y)]
    said = [texts("figure.point", y=number(y), x=f"{x:.4g}") for x, y in points]
    if not said:
        words = texts("figure.no_point")
    elif len(said) > MOST_POINTS:
        words = texts("figure.points", first=said[0], last=said[-1], n=len(said))
    else:
        words = texts("separator.comma").join(said)
    if said and line.marked is not None:
        words = texts("figure.line_chosen", said=words, x=f"{line.marked:.4g}")
    name = texts.told(plain(line.name))
    return texts(
        "figure.line_dashed" if line.faint and said else "figure.line", name=name, said=words
    )


def difference_words(one: Difference, texts: Texts) -> str:
    """A paired difference in one subject."""
    return texts(
        "figure.difference_words",
        arm=plain(one.arm),
        subject=plain(one.subject),
        mean=number(one.mean, 4),
        low=number(one.interval.low, 4),
        high=number(one.interval.high, 4),
        direction=texts(f"figure.{one.direction}"),
    )


def distribution_caption(report: RunReport, subject: str, group: str, texts: Texts) -> str:
    """Caption of a distribution; a group that is not the first one is named."""
    names = [subject] if group == report.groups[0].name else [subject, group]
    where = texts("separator.comma").join(map(plain, names))
    return texts("figures.distribution", subject=where, targets=texts.told(report.targets))


def story_caption(one: Difference, texts: Texts) -> str:
    """Caption of the stories one by one."""
    return texts("figures.stories", arm=plain(one.arm), reference=plain(one.reference))


def map_caption(scores: Scores, texts: Texts) -> str:
    """Caption of a map of r."""
    vertices = scores.space.vertices
    on_surface = 0 if vertices is None else int((vertices >= 0).sum())
    return texts(
        "maps.caption",
        subject=plain(scores.subject),
        n=f"{on_surface:,}",
        size=f"{scores.space.size:,}",
        targets=texts.told(scores.space.kind),
    )


def map_words(
    result: Result, limits: tuple[float, float], texts: Texts, *, flat: bool = False
) -> str:
    """What a map of r shows, for those who cannot see it."""
    scores = result.scores
    return texts(
        "maps.words",
        surface=texts("maps.flat_words" if flat else "maps.views_words"),
        subject=plain(scores.subject),
        arm=plain(scores.arm),
        mean=number(result.summary.mean),
        size=f"{scores.space.size:,}",
        targets=texts.told(scores.space.kind),
        low=number(limits[0], 2),
        high=number(limits[1], 2),
    )


def difference_map_note(report: RunReport, texts: Texts) -> str:
    """What all maps of differences are; empty where the report has no difference."""
    if not report.compared:
        return ""
    first = report.compared[0]
    reference, bound = plain(first.reference), f"{first.q_bound:g}"
    return texts("maps.difference_note", reference=reference, bound=bound)


def difference_map_caption(one: Difference, texts: Texts) -> str:
    """Caption of a map of differences."""
    better, worse, tested = significant_counts(one)
    return texts(
        "maps.difference_caption",
        subject=plain(one.subject),
        arm=plain(one.arm),
        reference=plain(one.reference),
        better=f"{better:,}",
        tested=f"{tested:,}",
        worse=f"{worse:,}",
    )


def difference_map_words(one: Difference, top: float, texts: Texts, *, flat: bool = False) -> str:
    """What a map of differences shows, for those who cannot see it."""
    return texts(
        "maps.difference_words",
        surface=texts("maps.flat_words" if flat else "maps.views_words"),
        caption=difference_map_caption(one, texts),
        mean=number(one.mean, 4),
        low=number(-top),
        high=number(top),
    )


def significant_counts(one: Difference) -> tuple[int, int, int]:
    """Targets that are significantly better, worse, and all that were tested."""
    found = one.q <= one.q_bound
    better = int(np.count_nonzero(found & (one.values > 0)))
    worse = int(np.count_nonzero(found & (one.values < 0)))
    return better, worse, int(np.isfinite(one.q).sum())
