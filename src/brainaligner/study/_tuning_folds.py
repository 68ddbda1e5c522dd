"""Which training stories each model of a tuning reads, stops by, and never sees."""

from __future__ import annotations

import numpy as np

from brainaligner.core import InputError, story_folds
from brainaligner.study._brain_task import AlignerDivision, TuningFold
from brainaligner.study._prepare import Prepared


def aligner_divisions(prepared: Prepared, name: str, subject: str) -> tuple[AlignerDivision, ...]:
    """Divide a subject's training stories for each model of a tuning.

    One division in the plain protocol, one for each fold where the tuning is cross-fitted: its
    stories for stopping are drawn from those that are left.

    Raises
    ------
    InputError
        If there are too few stories, or a training story is tested.
    """
    whole = _division(prepared, name, subject, None)
    if prepared.config.tunings[name].cross_fit is None:
        return (whole,)
    folds = tuning_folds(prepared, name, subject)
    return tuple(_division(prepared, name, subject, fold) for fold in folds)


def tuning_folds(prepared: Prepared, name: str, subject: str) -> tuple[TuningFold, ...]:
    """Folds of one cross-fitted tuning in one subject.

    They are drawn over the training stories of all subjects of the study, so that a story is in
    the same fold for whoever heard it. A fold of which this subject heard nothing asks for no
    model.

    Raises
    ------
    InputError
        If there are fewer training stories than folds, or the subject's stories are all in one.
    """
    n_folds = prepared.config.tunings[name].cross_fit
    assert n_folds is not None
    heard = {s: training_stories(prepared, s) for s in prepared.division.splits}
    union = set().union(*heard.values())
    whose = prepared.config.tunings[name].participants(subject, tuple(heard))
    own = set().union(*(heard[s] for s in {*whose, subject}))
    if len(union) < n_folds:
        raise _too_few(name, f"{n_folds} folds of {len(union)} training stories", "a story")
    folds = [
        TuningFold(k, n_folds, tuple(story for story in fold if story in own))
        for k, fold in enumerate(story_folds(union, n_folds), start=1)
    ]
    kept = tuple(fold for fold in folds if fold.held_out)
    if len(kept) < 2:
        got = f"all training stories of {subject} in one of {n_folds} folds"
        raise _too_few(name, got, "stories of this subject in two folds or more")
    return kept


def training_stories(prepared: Prepared, subject: str) -> set[str]:
    """Stories that any ridge of a subject is fitted on."""
    folds = prepared.division.splits[subject].folds
    return {piece.story for fold in folds for piece in fold.train}


def _too_few(name: str, got: str, wanted: str) -> InputError:
    return InputError(
        f"tunings.{name}.cross_fit",
        got=got,
        wanted=f"{wanted} in each fold" if wanted == "a story" else wanted,
        do="Lower cross_fit, add training stories, or write cross_fit: null (plain protocol).",
    )


def _division(
    prepared: Prepared, name: str, subject: str, fold: TuningFold | None
) -> AlignerDivision:
    """Draw the aligner's validation stories from what is left of the training stories."""
    config = prepared.config.tunings[name]
    splits = prepared.division.splits
    held_out = () if fold is None else fold.held_out
    whose = config.participants(subject, tuple(splits))
    heard = set().union(*(training_stories(prepared, s) for s in whose))
    stories = sorted(heard - set(held_out))
    tested = {
        piece.story
        for one in {*whose, subject}
        for part in splits[one].folds
        for piece in (*part.validation, *part.test)
    }
    if tested & set(stories) or len(stories) <= config.validation_stories:
        raise InputError(
            f"tunings.{name}, subject {subject}" + ("" if fold is None else f", {fold.words}"),
            got=f"{len(stories)} training stories"
            + (", of which some rows are tested" if tested & set(stories) else ""),
            wanted=f"more than validation_stories ({config.validation_stories}), apart from "
            "those that are tested" + ("" if fold is None else " or held out"),
            do="Lower validation_stories; a dataset of one story cannot tune a model.",
        )
    order = np.random.default_rng(config.division_seed).permutation(len(stories))
    validation = {stories[i] for i in order[: config.validation_stories]}
    return AlignerDivision(
        tuple(story for story in stories if story not in validation),
        tuple(story for story in stories if story in validation),
        fold,
    )
