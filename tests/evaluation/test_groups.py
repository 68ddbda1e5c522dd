"""Which stories are scored together, and pieces put back in order."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from brainaligner.core import InputError, Piece, Split, StoryGroup, WithinStorySplit
from brainaligner.evaluation import join_pieces, story_groups


def split_of(test=("a", "b", "twice"), repeated=("ten",)):
    return Split(train=("t",), validation=("v",), test=test, test_repeated=repeated)


COUNTS = {"t": 1, "v": 1, "a": 1, "b": 1, "twice": 2, "ten": 10}


def test_repeated_stories_stand_alone_on_whichever_side_they_are():
    groups = story_groups(split_of(), COUNTS)
    assert groups == (
        StoryGroup("test", ("a", "b"), "single"),
        StoryGroup("twice", ("twice",), "repeated"),
        StoryGroup("ten", ("ten",), "repeated"),
    )


def test_a_single_presentation_story_on_the_repeated_side_joins_the_single_ones():
    groups = story_groups(split_of(test=("a",), repeated=("b", "ten")), COUNTS)
    assert [group.stories for group in groups] == [("a", "b"), ("ten",)]


def test_without_single_presentation_stories_there_is_no_test_group():
    groups = story_groups(split_of(test=(), repeated=("ten", "twice")), COUNTS)
    assert [group.name for group in groups] == ["ten", "twice"]


@pytest.mark.parametrize(("count", "kind"), [(1, "single"), (10, "repeated")])
def test_a_within_story_split_gives_its_story(count, kind):
    groups = story_groups(WithinStorySplit("alice", 362), {"alice": count})
    assert groups == (StoryGroup("alice", ("alice",), kind),)


@given(st.lists(st.integers(1, 3), min_size=3, max_size=12))
def test_every_test_story_is_in_one_group_and_no_group_is_mixed(numbers):
    counts = {f"story{i}": number for i, number in enumerate(numbers)}
    train, validation, *tested = counts
    split = Split((train,), (validation,), tuple(tested))
    groups = story_groups(split, counts)
    assert sorted(story for group in groups for story in group.stories) == sorted(tested)
    for group in groups:
        assert {counts[story] > 1 for story in group.stories} == {group.presentations == "repeated"}


@pytest.mark.parametrize("split", [split_of(), WithinStorySplit("a", 300)])
@pytest.mark.parametrize("counts", [{}, {**COUNTS, "a": 0}, {**COUNTS, "a": -2}])
def test_a_missing_or_impossible_number_of_presentations_is_refused(split, counts):
    with pytest.raises(InputError, match="presentations"):
        story_groups(split, counts)


def test_a_misspelled_story_gets_the_nearest_name():
    counts = {**COUNTS, "twicee": 2}
    del counts["twice"]
    with pytest.raises(InputError, match="Did you mean 'twicee'"):
        story_groups(split_of(), counts)


def test_pieces_come_back_in_the_order_of_the_story():
    rows = np.arange(40.0).reshape(20, 2)
    pieces = [Piece("s", 12, 18), Piece("s", 0, 5), Piece("other", 2), Piece("s", 5, 9)]
    joined = join_pieces(pieces, [rows[piece.rows] for piece in pieces])
    assert set(joined) == {"s", "other"}
    np.testing.assert_array_equal(joined["s"], np.r_[rows[0:9], rows[12:18]])
    np.testing.assert_array_equal(joined["other"], rows[2:])


@pytest.mark.parametrize("gap", [0, 3, 10])
def test_folds_of_a_within_story_split_join_to_its_scored_rows(gap):
    split = WithinStorySplit("s", 150, n_folds=5, gap=gap)
    rows = np.arange(150.0)[:, None]
    pieces = [piece for fold in reversed(split.folds) for piece in fold.test]
    joined = join_pieces(pieces, [rows[piece.rows] for piece in pieces])["s"][:, 0]
    assert (np.diff(joined) >= 1).all()
    assert len(joined) == sum(piece.stop - piece.start for piece in pieces)


def test_no_pieces_are_no_stories():
    assert join_pieces([], []) == {}


@pytest.mark.parametrize(
    ("pieces", "shapes"),
    [
        ([Piece("s", 0, 5)], []),
        ([], [(5, 2)]),
        ([Piece("s", 0, 5)], [(4, 2)]),
        ([Piece("s", 0, 5)], [(6, 2)]),
        ([Piece("s", 5, 5)], [(0, 2)]),
        ([Piece("s", 5, 3)], [(2, 2)]),
        ([Piece("s")], [(0, 2)]),
        ([Piece("s", 0, 5), Piece("s", 4, 8)], [(5, 2), (4, 2)]),
        ([Piece("s", 0, 5), Piece("s", 0, 5)], [(5, 2), (5, 2)]),
        ([Piece("s", 4, 8), Piece("s")], [(4, 2), (5, 2)]),
        ([Piece("s", 0, 8), Piece("s", 2, 3)], [(8, 2), (1, 2)]),
        ([Piece("s", 0, 5), Piece("s", 5, 8)], [(5, 2), (3, 3)]),
    ],
)
def test_pieces_that_do_not_fit_are_refused(pieces, shapes):
    with pytest.raises(InputError, match="piece"):
        join_pieces(pieces, [np.zeros(shape) for shape in shapes])
