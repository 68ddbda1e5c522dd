"""The parts of a simulation alone: basis of places, haemodynamic response, noise."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import gamma
from simulated_trees import SURFACE, column_correlation

from brainaligner.data._simulate_cortex import smooth_basis
from brainaligner.data._simulate_responses import haemodynamic_response, smooth_noise


def test_the_basis_of_a_place_is_the_same_whatever_places_come_with_it():
    places = SURFACE[::50].astype(float)
    basis = smooth_basis(places, fwhm=12.0, seed=0)
    np.testing.assert_allclose(basis[::7], smooth_basis(places[::7], fwhm=12.0, seed=0))
    np.testing.assert_allclose((basis**2).sum(1), 1)
    assert not np.allclose(basis, smooth_basis(places, fwhm=12.0, seed=1))


def test_haemodynamic_response_peaks_at_five_seconds_and_undershoots():
    fine = haemodynamic_response(0.1)
    times = np.arange(0, 32, 0.1)
    reference = gamma.pdf(times, 6) - gamma.pdf(times, 16) / 6
    np.testing.assert_allclose(fine, reference / reference.sum(), atol=1e-12)
    assert abs(times[fine.argmax()] - 5) < 0.11
    assert 14 < times[fine.argmin()] < 17
    assert haemodynamic_response(2.0).sum() == pytest.approx(1)


@pytest.mark.parametrize("ar", [0.0, 0.5, 0.8])
def test_noise_has_unit_variance_and_the_asked_autocorrelation(ar):
    basis = smooth_basis(SURFACE[::100].astype(float), fwhm=12.0, seed=0)
    noise = smooth_noise(basis, 200, ar=ar, rng=np.random.default_rng(1))
    assert (noise**2).mean() == pytest.approx(1, abs=0.1)
    lag_one = column_correlation(noise[1:], noise[:-1]).mean()
    assert lag_one + (1 + 3 * ar) / 200 == pytest.approx(ar, abs=0.04)
