"""r in the store against r of the rows that were scored."""

from __future__ import annotations

import numpy as np
import pytest

from brainaligner.study._audit_numbers import _r_faults

NAN = float("nan")


@pytest.mark.parametrize(
    ("stored", "again", "names"),
    [
        ([0.1, NAN], [0.1, NAN], []),
        ([0.1, 0.9], [0.1, NAN], ["scores-not-reproduced"]),
        ([0.1, NAN], [0.1, 0.9], ["chosen-on-test"]),
        ([0.1, 0.9], [0.1, 0.8], ["scores-not-reproduced"]),
        ([0.1, 0.9 + 1e-6], [0.1, 0.9], []),
    ],
)
def test_r_that_does_not_follow_is_named(
    stored: list[float], again: list[float], names: list[str]
) -> None:
    found = _r_faults(np.array(stored), np.array(again), "arm")
    assert [one.name for one in found] == names
