"""Stage ``null_refit``: what a readout scores that was fitted and tested on null series."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Float64

from brainaligner.core import StoryGroup
from brainaligner.evaluation import centred_story, mean_correlation, null_series, possible_nulls
from brainaligner.study._designs import word_design
from brainaligner.study._disk import read_npz, write_npz
from brainaligner.study._judged import MOST_TARGETS, one_thread
from brainaligner.study._progress import Reporter
from brainaligner.study._readout import ReadoutTask
from brainaligner.study._reduced import (
    GRID,
    Listener,
    SmallFit,
    ensure_reduced,
    joined,
    reduced_recipe,
    small_designs,
)
from brainaligner.study._store import Recipe, Store

VERSION = 2
MORE_DRAWS = 5
Side = Literal["features", "responses"]
NullDraws = dict[str, dict[str, Float64[np.ndarray, "draw"]]]
"""Mean r in each draw, by group and kind."""


@dataclass(frozen=True, eq=False)
class NullTask:
    """Null refits of one arm in one subject.

    Parameters
    ----------
    tasks : tuple of ReadoutTask
        One for each fold.
    groups : tuple of StoryGroup
        Test stories that are scored.
    train : tuple of str
        Stories on which features are brought to few dimensions.
    side : {"features", "responses"}
        What is made null, in all stories.
    kinds : tuple of str
    seed : int
        0 for the draws that are asked for; others are drawn `MORE_DRAWS` times as often.
    """

    tasks: Sequence[ReadoutTask]
    groups: tuple[StoryGroup, ...]
    train: tuple[str, ...]
    side: Side
    kinds: tuple[str, ...]
    seed: int = 0

    @property
    def draws(self) -> int:
        """Draws of each kind."""
        return self.tasks[0].prepared.config.null_draws * (MORE_DRAWS if self.seed else 1)

    @property
    def recipe(self) -> Recipe:
        """All responses enter, those of test stories too: only this table reads what follows."""
        first = self.tasks[0]
        digests = first.prepared.digests[first.subject]
        stories = {p.story for t in self.tasks for p in (*t.fold.train, *t.fold.validation)}
        stories |= {story for group in self.groups for story in group.stories}
        settings = {
            "side": self.side,
            "kinds": self.kinds,
            "draws": self.draws,
            "seed": self.seed,
            "delays": first.design.arm.design.delays,
            "alphas": GRID,
            "targets": MOST_TARGETS,
            "folds": [str(task.fold) for task in self.tasks],
            "groups": [[group.name, *group.stories] for group in self.groups],
        }
        inputs = {"reduced": reduced_recipe(word_design(first.design), self.train).key}
        responses = {f"responses/{story}": digests[story] for story in sorted(stories)}
        return Recipe("null_refit", VERSION, settings, inputs | responses)


def ensure_null_refit(task: NullTask, *, store: Store, reporter: Reporter) -> NullDraws:
    """Refit on null series where that has not been done yet, and read the scores back."""
    made = store.ensure(task.recipe, lambda target: _write(target, task, store, reporter))
    return read_draws(made / "nulls.npz")


def read_draws(path: Path) -> NullDraws:
    """Read draws kept as ``<group>/<kind>``."""
    found: NullDraws = {}
    for name, values in read_npz(path).items():
        group, kind = name.rsplit("/", 1)
        found.setdefault(group, {})[kind] = values
    return found


def _write(folder: Path, task: NullTask, store: Store, reporter: Reporter) -> None:
    first = task.tasks[0]
    series = ensure_reduced(word_design(first.design), task.train, store=store)
    scored = {story for group in task.groups for story in group.stories}
    pieces = tuple(
        piece
        for one in task.tasks
        for piece in (*one.fold.train, *one.fold.validation, *one.fold.test)
        if piece.story in scored or piece not in one.fold.test
    )
    responses = Listener(first.prepared, first.subject, pieces).responses
    used = {story: series[story][: len(rows)] for story, rows in responses.items()}
    draws: dict[str, list[float]] = {}
    with one_thread():
        for done, (kind, r) in enumerate(_null_r(task, used, responses), start=1):
            for group, value in r.items():
                draws.setdefault(f"{group}/{kind}", []).append(value)
            reporter(f"null {task.side}", done, task.draws * len(task.kinds))
    write_npz(folder / "nulls.npz", {name: np.array(values) for name, values in draws.items()})


Arrays = dict[str, np.ndarray]


def _null_r(
    task: NullTask, series: Arrays, responses: Arrays
) -> Iterator[tuple[str, dict[str, float]]]:
    """Kind and mean r of each group, draw after draw."""
    delays = task.tasks[0].design.arm.design.delays
    names = _names(task, series)
    plain = _fits(task, small_designs(series, delays)) if task.side == "responses" else []
    for kind in (kind for kind in task.kinds if kind in possible_nulls(len(series))):
        for draw in range(task.draws):
            if task.side == "features":
                null = null_series(series, kind, draw=draw, seed=task.seed, names=names)
                yield kind, _score(task, _fits(task, small_designs(null, delays)), responses)
            else:
                null = null_series(responses, kind, draw=draw, seed=task.seed, names=names)
                yield kind, _score(task, plain, null)


def _names(task: NullTask, series: Mapping[str, np.ndarray]) -> dict[str, str]:
    """A story's null follows from its words, so that one with two names gets the same twice."""
    transcripts = word_design(task.tasks[0].design).stimuli.transcripts
    return {story: transcripts[story].digest() for story in series}


def _fits(task: NullTask, designs: Arrays) -> list[SmallFit]:
    return [SmallFit(one.fold, designs, one.rows) for one in task.tasks]


def _score(task: NullTask, fits: list[SmallFit], responses: Arrays) -> dict[str, float]:
    scored = {story for group in task.groups for story in group.stories}
    pieces, predicted = [], []
    for fit in fits:
        test = [piece for piece in fit.fold.test if piece.story in scored]
        pieces += test
        predicted += fit.predict(responses, test=test)[0]
    p = joined(pieces, predicted)
    y = joined(pieces, [responses[piece.story][piece.rows] for piece in pieces])
    sides = [{story: centred_story(rows) for story, rows in side.items()} for side in (p, y)]
    return {
        group.name: mean_correlation(*([side[s] for s in group.stories] for side in sides))
        for group in task.groups
    }
