"""Divisions: leakage cannot be written down."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from brainaligner.core import InputError, Piece, Split, WithinStorySplit, draw_split

STORIES = tuple(f"story{i:02d}" for i in range(84))


def rows_of(pieces, n_rows):
    return np.concatenate([np.arange(n_rows)[piece.rows] for piece in pieces])


def sides_of(split):
    return [set(side) for side in (split.train, split.validation, split.test, split.test_repeated)]


def test_a_split_is_one_fold_of_whole_stories():
    split = Split(("a", "b"), ("c",), ("d",), ("e",))
    (fold,) = split.folds
    assert fold.train == (Piece("a"), Piece("b"))
    assert fold.validation == (Piece("c"),)
    assert fold.test == (Piece("d"), Piece("e"))
    assert split.stories == ("a", "b", "c", "d", "e")
    assert split.label == "held-out stories"
    assert Piece("a").rows == slice(0, None)


@pytest.mark.usefixtures("unchecked")
def test_sides_become_tuples_and_equal_splits_are_equal():
    assert Split(["a"], ["b"], ["c"]) == Split(("a",), ("b",), ("c",))
    assert hash(Split(["a"], ["b"], ["c"])) == hash(Split(("a",), ("b",), ("c",)))


@pytest.mark.parametrize("first", range(4))
@pytest.mark.parametrize("second", range(4))
@pytest.mark.usefixtures("unchecked")
def test_no_story_can_stand_twice(first, second):
    sides = [["a"], ["b"], ["c"], ["d"]]
    sides[first].append("shared")
    sides[second].append("shared")
    with pytest.raises(InputError, match="'shared' twice"):
        Split(*sides)


@pytest.mark.parametrize(
    ("sides", "missing"),
    [
        (((), ("b",), ("c",)), "train"),
        ((("a",), (), ("c",)), "validation"),
        ((("a",), ("b",), ()), "test"),
        (((), (), ()), "train"),
        (((), (), (), ("d",)), "train"),
    ],
)
def test_a_side_without_stories_is_refused(sides, missing):
    with pytest.raises(InputError, match=f"no {missing} story"):
        Split(*sides)


def test_repeated_stories_alone_may_test():
    assert Split(("a",), ("b",), (), ("c",)).folds[0].test == (Piece("c"),)


def test_a_story_that_the_dataset_lacks_gets_the_nearest_name():
    split = Split(("alice",), ("soul",), ("life",))
    split.check_against(["alice", "soul", "life", "extra"])
    with pytest.raises(InputError, match="Did you mean 'souls'"):
        split.check_against(["alice", "souls", "life"], where="study.yaml")


@st.composite
def within_story_splits(draw):
    n_folds, gap = draw(st.integers(3, 9)), draw(st.integers(0, 25))
    shortest = draw(st.integers(2, 40))
    extra = draw(st.integers(0, n_folds - 1))
    return WithinStorySplit("s", n_folds * (shortest + 2 * gap) + extra, n_folds, gap)


@given(within_story_splits())
def test_no_row_is_on_two_sides_and_gap_rows_lie_between_roles(split):
    for fold in split.folds:
        roles = {
            name: rows_of(getattr(fold, name), split.n_rows)
            for name in ("train", "validation", "test")
        }
        owner = np.full(split.n_rows, "", dtype=object)
        for name, rows in roles.items():
            assert len(rows) >= 2
            assert (owner[rows] == "").all()
            owner[rows] = name
        used = np.flatnonzero(owner != "")
        for left, right in pairwise(used):
            if owner[left] != owner[right]:
                assert right - left - 1 >= split.gap


@given(within_story_splits())
def test_each_part_is_tested_once_and_chooses_once(split):
    for side in ("test", "validation"):
        pieces = [piece for fold in split.folds for piece in getattr(fold, side)]
        rows = rows_of(pieces, split.n_rows)
        assert len(set(rows.tolist())) == len(rows)
        assert len(rows) >= split.n_rows - split.gap * split.n_folds
        assert {piece.story for piece in pieces} == {"s"}


def test_without_a_gap_the_folds_use_every_row():
    split = WithinStorySplit("s", 101, n_folds=4, gap=0)
    for fold in split.folds:
        rows = rows_of(fold.train + fold.validation + fold.test, 101)
        np.testing.assert_array_equal(np.sort(rows), np.arange(101))


def test_a_within_story_split_never_calls_itself_held_out():
    split = WithinStorySplit("alice", 362)
    assert split.label == "within one story"
    assert split.stories == ("alice",)
    assert len(split.folds) == 5


@pytest.mark.parametrize(
    "bad",
    [
        {"n_folds": 2},
        {"n_folds": 1},
        {"n_folds": 0},
        {"n_folds": -4},
        {"gap": -1},
        {"gap": 31},
        {"n_rows": 0},
        {"n_rows": -100},
        {"n_rows": 109},
        {"n_folds": 200},
    ],
)
def test_folds_without_rows_are_refused(bad):
    with pytest.raises(InputError, match="within-story split of 'alice'"):
        WithinStorySplit("alice", **{"n_rows": 300, **bad})


def test_counts_that_add_up_are_kept():
    split = draw_split(STORIES, (60, 8, 16))
    assert [len(side) for side in sides_of(split)] == [60, 8, 16, 0]
    assert set(split.stories) == set(STORIES)


@given(
    st.integers(3, 84),
    st.tuples(st.integers(1, 60), st.integers(1, 20), st.integers(1, 20)),
    st.integers(0, 1000),
)
def test_proportions_are_kept_and_every_story_is_used_once(n_stories, counts, seed):
    share = n_stories / sum(counts)
    wanted = [max(1, round(count * share)) for count in counts[1:]]
    assume(sum(wanted) < n_stories)
    split = draw_split(STORIES[:n_stories], counts, seed=seed)
    assert [len(split.validation), len(split.test)] == wanted
    assert len(split.train) == n_stories - sum(wanted)
    assert set(split.stories) == set(STORIES[:n_stories])


def test_the_draw_depends_on_the_seed_and_not_on_the_order_of_stories():
    first = draw_split(STORIES, (60, 8, 16), seed=3)
    assert first == draw_split(STORIES[::-1], (60, 8, 16), seed=3)
    assert first == draw_split(STORIES + STORIES[:5], (60, 8, 16), seed=3)
    others = {draw_split(STORIES, (60, 8, 16), seed=seed).test for seed in range(20)}
    assert len(others) == 20


def test_the_draw_is_the_permutation_that_its_docstring_names():
    order = np.random.default_rng(5).permutation(84)
    expected = tuple(sorted(STORIES[i] for i in order[:60]))
    assert draw_split(STORIES, (60, 8, 16), seed=5).train == expected


def test_every_story_gets_tested_under_some_seed():
    tested = set()
    for seed in range(60):
        tested |= set(draw_split(STORIES, (60, 8, 16), seed=seed).test)
    assert tested == set(STORIES)


@given(st.integers(0, 100))
def test_repeated_stories_are_always_tested_and_always_apart(seed):
    split = draw_split(STORIES, (58, 8, 14), seed=seed, repeated=("story07", "absent", "story50"))
    assert split.test_repeated == ("story07", "story50")
    assert not {"story07", "story50"} & set(split.train + split.validation + split.test)
    assert len(split.stories) == 84


@pytest.mark.parametrize(
    ("stories", "counts", "repeated"),
    [
        ((), (60, 8, 16), ()),
        (STORIES[:2], (1, 1, 1), ()),
        (STORIES[:3], (1, 1, 1), STORIES[:1]),
        (STORIES, (0, 8, 16), ()),
        (STORIES, (60, 0, 16), ()),
        (STORIES, (60, 8, 0), ()),
        (STORIES, (60, -8, 16), ()),
        (STORIES[:3], (1, 8, 16), ()),
        (STORIES[:1] * 9, (1, 1, 1), ()),
    ],
)
def test_draws_that_leave_a_side_empty_are_refused(stories, counts, repeated):
    with pytest.raises(InputError, match="split"):
        draw_split(stories, counts, repeated=repeated)
