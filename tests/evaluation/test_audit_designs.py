"""Designs and words as they entered, with faults planted in them."""

from __future__ import annotations

import numpy as np
import pytest

from brainaligner.core import text_hashes, zscore
from brainaligner.evaluation import (
    MOST_SHARED,
    Entered,
    MadeAgain,
    design_faults,
    shared_words,
)

DELAYS = (1, 2)


def _raw(seed=0, n=5, columns=6):
    rng = np.random.default_rng(seed)
    return {
        f"s{i}": (rng.standard_normal((80 + 5 * i, columns)) * rng.uniform(0.5, 2)
                  + rng.normal()).astype(np.float32)
        for i in range(n)
    }  # fmt: skip


def _delayed(values):
    parts = []
    for delay in DELAYS:
        part = np.zeros_like(values)
        part[delay:] = values[:-delay]
        parts.append(part)
    return np.concatenate(parts, axis=1)


def _responses(stories, seed=1):
    rng = np.random.default_rng(seed)
    return {name: rng.standard_normal((len(rows), 5)) for name, rows in stories.items()}


def _named(change, *, role=None):
    raw = _raw()
    made = {name: _delayed(zscore(rows).astype(np.float32)) for name, rows in raw.items()}
    unscaled = {name: _delayed(rows) for name, rows in raw.items()}
    responses = _responses(raw)
    again = MadeAgain(made, responses, DELAYS, unscaled)
    entered = [
        Entered("fit/design" if i < 3 else "predict/design", name, 0,
                change(name, made, raw, responses).astype(np.float32))
        for i, name in enumerate(raw)
    ]  # fmt: skip
    return {fault.name for fault in design_faults(entered, again, where="here")}


def _other_story(name, made, raw, responses):
    longer = [other for other in made if len(made[other]) > len(made[name])]
    return made[longer[0]][: len(made[name])] if longer else made[name]


def _across(name, made, raw, responses):
    rows = made[name].copy()
    rows[: max(DELAYS)] = np.random.default_rng(0).standard_normal((max(DELAYS), rows.shape[1]))
    return rows


def _pooled(name, made, raw, responses):
    heap = np.concatenate(list(raw.values()))
    return _delayed((raw[name] - heap.mean(0)) / heap.std(0))


def _turned(name, made, raw, responses):
    return np.tanh(made[name][:, ::-1])


def _brain(name, made, raw, responses):
    rows = made[name].copy()
    rows[:, :5] += responses[name]
    return rows


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda name, made, raw, responses: made[name], set()),
        (lambda name, made, raw, responses: made[name] * (1 + 1e-7), set()),
        (lambda name, made, raw, responses: np.roll(made[name], -1, axis=0), {"features-shifted"}),
        (lambda name, made, raw, responses: made[name][::-1], {"shuffled-rows"}),
        (lambda name, made, raw, responses: made[name][:, :-1], {"features-not-reproduced"}),
        (
            lambda name, made, raw, responses: np.tanh(made[name][:, ::-1]),
            {"features-not-reproduced"},
        ),
        (_other_story, {"features-other-story"}),
        (_across, {"delays-across-stories"}),
        (_pooled, {"pooled-scaling"}),
        (_brain, {"brain-at-evaluation"}),
    ],
)  # fmt: skip
def test_what_happened_to_designs_is_named(change, named):
    assert _named(change) == named


def _words(*parts):
    return text_hashes(word for part in parts for word in part)


def _said(seed, n):
    rng = np.random.default_rng(seed)
    return [f"w{i}" for i in rng.integers(0, 500, n)]


def test_a_story_told_twice_shares_its_words():
    stories = {f"s{i}": _words(_said(i, 300)) for i in range(6)}
    stories["again"] = stories["s2"]
    shared = shared_words(stories, stories)
    assert shared["s2"] == ("again", 1.0)
    assert shared["s0"][1] == 0.0
    stories["half"] = _words(_said(3, 300)[:150], _said(99, 150))
    assert shared_words(stories, stories)["s3"][1] > MOST_SHARED


def test_an_opening_that_all_stories_share_counts_for_none():
    opening = _said(77, 60)
    stories = {f"s{i}": _words(opening, _said(i, 200)) for i in range(6)}
    assert all(share == 0.0 for _, share in shared_words(stories, stories).values())


def test_the_opening_of_a_series_is_far_from_a_story_told_twice():
    opening = _said(77, 40)
    stories = {f"s{i}": _words(opening if i < 3 else [], _said(i, 300)) for i in range(12)}
    assert 0 < max(share for _, share in shared_words(stories, stories).values()) < MOST_SHARED
