"""The best targets by a score, and what to say of the choice."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float64, Int64

from brainaligner.brain._material import BrainVectors, Provenance
from brainaligner.brain._reading import Facts, TargetReader, kept_rows
from brainaligner.brain._settings import BrainSettings


@dataclass(frozen=True, eq=False)
class Choice:
    """Which targets stay.

    Parameters
    ----------
    columns : int64 array, shape (kept,)
        In increasing order.
    score : float64 array, shape (target,)
        What they were ranked by.
    limit : int
        The most that could stay.
    """

    columns: Int64[np.ndarray, "kept"]
    score: Float64[np.ndarray, "target"]
    limit: int

    def facts(self, score: str) -> Facts:
        """How many stay, of how many, and the least score among them."""
        facts: Facts = {
            "targets": float(len(self.score)),
            "limit": float(self.limit),
            "kept": float(len(self.columns)),
            f"least {score} kept": float(self.score[self.columns].min()),
        }
        if len(self.columns) < self.limit:
            facts["note"] = "fewer targets than the limit could be chosen: all of them are kept"
        return facts


def most_targets(n_targets: int, settings: BrainSettings) -> int:
    """`k`; where there are fewer targets than that, `share` of them, at least one."""
    if settings.k is None:
        return n_targets
    return settings.k if n_targets >= settings.k else max(1, round(settings.share * n_targets))


def best_targets(score: Float64[np.ndarray, "target"], limit: int) -> Choice:
    """The highest finite scores; of equal ones, the first."""
    order = np.argsort(np.where(np.isfinite(score), -score, np.inf), kind="stable")
    n_kept = min(limit, int(np.isfinite(score).sum()))
    return Choice(np.sort(order[:n_kept]), score, limit)


def chosen_vectors(reader: TargetReader, choice: Choice, provenance: Provenance) -> BrainVectors:
    """The chosen targets of all stories to encode."""
    columns = tuple(choice.columns.tolist())
    rows = kept_rows(replace(reader, columns=choice.columns))
    return BrainVectors(rows, replace(provenance, columns=columns))
