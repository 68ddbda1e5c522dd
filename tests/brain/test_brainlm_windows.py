"""Scaling, order and windows, each against a plain loop."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from brainlm_parts import MadeParcels, MadeRecording, coordinates, material, series

from brainaligner.brain import BrainLMSettings, BrainMaterial
from brainaligner.brain._brainlm_windows import (
    parcel_input,
    parcel_order,
    sample_places,
    windows,
)
from brainaligner.core import InputError

LENGTHS = {"one": 90, "two": 60, "held": 40}
PLACES = coordinates()


def plain_window(
    rows: np.ndarray, end: int, tr: float, step: float, before: np.ndarray | None
) -> np.ndarray:
    """np.interp per parcel, at absolute times; shape (parcel, 200)."""
    seconds = tr * np.arange(len(rows))
    out = np.empty((rows.shape[1], 200))
    for k in range(200):
        at = round(end * tr - (199 - k) * step, 7)
        for parcel in range(rows.shape[1]):
            if at < 0 and before is not None:
                out[parcel, k] = before[parcel]
            else:
                out[parcel, k] = np.interp(at, seconds, rows[:, parcel])
    return out


@pytest.mark.parametrize("tr", [2.0, 0.72, 1.4])
@pytest.mark.parametrize("step", [0.735, 1.0, 2.0])
@pytest.mark.parametrize("filled", [False, True])
def test_windows_are_linear_interpolation_up_to_the_row(
    tr: float, step: float, filled: bool
) -> None:
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(230, 424)).astype(np.float32)
    fill = rng.normal(size=424).astype(np.float32) if filled else None
    ends = np.array([0, 1, 40, 73, 74, 147, 200, 229])
    got = windows(rows, ends, sample_places(tr, step), fill)
    kept = slice(0, 424, 60)
    for window, end in zip(got, ends, strict=True):
        before = None if fill is None else fill[kept]
        wanted = plain_window(rows[:, kept], int(end), tr, step, before)
        np.testing.assert_allclose(window[kept], wanted, atol=2e-5)


def test_without_a_step_of_their_own_windows_are_the_rows_themselves() -> None:
    rows = np.random.default_rng(0).normal(size=(260, 424)).astype(np.float32)
    got = windows(rows, np.array([199, 259]), sample_places(2.0, None), None)
    assert np.array_equal(got[0], rows[:200].T)
    assert np.array_equal(got[1], rows[60:].T)


def test_a_step_of_half_a_row_meets_every_row_exactly() -> None:
    rows = np.random.default_rng(0).normal(size=(120, 424)).astype(np.float32)
    got = windows(rows, np.array([110]), sample_places(2.0, 1.0), None)[0]
    assert np.array_equal(got[:, 199::-2], rows[11:111][::-1].T)


def test_scaling_is_the_robust_one_of_the_training_stories() -> None:
    values = series(LENGTHS)
    given = parcel_input(material(values, fitted_on=["one", "two"], missing=[5]), PLACES)
    pooled = np.concatenate([values["one"], values["two"]]).astype(np.float64)
    order = sorted(range(424), key=lambda parcel: PLACES[parcel, 1])
    got = given.story("held", gain=0.5)
    for place in (0, 7, 200, 423):
        ranked = np.sort(pooled[:, order[place]])
        low, middle, high = (ranked_at(ranked, q) for q in (0.25, 0.5, 0.75))
        wanted = (values["held"][:, order[place]] - middle) / (high - low + 1e-6) / 5.6430855
        np.testing.assert_allclose(got[:, place], 0.5 * wanted, rtol=1e-4, atol=1e-6)
    assert (got[:, order.index(5)] == 0).all()
    mean = pooled.mean(axis=0)
    fill = given.before_start("mean", 0.5)
    np.testing.assert_allclose(fill, given.scaled(mean[None], 0.5)[0])


def ranked_at(ranked: np.ndarray, share: float) -> float:
    place = share * (len(ranked) - 1)
    low = int(place)
    return float(
        ranked[low] + (place - low) * (ranked[min(low + 1, len(ranked) - 1)] - ranked[low])
    )


def test_statistics_come_from_the_training_stories_alone() -> None:
    values = series(LENGTHS)
    one = parcel_input(material(values, fitted_on=["one"]), PLACES)
    values["two"] = 100 * values["two"] + 7
    values["held"] = -values["held"]
    other = material(values, fitted_on=["one"])
    two = parcel_input(other, PLACES)
    for name in ("median", "iqr", "mean"):
        assert getattr(one, name).tobytes() == getattr(two, name).tobytes()
    assert isinstance(other.parcels, MadeParcels)
    assert other.parcels.read == ["one"]


def test_parcels_are_sorted_by_y_and_ties_keep_their_order() -> None:
    order = parcel_order(PLACES)
    assert order.tolist() == sorted(range(424), key=lambda parcel: PLACES[parcel, 1])
    unstable = np.argsort(PLACES[:, 1], kind="quicksort")
    assert not np.array_equal(order, unstable)
    assert np.array_equal(PLACES[order, 1], PLACES[unstable, 1])


def test_each_fill_stands_before_the_start() -> None:
    given = parcel_input(material(series(LENGTHS), fitted_on=["one"], missing=[5]), PLACES)
    zero, pad = given.before_start("zero", 1.0), given.before_start("pad", 1.0)
    assert zero is not None
    assert pad is not None
    assert (zero == 0).all()
    assert (pad == -1).all()
    assert given.before_start("edge", 1.0) is None


def without_parcels() -> BrainMaterial:
    return BrainMaterial("S1", MadeRecording({"one": 9}), ("one",), ("one",))


def changed(place: tuple[int, int], value: float, missing: list[int]) -> BrainMaterial:
    values = series({"one": 30})
    values["one"][place] = value
    return material(values, fitted_on=["one"], missing=missing)


class HalfMissing(MadeParcels):
    """A parcel that is said to be missing and has numbers."""

    def parcels(self, story: str) -> np.ndarray:
        return self.series[story]


class Cropped(MadeParcels):
    """Parcels of another atlas."""

    def parcels(self, story: str) -> np.ndarray:
        return self.series[story][:, :400]


class Uncounted(MadeParcels):
    """Counts of another atlas."""

    @property
    def coverage(self) -> list[int]:
        return [1] * 400


def made(kind: type[MadeParcels], missing: list[int]) -> BrainMaterial:
    parcels = kind(series({"one": 30}), missing)
    return BrainMaterial("S1", MadeRecording({"one": 30}), ("one",), ("one",), parcels=parcels)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (without_parcels(), "responses without parcels"),
        (changed((3, 4), np.nan, []), "NaN outside"),
        (changed((3, 4), np.inf, [5]), "NaN outside"),
        (made(HalfMissing, [5]), "numbers in one"),
        (made(Cropped, []), r"shape \(30, 400\)"),
        (made(Uncounted, []), r"counts of shape \(400,\)"),
        (made(MadeParcels, list(range(424))), "0 of them above 0"),
        (material({"one": np.empty((0, 424), np.float32)}, fitted_on=["one"]), r"shape \(0, 424\)"),
        (material({"one": np.ones((30, 424), np.float32)}, fitted_on=["one"]), "424 parcels with"),
    ],
)
@pytest.mark.usefixtures("unchecked")
def test_bad_parcels_are_refused(given: BrainMaterial, said: str) -> None:
    with pytest.raises(InputError, match=said):
        parcel_input(given, PLACES)


@pytest.mark.parametrize(
    "places",
    [PLACES[:400], PLACES[:, :2], PLACES.T, PLACES[:, 1], PLACES * np.nan, np.zeros((424, 3))],
)
@pytest.mark.usefixtures("unchecked")
def test_bad_coordinates_are_refused(places: np.ndarray) -> None:
    with pytest.raises(InputError, match="coordinates of the parcels"):
        parcel_order(places)


@pytest.mark.parametrize("tr", [0.0, -2.0, float("nan"), float("inf")])
def test_a_bad_repetition_time_is_refused(tr: float) -> None:
    with pytest.raises(InputError, match="tr"):
        sample_places(tr, 0.735)


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"pooling": "last_column"}, "Did you mean 'last_columns'"),
        ({"fill": "zeros"}, "Did you mean 'zero'"),
        ({"dtype": "float64"}, "dtype"),
        ({"row_weights": "cortex"}, "row_weights"),
        ({"between": "cubic"}, "between"),
        ({"layer": -1}, "layer"),
        ({"layer": "last"}, "layer"),
        ({"layer": 1.0}, "layer"),
        ({"columns": 0}, "columns"),
        ({"columns": 4}, "columns"),
        ({"columns": 2, "pooling": "cls"}, "columns"),
        ({"columns": 2, "pooling": "mean_all_data"}, "columns"),
        ({"row_weights": "coverage", "pooling": "cls"}, "row_weights"),
        ({"hop": 0}, "hop"),
        ({"hop": 1, "between": "linear"}, "between"),
        ({"target_tr": 0.0}, "target_tr"),
        ({"target_tr": float("nan")}, "target_tr"),
        ({"input_gain": -1.0}, "input_gain"),
        ({"input_gain": None}, "input_gain"),
    ],
)
def test_bad_settings_are_refused(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        BrainLMSettings(**changes)
