"""Stage ``ceilings``: the repeats of a test story -> the best r that a model could reach."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Int64

from brainaligner.core import InputError, StoryGroup
from brainaligner.data import Dataset
from brainaligner.evaluation import Finding, NoiseCeiling, join_ceilings, noise_ceiling
from brainaligner.study._ceilings import MEASURES, repeat_slices
from brainaligner.study._disk import read_json, read_npz, reading_artifact, write_json, write_npz
from brainaligner.study._division import AnySplit
from brainaligner.study._progress import Reporter
from brainaligner.study._store import Recipe, Store

VERSION = 1
_NO_REPEATS = "the files hold the mean over presentations and no single ones"


@dataclass(frozen=True, eq=False)
class CeilingTask:
    """Ceilings of one repeated test story in one subject, looked at and not made yet.

    Parameters
    ----------
    subject, story : str
    pieces : tuple of (start, stop)
        The rows that are scored, in order, before anything is cut.
    cuts : tuple of int
        Rows cut, where that leaves enough for a ceiling.
    reasons : mapping of int to str
        Why there is no ceiling with the other numbers of rows cut.
    """

    subject: str
    story: str
    pieces: tuple[tuple[int, int], ...]
    cuts: tuple[int, ...]
    reasons: Mapping[int, str]

    def rows(self, cut: int) -> Int64[np.ndarray, "row"]:
        """Rows that enter with this many cut: those that scores stand on."""
        return _rows(self.pieces, cut)

    @property
    def findings(self) -> tuple[Finding, ...]:
        """Why ceilings are missing; a reason that holds for every cut is said once."""
        cuts: dict[str, list[int]] = {}
        for cut, reason in self.reasons.items():
            cuts.setdefault(reason, []).append(cut)
        where = f"{self.subject}, {self.story}"
        return tuple(
            Finding(
                "note",
                where if not self.cuts else f"{where}, {', '.join(map(str, numbers))} rows cut",
                f"no noise ceiling: {reason}",
            )
            for reason, numbers in cuts.items()
        )


@dataclass(frozen=True, eq=False)
class StoryCeilings:
    """Ceilings of one story in one subject, read back from the store.

    Parameters
    ----------
    recipe : Recipe
    by_cut : mapping of int to NoiseCeiling
    """

    recipe: Recipe
    by_cut: Mapping[int, NoiseCeiling]


def ceiling_task(
    dataset: Dataset, subject: str, group: StoryGroup, split: AnySplit, cuts: tuple[int, ...]
) -> CeilingTask:
    """Look whether a repeated story's single presentations are there, and are enough.

    Parameters
    ----------
    dataset : Dataset
    subject : str
    group : StoryGroup
        One repeated story.
    split : Split or WithinStorySplit
        Which of its rows are scored.
    cuts : tuple of int

    Raises
    ------
    InputError
        If repeats have other rows or columns than their mean, or are fewer than the dataset
        says that it averages.
    """
    (story,) = group.stories
    n_rows = dataset.n_rows(subject, story)
    tested = (piece for fold in split.folds for piece in fold.test if piece.story == story)
    spans = (range(n_rows)[piece.rows] for piece in tested)
    pieces = tuple(sorted((span.start, span.stop) for span in spans))
    one = dataset.repeats(subject, story, slice(0, 1))
    if one is None or one.repeats is None:
        return CeilingTask(subject, story, pieces, (), dict.fromkeys(cuts, _NO_REPEATS))
    if len(one.repeats) < one.presentations:
        raise InputError(
            f"repeats of {subject}, story {story!r}",
            got=f"{len(one.repeats)} single presentations",
            wanted=f"{one.presentations}, as many as its responses average",
            do="Add the presentations that are missing, or correct how many were averaged.",
        )
    reasons = {cut: _too_short(one.repeats[:, _rows(pieces, cut)]) for cut in cuts}
    short = {cut: reason for cut, reason in reasons.items() if reason is not None}
    enough = tuple(cut for cut in cuts if cut not in short)
    return CeilingTask(subject, story, pieces, enough, short)


def _rows(pieces: tuple[tuple[int, int], ...], cut: int) -> Int64[np.ndarray, "row"]:
    rows = np.concatenate([np.arange(start, stop, dtype=np.int64) for start, stop in pieces])
    return rows[cut : len(rows) - cut]


def _too_short(repeats: np.ndarray) -> str | None:
    try:
        noise_ceiling(repeats)
    except InputError as error:
        return f"got {error.got}; wanted {error.wanted}"
    return None


def ceiling_recipe(task: CeilingTask, digest: str) -> Recipe:
    """Recipe of the ceilings of one story: its recording, and which rows enter."""
    settings = {"pieces": [list(piece) for piece in task.pieces], "cuts": list(task.cuts)}
    return Recipe("ceilings", VERSION, settings, {"responses": digest})


def ensure_ceilings(
    task: CeilingTask, dataset: Dataset, digest: str, *, store: Store, reporter: Reporter
) -> StoryCeilings:
    """Measure the ceilings of one story where that has not been done, and read them back.

    Parameters
    ----------
    task : CeilingTask
    dataset : Dataset
    digest : str
        Content of the recording, single presentations included.
    store : Store
    reporter : Reporter
    """
    recipe = ceiling_recipe(task, digest)
    if not task.cuts:
        return StoryCeilings(recipe, {})
    folder = store.ensure(recipe, lambda target: _measure(target, task, dataset, reporter))
    return StoryCeilings(recipe, _read(folder, task))


def _measure(folder: Path, task: CeilingTask, dataset: Dataset, reporter: Reporter) -> None:
    parts: dict[int, list[NoiseCeiling]] = {cut: [] for cut in task.cuts}
    for _, repeats in repeat_slices(dataset, task.subject, task.story, reporter):
        for cut in task.cuts:
            parts[cut].append(noise_ceiling(repeats[:, task.rows(cut)]))
    joined = {cut: join_ceilings(slices) for cut, slices in parts.items()}
    arrays = {
        f"cut{cut}/{name}": getattr(ceiling, name)
        for cut, ceiling in joined.items()
        for name in MEASURES
    }
    write_npz(folder / "ceilings.npz", arrays)
    counts = {str(cut): [one.n_repeats, one.n_rows] for cut, one in joined.items()}
    write_json(folder / "counts.json", counts)


def _read(folder: Path, task: CeilingTask) -> dict[int, NoiseCeiling]:
    arrays, counts = read_npz(folder / "ceilings.npz"), read_json(folder / "counts.json")
    found = {}
    for cut in task.cuts:
        with reading_artifact(folder / "counts.json"):
            n_repeats, n_rows = counts[str(cut)]
            measured = [arrays[f"cut{cut}/{name}"] for name in MEASURES]
        found[cut] = NoiseCeiling(n_repeats, n_rows, *measured)
    return found
