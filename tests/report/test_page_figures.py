"""Figures beside the scores: what is drawn, what stands in the data, and what is outlined."""

from __future__ import annotations

import csv
import io
import re
import xml.etree.ElementTree as ElementTree
from dataclasses import replace

import numpy as np
import pytest
from made_reports import ARMS, SINGLE, SUBJECTS, made_curves, made_space
from test_report_figures import ids, pixels

from brainaligner.core import FSAVERAGE5_VERTICES, InputError, Space
from brainaligner.evaluation import CeilingSummary
from brainaligner.report import (
    Curve,
    Line,
    RunReport,
    cortex_figure,
    curve_figure,
    difference_figure,
    fsaverage5_coordinates,
    page_texts,
    r_distribution_figure,
    render_page,
    story_figure,
)
from brainaligner.report._drawings import curve_drawings, difference_drawings, score_drawings
from brainaligner.report._map_drawings import difference_maps, score_maps

ENGLISH = page_texts()


def lines_of(data: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(data), delimiter="\t"))


def words_of(svg: str) -> str:
    root = ElementTree.fromstring(svg)
    names = root.attrib["aria-labelledby"].split()
    return " ".join(str(e.text) for e in root.iter() if e.attrib.get("id") in names)


@pytest.mark.parametrize("curve", made_curves(), ids=lambda curve: curve.kind)
def test_curves_draw_and_say_every_point(curve: Curve) -> None:
    svg = curve_figure(curve)
    shown = [i for i, line in enumerate(curve.lines) if not line.faint]
    assert ids(svg, "line") == [f"line-{i}" for i in shown]
    words = words_of(svg)
    for line in curve.lines:
        assert line.name in words
        assert all(f"{y:.3f} at {x:.4g}" in words for x, y in zip(line.x, line.y, strict=True))


def test_the_chosen_penalty_is_ringed() -> None:
    alpha = next(curve for curve in made_curves() if curve.kind == "alpha")
    assert ids(curve_figure(alpha), "chosen") == ["chosen-0"]
    unmarked = replace(alpha, lines=(replace(alpha.lines[0], marked=None),))
    assert ids(curve_figure(unmarked), "chosen") == []
    assert "chosen 1000" in words_of(curve_figure(alpha))


def test_points_stand_in_the_order_of_their_numbers() -> None:
    curve = Curve("lag", "t", "x", "y", (Line("a", (0.0, 1.0, 3.0), (0.2, 0.1, 0.4)),))
    path = re.search(r'-line-0">\s*<path d="([^"]+)"', curve_figure(curve)).group(1)
    places = np.array(re.findall(r"[\d.]+", path), dtype=float).reshape(-1, 2)
    steps = np.diff(places, axis=0)
    assert steps[1, 0] == pytest.approx(2 * steps[0, 0], rel=1e-3)
    assert steps[1, 1] == pytest.approx(-3 * steps[0, 1], rel=1e-3)  # y grows downwards in SVG


def test_a_missing_value_leaves_a_line_of_the_rest() -> None:
    line = Line("a", (0.0, 1.0, 2.0), (0.1, float("nan"), 0.3))
    words = words_of(curve_figure(Curve("lag", "t", "x", "y", (line,))))
    assert "a: 0.100 at 0, 0.300 at 2." in words


def test_strange_curves_are_refused() -> None:
    with pytest.raises(InputError, match="as many of each"):
        Line("a", (0.0, 1.0), (0.1,))
    with pytest.raises(InputError, match="one or more"):
        curve_figure(Curve("lag", "t", "x", "y", ()))


def test_each_difference_has_a_dot_and_its_interval_in_words(components: RunReport) -> None:
    svg = difference_figure(components)
    assert len(set(ids(svg, "difference"))) == (len(ARMS) - 1) * len(SUBJECTS)
    words = words_of(svg)
    for one in components.differences:
        low, high = one.interval.low, one.interval.high
        assert f"{one.arm} in {one.subject}: {one.mean:.4f} [{low:.4f}, {high:.4f}]" in words
        assert one.direction == "better"


def test_each_story_has_the_arm_beside_the_reference(components: RunReport) -> None:
    svg = story_figure(components)
    assert len(set(ids(svg, "story"))) == len(SINGLE.stories) * len(SUBJECTS)
    assert len(set(ids(svg, "reference-story"))) == len(SINGLE.stories) * len(SUBJECTS)
    assert all(story in words_of(svg) for story in SINGLE.stories)


def test_figures_of_differences_need_some(components: RunReport) -> None:
    bare = replace(components, differences=(), curves=())
    for draw in (difference_figure, story_figure):
        with pytest.raises(InputError, match="two arms or more"):
            draw(bare)
    page = render_page(bare)
    assert page.count("<figure") == 4
    assert "Arms less the reference" not in page


