"""Parcel series -> the scaled, sorted windows that BrainLM reads."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Float32, Float64, Int64

from brainaligner.brain._brainlm_config import N_PARCELS, N_SAMPLES
from brainaligner.brain._brainlm_model import PAD_VALUE
from brainaligner.brain._brainlm_settings import BrainLMSettings, LeftFill
from brainaligner.brain._material import BrainMaterial, ParcelSeries
from brainaligner.core import InputError

PRETRAINING_MAXIMUM = 5.6430855
"""What robust-scaled values were divided by in pretraining."""
_IQR_FLOOR = 1e-6


@dataclass(frozen=True, eq=False)
class ParcelInput:
    """How one subject's parcel series enter the model.

    Parameters
    ----------
    series : ParcelSeries
    order : int64 array, shape (424,)
        Parcel at each place of the image, from the lowest Y to the highest.
    missing : bool array, shape (424,)
        Parcels without a column, in the order of the atlas.
    median, iqr, mean : float64 arrays, shape (424,)
        Over the training stories, in the order of the atlas; 0 in missing parcels.
    """

    series: ParcelSeries
    order: Int64[np.ndarray, "parcel"]
    missing: Bool[np.ndarray, "parcel"]
    median: Float64[np.ndarray, "parcel"]
    iqr: Float64[np.ndarray, "parcel"]
    mean: Float64[np.ndarray, "parcel"]

    def scaled(
        self, values: Float[np.ndarray, "time parcel"], gain: float
    ) -> Float32[np.ndarray, "time parcel"]:
        """Sort, and scale: ``gain (x - median) / (IQR + 1e-6) / 5.6430855``; missing ones are 0."""
        step = (self.iqr + _IQR_FLOOR) * PRETRAINING_MAXIMUM / gain
        scaled = (values.astype(np.float64) - self.median) / step
        scaled[:, self.missing] = 0.0
        return scaled[:, self.order].astype(np.float32)

    def story(self, story: str, gain: float) -> Float32[np.ndarray, "time parcel"]:
        """Scaled and sorted rows of one story."""
        return self.scaled(read_parcels(self.series, story, self.missing), gain)

    def before_start(self, fill: LeftFill, gain: float) -> Float32[np.ndarray, "parcel"] | None:
        """What stands before the first row, sorted and scaled; None for that row itself."""
        if fill == "edge":
            return None
        if fill == "mean":
            return self.scaled(self.mean[None], gain)[0]
        return np.full(N_PARCELS, PAD_VALUE if fill == "pad" else 0.0, dtype=np.float32)


def parcel_input(
    material: BrainMaterial, coordinates: Float[np.ndarray, "parcel 3"]
) -> ParcelInput:
    """Take order from `coordinates` and statistics from the training stories alone.

    Raises
    ------
    InputError
        If there are no parcels or none has a column, a parcel does not vary, values or
        coordinates have another shape or are not finite.
    """
    order = parcel_order(coordinates)
    if material.parcels is None:
        raise InputError(
            f"BrainLM of {material.subject}",
            got="responses without parcels",
            wanted="mean responses of the 424 parcels of A424",
            do="Use a dataset with anatomy and the files of the atlas, or another brain encoder.",
        )
    missing = _missing(material.subject, material.parcels)
    rows = [read_parcels(material.parcels, story, missing) for story in material.fitted_on]
    pooled = np.concatenate(rows).astype(np.float64)
    low, median, high = np.percentile(np.nan_to_num(pooled), (25, 50, 75), axis=0)
    _check_spread(material.subject, (high - low)[~missing])
    mean = np.nan_to_num(pooled).mean(axis=0)
    return ParcelInput(material.parcels, order, missing, median, high - low, mean)


def parcel_order(coordinates: Float[np.ndarray, "parcel 3"]) -> Int64[np.ndarray, "parcel"]:
    """Return parcels by ascending Y; equal Y keep the order of the atlas (a stable sort).

    BrainLM's ViT models were trained in this order ("voxel_x_coords_list" in its tutorial
    holds the Y column). Many parcels share a Y, so an unstable sort gives another order.

    Raises
    ------
    InputError
        If there are not 424 x 3 finite values, or all Y are equal.
    """
    shape = np.shape(coordinates)
    usable = shape == (N_PARCELS, 3) and bool(np.isfinite(coordinates).all())
    if not usable or np.ptp(coordinates[:, 1]) == 0:
        raise InputError(
            "coordinates of the parcels",
            got=f"shape {shape}" + ("" if usable else " or values that are not finite"),
            wanted=f"({N_PARCELS}, 3): X, Y and Z in MNI mm, in the order of the labels",
            do="Give the columns X, Y, Z of A424_Coordinates.dat.",
        )
    return np.argsort(coordinates[:, 1], kind="stable").astype(np.int64)


def read_parcels(
    series: ParcelSeries, story: str, missing: Bool[np.ndarray, "parcel"]
) -> Float[np.ndarray, "time parcel"]:
    """Read one story; NaN must stand in missing parcels and nowhere else.

    Raises
    ------
    InputError
        If it has another shape, no rows, or NaN elsewhere.
    """
    values = series.parcels(story)
    if values.ndim != 2 or values.shape[1] != N_PARCELS or len(values) == 0:
        raise _bad_story(story, f"shape {values.shape}")
    if not np.isfinite(values[:, ~missing]).all() or not np.isnan(values[:, missing]).all():
        raise _bad_story(story, "NaN outside of missing parcels, or numbers in one")
    return values


@dataclass(frozen=True, eq=False)
class SamplePlaces:
    """Where the 200 samples of a window lie among the rows before its end.

    Sample k is ``(1 - share_k) x[t - back_k] + share_k x[t - back_k + 1]``.

    Parameters
    ----------
    back : int64 array, shape (200,)
    share : float32 array, shape (200,)
    """

    back: Int64[np.ndarray, "sample"]
    share: Float32[np.ndarray, "sample"]

    def inside(self, ends: Int64[np.ndarray, "window"]) -> Bool[np.ndarray, "window sample"]:
        """Whether each sample lies at or after the story's first row."""
        return ends[:, None] >= self.back


