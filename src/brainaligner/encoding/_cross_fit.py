"""Cross-fitting: each story's rows from the model that never saw it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from brainaligner.core import InputError
from brainaligner.encoding._procrustes import procrustes_rotation

StoryRows = Callable[[str], Float[np.ndarray, "time feature"]]
"""Rows of a story, by its name."""


@dataclass(frozen=True, eq=False)
class CrossFit:
    """Rows of stories through several models, none of which saw the stories of its own fold.

    A story of fold k has the rows of model k. Any other story, a validation or test story, has
    the mean of all models' rows: a linear fit predicts from it what the mean of its predictions
    from each model is, ``mean_k(X_k W + b) = mean_k(X_k) W + b``.

    Parameters
    ----------
    folds : tuple of tuple of str
        Stories that each model never saw; none stands twice.
    models : tuple of callables
        One for each fold: name of a story -> rows, array (time, feature).

    Raises
    ------
    InputError
        If there are fewer than two folds, one is empty, a story stands twice, or folds and
        models differ in number.
    """

    folds: tuple[tuple[str, ...], ...]
    models: tuple[StoryRows, ...]

    def __post_init__(self) -> None:
        names = [story for fold in self.folds for story in fold]
        faults = {
            f"{len(self.folds)} folds": len(self.folds) < 2,
            "a fold without stories": not all(self.folds),
            "a story in two folds": len(set(names)) < len(names),
            f"{len(self.models)} models of {len(self.folds)} folds": len(self.models)
            != len(self.folds),
        }
        for fault, is_there in faults.items():
            if is_there:
                raise InputError(
                    "cross-fitting",
                    got=fault,
                    wanted="two folds or more, each story in one of them, and a model for each",
                    do="Take the folds from story_folds.",
                )

    def behind(self, story: str) -> tuple[int, ...]:
        """Which models make a story's rows: the one that never saw it, or all of them."""
        own = tuple(k for k, fold in enumerate(self.folds) if story in fold)
        return own or tuple(range(len(self.folds)))

    def rows(self, story: str) -> Float[np.ndarray, "time feature"]:
        """Rows of a story, in the dtype of the models; the mean is taken in float64."""
        made = [self.models[k](story) for k in self.behind(story)]
        if len(made) == 1:
            return made[0]
        mean = np.mean(made, axis=0, dtype=np.float64)
        return mean.astype(made[0].dtype, copy=False)


def cross_fit(
    folds: Sequence[Sequence[str]], fit: Callable[[tuple[str, ...]], StoryRows]
) -> CrossFit:
    """Fit a transformation of features once for each fold, on the stories of the others.

    Parameters
    ----------
    folds : sequence of sequence of str
        As `story_folds` gives them.
    fit : callable
        Gets the stories that it may look at, text and responses both, and gives back the rows
        of any story by its name.

    Raises
    ------
    InputError
        As `CrossFit`.
    """
    stories = [story for fold in folds for story in fold]
    models = [fit(tuple(story for story in stories if story not in fold)) for fold in folds]
    return CrossFit(tuple(map(tuple, folds)), tuple(models))


def align_models(
    models: Sequence[StoryRows], common: StoryRows, stories: Sequence[str]
) -> tuple[StoryRows, ...]:
    """Bring models to common coordinates, by `procrustes_rotation` on some stories.

    Parameters
    ----------
    models : sequence of callables
        Name of a story -> rows, array (time, feature).
    common : callable
        The same in common coordinates; as many features.
    stories : sequence of str
        Training stories, whose features (never responses) decide.

    Returns
    -------
    tuple of callables
        One for each model, in float64.
    """
    fixed = [common(story) for story in stories]
    return tuple(_turned(model, fixed, stories) for model in models)


def _turned(
    model: StoryRows, fixed: Sequence[Float[np.ndarray, "time feature"]], stories: Sequence[str]
) -> StoryRows:
    rotation = procrustes_rotation([model(story) for story in stories], fixed)
    return lambda story: model(story) @ rotation
