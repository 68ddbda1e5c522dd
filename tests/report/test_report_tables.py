"""Tables: what they say, what they never say, and what can be read back."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from made_reports import ABOUT, ARMS, SUBJECTS, made_report

from brainaligner.core import InputError, Space, StoryGroup
from brainaligner.evaluation import EvaluationSettings, ScoreBase, find_warnings, score_group
from brainaligner.report import Result, RunReport, headline, render_page, results_table, table_tsv

Rescored = Callable[[RunReport, dict[str, object]], RunReport]


def read_tsv(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text), delimiter="\t"))


def test_one_row_for_each_arm_and_group_and_three_columns_for_each_subject(
    components: RunReport,
) -> None:
    table = results_table(components)
    assert [row[:2] for row in table.rows] == [
        (arm, stories) for stories in ("test", "wheretheressmoke (repeated)") for arm in ARMS
    ]
    assert {len(row) for row in table.rows} == {len(table.columns)} == {2 + 3 * 3 + 2}
    assert str(table.columns[2]) == "UTS01 mean r"
    assert table.spans == (*((subject, 3) for subject in SUBJECTS), ("all subjects", 2))


def test_cells_are_the_numbers_of_the_scores(components: RunReport) -> None:
    row = results_table(components, cut=10).rows[1]
    r = [components.find([*ARMS][1], subject, "test", 10).scores.r for subject in SUBJECTS]
    mean = r[0].mean()
    assert row[2] == f"{mean:.3f} [{mean - 0.0061:.3f}, {mean + 0.0072:.3f}]"
    assert row[3] == f"{np.median(r[0]):.3f}"
    assert row[4] == f"{100 * (r[0] > 0.03).mean():.0f} %"
    assert row[-2] == f"{np.mean([values.mean() for values in r]):.3f}"
    assert row[-1] == f"{np.mean([np.median(values) for values in r]):.3f}"


def test_repeated_and_single_stories_are_never_averaged(components: RunReport) -> None:
    singles = tuple(r for r in components.results if r.scores.group.presentations == "single")
    alone = results_table(replace(components, results=singles))
    assert alone.rows == results_table(components).rows[:3]


def test_a_group_cannot_be_single_and_repeated(components: RunReport) -> None:
    first = components.results[0]
    group = StoryGroup("test", ("other",), "repeated")
    mixed = replace(
        first,
        scores=replace(first.scores, group=group),
        summary=replace(first.summary, group="test"),
    )
    with pytest.raises(InputError, match="never be averaged"):
        replace(components, results=(mixed, *components.results[10:]))


@pytest.mark.parametrize("kind", ["components", "regions", "parcels"])
def test_only_voxels_are_called_voxels(kind: str) -> None:
    report = made_report(kind, 12)
    said = [results_table(report).caption, headline(report), render_page(report)]
    assert not any("voxel" in text.lower() for text in said)
    assert all(kind in text for text in said)


def test_voxels_are_called_voxels(voxels: RunReport) -> None:
    caption = results_table(voxels).caption
    assert "9,000 voxels" in caption
    assert "components" not in caption


def test_caption_says_what_a_number_needs(components: RunReport) -> None:
    caption = results_table(components, cut=10).caption
    facts = dict(ABOUT)
    for needed in (
        "200 components in each of 3 subjects",
        "8 stories, heard once, 2,320 rows",
        "hangtime",
        "1 story, responses averaged over repeated presentations, 271 rows",
        "10 rows cut at each end of each story",
        facts["clock"],
        facts["delays"],
        facts["ridge"],
        "1e+05 (shared)",
        "alpha ||W||^2",
        "n = 3",
        "held-out stories",
        "95 % interval, studentised bootstrap over stories: 8 stories",
        "conditional on these stories: 14 blocks",
    ):
        assert needed in caption


def test_simulated_and_within_story_scores_are_marked_everywhere(
    voxels: RunReport, components: RunReport, rescored: Rescored, pages: dict[str, str]
) -> None:
    within = rescored(components, {"label": "within one story"})
    for report, page, mark in (
        (voxels, pages["voxels"], "SIMULATED DATA"),
        (within, render_page(within), "within one story"),
    ):
        assert results_table(report).title.startswith(mark)
        assert page.index('class="banner"') < page.index("<main>")
        assert page.count(mark) > 5
    assert "In simulated data" in headline(voxels)
    assert "simulated" not in pages["components"].lower()
    assert 'class="banner"' not in pages["components"]


def test_tsv_gives_back_every_number_exactly(components: RunReport) -> None:
    lines = read_tsv(table_tsv(components))
    assert len(lines) == len(components.results) == 3 * 3 * 2 * 2
    for line, result in zip(lines, components.results, strict=True):
        scores, summary = result.scores, result.summary
        place = (scores.arm, scores.subject, scores.group.name, str(scores.rows_cut))
        assert (line["arm"], line["subject"], line["group"], line["rows_cut"]) == place
        assert float(line["r_mean"]) == scores.r.mean()
        assert float(line["r_median"]) == np.median(scores.r)
        assert float(line["r_q05"]) == np.quantile(scores.r, 0.05)
        assert float(line["r_q100"]) == scores.r.max()
        assert float(line["interval_low"]) == summary.interval.low
        assert float(line["share_above_null"]) == summary.share_above_null
        assert int(line["n_targets"]) == 200
        assert line["reference"] == ""
        assert line["simulated"] == "false"


def test_tsv_survives_tabs_line_ends_and_quotes(components: RunReport) -> None:
    name = 'a\tb\n"c"'
    lines = read_tsv(table_tsv(replace(components, study=name)))
    assert {line["study"] for line in lines} == {name}


def without_scores(report: RunReport) -> RunReport:
    """The same report where nothing could be scored in the first subject."""
    results = []
    nan = math.nan
    for result in report.results:
        scores, summary = result.scores, result.summary
        if scores.subject == SUBJECTS[0]:
            scores = replace(scores, r=np.full(scores.space.size, nan))
            interval = replace(summary.interval, low=nan, high=nan, method="too few stories")
            summary = replace(
                summary,
                n_scored=0,
                mean=nan,
                median=nan,
                skew=nan,
                quantiles=(nan,) * len(summary.quantiles),
                interval=interval,
                share_above_null=nan,
                null_mean=nan,
                null_sd=nan,
            )
        results.append(replace(result, scores=scores, summary=summary))
    return replace(report, results=tuple(results))


def test_missing_scores_are_shown_as_missing(components: RunReport) -> None:
    report = without_scores(components)
    for row in results_table(report).rows:
        assert row[2:5] == ("n/a",) * 3
        assert row[5] != "n/a"
        assert row[-2:] == ("n/a",) * 2
    assert headline(report).startswith("No arm has a mean r for every subject")
    page = render_page(report)
    assert ">nan" not in page.lower()
    assert math.isnan(float(read_tsv(table_tsv(report))[0]["r_mean"]))


def test_an_arm_that_lacks_a_subject_has_no_mean_over_subjects(components: RunReport) -> None:
    report = replace(components, results=components.results[:-1])
    assert results_table(report, cut=10).rows[2][8:] == ("n/a",) * 5
    assert results_table(report, cut=10).rows[1][-1] != "n/a"
    assert "<svg" in render_page(report)


def test_reference_numbers_stand_beside_ours(components: RunReport) -> None:
    results = tuple(replace(r, reference=0.197284) for r in components.results)
    table = results_table(replace(components, results=results))
    assert [column.name for column in table.columns].count("reference") == 4
    assert table.rows[0][5] == table.rows[0][-1] == "0.197"


def test_headline_names_the_best_arm_and_the_next(components: RunReport) -> None:
    means = {
        arm: np.mean([components.find(arm, s, "test", 0).scores.r.mean() for s in SUBJECTS])
        for arm in ARMS
    }
    next_best, best = sorted(means, key=means.get)[-2:]
    said = headline(components)
    assert f'"{best}": {means[best]:.3f}' in said
    assert f'"{next_best}" with {means[next_best]:.3f}' in said


def test_unknown_cut_is_refused(components: RunReport) -> None:
    with pytest.raises(InputError, match="one of 0, 10"):
        results_table(components, cut=3)


def broken(report: RunReport, how: str) -> RunReport:
    """Make a report that must not exist."""
    first, *_ = report.results
    changes: dict[str, dict[str, object]] = {
        "no results": {"results": ()},
        "no clock": {"about": tuple(pair for pair in ABOUT if pair[0] != "clock")},
        "no ridge": {"about": ()},
        "twice": {"results": (first, first)},
        "other label": {"label": "within one story"},
    }
    return replace(report, **changes[how])


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("no results", "no result"),
        ("no clock", "no entry for clock"),
        ("no ridge", "no entry for clock, delays, ridge"),
        ("twice", "two results for arm"),
        ("other label", "held-out stories"),
    ],
)
def test_reports_that_cannot_be_read_are_refused(
    components: RunReport, how: str, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        broken(components, how)


def test_a_summary_of_other_scores_is_refused(components: RunReport) -> None:
    first, second, *_ = components.results
    with pytest.raises(InputError, match="as `score_group` returned them"):
        replace(first, summary=second.summary)


def test_mixed_kinds_are_called_targets(components: RunReport) -> None:
    first = components.results[0]
    other = replace(first.scores, subject="UTS09", space=Space("regions", 200))
    mixed = replace(first, scores=other, summary=replace(first.summary, subject="UTS09"))
    report = replace(components, results=(*components.results, mixed))
    assert report.targets == "targets"


def test_what_evaluation_returns_can_be_reported() -> None:
    rng = np.random.default_rng(3)
    stories = ("a", "b")
    responses = {story: rng.standard_normal((120, 6)) for story in stories}
    predictions = {story: y + 3 * rng.standard_normal(y.shape) for story, y in responses.items()}
    base = ScoreBase("S1", StoryGroup("test", stories), Space("regions", 6))
    scores, summary = score_group(
        predictions,
        responses,
        dict.fromkeys(stories, 1),
        arm="ridge",
        base=base,
        settings=EvaluationSettings(n_bootstrap=50, n_shifts=50),
    )
    report = RunReport(
        title="t",
        study="s",
        about=ABOUT,
        simulated=True,
        label=scores.label,
        results=(Result(scores, summary, "10"),),
        findings=find_warnings([summary]),
    )
    (line,) = read_tsv(table_tsv(report))
    assert float(line["null_sd"]) == summary.null_sd
    assert float(line["r_skew"]) == summary.skew
    (row,) = results_table(report).rows
    assert row[2].startswith(f"{scores.r.mean():.3f} [")
    assert "Fewer than 8 stories (2)" in render_page(report)
