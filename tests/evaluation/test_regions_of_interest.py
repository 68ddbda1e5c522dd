"""Mean r per region."""

from __future__ import annotations

import numpy as np
import pytest

from brainaligner.core import InputError, Scores, Space, StoryGroup
from brainaligner.evaluation import region_means


def scores():
    r = np.array([0.1, 0.2, np.nan, 0.4, -0.5])
    return Scores("frozen", "P1", StoryGroup("test", ("life",)), Space("voxels", 5), r, n_rows=90)


def test_means_leave_out_what_could_not_be_scored_and_say_so():
    regions = {"V1": np.array([3, 1]), "A1": np.array([2, 4]), "none": np.array([], dtype=int)}
    found = region_means(scores(), regions | {"constant": np.array([2])})
    assert [x.region for x in found] == ["V1", "A1", "none", "constant"]
    assert found[0].mean == pytest.approx(0.3)
    assert (found[0].n_targets, found[0].n_scored) == (2, 2)
    assert found[1].mean == pytest.approx(-0.5)
    assert (found[1].n_targets, found[1].n_scored) == (2, 1)
    assert np.isnan(found[2].mean)
    assert np.isnan(found[3].mean)
    assert (found[2].n_targets, found[3].n_targets, found[3].n_scored) == (0, 1, 0)


@pytest.mark.parametrize(
    ("columns", "said"), [([0, 5], "column 5"), ([-1], "column -1"), ([1, 1], "stands twice")]
)
def test_columns_that_are_no_targets_are_refused(columns, said):
    with pytest.raises(InputError, match=said):
        region_means(scores(), {"V1": np.array(columns)})
