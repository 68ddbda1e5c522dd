"""Numbers made of all targets against scikit-learn, and controls without a brain."""

from __future__ import annotations

import numpy as np
import pytest
from made_recordings import TRAINING, VALIDATION, MadeRecording, made_material
from sklearn.decomposition import PCA

from brainaligner.brain import BrainMaterial, BrainSettings, EncoderOptions, brain_vectors
from brainaligner.core import InputError


def encode(kind, material=None, *, seed=1, **more):
    chosen = BrainSettings(kind, **more)
    return brain_vectors(material or made_material(), settings=chosen, seed=seed)


def stacked(material, stories):
    return np.concatenate([material.recording.matrices[s] for s in stories]).astype(np.float64)


@pytest.mark.parametrize("standardise", ["training", "none"])
def test_components_are_those_of_scikit_learn(standardise):
    material = made_material()
    training, others = stacked(material, TRAINING), stacked(material, VALIDATION)
    if standardise == "training":
        mean, std = training.mean(axis=0), training.std(axis=0)
        training, others = (training - mean) / std, (others - mean) / std
    expected = PCA(6).fit(training)
    found = encode("pca", material, width=6, standardise=standardise)
    scores = np.concatenate([found.rows[s] for s in TRAINING])
    signs = np.sign((scores * expected.transform(training)).sum(axis=0))
    np.testing.assert_allclose(scores, signs * expected.transform(training), atol=2e-3)
    held_out = np.concatenate([found.rows[s] for s in VALIDATION])
    np.testing.assert_allclose(held_out, signs * expected.transform(others), atol=2e-3)
    share = found.provenance.facts["share of variance"]
    assert share == pytest.approx(expected.explained_variance_ratio_.sum(), abs=1e-5)
    assert (scores[np.abs(scores).argmax(axis=0), range(6)] > 0).all()


def wide_material(n_targets=700, rank=5):
    """More targets and rows than the sketch has directions; a slow spectrum below the top."""
    rng = np.random.default_rng(8)
    loadings = rng.standard_normal((rank, n_targets)) * np.array([[6], [5], [4], [3], [2.5]])
    matrices = {}
    for story in TRAINING:
        signal = rng.standard_normal((60, rank)) @ loadings
        matrices[story] = (signal + 4 * rng.standard_normal((60, n_targets))).astype(np.float32)
    return BrainMaterial("wide", MadeRecording(matrices), TRAINING, TRAINING)


def test_components_from_a_sketch_are_those_of_scikit_learn():
    material = wide_material()
    training = stacked(material, TRAINING)
    expected = PCA(5, svd_solver="full").fit(training).transform(training)
    chosen = BrainSettings("pca", width=5, standardise="none")
    options = EncoderOptions(target_block=97)
    found = brain_vectors(material, settings=chosen, seed=0, options=options)
    scores = np.concatenate([found.rows[s] for s in TRAINING])
    signs = np.sign((scores * expected).sum(axis=0))
    np.testing.assert_allclose(scores, signs * expected, atol=0.02 * expected.std())


def test_components_beyond_the_rank_are_zeros_and_too_many_are_refused():
    rng = np.random.default_rng(0)
    low = {s: (rng.standard_normal((30, 2)) @ rng.standard_normal((2, 9))) for s in TRAINING}
    weights = rng.standard_normal((2, 9))
    low = {s: (rng.standard_normal((30, 2)) @ weights).astype(np.float32) for s in low}
    material = BrainMaterial("low", MadeRecording(low), TRAINING, TRAINING)
    found = encode("pca", material, width=4)
    assert all((values[:, 2:] == 0).all() for values in found.rows.values())
    with pytest.raises(InputError, match="at most 9"):
        encode("pca", material, width=10)
    short = BrainMaterial("low", MadeRecording({"a": low["story0"][:3]}), ("a",), ("a",))
    with pytest.raises(InputError, match="at most 2: 9 targets, 3 rows"):
        encode("pca", short, width=3)


def test_random_projection_keeps_distances():
    material = made_material()
    narrow = encode("random_projection", material, width=2000).rows
    whole = encode("all", material).rows
    for story in (TRAINING[0], VALIDATION[1]):
        pairs = (whole[story], narrow[story])
        before, after = (np.linalg.norm(v[1:] - v[:-1], axis=1) for v in pairs)
        np.testing.assert_allclose(after / before, 1, atol=0.12)  # four standard errors


def test_random_projection_is_one_linear_map():
    material = made_material()
    whole, found = encode("all", material).rows, encode("random_projection", material, width=7).rows
    x, y = (np.concatenate([rows[s] for s in TRAINING]) for rows in (whole, found))
    weights, *_ = np.linalg.lstsq(x, y, rcond=None)
    np.testing.assert_allclose(whole["valid0"] @ weights, found["valid0"], atol=1e-4)
    assert (weights * np.sqrt(7)).std() == pytest.approx(1, abs=0.2)


def test_noise_is_standard_normal_and_independent_between_stories_and_subjects():
    found = encode("noise", width=400).rows
    other = encode("noise", made_material(subject="two"), width=400).rows
    assert found["story0"].mean() == pytest.approx(0, abs=0.03)
    assert found["story0"].std() == pytest.approx(1, abs=0.03)
    for neighbour in (found["story1"][:70], other["story0"]):
        assert abs(np.corrcoef(found["story0"].ravel(), neighbour.ravel())[0, 1]) < 0.03


def test_constant_is_ones():
    assert all((values == 1).all() for values in encode("constant").rows.values())
