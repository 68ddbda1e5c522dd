"""Errors say what was got, what was wanted and what to do."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from brainaligner.core import BrainAlignerError, InputError, nearest_name, unknown_name


def test_an_input_error_says_all_four_things_on_one_line():
    error = InputError("here", got="this\n  and that", wanted="more", do="Look again.")
    assert str(error) == "here: got this and that; wanted more. Look again."
    assert (error.where, error.got, error.wanted, error.do) == (
        "here", "this\n  and that", "more", "Look again.",
    )  # fmt: skip


def test_input_errors_are_ours_and_value_errors_and_exit_with_2():
    error = InputError("here", got="a", wanted="b", do="C.")
    assert isinstance(error, BrainAlignerError)
    assert isinstance(error, ValueError)
    assert (error.exit_code, BrainAlignerError.exit_code) == (2, 1)


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("wheretheresmoke", "wheretheressmoke"),
        ("WHERETHERESSMOKE", "wheretheressmoke"),
        ("Alice", "alice"),
        ("zzzz", None),
        ("", None),
    ],
)
def test_nearest_name(name, nearest):
    assert nearest_name(name, ["wheretheressmoke", "alice", "souls"]) == nearest


def test_no_options_have_no_nearest():
    assert nearest_name("alice", []) is None


@given(st.lists(st.text(min_size=1, max_size=8), min_size=1, unique_by=str.lower))
def test_a_name_that_exists_is_its_own_nearest(options):
    assert nearest_name(options[0], options) == options[0]


def test_an_unknown_name_offers_the_nearest():
    error = unknown_name("config.yaml", "key", "sed", ["seed", "level"])
    assert error.do == "Did you mean 'seed'?"
    assert str(error).startswith("config.yaml: got unknown key 'sed'; wanted one of: level, seed.")


def test_an_unknown_name_lists_at_most_twelve():
    options = [f"story{i:02d}" for i in range(30)]
    error = unknown_name("split", "story", "qqq", options)
    assert error.wanted.endswith("story11 and 18 more")
    assert "Did you mean" not in error.do
