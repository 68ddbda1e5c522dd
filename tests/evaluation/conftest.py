"""Autocorrelated series."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.signal import lfilter


@pytest.fixture(scope="session")
def ar1():
    """Unit-variance AR(1) series: ``ar1(rng, n_rows, n_targets, phi)``."""

    def draw(rng, n_rows, n_targets, phi):
        noise = rng.standard_normal((n_rows + 100, n_targets))
        return lfilter([np.sqrt(1 - phi**2)], [1, -phi], noise, axis=0)[100:]

    return draw
