"""Each sign of an accident is said, and nothing is said without one."""

from __future__ import annotations

from dataclasses import replace

import pytest

from brainaligner.evaluation import Finding, Interval, Summary, find_warnings

REAL = Summary(
    arm="frozen", subject="UTS01", group="test", presentations="single",
    label="held-out stories", space_kind="voxels", rows_cut=0, n_stories=14, n_rows=4000,
    n_targets=100, n_scored=100, mean=0.084, median=0.068, skew=0.9,
    quantiles=(-0.01, 0.03, 0.12, 0.22, 0.3, 0.4),
    interval=Interval(0.07, 0.1, 0.95, "studentised bootstrap over stories", 14, False),
    share_above_null=0.7, null_mean=0.0, null_sd=0.01,
)  # fmt: skip


def test_honest_scores_get_no_remark():
    assert find_warnings([REAL, replace(REAL, subject="UTS02")]) == ()
    assert find_warnings([]) == ()


def test_constant_targets_are_counted():
    (finding,) = find_warnings([replace(REAL, n_scored=97)])
    assert finding.severity == "warn"
    assert "3 of 100 voxels" in finding.text


def test_nothing_scored_is_a_failure_and_comes_first():
    nothing = replace(REAL, n_scored=0, mean=float("nan"), median=float("nan"))
    found = find_warnings([replace(REAL, n_stories=7), replace(REAL, n_scored=1), nothing])
    assert [finding.severity for finding in found] == ["fail", "warn", "note"]


@pytest.mark.parametrize(("n_stories", "said"), [(1, True), (7, True), (8, False), (14, False)])
def test_fewer_than_eight_stories_are_noted(n_stories, said):
    found = find_warnings([replace(REAL, n_stories=n_stories)])
    assert [finding.severity for finding in found] == ["note"] * said
    assert all("conditional on them" in finding.text for finding in found)


def test_edges_and_replaced_values_are_passed_on():
    found = find_warnings(
        [],
        edges={"frozen, UTS01": "alpha 1000 of 0.01 to 1000"},
        replaced={"UTS01, alice": 3, "UTS01, bob": 0},
    )
    assert found == (
        Finding(
            "warn", "frozen, UTS01", "chosen at the edge of its grid: alpha 1000 of 0.01 to 1000"
        ),
        Finding("note", "UTS01, alice", "3 NaN or infinite values were set to 0"),
    )
