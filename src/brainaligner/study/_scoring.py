"""Stage ``scores``: predictions and measured responses of the test stories -> r."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from pydantic import TypeAdapter

from brainaligner.core import Piece, Scores
from brainaligner.evaluation import ScoreBase, Summary, join_pieces, score_group
from brainaligner.study._prepare import Prepared
from brainaligner.study._readout import Readout, read_predictions
from brainaligner.study._settings import plain
from brainaligner.study._store import Recipe, Store, read_npz, write_npz

VERSION = 1


@dataclass(frozen=True, eq=False)
class ArmScores:
    """All scores of one arm in one subject, read back from the store."""

    recipe: Recipe
    results: tuple[tuple[Scores, Summary], ...]
    replaced: int


def score_recipe(
    prepared: Prepared, subject: str, digests: Mapping[str, str], readouts: Sequence[Readout]
) -> Recipe:
    """Recipe of the scores; here, and only here, test responses enter."""
    groups = prepared.groups[subject]
    stories = sorted({story for group in groups for story in group.stories})
    presentations = {story: prepared.dataset.presentations(story) for story in stories}
    settings = {
        "evaluation": plain(prepared.config.evaluation),
        "groups": plain(groups),
        "presentations": presentations,
        "label": prepared.splits[subject].label,
    }
    inputs = {f"readout/{i}": readout.recipe.key for i, readout in enumerate(readouts)}
    return Recipe(
        "scores",
        VERSION,
        settings,
        inputs | {f"responses/{story}": digests[story] for story in stories},
    )


def ensure_scores(
    prepared: Prepared,
    arm: str,
    subject: str,
    digests: Mapping[str, str],
    readouts: Sequence[Readout],
    *,
    store: Store,
) -> ArmScores:
    """Score one arm in one subject where that has not been done yet, and read it back."""
    recipe = score_recipe(prepared, subject, digests, readouts)
    folder = store.ensure(recipe, lambda target: _score(target, prepared, arm, subject, readouts))
    return _read_scores(folder, recipe, prepared, arm, subject)


def _score(
    folder: Path, prepared: Prepared, arm: str, subject: str, readouts: Sequence[Readout]
) -> None:
    predictions, responses, replaced = _test_rows(prepared, subject, readouts)
    presentations = {story: prepared.dataset.presentations(story) for story in responses}
    arrays: dict[str, np.ndarray] = {}
    summaries = []
    for base in _bases(prepared, subject):
        scores, summary = score_group(
            predictions,
            responses,
            presentations,
            arm=arm,
            base=base,
            settings=prepared.config.evaluation,
        )
        arrays[_name(base)] = scores.r
        summaries.append(asdict(summary) | {"arm": ""})  # arms that share a readout share this
    write_npz(folder / "scores.npz", arrays)
    content = {"replaced": replaced, "summaries": summaries}
    (folder / "summary.json").write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def _test_rows(
    prepared: Prepared, subject: str, readouts: Sequence[Readout]
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray], int]:
    pieces: list[Piece] = []
    predicted: list[np.ndarray] = []
    measured: list[np.ndarray] = []
    replaced = 0
    for readout in readouts:
        for piece, values in read_predictions(readout):
            responses = prepared.dataset.responses(subject, piece.story)
            pieces.append(piece)
            predicted.append(values)
            measured.append(responses.values[piece.rows])
            replaced += responses.replaced
    return join_pieces(pieces, predicted), join_pieces(pieces, measured), replaced


def _bases(prepared: Prepared, subject: str) -> list[ScoreBase]:
    space = prepared.dataset.space(subject)
    label = prepared.splits[subject].label
    return [
        ScoreBase(subject, group, space, cut, label)
        for group in prepared.groups[subject]
        for cut in prepared.config.evaluation.cuts
    ]


def _name(base: ScoreBase) -> str:
    return f"{base.group.name}/cut{base.rows_cut}"


def _read_scores(
    folder: Path, recipe: Recipe, prepared: Prepared, arm: str, subject: str
) -> ArmScores:
    arrays = read_npz(folder / "scores.npz")
    content = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
    adapter = TypeAdapter(Summary)
    results = []
    for base, stored in zip(_bases(prepared, subject), content["summaries"], strict=True):
        summary = adapter.validate_python(stored | {"arm": arm})
        scores = Scores(
            arm,
            subject,
            base.group,
            base.space,
            arrays[_name(base)],
            summary.n_rows,
            base.rows_cut,
            base.label,
        )
        results.append((scores, summary))
    return ArmScores(recipe, tuple(results), content["replaced"])
