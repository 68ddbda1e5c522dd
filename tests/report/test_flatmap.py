"""Flatmaps: which target a pixel shows, and pictures that say what they are."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image
from scipy.sparse import csr_array

from brainaligner.core import InputError, Space
from brainaligner.report import (
    FlatHemisphere,
    FlatPixels,
    MapSettings,
    flat_pixels,
    flatmap_image,
    fsaverage5_image,
    map_limits,
)

SQUARE = np.array([[0.0, 0.0], [10, 0], [10, 10], [0, 10], [500, -500]])  # the last: off the map
FACES = np.array([[0, 1, 2], [0, 2, 3]])


def two_squares(height: int = 101) -> FlatPixels:
    """Left: targets 0 to 3 from bottom left, against the clock. Right: 4, 4, none, none."""
    left = FlatHemisphere(SQUARE + np.array([300, 40]), FACES, np.array([0, 1, 2, 3, 5]))
    right = FlatHemisphere(SQUARE + np.array([-90, 40]), FACES, np.array([4, 4, -1, -1, 5]))
    return flat_pixels(left, right, n_targets=6, height=height)


def test_a_pixel_shows_its_nearest_vertex() -> None:
    pixels = two_squares()
    picture = pixels.picture(np.arange(6.0))
    rows, columns = picture.shape
    assert rows == 101
    assert columns == pytest.approx(203, abs=2)  # two squares and a gap
    corners = {(95, 5): 0, (95, 95): 1, (5, 95): 2, (5, 5): 3, (95, -5): 4, (95, -95): 4}
    for place, target in corners.items():
        assert picture[place] == target
    assert np.isnan(picture[5, -5])  # cortex without a target
    assert pixels.inside[5, -5]
    assert not pixels.inside[:, 101].any()  # the gap
    assert not (picture == 5).any()
    for target in range(4):  # a square's corners share it
        assert (picture[:, :101] == target).mean() == pytest.approx(0.25, abs=0.01)


def test_means_are_weighted_and_leave_out_what_is_not_finite() -> None:
    weights = csr_array(np.array([[0.25, 0.75, 0], [0, 0.5, 0.5], [0, 0, 0]]))
    pixels = FlatPixels(np.array([[True, True], [False, True]]), weights)
    np.testing.assert_allclose(pixels.picture(np.array([4.0, 8, 1])), [[7, 4.5], [np.nan, np.nan]])
    values = np.array([np.nan, 8, np.inf])
    np.testing.assert_allclose(pixels.picture(values), [[8, 8], [np.nan, np.nan]])


def test_a_picture_has_the_values_colours_and_says_what_it_shows() -> None:
    from matplotlib import colormaps

    settings = MapSettings("weight <µV>", (-4.0, 4.0))
    image = flatmap_image(
        two_squares(), np.array([-4.0, -2, 2, 4, 0, 9]), title="A & $b$", settings=settings
    )
    with Image.open(io.BytesIO(image)) as opened:
        seen = np.asarray(opened.convert("RGB")).reshape(-1, 3)
        said = opened.text
    assert said["Title"] == "A & $b$"
    assert "left hemisphere on the left" in said["Description"]
    assert "weight <µV>, colours from -4 to 4" in said["Description"]
    assert "lowest -4, median 1, highest 9" in said["Description"]
    for value in (-4.0, -2, 2, 4, 0):
        colour = (255 * np.array(colormaps["RdBu_r"]((value + 4) / 8)[:3])).round()
        share = (np.abs(seen - colour).max(axis=1) <= 1).mean()
        assert share > 0.02, value
    grey = (np.abs(seen - 0.82 * 255).max(axis=1) <= 1).mean()
    assert grey > 0.02


def test_an_svg_says_it_too() -> None:
    settings = MapSettings("r", (0.0, 1.0), "svg")
    text = flatmap_image(two_squares(), np.zeros(6), title="A & B", settings=settings).decode()
    assert text.startswith("<svg ")
    assert "A &amp; B</title>" in text
    assert "Flatmap of the cortex" in text
    assert (
        text == flatmap_image(two_squares(), np.zeros(6), title="A & B", settings=settings).decode()
    )


def test_without_a_flatmap_fsaverage5_is_drawn() -> None:
    space = Space("voxels", 3, vertices=np.array([5, 700, 12_000], np.int32))
    settings = MapSettings("any value", (0.0, 3.0))
    image = fsaverage5_image(space, np.array([1.0, 2, np.nan]), title="t", settings=settings)
    with Image.open(io.BytesIO(image)) as opened:
        assert "fsaverage5" in opened.text["Description"]
        assert "2 of 3 targets have a value" in opened.text["Description"]
    with pytest.raises(InputError, match="data place"):
        fsaverage5_image(Space("voxels", 3), np.zeros(3), title="t", settings=settings)


@pytest.mark.parametrize(
    ("values", "limits"),
    [
        ([0.0, 1, 2, np.nan], (0, 1.98)),
        ([-3.0, -1], (-3, -1)),
        ([np.nan], (0, 1)),
        ([0.0, 0], (0, 1)),
    ],
)
def test_limits_fit_the_values(values: list[float], limits: tuple[float, float]) -> None:
    assert map_limits(np.array(values)) == pytest.approx(limits)


@pytest.mark.usefixtures("unchecked")
def test_what_does_not_fit_is_refused() -> None:
    settings = MapSettings("r", (0.0, 1.0))
    with pytest.raises(InputError, match="one value for each target"):
        flatmap_image(two_squares(), np.zeros(5), title="t", settings=settings)
    for limits in ((1.0, 1.0), (0.0, np.nan)):
        with pytest.raises(InputError, match="ascending"):
            MapSettings("r", limits)
    with pytest.raises(InputError, match="png"):
        MapSettings("r", (0.0, 1.0), "pnk")
    targets = np.zeros(5, np.int64)
    for points, faces in ((SQUARE, FACES[:0]), (0 * SQUARE, FACES), (SQUARE[:4], FACES)):
        with pytest.raises(InputError, match="some width and height"):
            FlatHemisphere(points, faces, targets)
