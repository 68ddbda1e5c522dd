"""Predictions and responses -> scores, nulls, intervals, summaries and warnings."""

from brainaligner.evaluation._audit import FAULTS, WARNINGS, Audit, Fault, Unproven, make_audit
from brainaligner.evaluation._audit_designs import MadeAgain, design_faults
from brainaligner.evaluation._audit_responses import ReadAgain, entered_faults, overlap_faults
from brainaligner.evaluation._audit_rows import (
    Entered,
    NearRows,
    SeriesMatch,
    lag_one,
    near_rows,
    row_sources,
    series_matches,
    series_peak,
)
from brainaligner.evaluation._audit_words import MOST_SHARED, shared_words
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
    "FAULTS",
    "MOST_SHARED",
    "QUANTILES",
    "VERDICTS",
    "WARNINGS",
    "Audit",
    "BlockPermutation",
    "CeilingSummary",
    "Diagnostic",
    "Entered",
    "EvaluationSettings",
    "Fault",
    "Finding",
    "Interval",
    "MadeAgain",
    "Moments",
    "NearRows",
    "NoiseCeiling",
    "ReadAgain",
    "RegionScore",
    "ScoreBase",
    "SeriesMatch",
    "ShiftNull",
    "Summary",
    "Unproven",
    "Verdict",
    "block_length",
    "block_moments",
    "block_permutation",
    "ceiling_summary",
    "correlation_from_moments",
    "design_faults",
    "draw_shifts",
    "draw_weights",
    "entered_faults",
    "fdr_bh",
    "fdr_by",
    "find_warnings",
    "interval_from_moments",
    "join_ceilings",
    "join_pieces",
    "lag_one",
    "make_audit",
    "mean_and_influence",
    "mean_interval",
    "near_rows",
    "noise_ceiling",
    "normalised_correlation",
    "overlap_faults",
    "pearson_r",
    "region_scores",
    "resampling_moments",
    "row_sources",
    "score_group",
    "series_matches",
    "series_peak",
    "share_above",
    "shared_words",
    "shift_null",
    "split_half_reliability",
    "story_groups",
    "story_moments",
    "worst_verdict",
]