def sample_places(tr: float, target_tr: float | None) -> SamplePlaces:
    """Place sample k at ``(199 - k) target_tr / tr`` rows before the end of the window.

    Parameters
    ----------
    tr : float
        Seconds between rows.
    target_tr : float, optional
        Seconds between samples; None for `tr`.

    Raises
    ------
    InputError
        If `tr` is not above 0 s.
    """
    if not (math.isfinite(tr) and tr > 0):
        raise InputError("tr", got=f"{tr}", wanted="seconds above 0", do="Give the rows' spacing.")
    # Rounding keeps a sample that falls on a row from falling beside it.
    ago = np.round(np.arange(N_SAMPLES)[::-1] * ((target_tr or tr) / tr), 9)
    back = np.ceil(ago)
    return SamplePlaces(back.astype(np.int64), (back - ago).astype(np.float32))


def windows(
    series: Float32[np.ndarray, "time parcel"],
    ends: Int64[np.ndarray, "window"],
    places: SamplePlaces,
    fill: Float32[np.ndarray, "parcel"] | None,
) -> Float32[np.ndarray, "window parcel sample"]:
    """Cut windows that end at the rows `ends`; `fill` (None: the first row) stands before row 0."""
    earlier = ends[:, None] - places.back
    later = np.minimum(earlier + 1, ends[:, None])  # share is 0 where this holds it back
    share = places.share[:, None]
    cut = (1 - share) * series[np.maximum(earlier, 0)] + share * series[np.maximum(later, 0)]
    if fill is not None:
        cut[earlier < 0] = fill
    return np.ascontiguousarray(cut.transpose(0, 2, 1))


def window_rule(settings: BrainLMSettings, tr: float) -> str:
    """Say in words which window gives a row its vector."""
    step = settings.target_tr or tr
    return (
        f"{N_SAMPLES} samples {step:g} s apart ({N_SAMPLES * step:g} s) that end at the row, "
        f"every {settings.hop} rows; before the story: {settings.fill}"
    )


def _missing(subject: str, series: ParcelSeries) -> Bool[np.ndarray, "parcel"]:
    counts = np.asarray(series.coverage)
    if counts.shape != (N_PARCELS,) or not (counts > 0).any():
        raise InputError(
            f"parcels of {subject}",
            got=f"counts of shape {counts.shape}, {int((counts > 0).sum())} of them above 0",
            wanted=f"{N_PARCELS} counts of columns, some above 0",
            do="Give the parcels of A424 with the columns of this subject.",
        )
    return counts <= 0


def _check_spread(subject: str, iqr: Float64[np.ndarray, "parcel"]) -> None:
    if (iqr == 0).any():
        raise InputError(
            f"parcels of {subject}",
            got=f"{int((iqr == 0).sum())} parcels with an interquartile range of 0",
            wanted="parcels that vary in the training stories",
            do="Mark parcels without signal as missing: coverage 0, values NaN.",
        )


def _bad_story(story: str, got: str) -> InputError:
    return InputError(
        f"parcels, story {story!r}",
        got=got,
        wanted=f"(time, {N_PARCELS}) numbers, NaN exactly in parcels without a column",
        do="Average the responses of this story anew.",
    )
