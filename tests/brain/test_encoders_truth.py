"""Each encoder against what was planted, or another road to the same numbers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from made_recordings import (
    DRIVEN,
    N_TARGETS,
    RELIABLE,
    REPEATED,
    TRAINING,
    VALIDATION,
    MadeDesigns,
    MadeRecording,
    StrictRecording,
    made_designs,
    made_material,
)
from sklearn.linear_model import Ridge

from brainaligner.brain import BrainSettings, EncoderOptions, brain_vectors
from brainaligner.brain._encoding_selection import cross_validated
from brainaligner.brain._folds import story_parts
from brainaligner.brain._split_half import prediction_agreement
from brainaligner.core import InputError, no_progress
from brainaligner.encoding import RidgeSettings
from brainaligner.evaluation import pearson_r

ONE_ALPHA = RidgeSettings(alphas=(30.0,), intercept=True, products="float64")


def encode(kind, material=None, *, seed=1, **more):
    chosen = BrainSettings(kind, **more)
    return brain_vectors(material or made_material(), settings=chosen, seed=seed)


def test_explainable_variance_finds_the_targets_that_repeat():
    found = encode("high_ev", k=RELIABLE.size)
    assert found.provenance.columns == tuple(RELIABLE)
    assert found.provenance.facts["least explainable variance kept"] > 0.3


def test_repeated_stories_are_averaged_by_their_rows():
    material = made_material()
    rng = np.random.default_rng(3)
    repeats = dict(material.recording.presentations)
    long = rng.standard_normal((3, 3000, N_TARGETS)).astype(np.float32)
    long += 3 * np.isin(np.arange(N_TARGETS), [2, 5]) * rng.standard_normal((1, 3000, N_TARGETS))
    both = replace(material.recording, presentations=repeats | {"long": long.astype(np.float32)})
    found = encode("high_ev", replace(material, recording=both, repeated=(REPEATED, "long")), k=2)
    assert found.provenance.columns == (2, 5)
    assert found.provenance.chosen_on == (REPEATED, "long")


def test_without_repeats_high_ev_says_why_it_cannot_choose():
    with pytest.raises(InputError, match="no story with single presentations is named"):
        encode("high_ev", made_material(repeated=()))
    material = made_material()
    bare = replace(material, recording=replace(material.recording, presentations={}))
    with pytest.raises(InputError, match=f"the recording has none of '{REPEATED}'"):
        encode("high_ev", bare)


def test_repeats_without_variance_leave_nothing_to_choose():
    material = made_material()
    flat = {REPEATED: np.ones((3, 60, N_TARGETS), dtype=np.float32)}
    bare = replace(material, recording=replace(material.recording, presentations=flat))
    with pytest.raises(InputError, match="varies in every repeat"):
        encode("high_ev", bare)


def test_fewer_targets_than_k_leave_the_stated_share():
    half = encode("high_ev")
    assert half.width == N_TARGETS // 2
    assert half.provenance.facts["limit"] == N_TARGETS // 2
    assert encode("high_ev", share=0.25).width == N_TARGETS // 4
    assert encode("high_ev", k=N_TARGETS).width == N_TARGETS


def test_encoding_selection_finds_the_targets_that_follow_the_words():
    found = encode("encoding_selection", n_permutations=400)
    columns = set(found.provenance.columns)
    assert set(DRIVEN) <= columns
    assert len(columns - set(DRIVEN)) <= 2
    assert found.provenance.facts["significant"] == len(columns)
    assert "all of them are kept" in found.provenance.facts["note"]


def test_the_limit_keeps_the_highest_r():
    material = made_material()
    found = encode("encoding_selection", material, k=3, n_permutations=400)
    best = cross_validated(
        material,
        settings=BrainSettings("encoding_selection", n_permutations=400),
        seed=1,
        options=EncoderOptions(),
        progress=no_progress,
    ).r
    assert set(found.provenance.columns) == set(np.argsort(-best)[:3])
    assert "note" not in found.provenance.facts
    everything = encode("encoding_selection", material, k=None, n_permutations=400)
    assert everything.width == everything.provenance.facts["significant"]


def test_out_of_fold_r_is_that_of_scikit_learn():
    material = made_material()
    chosen = BrainSettings("encoding_selection", ridge=ONE_ALPHA, n_folds=3, n_permutations=20)
    found = cross_validated(
        material, settings=chosen, seed=4, options=EncoderOptions(), progress=no_progress
    )
    parts = story_parts(material, 3, seed=4, least=1)
    x, y = material.designs.matrices, material.recording.matrices
    predicted, measured = [], []
    for part in parts:
        rest = [story for story in TRAINING if story not in part]
        ridge = Ridge(alpha=30.0).fit(*(np.concatenate([m[s] for s in rest]) for m in (x, y)))
        for story in part:
            predicted.append(ridge.predict(x[story]))
            measured.append(y[story])
    expected = pearson_r(np.concatenate(predicted), np.concatenate(measured).astype(float))
    np.testing.assert_allclose(found.r, expected, atol=5e-6)


@pytest.mark.parametrize("kind", ["encoding_selection", "split_half_reliability"])
def test_choosing_reads_no_story_but_those_of_training(kind):
    strict = made_material(recording=StrictRecording, given=TRAINING)
    loose = made_material()
    a, b = (encode(kind, material, k=6) for material in (strict, loose))
    assert a.provenance == b.provenance
    with pytest.raises(AssertionError, match="valid0 was read"):
        encode(kind, replace(strict, given=TRAINING + VALIDATION), k=6)


def test_nothing_significant_is_refused_with_advice():
    with pytest.raises(InputError, match=r"none of 24 targets significant .* clock and delays"):
        encode("encoding_selection", made_material(gain=0.0), n_permutations=100)


def test_few_permutations_are_named_as_the_reason():
    with pytest.raises(InputError, match="20 permutations cannot give less"):
        encode("encoding_selection", n_permutations=20, fdr=0.001)


@pytest.mark.parametrize("kind", ["encoding_selection", "split_half_reliability"])
def test_designs_are_needed(kind):
    with pytest.raises(InputError, match="no designs of a language model"):
        encode(kind, made_material(designs=None))


@pytest.mark.parametrize(
    ("kind", "n_stories", "more"),
    [
        ("encoding_selection", 4, {}),
        ("encoding_selection", 2, {"n_folds": 2}),
        ("encoding_selection", 1, {"n_folds": 2, "ridge": ONE_ALPHA}),
        ("split_half_reliability", 5, {}),
        ("split_half_reliability", 2, {"ridge": ONE_ALPHA}),
    ],
)
def test_too_few_training_stories_are_refused(kind, n_stories, more):
    material = made_material(fitted_on=TRAINING[:n_stories])
    with pytest.raises(InputError, match="training stories of one"):
        encode(kind, material, **more)


@pytest.mark.parametrize("standardise", ["training", "story"])
def test_story_levels_cannot_hide_the_words_where_stories_are_scaled(standardise):
    material = made_material(gain=0.15)
    rng = np.random.default_rng(0)
    levels = {s: v + 300 * rng.standard_normal() for s, v in material.recording.matrices.items()}
    moved = replace(
        material.recording, matrices={s: v.astype(np.float32) for s, v in levels.items()}
    )
    found = cross_validated(
        replace(material, recording=moved),
        settings=BrainSettings("encoding_selection", standardise=standardise),
        seed=0,
        options=EncoderOptions(),
        progress=no_progress,
    )
    assert (found.r[DRIVEN].mean() > 0.15) == (standardise == "story")


def test_agreement_finds_the_targets_that_follow_the_words():
    found = encode("split_half_reliability", k=DRIVEN.size)
    assert found.provenance.columns == tuple(DRIVEN)
    assert found.provenance.facts["least agreement kept"] > 0.5


def test_agreement_is_that_of_scikit_learn_and_needs_no_response_of_the_third_part():
    material = made_material()
    chosen = BrainSettings("split_half_reliability", ridge=ONE_ALPHA)
    parts = story_parts(material, 3, seed=4, least=1)
    options = EncoderOptions(target_block=7)
    found, _ = prediction_agreement(
        material, parts, settings=chosen, options=options, progress=no_progress
    )
    x, y = material.designs.matrices, material.recording.matrices
    joined = [[np.concatenate([m[s] for s in part]) for part in parts] for m in (x, y)]
    fits = [Ridge(alpha=30.0).fit(*part) for part in zip(*joined, strict=True)]
    expected = [
        pearson_r(fits[a].predict(joined[0][c]), fits[b].predict(joined[0][c]))
        for a, b, c in ((0, 1, 2), (0, 2, 1), (1, 2, 0))
    ]
    np.testing.assert_allclose(found, np.mean(expected, axis=0), atol=1e-6)


def test_targets_whose_predictions_never_vary_cannot_agree():
    flat = {story: np.ones((60, 4), dtype=np.float32) for story in TRAINING}
    recording = MadeRecording({s: v.copy() for s, v in flat.items()})
    material = made_material(recording=lambda *_: recording, given=TRAINING)
    designs = made_designs(np.random.default_rng(0), dict.fromkeys(TRAINING, 60))
    with pytest.raises(InputError, match="whose predictions vary"):
        encode("split_half_reliability", replace(material, designs=MadeDesigns(designs)))
