"""Rows that entered, rows that are scored and series of stories, with faults planted in them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from brainaligner.core import InputError, zscore
from brainaligner.evaluation import (
    FAULTS,
    WARNINGS,
    Entered,
    Fault,
    ReadAgain,
    Unproven,
    entered_faults,
    make_audit,
    near_rows,
    overlap_faults,
    row_sources,
    series_matches,
    series_peak,
)

TARGETS = 12


def _stories(seed: int, n: int = 6, *, targets: int = TARGETS, phi: float = 0.5):
    """Independent autocorrelated stories of different lengths, z-scored by story."""
    rng = np.random.default_rng(seed)
    found = {}
    for i in range(n):
        noise = rng.standard_normal((70 + 9 * i, targets))
        for t in range(1, len(noise)):
            noise[t] = phi * noise[t - 1] + np.sqrt(1 - phi**2) * noise[t]
        found[f"s{i}"] = zscore(noise).astype(np.float32)
    return found


def _entered(stories, role="fit/responses"):
    return [Entered(role, name, 0, rows) for name, rows in stories.items()]


def _names(found):
    return {one.name for one in found if isinstance(one, Fault)}


def _overlap(scored, fitted, role="fit/responses"):
    return _names(
        overlap_faults(_entered(scored, "score/responses"), _entered(fitted, role), where="here")
    )


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    n_test=st.integers(1, 4),
    phi=st.sampled_from([0.0, 0.4, 0.75, 0.9]),
    targets=st.sampled_from([1, 2, 3, 6, 20]),
)
def test_independent_stories_are_never_accused(seed, n_test, phi, targets):
    stories = _stories(seed, targets=targets, phi=phi)
    scored = dict(list(stories.items())[:n_test])
    rest = dict(list(stories.items())[n_test:])
    assert not _overlap(scored, rest)
    assert not series_matches(scored, rest)
    assert not series_matches(stories, stories)
    assert not list(entered_faults(_entered(stories), ReadAgain("P", stories), where="here"))


@pytest.mark.parametrize(
    ("role", "name"), [("fit", "test-rows-in-fit"), ("choose", "chosen-on-test")]
)
@pytest.mark.parametrize(
    "change",
    [
        lambda rows: rows,
        lambda rows: rows[10:40],
        lambda rows: rows[np.random.default_rng(0).permutation(len(rows))],
        lambda rows: (3 * rows + 7).astype(np.float32),
        lambda rows: np.concatenate([rows[7:], rows[:7]]),
        lambda rows: (rows + 0.01 * np.random.default_rng(1).standard_normal(rows.shape)).astype(
            np.float32
        ),
    ],
)
def test_scored_rows_among_the_others_are_named(role, name, change):
    stories = _stories(0, targets=20)
    scored = {"s0": stories.pop("s0")}
    stories["copy"] = change(scored["s0"])
    assert _overlap(scored, stories, f"{role}/responses") == {name}


def test_too_few_targets_are_said_and_not_guessed():
    stories = _stories(1, targets=3)
    scored = {"s0": stories.pop("s0")}
    found = list(
        overlap_faults(_entered(scored, "score/responses"), _entered(stories), where="here")
    )
    assert [type(one) for one in found] == [Unproven]


def test_fillers_and_spikes_are_no_copies():
    stories = _stories(2, targets=20)
    filler, spike = np.arange(20, dtype=np.float32), np.full(20, 60, dtype=np.float32)
    for rows in stories.values():
        rows[20:26] = filler
        rows[[33, 41, 50]] += spike
    scored = {"s0": stories.pop("s0")}
    assert not _overlap(scored, stories)


def test_row_sources_finds_every_row_where_it_stands():
    stories = _stories(3)
    rows = np.concatenate([stories["s4"][5:9], stories["s1"][60:62]])
    names, places = row_sources(rows, stories)
    assert names == ["s4"] * 4 + ["s1"] * 2
    assert places.tolist() == [5, 6, 7, 8, 60, 61]


def test_near_rows_has_no_bound_for_few_columns_and_none_found_for_none():
    stories = _stories(4, targets=2)
    assert np.isnan(near_rows([stories["s0"]], [stories["s1"]]).bound)


def test_series_peak_is_a_correlation_at_the_right_lag():
    rows = _stories(5, 1, targets=8)["s0"].astype(np.float64)
    padded = np.concatenate([np.random.default_rng(0).standard_normal((13, 8)), rows])
    r, lag = series_peak(rows, padded)
    assert lag == 13
    assert 0.9 < r <= 1.0
    for seed in range(20):
        a, b = _stories(seed, 2, targets=1, phi=0.95).values()
        assert -1.0 <= series_peak(a, b)[0] <= 1.0


@pytest.mark.parametrize("phi", [0.3, 0.9])
def test_a_copy_under_another_name_stands_out(phi):
    stories = _stories(6, phi=phi, targets=20)
    noise = np.random.default_rng(1).standard_normal(stories["s0"].shape)
    copy = (zscore(stories["s0"] + 0.5 * noise)).astype(np.float32)
    (match,) = series_matches({"s0": stories["s0"]}, {**stories, "again": copy, "s0": copy})
    assert (match.story, match.other, match.lag) == ("s0", "again", 0)


def _read_again(stories, **more):
    return ReadAgain("P", stories, **more)


def _changed(change, seed=7):
    stories = _stories(seed, targets=16)
    altered = {name: change(name, rows, stories) for name, rows in stories.items()}
    return _names(entered_faults(_entered(altered), _read_again(stories), where="here"))


def _shuffled(name, rows, stories):
    return rows[np.random.default_rng(len(rows)).permutation(len(rows))]


def _chunks(name, rows, stories):
    return np.concatenate([rows[40:60], rows[:40], rows[60:]])


def test_what_happened_to_rows_is_named():
    assert _changed(lambda name, rows, stories: rows) == set()
    assert _changed(_shuffled) == {"shuffled-rows"}
    assert _changed(_chunks) == {"random-chunks"}
    assert _changed(lambda name, rows, stories: rows**3) == {"responses-not-the-dataset"}


def test_responses_of_another_subject_are_named():
    own, theirs = _stories(8), _stories(9)
    found = entered_faults(_entered(theirs), _read_again(own, others={"Q": theirs}), where="here")
    assert _names(found) == {"other-subject-responses"}


def test_an_average_with_a_repeated_story_is_named():
    stories = _stories(10)
    n = len(stories["s0"])
    mixed = {"s0": (stories["s0"] + stories["s5"][:n]) / 2}
    dataset = _read_again(stories, repeated=frozenset({"s5"}))
    assert _names(entered_faults(_entered(mixed), dataset, where="here")) == {"mixed-presentations"}


@pytest.mark.parametrize("pooled", [True, False])
def test_scaling_by_all_rows_is_told_from_scaling_by_training_rows(pooled):
    rng = np.random.default_rng(11)
    raw = {
        name: (rows * rng.uniform(0.5, 2) + rng.normal()).astype(np.float32)
        for name, rows in _stories(11).items()
    }
    fitted, scored = list(raw)[:4], list(raw)[4:]
    heap = np.concatenate([raw[name] for name in (list(raw) if pooled else fitted)])
    scaled = {
        name: ((rows - heap.mean(0)) / heap.std(0)).astype(np.float32) for name, rows in raw.items()
    }
    entered = [
        *_entered({name: scaled[name] for name in fitted}),
        *_entered({name: scaled[name] for name in scored}, "score/responses"),
    ]
    named = _names(entered_faults(entered, _read_again(raw), where="here"))
    assert named == {"pooled-scaling" if pooled else "responses-not-the-dataset"}


def test_an_empty_side_is_no_fault():
    assert not list(entered_faults([], _read_again({}), where="here"))
    assert not list(overlap_faults([], [], where="here"))
    stories = _stories(12)
    altered = {name: rows + 1 for name, rows in stories.items()}
    scored = _entered(altered, "score/responses")
    assert _names(entered_faults(scored, _read_again(stories), where="here")) == {
        "responses-not-the-dataset"
    }


def test_an_audit_sorts_counts_and_judges():
    faults = [Fault("shuffled-rows", f"story {i}", "", "") for i in range(12)]
    audit = make_audit([*faults, faults[0], Fault("no-memory", "P", "", "")], keep=3)
    assert audit.verdict == "FAIL"
    assert [fault.where for fault in audit.faults][-1] == "elsewhere"
    assert audit.faults[-1].figure == "9 more"
    assert FAULTS["shuffled-rows"] in audit.reason
    assert make_audit([Fault("no-memory", "P", "", "")]).verdict == "WARN"
    assert make_audit([]).verdict == "PASS"
    assert not set(FAULTS) & set(WARNINGS)
    with pytest.raises(InputError, match="known name"):
        Fault("no-such-fault", "", "", "")
