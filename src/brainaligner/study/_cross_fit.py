"""Joining the models of a cross-fitted tuning, and what recipes and page say of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from brainaligner.study._config import StudyConfig
from brainaligner.study._features import FeatureSpace
from brainaligner.study._fold_features import CrossFittedSpace, FoldModel
from brainaligner.study._tuning_folds import training_stories
from brainaligner.study._tuning_task import TuningTask


def cross_fitted_space(
    frozen: FeatureSpace,
    models: Sequence[tuple[TuningTask, FeatureSpace]],
    *,
    within_story: bool,
) -> CrossFittedSpace:
    """Join the features of all fold models of one tuning in one subject."""
    first = models[0][0]
    dataset = first.prepared.dataset
    train = sorted(training_stories(first.prepared, first.subject))
    return CrossFittedSpace(
        frozen,
        tuple(FoldModel(space, task.division.held_out, _seen(task)) for task, space in models),
        {story: dataset.n_rows(first.subject, story) for story in train},
        within_story,
        first.store,
    )


def _seen(task: TuningTask) -> Mapping[str, Any]:
    """What a fold's model saw: text by story, responses by story and content."""
    fold = task.division.fold
    assert fold is not None
    responses = {
        name if task.objectives is None else f"responses/{brain.subject}/{story}": digest
        for brain in task.brains
        for name, digest in brain.recipe.inputs.items()
        for story in [name.removeprefix("responses/")]
        if name.startswith("responses/")
    }
    return {
        "fold": fold.number,
        "of": fold.of,
        "tuning": task.recipe.key,
        "held_out": list(fold.held_out),
        "tuned_on": list(task.division.train),
        "stopped_on": list(task.division.validation),
        "brain_of": ", ".join(brain.source for brain in task.brains) or None,
        "responses": {
            name.removeprefix("responses/"): digest for name, digest in responses.items()
        },
    }


def cross_fit_words(config: StudyConfig) -> str:
    """For the page: what is cross-fitted."""
    crossed = {name: t.cross_fit for name, t in config.tunings.items() if t.cross_fit is not None}
    if not crossed:
        return "none"
    n_folds = next(iter(crossed.values()))
    return (
        f"{', '.join(crossed)}: {n_folds} folds of training stories; each story's ridge rows come "
        "from the model that never saw it, aligned to the frozen features (Procrustes, training "
        "text); validation and test rows are predicted by all of them, and averaged"
    )
