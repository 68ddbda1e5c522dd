"""Predictions and responses -> scores, nulls, intervals, summaries and warnings."""

from brainaligner.evaluation._blocks import block_length
from brainaligner.evaluation._ceilings import CeilingSummary, ceiling_summary
from brainaligner.evaluation._diagnostic import VERDICTS, Diagnostic, Verdict, worst_verdict
from brainaligner.evaluation._fdr import fdr_bh, fdr_by
from brainaligner.evaluation._findings import Finding, find_warnings
from brainaligner.evaluation._groups import join_pieces, story_groups
from brainaligner.evaluation._intervals import (
    Interval,
    draw_weights,
    interval_from_moments,
    mean_and_influence,
    mean_interval,
    resampling_moments,
)
from brainaligner.evaluation._moments import (
    Moments,
    block_moments,
    correlation_from_moments,
    pearson_r,
    story_moments,
)
from brainaligner.evaluation._permutation import BlockPermutation, block_permutation
from brainaligner.evaluation._regions import RegionScore, region_scores
from brainaligner.evaluation._repeats import (
    NoiseCeiling,
    join_ceilings,
    noise_ceiling,
    normalised_correlation,
    split_half_reliability,
)
from brainaligner.evaluation._settings import EvaluationSettings
from brainaligner.evaluation._shift_null import ShiftNull, draw_shifts, share_above, shift_null
from brainaligner.evaluation._summary import QUANTILES, ScoreBase, Summary, score_group

__all__ = [
    "QUANTILES",
    "VERDICTS",
    "BlockPermutation",
    "CeilingSummary",
    "Diagnostic",
    "EvaluationSettings",
    "Finding",
    "Interval",
    "Moments",
    "NoiseCeiling",
    "RegionScore",
    "ScoreBase",
    "ShiftNull",
    "Summary",
    "Verdict",
    "block_length",
    "block_moments",
    "block_permutation",
    "ceiling_summary",
    "correlation_from_moments",
    "draw_shifts",
    "draw_weights",
    "fdr_bh",
    "fdr_by",
    "find_warnings",
    "interval_from_moments",
    "join_ceilings",
    "join_pieces",
    "mean_and_influence",
    "mean_interval",
    "noise_ceiling",
    "normalised_correlation",
    "pearson_r",
    "region_scores",
    "resampling_moments",
    "score_group",
    "share_above",
    "shift_null",
    "split_half_reliability",
    "story_groups",
    "story_moments",
    "worst_verdict",
]
