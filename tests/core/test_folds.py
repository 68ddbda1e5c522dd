"""Folds of stories for cross-fitting."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from brainaligner.core import InputError, story_folds

names = st.sets(st.text("abcdef", min_size=1, max_size=4), min_size=2, max_size=40)


@given(names, st.integers(2, 6), st.integers(0, 3), st.randoms())
def test_folds_hold_each_story_once_whatever_the_order(stories, n_folds, seed, random):
    n_folds = min(n_folds, len(stories))
    shuffled = list(stories)
    random.shuffle(shuffled)
    folds = story_folds(shuffled, n_folds, seed=seed)
    assert sorted(story for fold in folds for story in fold) == sorted(stories)
    assert len(folds) == n_folds
    assert max(map(len, folds)) - min(map(len, folds)) <= 1
    assert folds == story_folds(sorted(stories), n_folds, seed=seed)


def test_another_seed_divides_otherwise():
    stories = [f"story{i}" for i in range(20)]
    assert story_folds(stories, 4, seed=0) != story_folds(stories, 4, seed=1)


@pytest.mark.parametrize("n_folds", [0, 1, 4])
def test_folds_that_cannot_be_are_refused(n_folds):
    with pytest.raises(InputError, match=f"{n_folds} folds of 3 stories"):
        story_folds(["a", "b", "c"], n_folds)
