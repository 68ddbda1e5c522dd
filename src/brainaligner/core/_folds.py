"""Folds of stories for cross-fitting: the same for every subject and every arm."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from brainaligner.core._errors import InputError


def story_folds(
    stories: Iterable[str], n_folds: int, *, seed: int = 0
) -> tuple[tuple[str, ...], ...]:
    """Divide stories into folds of nearly equal size.

    The division follows from the names, the number of folds and the seed alone, never from the
    order in which the stories are given: whoever cross-fits over the same stories (each subject's
    tuned model, a reduced-rank projection) has the same folds.

    Parameters
    ----------
    stories : iterable of str
        Training stories; names that stand twice count once.
    n_folds : int
        2 or more, at most the number of stories.
    seed : int

    Returns
    -------
    tuple of tuple of str
        Each story in exactly one fold; sorted within its fold.

    Raises
    ------
    InputError
        If there are fewer stories than folds, or fewer than two folds.
    """
    names = sorted(set(stories))
    if not 2 <= n_folds <= len(names):
        raise InputError(
            "cross-fitting",
            got=f"{n_folds} folds of {len(names)} stories",
            wanted="two folds or more, and a story for each",
            do="Choose fewer folds, or give more training stories.",
        )
    order = np.random.default_rng(seed).permutation(len(names))
    return tuple(tuple(sorted(names[i] for i in part)) for part in np.array_split(order, n_folds))
