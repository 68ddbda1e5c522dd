"""Rules of the diagnostics: each catches what it is there for, and leaves honest numbers alone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from diagnostic_cases import REAL, SHUFFLED, subjects

from brainaligner.core import StoryGroup
from brainaligner.evaluation import (
    DIAGNOSTIC_NAMES,
    DIAGNOSTIC_RULES,
    CeilingSummary,
    Diagnostic,
    Interval,
    SimulationCheck,
    StoryLikeness,
    apart_diagnostics,
    autocorrelation_diagnostic,
    ceiling_diagnostic,
    complete_diagnostics,
    control_diagnostic,
    crossed_kinds,
    edge_diagnostic,
    inner_diagnostic,
    lag_diagnostic,
    null_diagnostic,
    onset_diagnostic,
    shape_diagnostics,
    simulation_diagnostic,
    story_twin_diagnostic,
    subjects_diagnostic,
    voxel_count_diagnostic,
)


def verdicts(found):
    return [one.verdict for one in found]


def test_every_number_has_a_name_and_a_rule_or_is_the_audits():
    assert set(DIAGNOSTIC_NAMES) == set(range(1, 15))
    assert set(DIAGNOSTIC_NAMES) - set(DIAGNOSTIC_RULES) == {4}


def test_numbers_nobody_looked_at_are_not_run_and_order_is_by_number_then_verdict():
    given = [
        Diagnostic(9, "b", "", "PASS", "", ""),
        Diagnostic(9, "a", "", "FAIL", "", ""),
        Diagnostic(2, "c", "", "WARN", "", ""),
    ]
    found = complete_diagnostics(given)
    assert [one.number for one in found] == sorted([*range(1, 15), 9])
    assert [(one.number, one.verdict) for one in found if one.number in (2, 9)] == [
        (2, "WARN"),
        (9, "FAIL"),
        (9, "PASS"),
    ]
    assert {one.verdict for one in found if one.number not in (2, 9)} == {"NOT RUN"}


def test_scores_like_those_of_a_shuffled_split_are_called_so():
    (found,) = shape_diagnostics(subjects(SHUFFLED, 0.1961, 0.1960, 0.1997))
    assert found.verdict == "WARN"
    assert found.where == "frozen, test, 0 rows cut"
    assert "shuffled split or a selected voxel set" in found.advice


def test_real_subjects_differ_and_are_skewed():
    assert verdicts(shape_diagnostics(subjects(REAL, 0.084, 0.114, 0.139))) == ["PASS"]


@pytest.mark.parametrize(
    "change",
    [{"median": 0.19}, {"median": 0.205}, {"skew": 0.3}, {"skew": -0.3}, {"skew": float("nan")}],
)
def test_one_subject_that_looks_real_ends_the_suspicion(change):
    summaries = subjects(SHUFFLED, 0.1973, 0.1973, 0.1973)
    summaries[1] = replace(summaries[1], **change)
    assert verdicts(shape_diagnostics(summaries)) == ["PASS"]


@pytest.mark.parametrize(
    ("means", "verdict"),
    [((0.19, 0.20, 0.21), "PASS"), ((0.1973,), "NOT RUN"), ((0.19, 0.1941), "PASS")],
)
def test_subjects_that_differ_or_one_alone_are_not_suspect(means, verdict):
    assert verdicts(shape_diagnostics(subjects(SHUFFLED, *means))) == [verdict]


@pytest.mark.parametrize("other", [0.1973, float("nan")])
def test_means_that_are_not_finite_are_no_shape(other):
    summaries = subjects(SHUFFLED, float("nan"), other)
    assert verdicts(shape_diagnostics(summaries)) == ["NOT RUN"]


def test_arms_groups_and_cuts_are_looked_at_apart():
    first, second = subjects(SHUFFLED, 0.1973, 0.1973)
    for change in ({"arm": "tuned"}, {"group": "wheretheressmoke"}, {"rows_cut": 10}):
        assert verdicts(shape_diagnostics([first, replace(second, **change)])) == ["NOT RUN"] * 2


@pytest.mark.parametrize(
    ("mean", "sd", "strict", "verdict"),
    [
        (0.02, 0.01, True, "FAIL"),
        (-0.02, 0.01, True, "FAIL"),
        (0.02, 0.01, False, "WARN"),
        (0.02, 0.05, True, "PASS"),  # within three standard errors
        (0.001, 0.001, True, "FAIL"),  # little, and 4.5 standard errors
        (0.0006, 0.001, True, "PASS"),  # 2.7
        (float("nan"), 0.0, True, "NOT RUN"),
    ],
)
def test_nulls_are_judged_by_standard_errors(mean, sd, strict, verdict):
    values = mean + sd * np.tile([-1.0, 1.0], 10) * np.sqrt(19 / 20)
    sound = np.tile([-0.001, 0.001], 10)
    found = null_diagnostic("a", {"noise": values, "reversed": sound}, strict=strict)
    assert found.verdict == ("PASS" if np.isnan(mean) else verdict)
    assert null_diagnostic("a", {"noise": values}, strict=strict).verdict == verdict


def null_draws(mean, n_draws, *, error=0.001):
    """Draws of this mean and standard error."""
    away = np.tile([-1.0, 1.0], n_draws // 2) * error * np.sqrt(n_draws - 1)
    return mean + away


@pytest.mark.parametrize(
    ("again", "strict", "verdict"),
    [
        (0.0035, True, "FAIL"),  # fresh draws agree
        (0.0035, False, "WARN"),
        (0.001, True, "WARN"),  # they lie within their bound: it was chance
        (-0.0035, True, "WARN"),  # they are off on the other side
        (None, True, "FAIL"),  # nobody drew again
    ],
)
def test_nulls_that_are_off_are_asked_again(again, strict, verdict):
    draws = {"noise": null_draws(0.004, 20), "shifted": null_draws(0.001, 20)}
    assert crossed_kinds(draws) == ("noise",)
    fresh = {} if again is None else {"noise": null_draws(again, 100)}
    found = null_diagnostic("a", draws, strict=strict, again=fresh)
    assert found.verdict == verdict
    assert ("100 times again" in found.figure) == (again is not None)


@pytest.mark.parametrize(("n_draws", "off"), [(20, True), (10, False), (2, False)])
def test_few_draws_know_their_own_spread_badly(n_draws, off):
    assert bool(crossed_kinds({"noise": null_draws(0.0035, n_draws)})) == off


def test_the_kind_that_is_off_is_named():
    rng = np.random.default_rng(0)
    draws = {"noise": rng.normal(0, 0.01, 20), "shifted": rng.normal(0.1, 0.01, 20)}
    assert "(shifted)" in null_diagnostic("a", draws, strict=True).advice


@pytest.mark.parametrize(
    ("controls", "verdict"),
    [
        ({"Z alone": {"A": 0.06, "B": 0.07}, "untrained": {"A": 0.01, "B": 0.01}}, "PASS"),
        ({"Z alone": {"A": 0.06, "B": 0.11}}, "WARN"),
        ({"untrained": {"A": 0.12}}, "WARN"),
        ({"untrained": {"A": float("nan")}}, "NOT RUN"),
        ({"untrained": {"A": float("nan"), "B": 0.05}}, "NOT RUN"),
        ({"untrained": {"A": float("nan"), "B": 0.11}}, "WARN"),
        ({"untrained": {}}, "NOT RUN"),
        ({}, "NOT RUN"),
    ],
)
def test_an_arm_has_to_beat_its_controls_in_every_subject(controls, verdict):
    assert control_diagnostic("arm", {"A": 0.1, "B": 0.1}, controls).verdict == verdict


@pytest.mark.parametrize(
    ("cc_norm", "verdict"),
    [(0.6, "PASS"), (1.05, "WARN"), (1.3, "FAIL"), (float("nan"), "NOT RUN")],
)
def test_r_above_the_ceiling_fails(cc_norm, verdict):
    ceiling = CeilingSummary(10, 291, 100, 90, 0.2, 0.4, cc_norm)
    assert ceiling_diagnostic("a", ceiling).verdict == verdict
    assert ceiling_diagnostic("a", None).verdict == "NOT RUN"


@pytest.mark.parametrize(
    ("inner", "half_width", "verdict"),
    [
        (0.09, 0.01, "PASS"),
        (0.11, 0.01, "WARN"),
        (0.15, 0.01, "FAIL"),
        (0.15, 0.10, "WARN"),  # few short stories: the gap is within chance
        (0.02, 0.01, "WARN"),  # test far above validation
        (0.02, 0.10, "PASS"),
        (float("nan"), 0.01, "NOT RUN"),
    ],
)
def test_inner_r_is_held_against_test_r(inner, half_width, verdict):
    interval = Interval(0.084 - half_width, 0.084 + half_width, 0.95, "stories", 14, False)
    test = replace(REAL, interval=interval)
    assert inner_diagnostic("a", inner, test, inner_rows=3000).verdict == verdict


@pytest.mark.parametrize(
    ("level", "gap", "verdict"),
    [(0.5, 0.12, "WARN"), (0.5, 0.17, "FAIL"), (0.95, 0.08, "FAIL"), (0.99, 0.08, "FAIL")],
)
def test_the_standard_error_of_an_interval_goes_by_its_level(level, gap, verdict):
    # half of it is .05: .074 of standard error at 50 %, .026 at 95 %, .019 at 99 %
    test = replace(REAL, interval=Interval(0.034, 0.134, level, "stories", 14, False))
    inner = REAL.mean + gap
    assert inner_diagnostic("a", inner, test, inner_rows=100_000).verdict == verdict


@pytest.mark.parametrize(("gap", "verdict"), [(0.3, "WARN"), (-0.3, "WARN"), (0.01, "PASS")])
def test_a_gap_without_an_error_never_fails(gap, verdict):
    interval = Interval(float("nan"), float("nan"), 0.95, "too few rows", 4, True)
    test = replace(REAL, interval=interval)
    assert inner_diagnostic("a", REAL.mean + gap, test, inner_rows=3000).verdict == verdict


def test_a_test_mean_that_is_not_finite_is_held_against_nothing():
    found = inner_diagnostic("a", 0.1, replace(REAL, mean=float("nan")), inner_rows=3000)
    assert found.verdict == "NOT RUN"
    assert "no inner r" not in found.figure


@pytest.mark.parametrize(
    ("r", "verdict"),
    [
        ({0: float("nan"), 10: float("nan")}, "NOT RUN"),
        ({0: 0.1, 10: float("nan"), 50: 0.09}, "NOT RUN"),
        ({0: 0.1, 10: 0.09, 50: 0.08}, "PASS"),
        ({0: 0.1, 10: 0.07, 50: 0.08}, "WARN"),
        ({0: 0.1, 10: 0.09, 50: 0.05}, "WARN"),
        ({0: 0.004, 10: 0.0, 50: 0.0}, "PASS"),  # nothing there to lose
        ({0: 0.1}, "NOT RUN"),
    ],
)
def test_r_that_hangs_on_story_starts_is_said(r, verdict):
    assert onset_diagnostic("a", r).verdict == verdict


def test_a_group_that_mixes_presentations_fails():
    groups = {
        "A": (StoryGroup("test", ("x", "y")),),
        "B": (StoryGroup("test", ("x",)), StoryGroup("y", ("y",), "repeated")),
    }
    assert verdicts(apart_diagnostics(groups, {"x": 1, "y": 10})) == ["FAIL", "PASS"]


def curve(peak, *, height=0.1):
    delays = np.arange(-4, 9)
    noise = 0.002 * np.sin(np.arange(13.0))
    return delays.tolist(), height * np.exp(-((delays - peak) ** 2) / 4.0) + noise


@pytest.mark.parametrize(
    ("peak", "tr", "verdict"),
    [(2, 2.0, "PASS"), (3, 2.0, "PASS"), (0, 2.0, "WARN"), (6, 2.0, "WARN"), (5, 1.0, "PASS")],
)
def test_bold_follows_words_by_four_to_six_seconds(peak, tr, verdict):
    delays, r = curve(peak)
    found = lag_diagnostic("a", delays, r, tr=tr)
    assert found.verdict == verdict
    assert f"peak at {peak}" in found.figure


def test_a_flat_lag_curve_has_no_peak():
    delays, r = curve(2, height=0.001)
    found = lag_diagnostic("a", delays, r, tr=2.0)
    assert found.verdict == "WARN"
    assert "No delay stands out" in found.advice


def test_a_map_of_slowness_is_called_one():
    rng = np.random.default_rng(1)
    slow = rng.uniform(0.3, 0.9, 200)
    assert autocorrelation_diagnostic("a", slow**2, slow).verdict == "WARN"
    assert autocorrelation_diagnostic("a", rng.normal(size=200), slow).verdict == "PASS"
    assert autocorrelation_diagnostic("a", slow[:20], slow[:20]).verdict == "NOT RUN"


def test_responses_that_are_not_slow_are_suspect():
    rng = np.random.default_rng(1)
    found = autocorrelation_diagnostic("a", rng.normal(size=99), rng.normal(0, 0.02, 99))
    assert found.verdict == "WARN"
    assert "order of time" in found.advice


@pytest.mark.parametrize(
    ("r", "spread", "verdict"),
    [
        (0.14, 0.007, "PASS"),  # the most alike pair of real stories
        (0.25, 0.01, "WARN"),
        (0.45, 0.03, "FAIL"),
        (0.45, 0.08, "PASS"),  # few rows and targets are alike by chance
    ],
)
def test_a_story_that_trained_under_another_name_fails(r, spread, verdict):
    assert story_twin_diagnostic("a", StoryLikeness("x", "y", r, 0, spread)).verdict == verdict


@pytest.mark.parametrize(
    ("likeness", "shared", "compared", "verdict"),
    [(0.2, 0, 9, "PASS"), (0.92, 0, 9, "WARN"), (0.99, 0, 9, "FAIL"), (0.2, 1, 9, "FAIL"),
     (0.0, 0, 0, "NOT RUN")],
)  # fmt: skip
def test_one_person_twice_fails(likeness, shared, compared, verdict):
    found = subjects_diagnostic("A and B", likeness=likeness, shared=shared, compared=compared)
    assert found.verdict == verdict


@pytest.mark.parametrize(
    ("subject", "count", "verdict"),
    [("UTS01", 81_126, "PASS"), ("UTS01", 94_251, "FAIL"), ("UTS02", 10_000, "WARN")],
)
def test_voxels_of_another_subject_fail(subject, count, verdict):
    assert voxel_count_diagnostic(subject, count).verdict == verdict


def test_the_edge_of_a_grid_is_passed_on():
    assert edge_diagnostic("a", "1000", None).verdict == "PASS"
    found = edge_diagnostic("a", "1000", "extend the grid")
    assert (found.verdict, found.advice) == ("WARN", "extend the grid")


SOUND = SimulationCheck(0.5, 0.48, 0.001, 0.005, 0.05)


@pytest.mark.parametrize(
    ("change", "verdict"),
    [
        ({}, "PASS"),
        ({"recovered": 0.3}, "WARN"),
        ({"null_mean": 0.03}, "FAIL"),
        ({"null_share": 0.3}, "FAIL"),
        ({"recovered": float("nan")}, "WARN"),
    ],
)
def test_simulations_are_judged(change, verdict):
    assert simulation_diagnostic("a", replace(SOUND, **change)).verdict == verdict
