"""Predictions and responses -> scores, nulls, intervals, summaries and warnings."""

from brainaligner.evaluation._audit import FAULTS, WARNINGS, Audit, Fault, Unproven, make_audit
from brainaligner.evaluation._audit_designs import MadeAgain, design_faults
from brainaligner.evaluation._audit_responses import ReadAgain, entered_faults, overlap_faults
from brainaligner.evaluation._audit_rows import (
    FEWEST_EQUAL,
    Entered,
    NearRows,
    RowPlaces,
    fewest_near,
    lag_one,
    near_rows,
    row_sources,
)
from brainaligner.evaluation._audit_series import SeriesMatch, series_matches, series_peak
from brainaligner.evaluation._audit_words import MOST_SHARED, REMARKABLE, shared_words
from brainaligner.evaluation._blocks import block_length
from brainaligner.evaluation._ceilings import CeilingSummary, ceiling_summary
from brainaligner.evaluation._compare import compare_arms, paired_moments
from brainaligner.evaluation._compare_targets import target_tests
from brainaligner.evaluation._comparison import (
    Comparison,
    ComparisonSettings,
    Equivalence,
    Replication,
    TargetTests,
    replication,
)
from brainaligner.evaluation._detectable import detectable_difference
from brainaligner.evaluation._diagnostic import VERDICTS, Diagnostic, Verdict, worst_verdict
from brainaligner.evaluation._diagnostic_names import DIAGNOSTIC_NAMES
from brainaligner.evaluation._diagnostics import DIAGNOSTIC_RULES, complete_diagnostics
from brainaligner.evaluation._diagnostics_scores import (
    apart_diagnostics,
    ceiling_diagnostic,
    control_diagnostic,
    inner_diagnostic,
    onset_diagnostic,
    shape_diagnostics,
)
from brainaligner.evaluation._diagnostics_series import (
    autocorrelation_diagnostic,
    crossed_kinds,
    lag_diagnostic,
    null_diagnostic,
    null_mean,
    story_twin_diagnostic,
)
from brainaligner.evaluation._diagnostics_setup import (
    ALIKE_WARN,
    DS003020_VOXELS,
    SimulationCheck,
    edge_diagnostic,
    simulation_diagnostic,
    subjects_diagnostic,
    voxel_count_diagnostic,
)
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
from brainaligner.evaluation._likeness import StoryLikeness, kernel_alignment, story_likeness
from brainaligner.evaluation._moments import (
    Moments,
    block_moments,
    correlation_from_moments,
    pearson_r,
    story_moments,
)
from brainaligner.evaluation._null_scores import (
    centred_story,
    lag_one_autocorrelation,
    mean_correlation,
    null_scores,
)
from brainaligner.evaluation._null_series import (
    NULL_KINDS,
    null_series,
    possible_nulls,
)
from brainaligner.evaluation._openings import (
    MOST_CONFIGURATIONS,
    ArmLook,
    Opening,
    configurations_seen,
    looks_taken,
    opened_stories,
)
from brainaligner.evaluation._partial import partial_out
from brainaligner.evaluation._permutation import BlockPermutation, block_permutation
from brainaligner.evaluation._planned import (
    PlannedDifference,
    equivalence_margin,
    planned_difference,
    story_means,
)
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
from brainaligner.evaluation._significance import (
    Discoveries,
    SignificanceSettings,
    TargetGain,
    TargetSignificance,
    count_discoveries,
    fewest_at_the_floor,
    target_gain,
    target_significance,
)
from brainaligner.evaluation._summary import QUANTILES, ScoreBase, Summary, score_group

__all__ = [
    "ALIKE_WARN",
    "DIAGNOSTIC_NAMES",
    "DIAGNOSTIC_RULES",
    "DS003020_VOXELS",
    "FAULTS",
    "FEWEST_EQUAL",
    "MOST_CONFIGURATIONS",
    "MOST_SHARED",
    "NULL_KINDS",
    "QUANTILES",
    "REMARKABLE",
    "VERDICTS",
    "WARNINGS",
    "ArmLook",
    "Audit",
    "BlockPermutation",
    "CeilingSummary",
    "Comparison",
    "ComparisonSettings",
    "Diagnostic",
    "Discoveries",
    "Entered",
    "Equivalence",
    "EvaluationSettings",
    "Fault",
    "Finding",
    "Interval",
    "MadeAgain",
    "Moments",
    "NearRows",
    "NoiseCeiling",
    "Opening",
    "PlannedDifference",
    "ReadAgain",
    "RegionScore",
    "Replication",
    "RowPlaces",
    "ScoreBase",
    "SeriesMatch",
    "ShiftNull",
    "SignificanceSettings",
    "SimulationCheck",
    "StoryLikeness",
    "Summary",
    "TargetGain",
    "TargetSignificance",
    "TargetTests",
    "Unproven",
    "Verdict",
    "apart_diagnostics",
    "autocorrelation_diagnostic",
    "block_length",
    "block_moments",
    "block_permutation",
    "ceiling_diagnostic",
    "ceiling_summary",
    "centred_story",
    "compare_arms",
    "complete_diagnostics",
    "configurations_seen",
    "control_diagnostic",
    "correlation_from_moments",
    "count_discoveries",
    "crossed_kinds",
    "design_faults",
    "detectable_difference",
    "draw_shifts",
    "draw_weights",
    "edge_diagnostic",
    "entered_faults",
    "equivalence_margin",
    "fdr_bh",
    "fdr_by",
    "fewest_at_the_floor",
    "fewest_near",
    "find_warnings",
    "inner_diagnostic",
    "interval_from_moments",
    "join_ceilings",
    "join_pieces",
    "kernel_alignment",
    "lag_diagnostic",
    "lag_one",
    "lag_one_autocorrelation",
    "looks_taken",
    "make_audit",
    "mean_and_influence",
    "mean_correlation",
    "mean_interval",
    "near_rows",
    "noise_ceiling",
    "normalised_correlation",
    "null_diagnostic",
    "null_mean",
    "null_scores",
    "null_series",
    "onset_diagnostic",
    "opened_stories",
    "overlap_faults",
    "paired_moments",
    "partial_out",
    "pearson_r",
    "planned_difference",
    "possible_nulls",
    "region_scores",
    "replication",
    "resampling_moments",
    "row_sources",
    "score_group",
    "series_matches",
    "series_peak",
    "shape_diagnostics",
    "share_above",
    "shared_words",
    "shift_null",
    "simulation_diagnostic",
    "split_half_reliability",
    "story_groups",
    "story_likeness",
    "story_means",
    "story_moments",
    "story_twin_diagnostic",
    "subjects_diagnostic",
    "target_gain",
    "target_significance",
    "target_tests",
    "voxel_count_diagnostic",
    "worst_verdict",
]
