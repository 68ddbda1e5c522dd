"""Whether responses lie about 0, which a ridge without an intercept takes for granted."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
from jaxtyping import Float

from brainaligner.core import MANY_OFF_CENTRE, off_centre_share
from brainaligner.data import Dataset
from brainaligner.evaluation import Finding
from brainaligner.study._config import StudyConfig
from brainaligner.study._division import AnySplit

_STORIES, _COLUMNS = 8, 1000  # what is looked at in each subject, for it is read on every run


def centring_findings(
    config: StudyConfig, dataset: Dataset, splits: Mapping[str, AnySplit]
) -> tuple[Finding, ...]:
    """Say which subjects' training responses lie off 0 where an arm fits no intercept."""
    arms = [name for name, arm in config.arms.items() if not (arm.banded or arm.ridge).intercept]
    if not arms:
        return ()
    found = []
    for subject, split in splits.items():
        text = off_centre_text(_some_training_responses(dataset, subject, split))
        if text:
            found.append(Finding("warn", subject, f"{text} Arms without one: {', '.join(arms)}."))
    return tuple(found)


def off_centre_text(matrices: Iterable[Float[np.ndarray, "_time target"]]) -> str:
    """What is wrong with training responses whose columns lie off 0; empty where nothing is."""
    shares = [
        off_centre_share(one.mean(axis=0, dtype=np.float64), one.std(axis=0, dtype=np.float64))
        for one in matrices
    ]
    share = float(np.mean(shares))
    if share <= MANY_OFF_CENTRE:
        return ""
    return (
        f"{share:.0%} of response columns have a mean beyond 1 standard deviation in training "
        "stories, and without an intercept the features are fitted to it: these scores are too "
        "low. Z-score the responses within each story, or set intercept: true for the ridge."
    )


def _some_training_responses(
    dataset: Dataset, subject: str, split: AnySplit
) -> Iterable[Float[np.ndarray, "_time target"]]:
    columns = slice(0, min(_COLUMNS, dataset.space(subject).size))
    for piece in split.folds[0].train[:_STORIES]:
        yield np.asarray(dataset.responses(subject, piece.story, columns).values)[piece.rows]
