"""Many subjects, long names: what a report of 27 people has to stand."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from made_reports import ARMS, SUBJECTS

from brainaligner.core import Scores
from brainaligner.report import (
    Result,
    RunReport,
    arm_figure,
    headline,
    r_distribution_figure,
    render_page,
    results_table,
)

MANY = tuple(f"S{i:02d}" for i in range(1, 28))
LONG = "one_name_without_any_space_" * 6


def renamed(result: Result, **fields: str) -> Result:
    """The same numbers under another arm or subject."""
    scores: Scores = replace(result.scores, **fields)
    return replace(result, scores=scores, summary=replace(result.summary, **fields))


@pytest.fixture(scope="module")
def crowd(components: RunReport) -> RunReport:
    """27 subjects and two arms."""
    kept = [r for r in components.results if r.scores.arm in [*ARMS][:2]]
    results = [
        renamed(result, subject=subject)
        for result in kept
        for subject in MANY[SUBJECTS.index(result.scores.subject) :: len(SUBJECTS)]
    ]
    results.sort(key=lambda result: result.scores.subject)
    return replace(components, results=tuple(results))


def test_many_subjects_get_rows_and_arms_the_columns(crowd: RunReport) -> None:
    table = results_table(crowd)
    assert table.spans == tuple((arm, 3) for arm in [*ARMS][:2])
    assert table.columns[0].name == "subject"
    assert {len(row) for row in table.rows} == {len(table.columns)} == {2 + 2 * 3}
    assert [row[0] for row in table.rows[:28]] == ["all subjects", *MANY]
    assert {row[1] for row in table.rows[28:]} == {"wheretheressmoke (repeated)"}


def test_both_layouts_show_the_same_numbers(crowd: RunReport) -> None:
    arms = [*ARMS][:2]
    few = [r for r in crowd.results if r.scores.subject in MANY[:3]]
    beside = results_table(replace(crowd, results=tuple(few))).rows
    below = [row for row in results_table(crowd).rows if row[0] in MANY[:3]]
    for a in range(len(arms)):
        cells = [cell for row in below[:3] for cell in row[2 + 3 * a : 5 + 3 * a]]
        assert list(beside[a][2:11]) == cells
    rows = results_table(crowd).rows
    means = [crowd.find(arms[1], subject, "test", 0).summary.mean for subject in MANY]
    assert rows[0][5:] == (f"{sum(means) / 27:.3f}", rows[0][6], "n/a")


def test_a_subject_without_scores_in_a_group_has_no_row_there(crowd: RunReport) -> None:
    kept = [r for r in crowd.results if (r.scores.subject, r.scores.group.name) != ("S05", "test")]
    table = results_table(replace(crowd, results=tuple(kept)))
    named = [row[0] for row in table.rows if row[1] == "test"]
    assert "S05" not in named
    assert len(named) == 27
    assert table.rows[0][2:] == ("n/a",) * 6


def test_headline_of_many_subjects_gives_their_range(crowd: RunReport) -> None:
    arm = [*ARMS][1]
    means = [crowd.find(arm, subject, "test", 0).summary.mean for subject in MANY]
    assert f"(27 subjects, {min(means):.3f} to {max(means):.3f})" in headline(crowd)


def test_each_of_many_subjects_has_a_mark_of_its_own(crowd: RunReport) -> None:
    svg = arm_figure(crowd)
    dots = re.findall(r'-dot-0-\d+">.*?<use[^>]*#(f[\w-]+)"[^>]*?style="([^"]+)"', svg, re.S)
    assert len(dots) == len(set(dots)) == 27


def test_a_crowded_figure_grows_and_its_legend_stays_below(crowd: RunReport) -> None:
    one_arm = tuple(r for r in crowd.results if r.scores.arm == next(iter(ARMS)))
    svg = arm_figure(replace(crowd, results=one_arm))
    width, height = (float(n) for n in re.search(r'viewBox="0 0 (\S+) (\S+)"', svg).groups())
    dots = re.findall(r'-dot-\d-\d+">.*?<use[^>]* x="([\d.]+)" y="([\d.]+)"', svg, re.S)
    assert len(dots) == 27
    lowest_dot = max(float(y) for _, y in dots)
    axis = float(re.search(r' y="([\d.]+)"[^>]*>mean r over', svg).group(1))
    legend = [float(y) for y in re.findall(r' y="([\d.]+)"[^>]*>S\d\d<', svg)]
    assert len(legend) == 27
    assert lowest_dot < axis < min(legend)
    assert max(legend) < height
    assert all(0 < float(x) < width for x, _ in dots)


@pytest.mark.parametrize("name", [LONG, "語" * 60, "W" * 90], ids=["word", "wide", "capitals"])
def test_long_names_are_cut_in_figures_and_whole_in_tables(
    components: RunReport, name: str
) -> None:
    results = tuple(
        renamed(r, arm=f"{name} {r.scores.arm}", subject=f"{r.scores.subject} {name}")
        for r in components.results
    )
    report = replace(components, results=results)
    for svg in (arm_figure(report), r_distribution_figure(report, report.subjects[0])):
        drawn = re.findall(r">([^<>]*)</text>", svg)
        assert [text for text in drawn if text.startswith(name[:3]) and text.endswith("…")]
        assert not [text for text in drawn if name in text]
    assert results_table(report).rows[0][0].startswith(name)


def test_a_finding_without_words_does_not_break_the_page(components: RunReport) -> None:
    empty = replace(components.findings[0], text="")
    assert "1 note" in render_page(replace(components, findings=(empty,)))
