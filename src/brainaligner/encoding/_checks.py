"""What is refused before any work is done."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Int64

from brainaligner.core import InputError
from brainaligner.encoding._settings import Selection
from brainaligner.encoding._stories import (
    Designs,
    Stories,
    no_stories,
    read_design,
    read_responses,
)


def check_sides(train: Stories, validation: Stories | None) -> None:
    """Refuse empty sides, or sides whose targets differ."""
    if len(train) == 0 or (validation is not None and len(validation) == 0):
        raise no_stories("training stories" if len(train) == 0 else "validation stories")
    if validation is not None and validation.n_targets != train.n_targets:
        raise InputError(
            "validation stories",
            got=f"{validation.n_targets} targets",
            wanted=f"{train.n_targets}, as in the training stories",
            do="Use responses of the same subject, with the same columns.",
        )


def check_selection(
    train: Stories, validation: Stories | None, selection: Selection, *, n_choices: int
) -> None:
    """Refuse a choice among `n_choices` that these stories cannot decide."""
    if selection == "leave_story_out" and validation is not None:
        raise InputError(
            "validation stories",
            got="some, beside selection='leave_story_out'",
            wanted="none: alphas are chosen on the training stories",
            do="Add them to the training stories, or use selection='validation'.",
        )
    if selection == "leave_story_out" and len(train) < 2 and n_choices > 1:
        raise InputError(
            "training stories",
            got="one story",
            wanted="two or more for selection='leave_story_out'",
            do="Add a story, or choose on validation stories.",
        )
    if selection == "validation" and validation is None and n_choices > 1:
        raise InputError(
            "validation stories",
            got="none",
            wanted=f"some, to choose among {n_choices} settings of the penalty",
            do="Give validation stories, one alpha, or selection='leave_story_out'.",
        )


def check_rows(stories: Stories, n_rows: Int64[np.ndarray, "story"]) -> None:
    """Refuse responses with other rows than their designs; reads one target."""
    for i, rows in enumerate(n_rows.tolist()):
        read_responses(stories, i, slice(0, 1), (rows, 1))


def check_features(sides: Sequence[Designs | None], n_features: int) -> None:
    """Refuse validation or test designs whose features are not those of training."""
    for designs in sides:
        if designs is not None and len(designs) > 0:
            read_design(designs, 0, n_features)


def check_target_block(target_block: int) -> None:
    """Refuse a block without targets."""
    if target_block < 1:
        raise InputError(
            "target_block", got=f"{target_block}", wanted="1 or more", do="Use the default."
        )
