"""Stage ``regions``: scores of one arm in one subject -> scores of each region of interest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from pydantic import TypeAdapter

from brainaligner.core import Scores
from brainaligner.evaluation import RegionScore, region_scores
from brainaligner.study._disk import read_json, reading_artifact, write_json
from brainaligner.study._prepare import Prepared
from brainaligner.study._readout import Readout
from brainaligner.study._region_files import region_digests
from brainaligner.study._scoring import ArmScores, base_name, test_rows
from brainaligner.study._store import Recipe, Store

VERSION = 1


@dataclass(frozen=True, eq=False)
class ArmRegions:
    """Scores of each region of one arm in one subject, read back from the store.

    Parameters
    ----------
    recipe : Recipe
    by_base : mapping of str to tuple of RegionScore
        For each group of stories and cut, named by `base_name`.
    """

    recipe: Recipe
    by_base: Mapping[str, tuple[RegionScore, ...]]

    def of(self, scores: Scores) -> tuple[RegionScore, ...]:
        """Regions of these scores."""
        return self.by_base[base_name(scores.group.name, scores.rows_cut)]


def ensure_regions(
    prepared: Prepared,
    subject: str,
    readouts: Sequence[Readout],
    scores: ArmScores,
    *,
    store: Store,
) -> ArmRegions | None:
    """Score the regions of one arm in one subject, once; None where a study names no regions.

    The stage reads the test responses that its scores were made of, for the intervals.
    """
    if subject not in prepared.regions:
        return None
    settings = {"regions": region_digests(prepared.regions[subject])}
    recipe = Recipe("regions", VERSION, settings, {"scores": scores.recipe.key})
    folder = store.ensure(
        recipe, lambda target: _score(target, prepared, subject, readouts, scores)
    )
    return ArmRegions(recipe, _read(folder / "regions.json"))


def _score(
    folder: Path,
    prepared: Prepared,
    subject: str,
    readouts: Sequence[Readout],
    arm_scores: ArmScores,
) -> None:
    scored = {story for scores, _ in arm_scores.results for story in scores.group.stories}
    predictions, responses, _ = test_rows(prepared, subject, scored, readouts)
    content = {}
    for scores, _ in arm_scores.results:
        found = region_scores(
            predictions,
            responses,
            prepared.regions[subject],
            scores=scores,
            settings=prepared.config.evaluation,
        )
        name = base_name(scores.group.name, scores.rows_cut)
        content[name] = [asdict(one) for one in found]
    write_json(folder / "regions.json", content)


def _read(path: Path) -> dict[str, tuple[RegionScore, ...]]:
    content = read_json(path)
    with reading_artifact(path):
        return TypeAdapter(dict[str, tuple[RegionScore, ...]]).validate_python(content)
