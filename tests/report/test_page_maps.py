"""Maps of a page: a picture under letters that stay letters, on flatmaps and on fsaverage5."""

from __future__ import annotations

import base64
import io
import re
import xml.etree.ElementTree as ElementTree
from dataclasses import replace

import numpy as np
import pytest
from made_reports import ARMS, SUBJECTS, made_report
from matplotlib import colormaps
from PIL import Image
from test_flatmap import two_squares

from brainaligner.core import InputError, Space
from brainaligner.report import Flatmap, FlatPixels, RunReport, page_texts, render_page
from brainaligner.report._cortex import shares
from brainaligner.report._figure_data import map_data
from brainaligner.report._map_drawings import (
    difference_maps,
    mapped,
    obstacles,
    score_maps,
    surfaces,
)

ENGLISH, JAPANESE = page_texts(), page_texts("ja")
FIRST = SUBJECTS[0]
N_TARGETS = 6


def letters_of(svg: str) -> list[str]:
    """What stands in a drawing as text."""
    root = ElementTree.fromstring(svg)
    return ["".join(e.itertext()) for e in root.iter() if e.tag.endswith("}text")]


def picture_of(svg: str) -> np.ndarray:
    """The image of a drawing, that of the colour bar aside."""
    (found,) = re.findall(r'<image[^>]*href="data:image/webp;base64,([^"]+)"', svg)
    with Image.open(io.BytesIO(base64.b64decode(found))) as image:
        return np.asarray(image.convert("RGB")).astype(float)


@pytest.fixture(scope="module")
def voxels() -> RunReport:
    """A report whose targets have places."""
    return made_report("voxels", 3000)


@pytest.fixture(scope="module")
def flat() -> RunReport:
    """A report of few targets, without places; the first subject has a flatmap."""
    report = made_report("components", N_TARGETS)
    results = [
        replace(one, scores=replace(one.scores, space=Space("voxels", N_TARGETS)))
        for one in report.results
    ]
    flatmap = Flatmap(two_squares(200), "flatmap of two squares", "ab" * 16)
    return replace(report, results=tuple(results), flatmaps={FIRST: flatmap})


def test_letters_of_a_map_are_text_in_the_language_of_the_page(voxels: RunReport) -> None:
    _, results = mapped(voxels)
    for texts, own in ((ENGLISH, "left lateral"), (JAPANESE, "左半球 外側面")):
        for drawn in (*score_maps(voxels, results, texts), *difference_maps(voxels, texts)):
            letters = letters_of(drawn.picture)
            assert own in letters
            assert letters.count(own) == 1
    english = [one.picture for one in score_maps(voxels, results, ENGLISH)]
    japanese = [one.picture for one in score_maps(voxels, results, JAPANESE)]
    assert "ピアソンの r" in letters_of(japanese[0])
    for one, other in zip(english, japanese, strict=True):
        assert (picture_of(one) == picture_of(other)).all()  # no letters in the picture