def test_data_are_those_of_the_figures(components: RunReport) -> None:
    means, *distributions = score_drawings(components, ENGLISH)
    rows = lines_of(means.data)
    assert len(rows) == len(ARMS) * len(SUBJECTS)
    for row in rows:
        summary = components.find(row["arm"], row["subject"], "test", 0).summary
        assert float(row["r_mean"]) == summary.mean
        assert float(row["interval_high"]) == summary.interval.high
    counted = sum(int(row["count"]) for row in lines_of(distributions[0].data))
    assert counted == len(ARMS) * 200
    differences, stories = difference_drawings(components, ENGLISH)
    assert float(lines_of(differences.data)[0]["difference"]) == components.differences[0].mean
    per_story = lines_of(stories.data)
    assert len(per_story) == len(components.differences) * len(SINGLE.stories)
    (layer,) = dict(curve_drawings(components, ENGLISH))["By layer"]
    first = lines_of(layer.data)[0]
    assert (first["layer"], first["mean r"], first["interval_low"]) == ("0.0", "0.04", "0.03")


def test_a_ceiling_gets_a_distribution_of_its_own(components: RunReport) -> None:
    results = tuple(
        replace(
            r,
            ceiling=CeilingSummary(
                n_repeats=10, n_rows=r.scores.n_rows, n_targets=200, n_with_ceiling=160,
                explainable_variance=0.1, cc_max=0.7, cc_norm=0.3,
            ),
        )
        if r.scores.group.presentations == "repeated"
        else r
        for r in components.results
    )  # fmt: skip
    report = replace(components, results=results)
    assert len(score_drawings(components, ENGLISH)) == 1 + len(SUBJECTS)
    assert len(score_drawings(report, ENGLISH)) == 1 + 2 * len(SUBJECTS)
    svg = r_distribution_figure(report, "UTS01", group="wheretheressmoke")
    assert ids(svg, "ceiling") == [f"ceiling-{row}" for row in range(len(ARMS))]
    assert "ceiling 0.700" in words_of(svg)
    assert ids(r_distribution_figure(report, "UTS01"), "ceiling") == []


def test_names_of_arms_are_never_formulas(components: RunReport) -> None:
    first = components.differences[0]
    odd = replace(first, reference="a$_$")
    svg = difference_figure(replace(components, differences=(odd,)))
    assert "a$_$" in svg


def test_maps_of_differences_count_what_is_significant(voxels: RunReport) -> None:
    maps = difference_maps(voxels, ENGLISH)
    best = [*ARMS][-1]
    own = [one for one in voxels.differences if one.arm == best]
    assert len(maps) == len(own) == len(SUBJECTS)
    for drawn, one in zip(maps, own, strict=True):
        better = int(((one.q <= 0.05) & (one.values > 0)).sum())
        assert f"{better:,} of {len(one.q):,} targets are significantly better" in drawn.caption
        rows = lines_of(drawn.data)
        placed = set() if one.subject in voxels.flatmaps else {"vertex"}
        assert {*rows[0]} == {"difference", "significant_share"} | placed
        assert all(0 <= float(row["significant_share"]) <= 1 for row in rows)
    assert difference_maps(replace(voxels, differences=()), ENGLISH) == []


def test_data_of_a_map_are_the_painted_vertices() -> None:
    space = Space("voxels", 3, vertices=np.array([7, 7, -1]))
    from brainaligner.report._figure_data import map_data

    rows = {row["vertex"]: row["r"] for row in lines_of(map_data(space, {"r": np.arange(3.0)}))}
    assert rows["7"] == "0.5000"
    assert len(rows) > 1  # vertices within 6 mm show it too
    assert set(rows.values()) == {"0.5000"}


def test_an_outline_surrounds_significant_places_alone() -> None:
    everywhere = np.arange(FSAVERAGE5_VERTICES)
    space = Space("voxels", len(everywhere), vertices=everywhere)
    values = np.zeros(len(everywhere))
    front = fsaverage5_coordinates()[:, 1] > 20
    how = {"title": "", "limits": (-1.0, 1.0), "label": "difference"}
    plain, nothing, outlined = (
        pixels(cortex_figure(space, values, outlined=mask, **how))
        for mask in (None, np.zeros_like(front), front)
    )
    assert (plain == nothing).all()
    drawn = (np.abs(outlined - plain).max(axis=-1) > 0.2).nonzero()
    assert 300 < len(drawn[0]) < 6000
    left_lateral = (drawn[0] < 290) & (drawn[1] < 350)  # seen from the left: front to the left
    assert left_lateral.any()
    assert drawn[1][left_lateral].max() < 200


@pytest.mark.usefixtures("unchecked")
def test_outlines_that_do_not_fit_are_refused() -> None:
    with pytest.raises(InputError, match="one value for each target"):
        cortex_figure(
            made_space("voxels", 50), np.zeros(50), title="", outlined=np.zeros(49, dtype=bool)
        )


def test_maps_of_r_hand_out_r(voxels: RunReport) -> None:
    result = voxels.find(next(iter(ARMS)), "UTS01", "test", 0)
    (drawn,) = score_maps(voxels, [result], ENGLISH)
    values = [float(row["r"]) for row in lines_of(drawn.data)]
    assert len(values) > 5000
    assert np.mean(values) == pytest.approx(np.mean(result.scores.r), abs=0.01)
