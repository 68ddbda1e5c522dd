"""The verdict: what plain words say of paired intervals, and when they say nothing."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

import pytest
from made_reports import ARMS, SUBJECTS

from brainaligner.report import RunReport, page_texts, render_page, verdict

REFERENCE, MIDDLE, BEST = ARMS
ENDS = {"better": (0.001, 0.01), "worse": (-0.01, -0.001), "undecided": (-0.01, 0.01),
        "touching": (0.0, 0.01), "none": (math.nan, math.nan)}  # fmt: skip


def faring(report: RunReport, fared: Mapping[str, tuple[str, ...]]) -> RunReport:
    """The same report, in which arms fare as told in each subject."""
    differences = [
        replace(one, interval=replace(one.interval, low=ENDS[how][0], high=ENDS[how][1]))
        for one in report.differences
        if one.arm in fared
        for how in [fared[one.arm][SUBJECTS.index(one.subject)]]
    ]
    return replace(report, differences=tuple(differences))


@pytest.mark.parametrize(
    ("fared", "said"),
    [
        (("better",) * 3, f"better than {REFERENCE} in all 3 subjects."),
        (("worse",) * 3, f"worse than {REFERENCE} in all 3 subjects."),
        (("undecided", "touching", "none"), "no difference from"),
        (("better", "undecided", "better"), "in 2 of 3 subjects, undecided in 1."),
        (("better", "worse", "undecided"), "in 1 of 3 subjects, worse in 1, undecided in 1."),
        (("worse", "worse", "undecided"), "in 0 of 3 subjects, worse in 2, undecided in 1."),
    ],
)
def test_each_arm_is_said_to_fare_as_its_intervals_do(
    components: RunReport, fared: tuple[str, ...], said: str
) -> None:
    (line,) = verdict(faring(components, {BEST: fared})).lines
    assert line.startswith(f"{BEST}: ")
    assert said in line


def test_arms_that_fare_alike_share_a_sentence_and_the_best_come_first(
    components: RunReport,
) -> None:
    alike = verdict(faring(components, {MIDDLE: ("better",) * 3, BEST: ("better",) * 3}))
    assert [line.partition(": ")[0] for line in alike.lines] == [f"{MIDDLE}, {BEST}"]
    apart = verdict(faring(components, {MIDDLE: ("worse",) * 3, BEST: ("better",) * 3}))
    assert [line.partition(": ")[0] for line in apart.lines] == [BEST, MIDDLE]
    assert "95 % interval" in apart.basis
    assert REFERENCE in apart.basis


def test_one_subject_is_no_three(components: RunReport) -> None:
    one = tuple(d for d in components.differences if d.subject == SUBJECTS[0])
    lines = verdict(replace(faring(components, {BEST: ("better",) * 3}), differences=one)).lines
    assert lines
    assert all("the one subject" in line for line in lines)


def test_a_report_that_is_not_valid_or_has_one_arm_has_none(components: RunReport) -> None:
    invalid = verdict(replace(components, audit="NOT VALID: scores-not-reproduced"))
    assert invalid.lines == ("None: the audit failed, and no number here may be used.",)
    alone = verdict(replace(components, differences=()))
    assert alone.lines == ("None: no arm was compared with another.",)
    assert invalid.basis == alone.basis == ""


@pytest.mark.parametrize("language", ["en", "ja"])
def test_a_page_begins_with_it(components: RunReport, language: str) -> None:
    page = render_page(components, language=language)
    found = verdict(components, texts=page_texts(language))
    first = page.index(found.lines[0])
    assert page.index("<h1>") < first < page.index('id="findings"')
    assert found.basis in page


def test_simulated_data_are_called_so(voxels: RunReport) -> None:
    assert "Verdict on SIMULATED DATA</h2>" in render_page(voxels)
