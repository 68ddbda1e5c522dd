"""Figures and the page: data in them, words beside them, the same bytes every time."""

from __future__ import annotations

import base64
import io
import re
import time
import xml.etree.ElementTree as ElementTree
from dataclasses import replace

import numpy as np
import pytest
from made_reports import ARMS, SUBJECTS, made_report, made_space

from brainaligner.core import FSAVERAGE5_VERTICES, InputError, Space
from brainaligner.evaluation import Finding
from brainaligner.report import (
    RunReport,
    arm_figure,
    cortex_figure,
    fsaverage5_coordinates,
    no_map_reason,
    r_distribution_figure,
    render_page,
)

FIRST_ARM = next(iter(ARMS))


def ids(svg: str, kind: str) -> list[str]:
    """Identifiers of marks of one kind, without the figure's prefix."""
    return re.findall(rf'id="f[0-9a-f]+-({kind}-[\d-]+)"', svg)


def pixels(address: str) -> np.ndarray:
    from matplotlib.image import imread

    data = base64.b64decode(address.removeprefix("data:image/webp;base64,"))
    return np.asarray(imread(io.BytesIO(data), format="webp"))[..., :3] / 255.0


def of_one_subject(report: RunReport) -> RunReport:
    kept = tuple(r for r in report.results if r.scores.subject == SUBJECTS[0])
    return replace(report, results=kept)


def colourful(image: np.ndarray) -> int:
    """How many pixels are not grey."""
    return int((np.ptp(image, axis=-1) > 0.1).sum())


def test_each_arm_has_a_histogram_a_mean_a_median_and_a_null(components: RunReport) -> None:
    svg = r_distribution_figure(components, "UTS02")
    for kind in ("distribution", "mean", "median", "null"):
        assert ids(svg, kind) == [f"{kind}-{row}" for row in range(len(ARMS))]


def test_each_arm_and_subject_has_a_dot(components: RunReport) -> None:
    svg = arm_figure(components)
    assert len(set(ids(svg, "dot"))) == len(ARMS) * len(SUBJECTS)
    assert ids(svg, "reference") == []
    known = tuple(replace(r, reference=0.1) for r in components.results)
    assert len(ids(arm_figure(replace(components, results=known)), "reference")) == 9


def test_marks_stand_in_the_order_of_their_numbers(components: RunReport) -> None:
    svg = r_distribution_figure(components, "UTS03")
    places = [
        float(re.search(rf'-mean-{row}">\s*<path d="M ([\d.]+)', svg).group(1)) for row in range(3)
    ]
    means = [components.find(arm, "UTS03", "test", 0).summary.mean for arm in ARMS]
    slope = np.diff(places) / np.diff(means)
    assert slope[0] > 0
    assert slope[0] == pytest.approx(slope[1], rel=1e-3)


def test_words_beside_figures_say_the_means(components: RunReport) -> None:
    for svg in (arm_figure(components), r_distribution_figure(components, "UTS01")):
        root = ElementTree.fromstring(svg)
        names = root.attrib["aria-labelledby"].split()
        words = [e.text for e in root.iter() if e.attrib.get("id") in names]
        assert len(words) == 2
        assert "components" in words[0]
        for arm in ARMS:
            assert f"{components.find(arm, 'UTS01', 'test', 0).summary.mean:.3f}" in words[1]
            assert arm in words[1]


def test_other_groups_and_cuts_can_be_shown(components: RunReport) -> None:
    shown = arm_figure(components, group="wheretheressmoke", cut=10)
    assert "wheretheressmoke, 10 rows cut" in shown
    assert shown != arm_figure(components)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"group": "tset"}, "Did you mean 'test'"),
        ({"cut": 7}, "7 rows cut"),
    ],
)
def test_unknown_places_are_refused(
    components: RunReport, wrong: dict[str, object], message: str
) -> None:
    for draw in (arm_figure, lambda r, **k: r_distribution_figure(r, "UTS01", **k)):
        with pytest.raises(InputError, match=message):
            draw(components, **wrong)
    with pytest.raises(InputError, match="Did you mean 'UTS01'"):
        r_distribution_figure(components, "UTS1")


@pytest.mark.parametrize(
    "name",
    ["cost $x_1$ and $", "<b>&amp;</b>", "_hidden", 'id="x" url(#a)', "nul\x00 line\nend", "語"],
)
def test_odd_names_are_drawn_letter_by_letter(components: RunReport, name: str) -> None:
    results = tuple(
        replace(
            r,
            scores=replace(r.scores, arm=name, subject=name),
            summary=replace(r.summary, arm=name, subject=name),
        )
        for r in components.results
        if r.scores.arm == FIRST_ARM and r.scores.subject == "UTS01"
    )
    report = replace(components, results=results)
    shown = " ".join(name.replace("\x00", " ").split())
    for svg in (arm_figure(report), r_distribution_figure(report, name)):
        texts = [e.text for e in ElementTree.fromstring(svg).iter() if e.tag.endswith("}text")]
        assert shown in texts


def test_the_same_report_gives_the_same_bytes() -> None:
    first, second = (of_one_subject(made_report("voxels", 500)) for _ in range(2))
    assert render_page(first) == render_page(second)
    assert arm_figure(first) == arm_figure(second)


def test_page_is_small_and_quick(voxels: RunReport) -> None:
    began = time.process_time()
    page = render_page(voxels)
    assert time.process_time() - began < 8
    assert len(page.encode()) < 5e6


