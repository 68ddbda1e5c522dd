"""The sphere that links subjects to fsaverage5."""

from __future__ import annotations

import numpy as np

from brainaligner.report import fsaverage5_coordinates, fsaverage5_sphere


def test_vertices_are_on_a_sphere_in_the_order_of_the_cortex():
    sphere, cortex = fsaverage5_sphere(), fsaverage5_coordinates()
    assert sphere.shape == cortex.shape == (20_484, 3)
    np.testing.assert_allclose(np.linalg.norm(sphere, axis=1), 100, rtol=1e-4)
    for half in (slice(None, 10_242), slice(10_242, None)):
        for axis in (1, 2):  # unfolding keeps front and back, top and bottom
            r = np.corrcoef(sphere[half, axis], cortex[half, axis])[0, 1]
            assert r > 0.7
