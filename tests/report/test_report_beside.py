"""Tables of noise ceilings and regions, in both layouts, and what they refuse."""

from __future__ import annotations

from dataclasses import replace

import pytest
from made_reports import ARMS, SUBJECTS

from brainaligner.core import InputError
from brainaligner.evaluation import CeilingSummary, Interval, RegionScore
from brainaligner.report import (
    Result,
    RunReport,
    ceiling_table,
    region_table,
    regions_tsv,
    render_page,
    table_tsv,
)

MANY = tuple(f"S{i:02d}" for i in range(1, 10))
V1, ODD = "lh.V1", "<b>a\tb</b>"
BLANK = ("n/a", "n/a", "n/a")


def region(name: str, mean: float, n: int) -> RegionScore:
    interval = Interval(mean - 0.01, mean + 0.01, 0.95, "by hand", 14, True)
    return RegionScore(name, n, n, mean if n else float("nan"), mean / 2, interval)


def beside(result: Result) -> Result:
    """Regions for everybody (one lacks the second), ceilings where there are repeats."""
    scores = result.scores
    lacks = scores.subject == "UTS02"
    ceiling = CeilingSummary(10, scores.n_rows, scores.space.size, 50, 0.12, 0.6, 0.31)
    repeated = scores.group.presentations == "repeated"
    return replace(
        result,
        regions=(region(V1, 0.2, 1234), region(ODD, 0.1, 0 if lacks else 7)),
        ceiling=ceiling if repeated and not lacks else None,
    )


@pytest.fixture(scope="module")
def full(components: RunReport) -> RunReport:
    """Three subjects beside each other."""
    return replace(components, results=tuple(map(beside, components.results)))


@pytest.fixture(scope="module")
def crowd(full: RunReport) -> RunReport:
    """Nine subjects below each other, two arms."""
    results = [
        replace(
            result,
            scores=replace(result.scores, subject=subject),
            summary=replace(result.summary, subject=subject),
        )
        for result in full.results
        if result.scores.arm in [*ARMS][:2]
        for subject in MANY[SUBJECTS.index(result.scores.subject) :: 3]
    ]
    return replace(full, results=tuple(results))


def test_without_either_nothing_is_shown(components: RunReport) -> None:
    assert ceiling_table(components) is None
    assert region_table(components) is None
    assert regions_tsv(components) == ""
    page = render_page(components)
    assert "CCnorm" not in page
    assert "Regions of interest" not in page


@pytest.mark.parametrize("cut", [0, 10])
def test_ceilings_of_three_subjects(full: RunReport, cut: int) -> None:
    table = ceiling_table(full, cut=cut)
    assert table is not None
    assert table.spans == tuple((subject, 4) for subject in SUBJECTS)
    assert [row[0] for row in table.rows] == [*ARMS]
    for row in table.rows:
        assert row[1] == "wheretheressmoke (repeated)"
        assert row[3:6] == row[11:14] == ("0.600", "25 %", "0.310")
        assert row[6] != "n/a"
        assert row[7:10] == BLANK


def test_regions_of_three_subjects(full: RunReport) -> None:
    table = region_table(full)
    assert table is not None
    assert len(table.rows) == 2 * 2 * len(ARMS)
    assert {row[1] for row in table.rows[: 2 * len(ARMS)]} == {"lh.V1, test", "<b>a b</b>, test"}
    for row in table.rows:
        assert len(row) == len(table.columns) == 2 + 3 * 3
        odd = "<b>" in row[1]
        assert row[2:5] == (
            ("0.100 [0.090, 0.110]", "0.050", "7")
            if odd
            else ("0.200 [0.190, 0.210]", "0.100", "1,234")
        )
        assert (row[5:8] == BLANK) == odd


def test_many_subjects_get_rows(crowd: RunReport) -> None:
    ceilings, regions = ceiling_table(crowd), region_table(crowd)
    assert ceilings is not None
    assert regions is not None
    assert [row[0] for row in ceilings.rows] == sorted(crowd.subjects, key=crowd.subjects.index)
    assert ceilings.spans == tuple((arm, 4) for arm in [*ARMS][:2])
    assert len(regions.rows) == 2 * 2 * len(MANY)
    for row in regions.rows:
        lacks = MANY.index(row[0]) % 3 == 1 and "<b>" in row[1]
        assert (row[2:5] == row[5:8] == BLANK) == lacks


def test_the_page_escapes_names_and_folds_regions(full: RunReport) -> None:
    page = render_page(full)
    assert "<b>a" not in page
    assert "&lt;b&gt;a b&lt;/b&gt;, test" in page
    assert page.count("<details>\n<summary>Regions of interest") == 2
    ids = [part.split('"')[0] for part in page.split('<caption id="')[1:]]
    assert len(ids) == len(set(ids)) == 6


def test_lines_for_machines(full: RunReport) -> None:
    head, *lines = table_tsv(full).splitlines()
    place = head.split("\t").index("cc_norm")
    shown = [line.split("\t")[place] for line in lines]
    assert set(shown) == {"", "0.31"}
    assert shown.count("0.31") == 2 * 2 * len(ARMS)
    assert len(regions_tsv(full).splitlines()) == 1 + 2 * len(full.results)


def test_what_does_not_belong_is_refused(full: RunReport) -> None:
    single = next(r for r in full.results if r.scores.group.presentations == "single")
    repeated = next(r for r in full.results if r.ceiling is not None)
    with pytest.raises(InputError, match="scores of single presentations"):
        replace(single, ceiling=repeated.ceiling)
    with pytest.raises(InputError, match="10 rows"):
        replace(repeated, ceiling=CeilingSummary(10, 10, 200, 50, 0.1, 0.6, 0.3))
    with pytest.raises(InputError, match="each region once"):
        replace(single, regions=(region(V1, 0.2, 3), region(V1, 0.2, 3)))