def test_page_names_no_other_place(pages: dict[str, str]) -> None:
    page = pages["voxels"]
    assert not re.findall(r'(?:src|href)="(?!data:|#)', page)
    assert "@import" not in page
    assert "<script" not in page
    assert "default-src 'none'" in page


def test_hostile_names_cannot_enter_the_page(components: RunReport) -> None:
    evil = "<script>alert(1)</script>\"'><svg onload=alert(2)>"
    results = tuple(
        replace(
            r,
            alpha=evil,
            scores=replace(
                r.scores, arm=evil, group=replace(r.scores.group, name=evil, stories=(evil,))
            ),
            summary=replace(r.summary, arm=evil, group=evil),
        )
        for r in components.results
        if r.scores.arm == FIRST_ARM and r.scores.group.name == "test"
    )
    page = render_page(
        replace(
            components, title=evil, results=results, settings_text=evil, recipes=((evil, evil),)
        )
    )
    assert "<script" not in page
    assert "<svg onload" not in page
    assert page.count("&lt;script&gt;") > 5


def test_equal_findings_share_a_line_and_the_worst_come_first(components: RunReport) -> None:
    findings = tuple(Finding("note", f"place {i}", "the same") for i in range(5))
    page = render_page(replace(components, findings=(*findings, Finding("fail", "x", "bad"))))
    assert page.count("The same") == 1
    assert "5 places" in page
    assert "place 0; place 1; place 2; place 3; place 4" in page
    assert page.index("FAIL") < page.index("The same") < page.index("<table>")


def test_a_page_without_findings_says_so(components: RunReport) -> None:
    assert "No check raised a warning" in render_page(replace(components, findings=()))


def test_fsaverage5_lies_in_millimetres_with_the_left_half_first() -> None:
    places = fsaverage5_coordinates()
    assert places.shape == (FSAVERAGE5_VERTICES, 3)
    half = FSAVERAGE5_VERTICES // 2
    assert places[:half, 0].mean() < -20 < 20 < places[half:, 0].mean()
    assert 150 < np.ptp(places[:, 1]) < 190


def test_components_have_no_map_and_the_page_says_why(pages: dict[str, str]) -> None:
    space = Space("components", 200)
    assert cortex_figure(space, np.zeros(200), title="x") is None
    page = pages["components"]
    assert "<img" not in page
    assert "No cortex map of UTS01, UTS02, UTS03. The targets are components" in page


@pytest.mark.parametrize("kind", ["voxels", "regions"])
def test_places_that_are_not_known_are_a_reason(kind: str) -> None:
    assert "does not say where" in str(no_map_reason(Space(kind, 3)))
    off = Space(kind, 3, vertices=np.full(3, -1))
    assert f"None of the {kind}" in str(no_map_reason(off))
    assert cortex_figure(off, np.zeros(3), title="x") is None


def test_map_shows_targets_and_fills_only_close_by() -> None:
    everywhere = np.arange(FSAVERAGE5_VERTICES)
    full = cortex_figure(
        Space("voxels", len(everywhere), vertices=everywhere), np.ones(len(everywhere)), title=""
    )
    third = everywhere[::3]
    filled = cortex_figure(
        Space("voxels", len(third), vertices=third), np.ones(len(third)), title=""
    )
    one = cortex_figure(Space("voxels", 1, vertices=np.array([5000])), np.ones(1), title="")
    counts = [colourful(pixels(image)) for image in (full, filled, one)]
    bar = colourful(
        pixels(
            cortex_figure(Space("voxels", 1, vertices=np.array([0])), np.full(1, np.nan), title="")
        )
    )
    brain = counts[0] - bar
    assert brain > 80_000
    assert counts[1] - bar > 0.95 * brain
    assert 20 < counts[2] - bar < 0.01 * brain


def test_values_reach_their_own_vertices() -> None:
    """Front of the brain high, back low: the outer quarters of a lateral view show it."""
    everywhere = np.arange(FSAVERAGE5_VERTICES)
    values = (fsaverage5_coordinates()[:, 1] > -20).astype(np.float64)
    space = Space("voxels", len(everywhere), vertices=everywhere)
    image = pixels(cortex_figure(space, values, title="", limits=(0.0, 1.0)))
    green = image[170:200, :, 1]
    front_left, back_left = green[:, 40:90].mean(), green[:, 270:320].mean()
    back_right, front_right = green[:, 400:450].mean(), green[:, 630:680].mean()
    assert front_left > 0.6 > 0.4 > back_left
    assert front_right > 0.6 > 0.4 > back_right


def test_several_targets_at_one_vertex_are_averaged() -> None:
    vertices = np.repeat(np.arange(2000, 4000), 2)
    values = np.tile([0.0, 1.0], 2000)
    twice = cortex_figure(
        Space("voxels", 4000, vertices=vertices), values, title="", limits=(0.0, 1.0)
    )
    once = cortex_figure(
        Space("voxels", 2000, vertices=np.arange(2000, 4000)),
        np.full(2000, 0.5),
        title="",
        limits=(0.0, 1.0),
    )
    assert twice == once


@pytest.mark.parametrize(
    ("values", "limits", "message"),
    [
        (np.zeros(3), None, "one value for each target"),
        (np.zeros(50), (1.0, 1.0), "two ascending numbers"),
        (np.zeros(50), (0.0, np.nan), "two ascending numbers"),
    ],
)
def test_maps_that_cannot_be_are_refused(
    values: np.ndarray, limits: tuple[float, float] | None, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        cortex_figure(made_space("voxels", 50), values, title="x", limits=limits)