def test_a_picture_holds_no_letters_and_fills_its_frame(voxels: RunReport) -> None:
    _, results = mapped(voxels)
    svg = score_maps(voxels, results, ENGLISH)[0].picture
    picture = picture_of(svg)
    assert (picture[: len(picture) // 20] > 250).all()  # where the title stands
    root = ElementTree.fromstring(svg)
    width, height = (float(x) for x in root.attrib["viewBox"].split()[2:])
    (image,) = (e for e in root if e.tag.endswith("}image"))
    assert float(image.attrib["width"]) == pytest.approx(width)
    assert float(image.attrib["height"]) == pytest.approx(height)
    assert picture.shape[1] / picture.shape[0] == pytest.approx(width / height, rel=0.01)
    assert {"0.0"} <= {letters.replace("0.00", "0.0") for letters in letters_of(svg)}  # the bar


def test_a_subject_with_a_flatmap_is_painted_on_it(flat: RunReport) -> None:
    _, results = mapped(flat)
    (drawn,) = score_maps(flat, results, ENGLISH)  # the others have no place
    bar = re.findall(r"data:image/png;base64,([^\"]+)", drawn.picture)
    assert len(bar) == 1  # the colours, and no second picture
    (scores,) = (one.scores for one in results if one.scores.subject == FIRST)
    assert "left hemisphere" in letters_of(drawn.picture)
    assert "Pearson r (grey: no value)" in letters_of(drawn.picture)
    assert drawn.keys[-1] == "ab" * 16
    seen = picture_of(drawn.picture).reshape(-1, 3)
    top = max(0.01, float(np.percentile(scores.r, 99)))
    for value in scores.r[:5]:  # the sixth is under no pixel
        colour = 255 * np.array(colormaps["viridis"](np.clip(value / top, 0, 1))[:3])
        assert (np.abs(seen - colour).max(axis=1) < 12).mean() > 0.02, value


def test_data_of_a_flatmap_have_one_line_per_target(flat: RunReport) -> None:
    arm, results = mapped(flat)
    (drawn,) = score_maps(flat, results, ENGLISH)
    found = flat.find(arm, FIRST, flat.groups[0].name, 0)
    assert found is not None
    name, *lines = drawn.data.splitlines()
    assert name == "r"
    top = max(0.01, float(np.percentile(found.scores.r, 99)))
    np.testing.assert_allclose(np.array(lines, float), found.scores.r, atol=top / 500)


def test_what_maps_are_drawn_on_is_said(flat: RunReport, voxels: RunReport) -> None:
    _, results = mapped(flat)
    (reason,) = obstacles(flat, results, ENGLISH)
    assert FIRST not in reason
    assert SUBJECTS[1] in reason
    assert surfaces(flat, results, ENGLISH).startswith("Drawn on the subject's own cortex")
    _, results = mapped(voxels)
    assert surfaces(voxels, results, ENGLISH).startswith("Drawn on the inflated fsaverage5")
    pixels = FlatPixels(*_one_pixel(3000))
    mixed = replace(voxels, flatmaps={FIRST: Flatmap(pixels, "one pixel")})
    said = surfaces(mixed, results, ENGLISH)
    assert said.startswith(f"{FIRST}: Drawn on the subject's own cortex")
    assert f"{', '.join(SUBJECTS[1:])}: Drawn on the inflated fsaverage5" in said
    none = made_report("components", N_TARGETS)
    assert surfaces(none, mapped(none)[1], ENGLISH) == ""


def test_significant_places_of_a_flatmap_are_outlined(flat: RunReport) -> None:
    best = [*ARMS][-1]
    own = next(one for one in flat.differences if (one.arm, one.subject) == (best, FIRST))
    nothing, left = np.ones(N_TARGETS), np.array([0.0, 1, 1, 0, 1, 1])
    drawn = []
    for q in (nothing, left):
        changed = replace(own, values=np.zeros(N_TARGETS), q=q)
        report = replace(flat, differences=(changed,))
        (one,) = difference_maps(report, ENGLISH)
        drawn.append(picture_of(one.picture))
    away = np.abs(drawn[1] - drawn[0]).max(axis=-1) > 60
    assert 50 < away.sum() < 3000
    middle = drawn[0].shape[1] / 2
    assert np.nonzero(away)[1].max() < middle  # targets 0 and 3: the left edge of the left square


def test_targets_without_a_value_count_for_no_outline() -> None:
    outlined, values = np.array([True, False, False]), np.array([0.1, np.nan, np.nan])
    assert np.nan_to_num(shares(outlined, values), nan=-1).tolist() == [1, -1, -1]
    space = Space("voxels", 3, vertices=np.array([7, 7, 7]))
    rows = map_data(space, {"r": values, "significant": shares(outlined, values)}).splitlines()
    assert "7\t0.1000\t1.0000" in rows
    assert "nan" not in "".join(rows)


@pytest.mark.parametrize("language", ["en", "ja"])
def test_pages_with_flatmaps_hold_them(flat: RunReport, language: str) -> None:
    page = render_page(flat, language=language)
    texts = page_texts(language)
    assert texts("maps.on_flatmap") in page.replace("&#39;", "'")
    assert texts("maps.left_hemisphere") in page
    assert texts("maps.flat_words") in page


@pytest.mark.usefixtures("unchecked")
def test_a_flatmap_of_other_targets_is_refused(voxels: RunReport) -> None:
    with pytest.raises(InputError, match="lay it out for these targets"):
        replace(voxels, flatmaps={FIRST: Flatmap(two_squares(), "two squares")})


def _one_pixel(n_targets: int) -> tuple[np.ndarray, object]:
    from scipy.sparse import csr_array

    weights = csr_array(([1.0], ([0], [5])), shape=(4, n_targets))
    return np.ones((2, 2), dtype=bool), weights
