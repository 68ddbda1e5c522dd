"""What a reduced-rank regression is asked to do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from brainaligner.core import InputError, settle_types
from brainaligner.encoding._settings import check_choice, checked_alphas

ReducedRankForm = Literal["two-stage", "one-stage"]

RANKS: tuple[int, ...] = (50, 100, 200)
ALPHAS: tuple[float, ...] = (1e5, 2e5, 5e5)


@dataclass(frozen=True)
class ReducedRankSettings:
    """Settings of a reduced-rank regression on the stacked targets of all subjects.

    ``W = (X'X + alpha I)^-1 X'Y``, V = the leading `rank` eigenvectors of ``W'X'X W``. (The
    Huth-lab code penalises with ``alpha**2``: its alpha is the square root of ours.)

    Parameters
    ----------
    rank : tuple of int
        Grid to choose from, increasing.
    alpha : tuple of float
        Grid of the penalty that comes before the rank is reduced: positive, increasing.
    form : {"two-stage", "one-stage"}
        "two-stage" gives ``G = X W V``, divided by its mean training standard deviation, to one
        ridge for each subject; "one-stage" predicts by ``X W V V'`` and has no further fit.
    cross_fit : int, optional
        Folds of training stories: each story's rows of G then come from a projection that knows
        no subject's responses to it. None: one projection, fitted to all of them.
    seed : int
        Of the division into folds.

    Raises
    ------
    InputError
        For an empty or unordered grid, an unknown form, fewer than two folds, folds without a
        second stage, or a seed without folds.
    """

    rank: tuple[int, ...] = RANKS
    alpha: tuple[float, ...] = ALPHAS
    form: ReducedRankForm = "two-stage"
    cross_fit: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        settle_types(self, where="reduced rank")
        _check_ranks(self.rank)
        object.__setattr__(self, "alpha", checked_alphas(self.alpha))
        check_choice("reduced rank form", self.form, ReducedRankForm)
        if self.cross_fit is not None and (self.cross_fit < 2 or self.form == "one-stage"):
            raise _refusal(
                f"cross_fit {self.cross_fit} in the {self.form} form",
                "two folds or more, and the two-stage form",
                "Leave cross_fit out: where no second ridge is fitted, nothing is fitted twice.",
            )
        if self.seed < 0 or (self.cross_fit is None and self.seed):
            raise _refusal(
                f"seed {self.seed} with cross_fit {self.cross_fit}",
                "a seed of 0 or more, and 0 where nothing is divided",
                "Leave the seed out, or cross-fit.",
            )

    @property
    def n_choices(self) -> int:
        """Points of the grid."""
        return len(self.rank) * len(self.alpha)


def _check_ranks(ranks: tuple[int, ...]) -> None:
    if not ranks or ranks[0] < 1 or sorted(set(ranks)) != list(ranks):
        raise _refusal(
            f"rank {list(ranks)}",
            "one or more whole numbers from 1, in increasing order",
            "Give a grid such as [50, 100, 200].",
        )


def _refusal(got: str, wanted: str, do: str) -> InputError:
    return InputError("reduced rank", got=got, wanted=wanted, do=do)
