"""The report as one page that needs nothing else."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from brainaligner.evaluation import Finding
from brainaligner.report._beside import ceiling_table, region_table
from brainaligner.report._diagnostic_rows import (
    PLACES_SHOWN,
    diagnostic_rows,
    verdict_counts,
)
from brainaligner.report._drawings import (
    Drawing,
    curve_drawings,
    difference_drawings,
    score_drawings,
)
from brainaligner.report._inputs import RunReport
from brainaligner.report._listeners import listener_table
from brainaligner.report._map_drawings import (
    difference_maps,
    mapped,
    obstacles,
    score_maps,
    surfaces,
)
from brainaligner.report._table import Table, results_table
from brainaligner.report._texts import Texts, page_texts
from brainaligner.report._trace import STUDY_FILE, input_sets, mean_anchor, shown_settings
from brainaligner.report._verdict import verdict
from brainaligner.report._words import (
    banners,
    difference_map_note,
    headline,
    plain,
    rows_cut,
)

SEVERITIES = ("fail", "warn", "note")
NOTES_SHOWN = 3


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
        HTML, in this order: banners, the verdict, findings by severity, diagnostics, the best arm
        in a sentence, what was run, tables (with noise ceilings and regions where there are any),
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
    arm, results = mapped(report)
    of_recipe, every_input = input_sets(report.chain)
    settings_of, every_setting = shown_settings(report.chain)
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
        verdict=verdict(report, texts=texts),
        headline=headline(report, texts=texts),
        tables=[
            *((rows_cut(cut), *_tables(report, cut)) for cut in report.cuts),
            *((name, [table], None) for name, table in more),
        ],
        shown=f"{report.groups[0].name}, {rows_cut(report.cuts[0])}",
        drawings=score_drawings(report, texts),
        more_drawings=_more_drawings(report, texts),
        mapped_arm=arm,
        maps=score_maps(report, results, texts),
        difference_maps=difference_maps(report, texts),
        difference_map_note=difference_map_note(report, texts),
        stages={note.key: note.stage for note in report.chain},
        input_sets=of_recipe,
        every_input=every_input,
        settings_of=settings_of,
        every_setting=every_setting,
        mean_notes=_mean_notes(report),
        anchors=_anchors(report),
        obstacles=obstacles(report, results, texts),
        surfaces=surfaces(report, results, texts),
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


def _more_drawings(report: RunReport, texts: Texts) -> list[tuple[str, list[Drawing]]]:
    """Figures under headings of their own."""
    differences = difference_drawings(report, texts)
    first = [(texts("figures.differences_heading"), differences)] if differences else []
    return [*first, *curve_drawings(report, texts)]
