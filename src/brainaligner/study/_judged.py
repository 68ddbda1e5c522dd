"""A diagnostic with the recipes that its figure follows from."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int64

from brainaligner.evaluation import ArmLook, Audit, Diagnostic
from brainaligner.report import Table
from brainaligner.study._store import Recipe

Tables = tuple[tuple[str, Table], ...]
"""Further tables of a page, by name."""

MOST_TARGETS = 200
"""Targets that costly checks look at; all where there are fewer."""


@dataclass(frozen=True)
class Judged:
    """A diagnostic and where its figure comes from.

    Parameters
    ----------
    diagnostic : Diagnostic
    recipes : tuple of str
        ``"<stage>/<key>"`` of each artifact that it was read from.
    """

    diagnostic: Diagnostic
    recipes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Looks:
    """All that was looked at beside the scores.

    Parameters
    ----------
    diagnostics : tuple of Judged
        By number, the worst first.
    tables : tuple of (name, Table)
        Further tables of the page, such as the null battery's.
    audit : Audit
    openings : int
        Configurations, this one among them, whose scores on these test stories were seen.
    compared : tuple of ArmLook
        Comparisons of arms on these test stories.
    """

    diagnostics: tuple[Judged, ...]
    tables: Tables
    audit: Audit
    openings: int
    compared: tuple[ArmLook, ...] = ()


def judged(diagnostic: Diagnostic, recipes: Iterable[Recipe] = ()) -> Judged:
    """Put a diagnostic with its recipes."""
    return Judged(diagnostic, tuple(f"{recipe.stage}/{recipe.key}" for recipe in recipes))


@contextmanager
def one_thread() -> Iterator[None]:
    """Run many small fits on one thread: handing them out costs more than it saves."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def some_targets(n_targets: int, *, seed: int = 0) -> Int64[np.ndarray, "target"]:
    """Columns that costly checks look at, in order: at most `MOST_TARGETS`, drawn evenly."""
    if n_targets <= MOST_TARGETS:
        return np.arange(n_targets)
    rng = np.random.default_rng((seed, n_targets))
    return np.sort(rng.choice(n_targets, MOST_TARGETS, replace=False))
