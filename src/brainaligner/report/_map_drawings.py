"""Cortex maps of a page: r of an arm, and an arm less the reference with what is significant."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from brainaligner.core import Scores
from brainaligner.report._cortex import colour_limits, cortex_figure, no_map_reason
from brainaligner.report._difference_figures import contrasted_arm
from brainaligner.report._drawings import Drawing
from brainaligner.report._figure_data import map_data
from brainaligner.report._figure_inputs import Difference
from brainaligner.report._inputs import Result, RunReport
from brainaligner.report._texts import Texts, page_texts
from brainaligner.report._words import (
    DIFFERENCE_LABEL,
    difference_map_caption,
    difference_map_words,
    figure_signs,
    map_caption,
    map_words,
    plain,
    ranked_arms,
)

SMALLEST_LIMIT = 0.001


def mapped(report: RunReport) -> tuple[str, list[Result]]:
    """Choose the arm of the headline (or the first), and its results to paint."""
    ranked = ranked_arms(report)
    arm = ranked[0][0] if ranked else report.arms[0]
    group, cut = report.groups[0].name, report.cuts[0]
    found = [report.find(arm, subject, group, cut) for subject in report.subjects]
    return arm, [result for result in found if result is not None]


def obstacles(results: list[Result], texts: Texts) -> list[str]:
    """Why subjects have no map; subjects with the same reason share one sentence."""
    subjects: dict[str, list[str]] = {}
    for result in results:
        reason = no_map_reason(result.scores.space)
        if reason is not None:
            subjects.setdefault(reason, []).append(plain(result.scores.subject))
    return [
        texts("maps.none", names=texts("separator.comma").join(names), why=texts.told(why))
        for why, names in subjects.items()
    ]


def score_maps(report: RunReport, results: list[Result], texts: Texts) -> list[Drawing]:
    """One map for each subject that can have one, all with the same colours."""
    drawable = [r for r in results if no_map_reason(r.scores.space) is None]
    if not drawable:
        return []
    limits = colour_limits(*(result.scores.r for result in drawable))
    return [_score_map(result, limits, _signs(report), texts) for result in drawable]


def _score_map(
    result: Result, limits: tuple[float, float], signs: Sequence[str], texts: Texts
) -> Drawing:
    scores = result.scores
    title = ", ".join([scores.subject, *signs])
    image = cortex_figure(scores.space, scores.r, title=title, limits=limits)
    return Drawing(
        f"map of r {scores.subject}",
        str(image),
        map_caption(scores, texts),
        map_data(scores.space, {"r": scores.r}),
        tuple(key for kind, key in result.keys.items() if kind == "scores"),
        map_words(result, limits, texts),
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
    return [_difference_map(one, scores, top, _signs(report), texts) for one, scores in own]


def _mappable(report: RunReport, one: Difference) -> Scores | None:
    result = report.find(one.arm, one.subject, one.group, one.rows_cut)
    fits = result is not None and result.scores.space.size == len(one.values)
    if result is None or not fits or no_map_reason(result.scores.space) is not None:
        return None
    return result.scores


def _difference_map(
    one: Difference, scores: Scores, top: float, signs: Sequence[str], texts: Texts
) -> Drawing:
    significant = one.q <= one.q_bound  # NaN is not
    image = cortex_figure(
        scores.space,
        one.values,
        title=", ".join([one.subject, *signs]),
        limits=(-top, top),
        outlined=significant,
        label=DIFFERENCE_LABEL,
    )
    columns = {"difference": one.values, "significant_share": significant.astype(np.float64)}
    return Drawing(
        f"map of difference {one.subject}",
        str(image),
        difference_map_caption(one, texts),
        map_data(scores.space, columns),
        (one.key,) if one.key else (),
        difference_map_words(one, top, texts),
    )


def _signs(report: RunReport) -> list[str]:
    """In English, as all letters inside a map."""
    return figure_signs(report, page_texts())
