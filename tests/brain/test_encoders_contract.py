"""What holds for every encoder of the registry, and for what is done to their vectors."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_encoders import KINDS, SMALL, STANDARDISING, WIDTHS, encode
from made_recordings import REPEATED, TRAINING, VALIDATION, MadeRecording, made_material

from brainaligner.brain import (
    ENCODERS,
    BrainSettings,
    EncoderOptions,
    borrow,
    brain_vectors,
    shift_in_time,
)
from brainaligner.brain._settings import FIELDS
from brainaligner.core import InputError, zscore


def assert_close(found, expected, *, atol=2e-5):
    assert set(found.rows) == set(expected.rows)
    for story, values in found.rows.items():
        np.testing.assert_allclose(values, expected.rows[story], atol=atol, rtol=1e-4)


def test_every_encoder_says_what_it_reads_and_is_tested_here():
    assert set(ENCODERS) == set(FIELDS) == set(SMALL)
    names = {field.name for field in fields(BrainSettings)} - {"kind"}
    assert names == {name for read in FIELDS.values() for name in read}


@pytest.mark.parametrize("kind", KINDS)
def test_vectors_have_every_story_and_the_width_that_was_asked_for(kind):
    material = made_material()
    vectors = encode(kind, material)
    assert vectors.width == WIDTHS[kind]
    assert sorted(vectors.rows) == sorted(material.given)
    for story, values in vectors.rows.items():
        assert values.dtype == np.float32
        assert len(values) == material.recording.rows(story)
        assert not values.flags.writeable


@pytest.mark.parametrize("kind", KINDS)
def test_provenance_says_who_and_what_was_looked_at(kind):
    origin = encode(kind).provenance
    assert origin.encoder == kind
    assert origin.subject == "one"
    chosen = {"high_ev": (REPEATED,), "encoding_selection": TRAINING}
    chosen["split_half_reliability"] = TRAINING
    assert origin.chosen_on == chosen.get(kind, ())
    assert origin.fitted_on == (() if kind in ("noise", "constant") else TRAINING)
    assert (origin.columns is not None) == (kind in (*chosen, "all"))
    assert all(isinstance(fact, float | str) for fact in origin.facts.values())


@pytest.mark.parametrize("kind", KINDS)
def test_no_other_story_is_read(kind):
    material = made_material()
    encode(kind, material)
    allowed = set(material.given) | ({REPEATED} if kind == "high_ev" else set())
    assert material.recording.asked <= allowed
    if kind in ("noise", "constant"):
        assert not material.recording.asked


@pytest.mark.parametrize("kind", KINDS)
def test_never_more_targets_at_once_than_asked_for(kind):
    material = made_material()
    encode(kind, material, options=EncoderOptions(target_block=5))
    assert material.recording.widest[0] <= 5


@pytest.mark.parametrize("kind", KINDS)
@given(order=st.permutations(TRAINING + VALIDATION), block=st.integers(4, 30))
@settings(max_examples=2, deadline=None)
def test_order_of_stories_and_block_of_targets_change_nothing(kind, order, block):
    plain = encode(kind)
    fitted = tuple(story for story in order if story in TRAINING)
    material = made_material(given=tuple(order), fitted_on=fitted)
    found = encode(kind, material, options=EncoderOptions(target_block=block))
    assert_close(found, plain, atol=2e-4)
    assert found.provenance.columns == plain.provenance.columns


@pytest.mark.parametrize("kind", KINDS)
def test_validation_stories_change_no_other_vector(kind):
    material = made_material()
    disturbed = dict(material.recording.matrices)
    for story in VALIDATION:
        disturbed[story] = (3 * disturbed[story] ** 2).astype(np.float32)
    other = replace(material.recording, matrices=disturbed)
    plain, found = encode(kind, material), encode(kind, replace(material, recording=other))
    assert found.provenance == plain.provenance
    for story in TRAINING:
        np.testing.assert_array_equal(found.rows[story], plain.rows[story])


@pytest.mark.parametrize("kind", KINDS)
def test_same_seed_gives_the_same_bytes(kind):
    first, again = encode(kind), encode(kind)
    assert all(np.array_equal(first.rows[s], again.rows[s]) for s in first.rows)
    if kind in ("noise", "random_projection"):
        assert not np.allclose(first.rows["story0"], encode(kind, seed=2).rows["story0"])


@pytest.mark.parametrize("kind", KINDS)
def test_progress_ends_where_it_said_it_would(kind):
    seen = {}
    chosen = BrainSettings(kind, **SMALL[kind])
    brain_vectors(
        made_material(),
        settings=chosen,
        seed=0,
        options=EncoderOptions(target_block=10),
        progress=lambda what, done, total: seen.update({what: (done, total)}),
    )
    assert seen
    assert all(done == total for done, total in seen.values())


@pytest.mark.parametrize("kind", STANDARDISING)
def test_a_target_without_variance_gives_finite_vectors(kind):
    material = made_material()
    flat = {story: values.copy() for story, values in material.recording.matrices.items()}
    for values in flat.values():
        values[:, 7] = 0.1
    vectors = encode(kind, replace(material, recording=replace(material.recording, matrices=flat)))
    assert all(np.isfinite(values).all() for values in vectors.rows.values())
    if kind == "all":
        assert all((values[:, 7] == 0).all() for values in vectors.rows.values())


def test_scales_are_those_of_the_training_rows_or_of_the_story():
    material = made_material()
    training = np.concatenate([material.recording.matrices[s] for s in TRAINING]).astype(float)
    for story in TRAINING + VALIDATION:
        raw = material.recording.matrices[story]
        expected = {
            "training": (raw - training.mean(axis=0)) / training.std(axis=0),
            "story": zscore(raw),
            "none": raw,
        }
        for standardise, values in expected.items():
            found = encode("all", material, standardise=standardise).rows[story]
            np.testing.assert_allclose(found, values, atol=1e-5)


@pytest.mark.parametrize("kind", ["high_ev", "all", "random_projection"])
def test_without_training_statistics_nothing_is_said_to_be_fitted(kind):
    assert encode(kind, standardise="story").provenance.fitted_on == ()


@pytest.mark.parametrize("kind", [kind for kind in KINDS if "shift" in FIELDS[kind]])
def test_shifted_vectors_are_rolled_by_at_least_min_shift(kind):
    plain, moved = encode(kind), encode(kind, shift=True, min_shift=20)
    found = set()
    for story, values in plain.rows.items():
        n = len(values)
        rolls = [k for k in range(n) if np.array_equal(np.roll(values, k, 0), moved.rows[story])]
        assert len(rolls) == 1
        assert 20 <= rolls[0] <= n - 20
        found.add(rolls[0])
    assert len(found) > 3
    assert "circularly" in moved.provenance.facts["moved in time"]


def test_short_stories_move_by_a_third_at_least():
    vectors = encode("noise")
    for seed in range(30):
        moved = shift_in_time(vectors, min_shift=60, seed=seed).rows["story0"]
        (k,) = (
            k for k in range(70) if np.array_equal(np.roll(vectors.rows["story0"], k, 0), moved)
        )
        assert 23 <= k <= 47


def test_a_shift_follows_from_the_name_of_the_story():
    whole = encode("noise")
    some = encode("noise", made_material(given=TRAINING[:2], fitted_on=TRAINING[:2]))
    a, b = (shift_in_time(vectors, min_shift=20, seed=3) for vectors in (whole, some))
    np.testing.assert_array_equal(a.rows[TRAINING[1]], b.rows[TRAINING[1]])


@pytest.mark.parametrize("kind", KINDS)
def test_borrowed_vectors_have_the_borrowers_rows(kind):
    vectors = encode(kind)
    rows = {"story0": 64, "story1": 77, "valid0": 200}
    lent = borrow(vectors, rows, "two")
    assert {story: len(values) for story, values in lent.rows.items()} == rows
    np.testing.assert_array_equal(lent.rows["story0"], vectors.rows["story0"][:64])
    n = len(vectors.rows["valid0"])
    np.testing.assert_array_equal(lent.rows["valid0"][:n], vectors.rows["valid0"])
    assert (lent.rows["valid0"][n:] == 0).all()
    facts = lent.provenance.facts
    assert (facts["borrowed for"], facts["rows cut"]) == ("two", 70.0 - 64)
    assert facts["rows of zeros"] == 200.0 - n
    assert lent.provenance.subject == "one"
    assert lent.provenance.chosen_on == vectors.provenance.chosen_on


@pytest.mark.parametrize(
    ("rows", "subject", "said"),
    [
        ({"story0": 5}, "one", "another subject"),
        ({}, "two", "at least one story"),
        ({"story0": 0}, "two", "one row or more"),
        ({"vaild0": 5}, "two", "Did you mean 'valid0'"),
    ],
)
def test_vectors_that_cannot_be_borrowed(rows, subject, said):
    with pytest.raises(InputError, match=said):
        borrow(encode("noise"), rows, subject)


@pytest.mark.parametrize("kind", KINDS)
def test_stories_named_twice_and_negative_seeds_are_refused(kind):
    with pytest.raises(InputError, match="twice"):
        encode(kind, made_material(given=(*TRAINING, *VALIDATION, "valid0")))
    with pytest.raises(InputError, match="twice"):
        encode(kind, made_material(fitted_on=(*TRAINING, "story0")))
    with pytest.raises(InputError, match="seed -1"):
        encode(kind, seed=-1)


class Broken(MadeRecording):
    """Responses with NaN, too few rows or whole numbers."""

    fault = "nan"

    def responses(self, story, targets):
        values = super().responses(story, targets).copy()
        if self.fault == "nan":
            values[3, 0] = np.nan
        if self.fault == "int":
            return values.astype(int)
        return values[:-1] if self.fault == "rows" else values


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("fault", ["nan", "rows", "int"])
@pytest.mark.parametrize("kind", STANDARDISING)
def test_broken_responses_are_refused(kind, fault):
    recording = type("Faulty", (Broken,), {"fault": fault})
    with pytest.raises(InputError, match="responses to"):
        encode(kind, made_material(recording=recording))
