"""Responses, Features, Scores, Space and the array helpers."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.preprocessing import StandardScaler

from brainaligner.core import (
    Clock,
    Features,
    InputError,
    Responses,
    Scores,
    Space,
    StoryGroup,
    array_digest,
    frozen_array,
    no_progress,
    zscore,
)

GROUP = StoryGroup("test", ("a", "b"))


def make_responses(values=None, **changes):
    values = np.arange(12, dtype=np.float32).reshape(4, 3) if values is None else values
    settings = {"space": Space("components", 3), "clock": Clock(), **changes}
    return Responses("UTS01", "s", values, **settings)


def with_value(value):
    values = np.ones((4, 3))
    values[2, 1] = value
    return values


def test_responses_know_their_rows_and_digest_values_only():
    responses = make_responses()
    assert responses.n_rows == 4
    same = Responses("UTS02", "t", responses.values, Space("regions", 3), Clock(tr=1.0))
    assert responses.digest() == same.digest() == array_digest(responses.values)
    assert responses.digest() != make_responses(responses.values + 1).digest()


@pytest.mark.parametrize("kind", [Responses, Features, Scores])
def test_values_are_read_only_and_the_callers_array_is_not(kind):
    values = np.ones(3) * 0.5 if kind is Scores else np.ones((4, 3))
    value = {
        Responses: lambda: make_responses(values).values,
        Features: lambda: Features("s", values).values,
        Scores: lambda: Scores("a", "s", GROUP, Space("voxels", 3), values, n_rows=9).r,
    }[kind]()
    values[:] = 0.25
    with pytest.raises(ValueError, match="read-only"):
        value[:] = 1.0


MATRICES = [
    (np.ones(3), "shape"),
    (np.ones((2, 4, 3)), "shape"),
    (np.ones((0, 3)), "non-empty"),
    (np.ones((4, 0)), "non-empty"),
    (np.ones((4, 3), dtype=int), "int64"),
    (np.ones((4, 3), dtype=bool), "bool"),
    (np.ones((4, 3), dtype=complex), "complex128"),
    (with_value(np.nan), "1 values that are NaN or infinite"),
    (with_value(np.inf), "1 values that are NaN or infinite"),
    (with_value(-np.inf), "1 values that are NaN or infinite"),
]


@pytest.mark.parametrize(("values", "message"), MATRICES)
@pytest.mark.usefixtures("unchecked")
def test_a_bad_matrix_is_refused(values, message):
    with pytest.raises(InputError, match=message):
        make_responses(values)
    with pytest.raises(InputError, match=message):
        Features("s", values, name="layer 4")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"space": Space("voxels", 4)}, "3 columns; wanted 4 voxels"),
        ({"space": Space("regions", 2)}, "wanted 2 regions"),
        ({"presentations": 0}, "0 presentations"),
        ({"presentations": -1}, "-1 presentations"),
        ({"repeats": np.ones((2, 4, 2))}, "repeats of shape"),
        ({"repeats": np.ones((2, 5, 3))}, "repeats of shape"),
        ({"repeats": np.ones((4, 3))}, "3 dimensions"),
        ({"repeats": np.ones((0, 4, 3))}, "non-empty"),
        ({"repeats": np.full((2, 4, 3), np.nan)}, "24 values"),
        ({"repeats": np.ones((2, 4, 3), dtype=int)}, "int64"),
    ],
)
@pytest.mark.usefixtures("unchecked")
def test_responses_that_contradict_themselves_are_refused(changes, message):
    with pytest.raises(InputError, match=message):
        make_responses(**changes)


def test_repeats_are_kept():
    repeats = np.ones((2, 4, 3))
    assert make_responses(repeats=repeats, presentations=2).repeats.shape == (2, 4, 3)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Space("voxel", 3), "Did you mean 'voxels'"),
        (lambda: Space("", 3), "kind"),
        (lambda: Space("regions", 3, labels=("a", "b")), "2 labels"),
        (lambda: Space("regions", 0, labels=("a",)), "0 regions"),
        (lambda: Space("voxels", 3, vertices=np.zeros(4, dtype=int)), "4 vertices"),
        (lambda: Space("voxels", 2, vertices=np.array([0, -2])), "-2 to 0"),
        (lambda: Space("voxels", 2, vertices=np.array([0, 20_484])), "0 to 20484"),
    ],
)
def test_spaces_that_do_not_exist_are_refused(make, message):
    with pytest.raises(InputError, match=message):
        make()


def test_a_space_has_a_map_where_it_has_vertices():
    assert Space("voxels", 3, vertices=np.array([-1, 0, 20_483])).has_map
    assert not Space("components", 3, labels=("a", "b", "c")).has_map


@pytest.mark.parametrize(
    ("group", "message"),
    [
        (("g", (), "single"), "no stories"),
        (("g", ("a",), "repeat"), "Did you mean 'repeated'"),
        (("g", ("a",), ""), "kind"),
    ],
)
def test_story_groups_that_make_no_sense_are_refused(group, message):
    with pytest.raises(InputError, match=message):
        StoryGroup(*group)


@pytest.mark.parametrize(
    "r", [[0.1, 0.2], [0.1] * 4, [[0.1, 0.2, 0.3]], 0.5, [0.1, 0.2, 1.1], [-1.001, 0.0, 0.0]]
)
@pytest.mark.usefixtures("unchecked")
def test_scores_that_are_no_correlations_are_refused(r):
    with pytest.raises(InputError, match="scores of frozen in UTS01"):
        Scores("frozen", "UTS01", GROUP, Space("voxels", 3), np.array(r), n_rows=9)


def test_scores_keep_nan_where_nothing_varies():
    scores = Scores("a", "s", GROUP, Space("voxels", 3), np.array([np.nan, -1.0, 1.0]), n_rows=9)
    np.testing.assert_array_equal(np.isnan(scores.r), [True, False, False])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_zscore_is_sklearns(dtype):
    values = (np.random.default_rng(0).standard_normal((50, 4)) * [1, 9, 0.1, 3] + 5).astype(dtype)
    scaled = zscore(values)
    assert scaled.dtype == dtype
    expected = StandardScaler().fit_transform(values.astype(np.float64))
    np.testing.assert_allclose(scaled, expected, atol=1e-5 if dtype == np.float32 else 1e-12)


@pytest.mark.parametrize("value", [0.0, 0.1, -7.3, 1e6, 1e-20])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_zscore_of_a_constant_is_zeros(value, dtype):
    values = np.random.default_rng(0).standard_normal((30, 3)).astype(dtype)
    values[:, 1] = value
    scaled = zscore(values)
    assert (scaled[:, 1] == 0).all()
    np.testing.assert_allclose(scaled[:, [0, 2]].std(axis=0), 1, atol=1e-5)


@given(arrays(np.float64, (7, 2), elements=st.floats(-1e3, 1e3, width=32)))
def test_zscore_has_mean_0_and_deviation_1_or_0(values):
    scaled = zscore(values)
    assert np.isfinite(scaled).all()
    assert np.abs(scaled.mean(axis=0)).max() < 1e-6
    deviation = scaled.std(axis=0)
    assert ((np.abs(deviation - 1) < 1e-6) | (deviation == 0)).all()


def test_digest_is_the_sha256_of_dtype_shape_and_bytes():
    values = np.array([[1.0, 2.0]])
    expected = hashlib.sha256(b"<f8(1, 2)" + values.tobytes()).hexdigest()
    assert array_digest(values) == expected


def test_digest_sees_values_shape_and_dtype_and_not_the_memory_order():
    values = np.arange(6.0).reshape(2, 3)
    digest = array_digest(values)
    assert digest == array_digest(np.asfortranarray(values)) == array_digest(values.astype(">f8"))
    others = [values.reshape(3, 2), values.astype(np.float32), values + 1, values[::-1]]
    assert len({digest, *map(array_digest, others)}) == 5


def test_a_frozen_array_is_a_view():
    values = np.zeros(3)
    frozen = frozen_array(values)
    values[0] = 1.0
    assert frozen[0] == 1.0
    with pytest.raises(ValueError, match="read-only"):
        frozen[0] = 2.0


def test_values_are_frozen_as_attributes_too():
    with pytest.raises(AttributeError):
        make_responses().subject = "UTS02"


def test_no_progress_says_nothing(capsys):
    no_progress("fitting", 1, 2)
    assert capsys.readouterr() == ("", "")
