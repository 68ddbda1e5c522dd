"""Sentences that stand beside the numbers, the same on a page and in a terminal."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence

from brainaligner.core import StoryGroup
from brainaligner.report._inputs import NOT_VALID, Result, RunReport
from brainaligner.report._texts import Texts, page_texts

SIMULATED = "SIMULATED DATA"
MISSING = "n/a"
NAMED_STORIES = 20
NAMED_SUBJECTS = 6


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
