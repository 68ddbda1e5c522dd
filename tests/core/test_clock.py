"""The clock against the windows written out by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from brainaligner.core import Clock, InputError


def test_rows_of_ds003020_are_centred_at_11_s_and_every_2_s_after():
    np.testing.assert_array_equal(Clock().centres(4), [11.0, 13.0, 15.0, 17.0])
    assert Clock().centres(0).shape == (0,)


@pytest.mark.parametrize(
    ("shift", "seconds", "row"),
    [
        (0, 10.0, 0),
        (0, 11.999, 0),
        (0, 12.0, 1),
        (0, 9.999, -1),
        (0, 0.0, -5),
        (-1, 8.0, 0),
        (-1, 9.999, 0),
        (-1, 10.0, 1),
        (1, 12.0, 0),
    ],
)
def test_a_time_falls_in_the_window_that_holds_it(shift, seconds, row):
    assert Clock().row_of(np.array([seconds]), shift=shift).tolist() == [row]


@given(
    st.floats(0.5, 5),
    st.floats(-20, 30),
    st.integers(-8, 8),
    st.floats(-100, 1000),
)
def test_windows_tile_time_and_hold_their_own_centres(tr, first, shift, seconds):
    clock = Clock(tr=tr, first=first)
    np.testing.assert_array_equal(clock.row_of(clock.centres(40)), np.arange(40))
    place = (seconds - first) / tr + 0.5
    assume(abs(place - round(place)) > 1e-6)
    row = int(clock.row_of(np.array([seconds]))[0])
    start = first + (row - 0.5) * tr
    assert start <= seconds < start + tr
    assert clock.row_of(np.array([seconds]), shift=shift)[0] == row - shift


@pytest.mark.parametrize(
    "bad",
    [
        {"tr": 0.0},
        {"tr": -2.0},
        {"tr": float("nan")},
        {"tr": float("inf")},
        {"first": float("nan")},
        {"first": float("-inf")},
    ],
)
def test_a_clock_that_cannot_tick_is_refused(bad):
    with pytest.raises(InputError, match="clock"):
        Clock(**bad)
