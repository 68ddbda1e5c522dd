"""Cortex maps of a page: r of an arm, and an arm less the reference with what is significant."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Bool, Float

from brainaligner.core import Scores
from brainaligner.report._cortex import colour_limits, cortex_canvas, no_map_reason, shares
from brainaligner.report._difference_figures import contrasted_arm
from brainaligner.report._drawings import Drawing
from brainaligner.report._figure_data import map_data, target_data
from brainaligner.report._figure_inputs import Difference
from brainaligner.report._inputs import Result, RunReport
from brainaligner.report._layers import layered_svg
from brainaligner.report._map_settings import MapLetters, MapSettings
from brainaligner.report._maps import flat_figure
from brainaligner.report._svg import WIDTH
from brainaligner.report._texts import Texts
from brainaligner.report._words import (
    difference_map_caption,
    difference_map_words,
    figure_signs,
    map_caption,
    map_words,
    plain,
    ranked_arms,
)

SMALLEST_LIMIT = 0.001
FLAT_DPI = 160  # 768 pixels across: whole brains of three subjects stay under 2 MB


def mapped(report: RunReport) -> tuple[str, list[Result]]:
    """Choose the arm of the headline (or the first), and its results to paint."""
    ranked = ranked_arms(report)
    arm = ranked[0][0] if ranked else report.arms[0]
    group, cut = report.groups[0].name, report.cuts[0]
    found = [report.find(arm, subject, group, cut) for subject in report.subjects]
    return arm, [result for result in found if result is not None]


def obstacles(report: RunReport, results: list[Result], texts: Texts) -> list[str]:
    """Why subjects have no map; subjects with the same reason share one sentence."""
    subjects: dict[str, list[str]] = {}
    for result in results:
        reason = _obstacle(report, result.scores)
        if reason is not None:
            subjects.setdefault(reason, []).append(plain(result.scores.subject))
    return [
        texts("maps.none", names=texts("separator.comma").join(names), why=texts.told(why))
        for why, names in subjects.items()
    ]


def surfaces(report: RunReport, results: list[Result], texts: Texts) -> str:
    """What the maps are drawn on, and who on which where that differs."""
    shown = [r.scores.subject for r in results if _obstacle(report, r.scores) is None]
    flat = [subject for subject in shown if subject in report.flatmaps]
    parts = {
        "maps.on_flatmap": flat,
        "maps.on_fsaverage": [subject for subject in shown if subject not in flat],
    }
    used = {key: names for key, names in parts.items() if names}
    if len(used) == 1:
        return texts(*used)
    return " ".join(
        texts("maps.of", names=texts("separator.comma").join(map(plain, names)), what=texts(key))
        for key, names in used.items()
    )


def score_maps(report: RunReport, results: list[Result], texts: Texts) -> list[Drawing]:
    """One map for each subject that can have one, all with the same colours."""
    drawable = [r for r in results if _obstacle(report, r.scores) is None]
    if not drawable:
        return []
    limits = colour_limits(*(result.scores.r for result in drawable))
    settings = MapSettings(texts("maps.r"), limits, letters=_letters(texts))
    return [_score_map(report, result, settings, texts) for result in drawable]


def _score_map(report: RunReport, result: Result, settings: MapSettings, texts: Texts) -> Drawing:
    scores = result.scores
    flat = scores.subject in report.flatmaps
    words = map_words(result, settings.limits, texts, flat=flat)
    return Drawing(
        f"map of r {scores.subject}",
        _painted(report, scores, scores.r, settings, words, texts),
        map_caption(scores, texts) if not flat else plain(scores.subject),
        _data(report, scores, {"r": scores.r}, settings),
        _keys(report, scores, result.keys.get("scores", "")),
    )


def difference_maps(report: RunReport, texts: Texts) -> list[Drawing]:
    """One map for each subject of the contrasted arm less the reference, the same colours."""
    arm = contrasted_arm(report)
    own = [
        (one, scores)
        for one in report.compared
        if one.arm == arm and (scores := _mappable(report, one)) is not None
    ]
    if not own:
        return []
    finite = np.abs(np.concatenate([one.values[np.isfinite(one.values)] for one, _ in own]))
    top = max(SMALLEST_LIMIT, float(np.percentile(finite, 99)) if len(finite) else 0.0)
    settings = MapSettings(texts("maps.difference"), (-top, top), letters=_letters(texts))
    return [_difference_map(report, one, scores, settings, texts) for one, scores in own]


def _mappable(report: RunReport, one: Difference) -> Scores | None:
    result = report.find(one.arm, one.subject, one.group, one.rows_cut)
    fits = result is not None and result.scores.space.size == len(one.values)
    if result is None or not fits or _obstacle(report, result.scores) is not None:
        return None
    return result.scores


def _difference_map(
    report: RunReport, one: Difference, scores: Scores, settings: MapSettings, texts: Texts
) -> Drawing:
    significant = one.q <= one.q_bound  # NaN is not
    flat = scores.subject in report.flatmaps
    words = difference_map_words(one, settings.limits[1], texts, flat=flat)
    columns = {"difference": one.values, "significant_share": shares(significant, one.values)}
    return Drawing(
        f"map of difference {one.subject}",
        _painted(report, scores, one.values, settings, words, texts, significant),
        difference_map_caption(one, texts),
        _data(report, scores, columns, settings),
        _keys(report, scores, one.key),
    )


def _painted(
    report: RunReport,
    scores: Scores,
    values: Float[np.ndarray, "target"],
    settings: MapSettings,
    words: str,
    texts: Texts,
    outlined: Bool[np.ndarray, "target"] | None = None,
) -> str:
    """On the subject's flatmap where there is one, else on fsaverage5."""
    title = texts("separator.comma").join([scores.subject, *figure_signs(report, texts)])
    flatmap = report.flatmaps.get(scores.subject)
    if flatmap is None:
        figure = cortex_canvas(
            scores.space, values, title=title, settings=settings, outlined=outlined
        )
    else:
        figure = flat_figure(
            flatmap.pixels,
            values,
            title=title,
            settings=settings,
            outlined=outlined,
            width=WIDTH,
            dpi=FLAT_DPI,
        )
    assert figure is not None  # `_obstacle` has been asked
    return layered_svg(figure, title, words)


def _data(
    report: RunReport,
    scores: Scores,
    columns: Mapping[str, Float[np.ndarray, "target"]],
    settings: MapSettings,
) -> str:
    if scores.subject in report.flatmaps:
        return target_data(columns, top=settings.limits[1])
    return map_data(scores.space, columns)


def _keys(report: RunReport, scores: Scores, own: str) -> tuple[str, ...]:
    """Of what is painted, and of what it is painted on."""
    flatmap = report.flatmaps.get(scores.subject)
    return tuple(key for key in (own, "" if flatmap is None else flatmap.key) if key)


def _obstacle(report: RunReport, scores: Scores) -> str | None:
    return None if scores.subject in report.flatmaps else no_map_reason(scores.space)


def _letters(texts: Texts) -> MapLetters:
    def words(*keys: str) -> Sequence[str]:
        return [texts(f"maps.{key}") for key in keys]

    a, b, c, d = words("left_lateral", "right_lateral", "left_medial", "right_medial")
    left, right = words("left_hemisphere", "right_hemisphere")
    return MapLetters((a, b, c, d), (left, right), texts("maps.bare"))
