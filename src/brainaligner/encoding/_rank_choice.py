"""Which rank and which first penalty: chosen by r on validation stories, never on test stories."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float64

from brainaligner.core import InputError, frozen_array
from brainaligner.encoding._decompose import Decomposition
from brainaligner.encoding._reduced_rank import ReducedRank, one_stage_blocks
from brainaligner.encoding._reduced_rank_settings import ReducedRankSettings
from brainaligner.encoding._ridge import TARGET_BLOCK, stream_ridge
from brainaligner.encoding._select import centred_squares, correlation
from brainaligner.encoding._settings import RidgeSettings
from brainaligner.encoding._stories import Stories, read_design, read_responses

RankScores = Float64[np.ndarray, "alpha rank"]


@dataclass(frozen=True, eq=False)
class RankChoice:
    """A rank and a first penalty, and what chose them.

    Parameters
    ----------
    rank : int
    alpha : float
        Of ``W = (X'X + alpha I)^-1 X'Y`` (Huth lab: its square root).
    ranks, alphas : tuple of int, tuple of float
        The grid.
    validation_r : float64 array, shape (alpha, rank)
        Mean r over targets, then over subjects; NaN where there was one choice.
    """

    rank: int
    alpha: float
    ranks: tuple[int, ...]
    alphas: tuple[float, ...]
    validation_r: RankScores

    def __post_init__(self) -> None:
        object.__setattr__(self, "validation_r", frozen_array(self.validation_r))

    @property
    def edge_warning(self) -> str | None:
        """Advice where the choice lies at an end of a grid with two values or more."""
        ends = [
            f"{name} {chosen:g} ({'lowest' if chosen == grid[0] else 'highest'} of its grid)"
            for name, chosen, grid in (
                ("rank", self.rank, self.ranks),
                ("first alpha", self.alpha, self.alphas),
            )
            if len(grid) > 1 and chosen in (grid[0], grid[-1])
        ]
        if not ends:
            return None
        return f"The projection was chosen at {' and '.join(ends)}: extend the grid beyond it."


def best_rank(settings: ReducedRankSettings, score: Callable[[int, int], float]) -> RankChoice:
    """Choose from the grid by a score; of equal scores the lowest rank and the largest alpha.

    Parameters
    ----------
    settings : ReducedRankSettings
    score : callable
        From the number of an alpha and of a rank in the grid to a mean r. It is not called where
        there is one choice.
    """
    shape = len(settings.alpha), len(settings.rank)
    scores = np.full(shape, np.nan)
    if settings.n_choices > 1:
        for a, k in np.ndindex(shape):
            scores[a, k] = score(a, k)
    a, k = _best(scores)
    return RankChoice(settings.rank[k], settings.alpha[a], settings.rank, settings.alpha, scores)


def second_stage_r(
    train: Stories,
    validation: Stories | None,
    *,
    settings: RidgeSettings,
    device: str = "cpu",
    target_block: int = TARGET_BLOCK,
) -> float:
    """Mean over targets of r at the chosen alphas of one subject's ridge on G.

    Parameters
    ----------
    train, validation, settings, device, target_block
        As in `stream_ridge`. With one alpha and no validation stories nothing can be scored.

    Raises
    ------
    InputError
        If nothing was scored, or as `stream_ridge`.
    """
    blocks = stream_ridge(
        train, validation, (), settings=settings, device=device, target_block=target_block
    )
    total, n_targets = 0.0, 0
    for block in blocks:
        rows = np.searchsorted(block.choice.alphas, block.choice.alpha)
        found = block.choice.validation_r[rows, np.arange(rows.size)]
        total += float(found.sum(dtype=np.float64))
        n_targets += rows.size
    if not np.isfinite(total):
        raise _nothing_scored()
    return total / n_targets


def one_stage_r(
    train: Stories,
    validation: Stories,
    fit: ReducedRank,
    *,
    ranks: Iterable[int],
    ridge: RidgeSettings,
    decomposition: Decomposition,
    target_block: int = TARGET_BLOCK,
) -> list[float]:
    """Mean over targets of r of ``X W V V'`` on validation stories, for each rank.

    Parameters
    ----------
    train, fit, ridge, decomposition, target_block
        As in `one_stage_blocks`.
    validation : Stories
    ranks : iterable of int
    """
    stories = range(len(validation))
    designs = [read_design(validation, i) @ fit.weights + fit.constant for i in stories]
    rows = torch.tensor(np.concatenate(designs))
    grid = list(ranks)
    total = np.zeros(len(grid))
    for targets, loadings, _ in one_stage_blocks(
        train, fit, ridge=ridge, decomposition=decomposition, target_block=target_block
    ):
        width = targets.stop - targets.start
        read = [read_responses(validation, i, targets, (len(designs[i]), width)) for i in stories]
        measured = torch.tensor(np.concatenate(read, dtype=np.float64))
        for k, rank in enumerate(grid):
            predicted = rows[:, :rank] @ torch.tensor(loadings[:rank])
            total[k] += float(_pearson(predicted, measured).sum())
    return (total / train.n_targets).tolist()


def _pearson(
    predicted: Float64[torch.Tensor, "time target"], measured: Float64[torch.Tensor, "time target"]
) -> Float64[torch.Tensor, "target"]:
    n = len(measured)
    p, y = predicted.sum(0), measured.sum(0)
    spread = (
        centred_squares(predicted.square().sum(0), p, n),
        centred_squares(measured.square().sum(0), y, n),
    )
    return correlation((predicted * measured).sum(0) - p * y / n, *spread)


def _best(scores: RankScores) -> tuple[int, int]:
    if np.isnan(scores).all():
        return 0, 0
    n_ranks = scores.shape[1]
    place = int(np.argmax(scores[::-1]))  # the largest alpha first, then the lowest rank
    return len(scores) - 1 - place // n_ranks, place % n_ranks


def _nothing_scored() -> InputError:
    return InputError(
        "reduced rank",
        got="several ranks or alphas, and nothing that scores them",
        wanted="validation stories, or a ridge that leaves stories out",
        do="Give validation stories, or one rank and one alpha.",
    )
