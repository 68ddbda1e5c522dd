"""Stage ``scores``: predictions and measured responses of the test stories -> r."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from pydantic import TypeAdapter

from brainaligner.core import Piece, Scores, StoryGroup
from brainaligner.evaluation import ScoreBase, Summary, join_pieces, score_group
from brainaligner.study._disk import (
    read_json,
    read_npz,
    reading_artifact,
    write_json,
    write_npz,
)
from brainaligner.study._lineage import entries, lineage
from brainaligner.study._prepare import Prepared
from brainaligner.study._readout import Readout, read_predictions
from brainaligner.study._settings import plain
from brainaligner.study._store import Recipe, Store
from brainaligner.study._witness import WitnessBook

VERSION = 2
_ANY_ARM = ""  # arms that share a readout share its scores


@dataclass(frozen=True, eq=False)
class ArmScores:
    """All scores of one arm in one subject, read back from the store.

    Parameters
    ----------
    recipe : Recipe
    results : tuple of (Scores, Summary)
        One for each group of stories and cut.
    replaced : mapping of story to int
        NaN and infinite responses to test stories that were set to 0.
    """

    recipe: Recipe
    results: tuple[tuple[Scores, Summary], ...]
    replaced: Mapping[str, int]


Groups = tuple[StoryGroup, ...]


def score_recipe(
    prepared: Prepared, subject: str, groups: Groups, readouts: Sequence[Readout]
) -> Recipe:
    """Recipe of the scores; here, and only here, test responses enter."""
    digests = prepared.digests[subject]
    space = prepared.dataset.space(subject)
    stories = sorted({story for group in groups for story in group.stories})
    presentations = {story: prepared.dataset.presentations(story) for story in stories}
    settings = {
        "evaluation": plain(prepared.config.evaluation),
        "groups": plain(groups),
        "presentations": presentations,
        "label": prepared.division.splits[subject].label,
        "space": [space.kind, space.size],
    }
    inputs = {f"readout/{i}": readout.recipe.key for i, readout in enumerate(readouts)}
    return Recipe(
        "scores",
        VERSION,
        settings,
        inputs | {f"responses/{story}": digests[story] for story in stories},
        lineage(scored_on=entries(prepared, subject, _scored_pieces(stories, readouts))),
    )


def _scored_pieces(stories: Collection[str], readouts: Sequence[Readout]) -> list[Piece]:
    return [piece for readout in readouts for piece in readout.pieces if piece.story in stories]


def ensure_scores(
    prepared: Prepared,
    arm: str,
    subject: str,
    groups: Groups,
    readouts: Sequence[Readout],
    *,
    store: Store,
) -> ArmScores:
    """Score one arm in one subject where that has not been done yet, and read it back."""
    recipe = score_recipe(prepared, subject, groups, readouts)
    bases = _bases(prepared, subject, groups)
    folder = store.ensure(recipe, lambda target: _score(target, prepared, bases, readouts))
    return _read_scores(folder, recipe, bases, arm)


def _score(
    folder: Path, prepared: Prepared, bases: Sequence[ScoreBase], readouts: Sequence[Readout]
) -> None:
    scored = {story for base in bases for story in base.group.stories}
    predictions, responses, replaced = test_rows(prepared, bases[0].subject, scored, readouts)
    presentations = {story: prepared.dataset.presentations(story) for story in responses}
    arrays: dict[str, np.ndarray] = {}
    summaries: dict[str, object] = {}
    witness = WitnessBook(prepared.dataset.space(bases[0].subject).size)
    for base in bases:
        scores, summary = score_group(
            predictions,
            responses,
            presentations,
            arm=_ANY_ARM,
            base=base,
            settings=prepared.config.evaluation,
            witness=witness,
        )
        arrays[base_name(base.group.name, base.rows_cut)] = scores.r
        summaries[base_name(base.group.name, base.rows_cut)] = asdict(summary)
    witness.save(folder)
    write_npz(folder / "scores.npz", arrays)
    write_json(folder / "summary.json", {"replaced": replaced, "summaries": summaries})


def test_rows(
    prepared: Prepared, subject: str, scored: Collection[str], readouts: Sequence[Readout]
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray], dict[str, int]]:
    """Predictions and responses of each test story, and the values that were replaced."""
    pieces: list[Piece] = []
    predicted: list[np.ndarray] = []
    measured: list[np.ndarray] = []
    replaced: dict[str, int] = {}
    for readout in readouts:
        for piece, values in read_predictions(readout):
            if piece.story not in scored:
                continue
            responses = prepared.dataset.responses(subject, piece.story)
            pieces.append(piece)
            predicted.append(values)
            measured.append(responses.values[piece.rows])
            if responses.replaced:
                replaced[piece.story] = responses.replaced
    return join_pieces(pieces, predicted), join_pieces(pieces, measured), replaced


def _bases(prepared: Prepared, subject: str, groups: Groups) -> list[ScoreBase]:
    space = prepared.dataset.space(subject)
    label = prepared.division.splits[subject].label
    return [
        ScoreBase(subject, group, space, cut, label)
        for group in groups
        for cut in prepared.config.evaluation.cuts
    ]


def base_name(group: str, rows_cut: int) -> str:
    """Name under which the scores of a group of stories and a cut are kept."""
    return f"{group}/cut{rows_cut}"


def _read_scores(folder: Path, recipe: Recipe, bases: Sequence[ScoreBase], arm: str) -> ArmScores:
    arrays = read_npz(folder / "scores.npz")
    content = read_json(folder / "summary.json")
    adapter = TypeAdapter(Summary)
    results = []
    for base in bases:
        name = base_name(base.group.name, base.rows_cut)
        with reading_artifact(folder / "summary.json"):
            named = {"arm": arm, "subject": base.subject}
            facts, r = content["summaries"][name] | named, arrays[name]
            summary = adapter.validate_python(facts)
        group, space, cut = base.group, base.space, base.rows_cut
        scores = Scores(arm, base.subject, group, space, r, summary.n_rows, cut, base.label)
        results.append((scores, summary))
    return ArmScores(recipe, tuple(results), content["replaced"])
