"""Made-up stories with responses, and tiny models tuned on them by objectives."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny_aligners import tell

from brainaligner.aligner import (
    Aligned,
    BrainAligner,
    ObjectiveSettings,
    PredictSettings,
    ResponseHeadSettings,
    StoryMaterial,
    TuningOptions,
    align,
)
from brainaligner.aligner._objective_run import ObjectiveRun
from brainaligner.aligner._stretches import Side
from brainaligner.core import no_progress
from brainaligner.text import RowText

Aligners = Callable[..., BrainAligner]
TRAIN, STOP = ("ash", "elm", "fir", "oak"), ("yew",)
TARGETS = {"S1": 6, "S2": 4}
TINY = ObjectiveSettings(
    predict=PredictSettings(),
    heads=ResponseHeadSettings(delays=(1, 2), rank=3, alpha=10.0),
    read_layers=(2,),
    trained_layers=1,
    stretch=8,
    stretches=2,
    learning_rate=1e-2,
    evaluations=2,
    seed=5,
)


def material(stories: tuple[str, ...], *, seed: int = 0, n_rows: int = 30) -> StoryMaterial:
    """Made-up stories with left context, and responses that follow the number of words."""
    told = tell(stories, n_rows=n_rows, brain=False, seed=seed).texts
    texts = {
        story: [RowText(rows[i - 1].own if i else (), row.own) for i, row in enumerate(rows)]
        for story, rows in told.items()
    }
    rng = np.random.default_rng(seed + 1)
    responses: dict[str, dict[str, np.ndarray]] = {}
    for subject, n in TARGETS.items():
        responses[subject] = {}
        for story, rows in texts.items():
            drive = np.array([len(row.own) for row in rows], dtype=np.float64)
            values = np.roll(drive, 1)[:, None] + rng.standard_normal((n_rows, n))
            scaled = (values - values.mean(0)) / values.std(0)
            responses[subject][story] = scaled.astype(np.float32)
    z = {story: rng.standard_normal((n_rows, 2)) for story in stories}
    return StoryMaterial(texts, responses, z)


SIDES = material(TRAIN), material(STOP, seed=9)


def prepared(aligner: BrainAligner, folder: Path, settings: ObjectiveSettings) -> Any:
    """What a run makes before its first step: model and sides."""
    made: dict[str, Any] = {}
    run = ObjectiveRun(aligner, SIDES, settings, folder, TuningOptions(), no_progress)

    def keep(model: Any, sides: tuple[Side, Side]) -> Any:
        made.update(model=model, sides=sides)
        raise KeyboardInterrupt

    object.__setattr__(run, "_trainer", keep)
    with pytest.raises(KeyboardInterrupt):
        run.run()
    return made["model"], made["sides"]


def tuned(aligner: BrainAligner, folder: Path, settings: ObjectiveSettings, **more: Any) -> Aligned:
    """Tune on both sides."""
    return align(aligner, *SIDES, settings=settings, folder=folder, **more)


def weights(aligner: BrainAligner) -> dict[str, np.ndarray]:
    """Copies of all weights, by name."""
    return {name: w.numpy().copy() for name, w in aligner.tower.state_dict().items()}


def without(side: StoryMaterial, **changes: Any) -> StoryMaterial:
    """A side with some of its parts changed."""
    given: dict[str, Any] = {n: getattr(side, n) for n in ("texts", "responses", "nuisance")}
    return StoryMaterial(**given | changes)
