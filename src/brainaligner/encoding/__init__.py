"""From features to responses: voxelwise ridge."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from brainaligner.encoding._aligned import fold_rotations
from brainaligner.encoding._banded import BandedFit, fit_banded
from brainaligner.encoding._banded_search import candidate_shares
from brainaligner.encoding._choice import AlphaChoice, edge_warning, join_choices
from brainaligner.encoding._cross_fit import CrossFit, StoryRows, align_models, cross_fit
from brainaligner.encoding._decompose import Decomposition, decompose
from brainaligner.encoding._fit import RidgeBlock, RidgeFit, Route, predict
from brainaligner.encoding._kept import Scratch
from brainaligner.encoding._procrustes import procrustes_rotation
from brainaligner.encoding._rank_choice import RankChoice, best_rank, one_stage_r, second_stage_r
from brainaligner.encoding._reduced_rank import ReducedRank, fit_reduced_rank, one_stage_blocks
from brainaligner.encoding._reduced_rank_settings import ReducedRankSettings
from brainaligner.encoding._ridge import fit_ridge, stream_ridge
from brainaligner.encoding._settings import WIDE_GRID, BandedSettings, RidgeSettings
from brainaligner.encoding._stacked import StackedStories
from brainaligner.encoding._stories import ArrayDesigns, ArrayStories, Designs, Stories
from brainaligner.encoding._witnessed import WitnessedStories

if TYPE_CHECKING:
    from brainaligner.encoding._estimator import RidgeEncoder

__all__ = [
    "WIDE_GRID",
    "AlphaChoice",
    "ArrayDesigns",
    "ArrayStories",
    "BandedFit",
    "BandedSettings",
    "CrossFit",
    "Decomposition",
    "Designs",
    "RankChoice",
    "ReducedRank",
    "ReducedRankSettings",
    "RidgeBlock",
    "RidgeEncoder",
    "RidgeFit",
    "RidgeSettings",
    "Route",
    "Scratch",
    "StackedStories",
    "Stories",
    "StoryRows",
    "WitnessedStories",
    "align_models",
    "best_rank",
    "candidate_shares",
    "cross_fit",
    "decompose",
    "edge_warning",
    "fit_banded",
    "fit_reduced_rank",
    "fit_ridge",
    "fold_rotations",
    "join_choices",
    "one_stage_blocks",
    "one_stage_r",
    "predict",
    "procrustes_rotation",
    "second_stage_r",
    "stream_ridge",
]


def __getattr__(name: str) -> Any:
    """Import the scikit-learn estimator when it is first asked for."""
    if name == "RidgeEncoder":
        from brainaligner.encoding._estimator import RidgeEncoder

        return RidgeEncoder
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
