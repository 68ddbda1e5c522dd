"""The report as one page that needs nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from brainaligner.core import Scores
from brainaligner.evaluation import Finding
from brainaligner.report._beside import ceiling_table, region_table
from brainaligner.report._cortex import colour_limits, cortex_figure, no_map_reason
from brainaligner.report._diagnostic_rows import (
    PLACES_SHOWN,
    diagnostic_rows,
    verdict_counts,
)
from brainaligner.report._figures import arm_figure, r_distribution_figure
from brainaligner.report._inputs import Result, RunReport
from brainaligner.report._listeners import listener_table
from brainaligner.report._table import Table, results_table
from brainaligner.report._texts import Texts, page_texts
from brainaligner.report._trace import STUDY_FILE, input_sets, mean_anchor
from brainaligner.report._words import banners, headline, number, plain, ranked_arms, rows_cut

SEVERITIES = ("fail", "warn", "note")
NOTES_SHOWN = 3


@dataclass(frozen=True)
class _CortexMap:
    """One subject's map, and what it shows for those who cannot see it."""

    image: str | None
    alternative: str
    caption: str


def render_page(
    report: RunReport,
    *,
    more: Sequence[tuple[str, Table]] = (),
    language: str = "en",
    unfolded: bool = False,
) -> str:
    """Write the report as one HTML page.

    The page loads nothing from anywhere: style and figures stand in it, and a content
    security policy forbids the rest. Names and texts are escaped. The same report gives
    the same bytes.

    Parameters
    ----------
    report : RunReport
    more : sequence of (name, Table)
        Further tables, below those of all scores.
    language : str
        Key of `LANGUAGES`. Names, numbers, methods and settings are the same in all of them.
    unfolded : bool
        Whether what is folded away is open, as print needs it; settings, recipes and lists of
        places stay folded.

    Returns
    -------
    str
        HTML, in this order: banners, findings by severity, diagnostics, the result in
        a sentence, what was run, tables (with noise ceilings and regions where there are any),
        figures, maps, settings and recipe keys.

    Raises
    ------
    InputError
        If the language is unknown.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    pages = Environment(
        loader=PackageLoader("brainaligner.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    texts = page_texts(language).knowing(_names(report))
    pages.filters |= {
        "plain": plain,
        "told": texts.told_html,
        "opened": texts.opened_html,
        "heading": texts.heading,
        "together": lambda places: texts.html("separator.semicolon").join(
            map(texts.told_html, places)
        ),
    }
    arm, results = _mapped(report)
    of_recipe, every_input = input_sets(report.chain)
    return pages.get_template("report.html.j2").render(
        report=report,
        texts=texts,
        t=texts.html,
        unfolded=" open" if unfolded else "",
        english="" if language == "en" else Markup(' lang="en"'),
        banners=banners(report),
        findings=_by_severity(report.findings),
        notes_shown=NOTES_SHOWN,
        diagnostic_rows=diagnostic_rows(report.diagnostics),
        verdict_counts=verdict_counts(report.diagnostics),
        places_shown=PLACES_SHOWN,
        headline=headline(report, texts=texts),
        tables=[
            *((rows_cut(cut), *_tables(report, cut)) for cut in report.cuts),
            *((name, [table], None) for name, table in more),
        ],
        shown=f"{report.groups[0].name}, {rows_cut(report.cuts[0])}",
        arms=arm_figure(report, texts=texts),
        distributions=[
            (s, r_distribution_figure(report, s, texts=texts)) for s in _shown_subjects(report)
        ],
        mapped_arm=arm,
        maps=_maps(report, results, texts),
        input_sets=of_recipe,
        every_input=every_input,
        mean_notes=_mean_notes(report),
        anchors=_anchors(report),
        obstacles=_obstacles(results, texts),
    )


def _names(report: RunReport) -> set[str]:
    """All that goes by a name of the user's or the dataset's."""
    own = {*report.arms, *report.subjects, *report.regions, report.title, report.study}
    stories = (story for group in report.groups for story in (group.name, *group.stories))
    return {plain(name) for name in (*own, *stories)}


def _mean_notes(report: RunReport) -> list[tuple[str, str, list[tuple[str, str]]]]:
    """For each arm with recipes: the anchor of its means, and whose scores they are means of."""
    notes = []
    for arm in report.arms:
        own = [r for r in report.results if r.scores.arm == arm and "scores" in r.keys]
        keys = {r.scores.subject: r.keys["scores"] for r in own}
        if keys:
            notes.append((arm, mean_anchor(arm, report.arms), list(keys.items())))
    return notes


def _anchors(report: RunReport) -> set[str]:
    """Anchors that numbers may lead to."""
    means = {anchor for _, anchor, _ in _mean_notes(report)} if report.chain else set()
    return {STUDY_FILE, *means, *(note.anchor for note in report.chain)}


def _tables(report: RunReport, cut: int) -> tuple[list[Table], Table | None]:
    """What is shown of one cut, and what is folded away: the regions."""
    beside = (listener_table(report, cut=cut), ceiling_table(report, cut=cut))
    shown = [results_table(report, cut=cut), *(table for table in beside if table is not None)]
    return shown, region_table(report, cut=cut)


def _by_severity(findings: tuple[Finding, ...]) -> dict[str, dict[str, list[str]]]:
    """Texts under each severity, each with all the places that it was said of."""
    found: dict[str, dict[str, list[str]]] = {severity: {} for severity in SEVERITIES}
    for finding in findings:
        found[finding.severity].setdefault(plain(finding.text), []).append(plain(finding.where))
    return found


def _shown_subjects(report: RunReport) -> tuple[str, ...]:
    """Subjects with scores in the group and cut that the figures show."""
    place = (report.groups[0].name, report.cuts[0])
    scored = {
        r.scores.subject
        for r in report.results
        if (r.scores.group.name, r.scores.rows_cut) == place
    }
    return tuple(subject for subject in report.subjects if subject in scored)


def _mapped(report: RunReport) -> tuple[str, list[Result]]:
    """Choose the arm of the headline (or the first), and its results to paint."""
    ranked = ranked_arms(report)
    arm = ranked[0][0] if ranked else report.arms[0]
    group, cut = report.groups[0].name, report.cuts[0]
    found = [report.find(arm, subject, group, cut) for subject in report.subjects]
    return arm, [result for result in found if result is not None]


def _maps(report: RunReport, results: list[Result], texts: Texts) -> list[_CortexMap]:
    """One map for each subject that can have one, all with the same colours."""
    drawable = [r for r in results if no_map_reason(r.scores.space) is None]
    if not drawable:
        return []
    limits = colour_limits(*(result.scores.r for result in drawable))
    signs = tuple(banner.partition(":")[0] for banner in banners(report))
    return [_map(result, limits, signs, texts) for result in drawable]


def _map(
    result: Result, limits: tuple[float, float], signs: tuple[str, ...], texts: Texts
) -> _CortexMap:
    scores = result.scores
    title = ", ".join([scores.subject, *signs])
    image = cortex_figure(scores.space, scores.r, title=title, limits=limits)
    return _CortexMap(image, _map_words(result, limits, texts), _map_caption(scores, texts))


def _map_caption(scores: Scores, texts: Texts) -> str:
    vertices = scores.space.vertices
    on_surface = 0 if vertices is None else int((vertices >= 0).sum())
    return texts(
        "maps.caption",
        subject=plain(scores.subject),
        n=f"{on_surface:,}",
        size=f"{scores.space.size:,}",
        targets=texts.told(scores.space.kind),
    )


def _map_words(result: Result, limits: tuple[float, float], texts: Texts) -> str:
    scores = result.scores
    return texts(
        "maps.words",
        subject=plain(scores.subject),
        arm=plain(scores.arm),
        mean=number(result.summary.mean),
        size=f"{scores.space.size:,}",
        targets=texts.told(scores.space.kind),
        low=number(limits[0], 2),
        high=number(limits[1], 2),
    )


def _obstacles(results: list[Result], texts: Texts) -> list[str]:
    """Why subjects have no map; subjects with the same reason share one sentence."""
    subjects: dict[str, list[str]] = {}
    for result in results:
        reason = no_map_reason(result.scores.space)
        if reason is not None:
            subjects.setdefault(reason, []).append(plain(result.scores.subject))
    return [
        texts("maps.none", names=texts("separator.comma").join(names), why=texts.told(why))
        for why, names in subjects.items()
    ]
