"""Which targets are predicted better than chance, and better than by a reference."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int64

from brainaligner.core import InputError, frozen_array, settle_types
from brainaligner.evaluation._blocks import SHORTEST_BLOCK
from brainaligner.evaluation._compare_targets import target_tests
from brainaligner.evaluation._fdr import fdr_bh, fdr_by
from brainaligner.evaluation._intervals import FEWEST_STORIES
from brainaligner.evaluation._layout import target_block_rows
from brainaligner.evaluation._moments import Moments, block_moments, story_moments
from brainaligner.evaluation._permutation import block_permutation
from brainaligner.evaluation._rows import Rows, paired_rows


@dataclass(frozen=True)
class SignificanceSettings:
    """Settings of the test of each target.

    Parameters
    ----------
    permutations : int
        Block permutations behind each p, at least 20: no p is under ``1 / (permutations + 1)``.
    q : float
        False discoveries among the targets that are called significant, within (0, 1).

    Raises
    ------
    InputError
        If a value has the wrong type or is out of range.
    """

    permutations: int = 1000
    q: float = 0.05

    def __post_init__(self) -> None:
        settle_types(self, where="significance settings")
        if self.permutations < 20:
            raise InputError(
                "significance setting 'permutations'",
                got=repr(self.permutations),
                wanted="a whole number, 20 or more",
                do="Use 1000, or write significance: null to leave the tests out.",
            )
        if not 0 < self.q < 1:
            raise InputError(
                "significance setting 'q'",
                got=repr(self.q),
                wanted="a number between 0 and 1, such as 0.05",
                do="Correct it in the study's significance settings.",
            )


@dataclass(frozen=True, eq=False)
class TargetSignificance:
    """Tests of each target of one arm on one group of stories.

    Parameters
    ----------
    r : float64 array, shape (target,)
        Pearson r on concatenated stories; NaN where a side has no variance, and everywhere
        where no story has the 20 rows of two blocks.
    p : float64 array, shape (target,)
        Of :func:`block_permutation`, one-sided; NaN where `r` is.
    block_rows : int64 array, shape (target,)
        Shortest block of each target, in rows (TRs); 0 where nothing was tested.
    """

    r: Float64[np.ndarray, "target"]
    p: Float64[np.ndarray, "target"]
    block_rows: Int64[np.ndarray, "target"]

    def __post_init__(self) -> None:
        for name in ("r", "p", "block_rows"):
            object.__setattr__(self, name, frozen_array(getattr(self, name)))


@dataclass(frozen=True, eq=False)
class TargetGain:
    """What each target has over a reference arm.

    Parameters
    ----------
    difference : float64 array, shape (target,)
        In r.
    p : float64 array, shape (target,)
        Of :func:`target_tests`, two-sided; NaN where r is, or where units are too few.
    """

    difference: Float64[np.ndarray, "target"]
    p: Float64[np.ndarray, "target"]

    def __post_init__(self) -> None:
        for name in ("difference", "p"):
            object.__setattr__(self, name, frozen_array(getattr(self, name)))


@dataclass(frozen=True)
class Discoveries:
    """How many targets are significant at a false discovery rate.

    Parameters
    ----------
    n_tested : int
        Targets with a p: the family over which false discoveries are counted.
    bh, by : int
        Significant ones by Benjamini & Hochberg, and by Benjamini & Yekutieli, which holds
        under any dependence.
    """

    n_tested: int
    bh: int
    by: int


def target_significance(
    predictions: Sequence[Rows],
    responses: Sequence[Rows],
    *,
    cut: int = 0,
    settings: SignificanceSettings | None = None,
    seed: int = 0,
    device: str = "cpu",
) -> TargetSignificance:
    """Test each target by permuting blocks of its prediction within each story.

    Parameters
    ----------
    predictions, responses : sequences of float arrays, shape (time, target)
        One of each per story, in the same order.
    cut : int
        Rows dropped at each end of each story first.
    settings : SignificanceSettings, optional
        Of which `permutations` is read.
    seed : int
    device : str
        Torch device of the products; no p depends on it.

    Raises
    ------
    InputError
        If the two sides do not fit each other, or a value is not finite.
    """
    p, y = paired_rows(predictions, responses, cut=cut)
    n_targets = p[0].shape[1]
    if max(len(rows) for rows in p) < 2 * SHORTEST_BLOCK:
        nothing = np.full(n_targets, np.nan)
        return TargetSignificance(nothing, nothing, np.zeros(n_targets, dtype=np.int64))
    permutations = (settings or SignificanceSettings()).permutations
    found = block_permutation(p, y, n_permutations=permutations, seed=seed, device=device)
    return TargetSignificance(found.r, found.p, found.block_rows)


def target_gain(
    reference: Sequence[Rows],
    predictions: Sequence[Rows],
    responses: Sequence[Rows],
    *,
    cut: int = 0,
) -> TargetGain:
    """Test what each target has over a reference arm, by its spread between stories.

    The paired test of :func:`target_tests`, two-sided, on stories where there are at least 8,
    else on blocks inside each story. A target's block is the longer one of those by which
    :func:`block_permutation` tests the two arms: no p depends on the targets beside it. Of
    unrelated series of lag-1 autocorrelation .5 on all sides 6 to 7 % pass at 5 %, of .7 7 to
    9 %, of .9 11 to 13 % (one to three stories of 200 to 350 rows).

    Parameters
    ----------
    reference, predictions, responses : sequences of float arrays, shape (time, target)
        One of each per story, in the same order.
    cut : int
        Rows dropped at each end of each story first.

    Raises
    ------
    InputError
        If the sides do not fit each other, or a value is not finite.
    """
    sides = [paired_rows(arm, responses, cut=cut) for arm in (reference, predictions)]
    if len(responses) >= FEWEST_STORIES:
        first, second = (story_moments(*side) for side in sides)
        found = target_tests([first], [second])
        return TargetGain(found.difference, found.p)
    block_rows = np.maximum(*(target_block_rows(*side) for side in sides)).clip(SHORTEST_BLOCK)
    difference, p = np.full((2, len(block_rows)), np.nan)
    for block in np.unique(block_rows):
        alike = np.flatnonzero(block_rows == block)
        first, second = (_some_blocks(side, alike, int(block)) for side in sides)
        found = target_tests([first], [second])
        difference[alike], p[alike] = found.difference, found.p
    return TargetGain(difference, p)


def _some_blocks(
    side: tuple[Sequence[Rows], Sequence[Rows]], targets: Int64[np.ndarray, "_"], block: int
) -> Moments:
    """Moments of some targets, on blocks of at least `block` rows."""
    predictions, responses = ([rows[:, targets] for rows in stories] for stories in side)
    return block_moments(predictions, responses, block_rows=block)


def count_discoveries(p: Float64[np.ndarray, "target"], *, q: float) -> Discoveries:
    """Count the targets that are significant when false discoveries are kept to `q`.

    Parameters
    ----------
    p : float64 array, shape (target,)
        NaN where nothing was tested.
    q : float
    """
    by_method = [int(np.count_nonzero(adjust(p) <= q)) for adjust in (fdr_bh, fdr_by)]
    return Discoveries(int(np.isfinite(p).sum()), *by_method)


def fewest_at_the_floor(n_tested: int, *, settings: SignificanceSettings) -> Discoveries:
    """How many targets have to share the smallest possible p before any of them is significant.

    With m permutations that p is ``1 / (m + 1)``; Benjamini & Hochberg call k targets that
    have it significant from ``k >= n / (q (m + 1))``, Benjamini & Yekutieli from
    ``sum_{i=1}^n 1 / i`` times as many. More than `n_tested` says that nothing could be found.

    Parameters
    ----------
    n_tested : int
    settings : SignificanceSettings
    """
    least = n_tested / (settings.q * (settings.permutations + 1))
    harmonic = float((1 / np.arange(1, n_tested + 1)).sum())
    return Discoveries(
        n_tested, *(max(1, int(np.ceil(k - 1e-9))) for k in (least, least * harmonic))
    )
