"""Stage ``story_scores``: mean r over targets of each validation story by itself."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from brainaligner.evaluation import story_means
from brainaligner.study._disk import read_json, write_json
from brainaligner.study._lineage import entries, lineage
from brainaligner.study._plan import Plan
from brainaligner.study._readout import Readout
from brainaligner.study._scoring import test_rows
from brainaligner.study._store import Recipe, Store

VERSION = 1


@dataclass(frozen=True)
class StoryScores:
    """Validation scores of one arm in one subject, story by story.

    Parameters
    ----------
    key : str
        Of the artifact.
    by_cut : mapping of rows cut to mapping of story to float
        Mean r over targets; NaN where a story is too short for the cut.
    """

    key: str
    by_cut: Mapping[int, Mapping[str, float]]


def story_recipe(view: Plan, subject: str, readouts: Sequence[Recipe]) -> Recipe:
    """Recipe of the story scores: validation responses enter, and none of a test story."""
    prepared = view.prepared
    digests, stories = prepared.digests[subject], _stories(view, subject)
    inputs = {f"readout/{i}": readout.key for i, readout in enumerate(readouts)}
    inputs |= {f"responses/{story}": digests[story] for story in stories}
    settings = {"cuts": list(prepared.config.evaluation.cuts), "stories": list(stories)}
    of = lineage(scored_on=entries(prepared, subject, stories))
    return Recipe("story_scores", VERSION, settings, inputs, of)


def _stories(view: Plan, subject: str) -> tuple[str, ...]:
    groups = view.prepared.division.groups[subject]
    return tuple(s for group in groups for s in group.stories if group.presentations == "single")


def ensure_story_scores(
    view: Plan, subject: str, readouts: Sequence[Readout], *, store: Store
) -> StoryScores:
    """Score each validation story where that has not been done yet, and read it back."""
    recipe = story_recipe(view, subject, [readout.recipe for readout in readouts])
    write = partial(_write, view=view, subject=subject, readouts=readouts)
    return read_story_scores(store.ensure(recipe, write))


def read_story_scores(folder: Path) -> StoryScores:
    """Read one artifact."""
    content = read_json(folder / "stories.json")
    by_cut = {
        int(cut): {story: float(r) for story, r in found.items()} for cut, found in content.items()
    }
    return StoryScores(folder.name, by_cut)


def _write(folder: Path, view: Plan, subject: str, readouts: Sequence[Readout]) -> None:
    stories = _stories(view, subject)
    predicted, measured, _ = test_rows(view.prepared, subject, stories, readouts)
    found: dict[str, dict[str, float]] = {}
    for cut in view.prepared.config.evaluation.cuts:
        means = {
            story: story_means([predicted[story]], [measured[story]], cut=cut)[0]
            for story in stories
            if len(measured[story]) > 2 * cut + 2
        }
        found[str(cut)] = {story: means.get(story, math.nan) for story in stories}
    write_json(folder / "stories.json", found)
