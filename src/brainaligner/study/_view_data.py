"""What the explorer shows of a finished run: scores, time courses, words, the cortex."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from brainaligner.core import InputError, Piece, Space, unknown_name
from brainaligner.report import cortex_mesh, no_map_reason, on_vertices, shown_vertices
from brainaligner.study._arms import ArmRun
from brainaligner.study._disk import npz_names, read_array, read_column
from brainaligner.study._plan import Plan
from brainaligner.study._readout import PREDICTIONS, Readout, stored_readout
from brainaligner.study._record import read_run
from brainaligner.study._scoring import base_name
from brainaligner.study._store import Store

_WHERE = "view"


@dataclass(frozen=True, eq=False)
class RunView:
    """A finished run, asked for little pieces; nothing is fitted, and no file is changed.

    Parameters
    ----------
    folder : Path
        Of the run.
    plan : Plan
    store : Store
    """

    folder: Path
    plan: Plan
    store: Store
    _shown: dict[str, np.ndarray] = field(default_factory=dict)
    _known_places: dict[tuple[str, str], tuple[_Place, ...]] = field(default_factory=dict)

    def about(self) -> dict[str, Any]:
        """Names of arms, subjects, groups of stories, and what the targets are."""
        record = read_run(self.folder)
        return {
            "study": record.get("study", self.folder.name),
            "title": record["title"],
            "label": record["label"],
            "simulated": self.plan.prepared.simulated,
            "audit": record.get("audit", {}).get("verdict", "not judged"),
            "tr": self.plan.prepared.dataset.clock.tr,
            "arms": [run.name for run in self.plan.runs],
            "rows_cut": self._cut,
            "subjects": {subject: self._subject(subject) for subject in self._subjects},
        }

    @property
    def _cut(self) -> int:
        return min(self.plan.prepared.config.evaluation.cuts)

    def scores(self, arm: str, subject: str, group: str) -> Float[np.ndarray, "target"]:
        """r of every target over the stories of a group, as few rows cut as the study asks for.

        Raises
        ------
        InputError
            If there is no such arm, subject or group.
        """
        run = self._run(arm)
        groups = {one.name for one in self.plan.groups_of(run, self._known(subject))}
        if group not in groups:
            raise unknown_name(f"{_WHERE}, {arm}, {subject}", "group of stories", group, groups)
        name = f"{run.name}/{subject}/{base_name(group, self._cut)}"
        found = np.asarray(read_array(self.folder / "scores.npz", name), np.float32)
        size = self._space(subject).size
        if found.shape != (size,):
            raise InputError(
                f"{_WHERE}, {subject}",
                got=f"{found.size} scores, and data of {size} targets",
                wanted="the data that the run was made from",
                do="Name their folder with --data, or run the study again.",
            )
        return found

    def series(self, subject: str, story: str, target: int, arms: Iterable[str]) -> dict[str, Any]:
        """Measured and predicted time course of one target in one story, with the words.

        Rows that an arm did not predict are None; so is an arm whose encoder looked at the story.

        Raises
        ------
        InputError
            If there is no such subject, story, target or arm, or the store lacks predictions.
        """
        self._check(subject, story, target)
        dataset = self.plan.prepared.dataset
        measured = dataset.responses(subject, story, slice(target, target + 1)).values[:, 0]
        wanted = dict.fromkeys(arms)
        predicted = {arm: self._predicted(arm, subject, story, target) for arm in wanted}
        return {
            "target": target,
            "times": dataset.clock.centres(len(measured)).tolist(),
            "words": self.words(story, len(measured)),
            "presentations": dataset.presentations(story),
            "measured": _numbers(measured),
            "predicted": {arm: None if y is None else _numbers(y) for arm, y in predicted.items()},
            "r": {arm: _correlation(y, measured) for arm, y in predicted.items()},
        }

    def words(self, story: str, n_rows: int) -> list[str]:
        """Words that began in each row's own window, joined by spaces."""
        dataset = self.plan.prepared.dataset
        transcript = dataset.transcript(story)
        rows = dataset.clock.row_of(transcript.onsets)
        said: list[list[str]] = [[] for _ in range(n_rows)]
        for word, row in zip(transcript.words, rows.tolist(), strict=True):
            if 0 <= row < n_rows:
                said[row].append(word)
        return [" ".join(words) for words in said]

    @cached_property
    def mesh(self) -> dict[str, list[Any]]:
        """The cortex, as lists: x, y, z of vertices, i, j, k of faces, and which are in sulci."""
        mesh = cortex_mesh()
        found = {n: mesh.coordinates[:, k].round(2).tolist() for k, n in enumerate("xyz")}
        found |= {name: mesh.faces[:, k].tolist() for k, name in enumerate("ijk")}
        return found | {"sulci": mesh.sulci.tolist()}

    def painted(self, arm: str, subject: str, group: str) -> Float[np.ndarray, "vertex"]:
        """r on the cortex, of an arm, as its page shows it; NaN where nothing was measured.

        Raises
        ------
        InputError
            As `scores`, and if the subject's targets have no place on the cortex.
        """
        return on_vertices(self._vertices(subject), self.scores(arm, subject, group))

    def targets_at(self, subject: str, vertex: int) -> list[int]:
        """Targets at a vertex of the cortex: those whose colour it shows, else the nearest ones.

        Raises
        ------
        InputError
            If there is no such vertex, or the subject's targets have no place on the cortex.
        """
        vertices, places = self._vertices(subject), cortex_mesh().coordinates
        if not 0 <= vertex < len(places):
            raise unknown_name(_WHERE, "vertex", str(vertex), [f"0 to {len(places) - 1}"])
        taken = np.unique(vertices[vertices >= 0])
        if subject not in self._shown:
            self._shown[subject] = shown_vertices(np.isin(np.arange(len(places)), taken))
        shown = int(self._shown[subject][vertex])
        if shown < 0:
            shown = int(taken[np.argmin(np.square(places[taken] - places[vertex]).sum(axis=1))])
        return np.flatnonzero(vertices == shown).tolist()

    @property
    def _subjects(self) -> tuple[str, ...]:
        return tuple(self.plan.prepared.division.splits)

    def _subject(self, subject: str) -> dict[str, Any]:
        space = self._space(subject)
        return {
            "kind": space.kind,
            "targets": space.size,
            "cortex": no_map_reason(space) or "",
            "groups": [
                {"name": group.name, "stories": list(group.stories)}
                for group in self.plan.prepared.division.groups[subject]
            ],
            "arms_of": {
                run.name: [group.name for group in self.plan.groups_of(run, subject)]
                for run in self.plan.runs
            },
        }

    def _space(self, subject: str) -> Space:
        return self.plan.prepared.dataset.space(subject)

    def _vertices(self, subject: str) -> np.ndarray:
        space = self._space(self._known(subject))
        reason = no_map_reason(space)
        if space.vertices is None or reason is not None:
            raise InputError(
                f"{_WHERE}, {subject}",
                got=reason or "no vertices",
                wanted="targets with a place on the cortex",
                do="Choose targets by their scores.",
            )
        return space.vertices

    def _known(self, subject: str) -> str:
        if subject not in self._subjects:
            raise unknown_name(_WHERE, "subject", subject, self._subjects)
        return subject

    def _run(self, arm: str) -> ArmRun:
        runs = {run.name: run for run in self.plan.runs}
        if arm not in runs:
            raise unknown_name(_WHERE, "arm", arm, runs)
        return runs[arm]

    def _check(self, subject: str, story: str, target: int) -> None:
        groups = self.plan.prepared.division.groups[self._known(subject)]
        stories = [story for group in groups for story in group.stories]
        if story not in stories:
            raise unknown_name(f"{_WHERE}, {subject}", "scored story", story, stories)
        if not 0 <= target < self._space(subject).size:
            raise InputError(
                f"{_WHERE}, {subject}",
                got=f"target {target}",
                wanted=f"0 to {self._space(subject).size - 1}",
                do="Choose another.",
            )

    def _predicted(
        self, arm: str, subject: str, story: str, target: int
    ) -> Float[np.ndarray, "time"] | None:
        run = self._run(arm)
        allowed = {s for group in self.plan.groups_of(run, subject) for s in group.stories}
        if story not in allowed:
            return None
        n_rows = self.plan.prepared.dataset.n_rows(subject, story)
        found = np.full(n_rows, np.nan, np.float32)
        for place in self._places(run, subject):
            if place.piece.story == story:
                found[place.piece.rows] = place.column(target)
        return found

    def _places(self, run: ArmRun, subject: str) -> tuple[_Place, ...]:
        """Where the predictions of an arm lie; looked up once."""
        key = run.name, subject
        if key not in self._known_places:
            tasks, where = self.plan.tasks[key], f"{run.name}, {subject}"
            readouts = [stored_readout(task, self.store, where=where) for task in tasks]
            self._known_places[key] = tuple(place for one in readouts for place in _places_in(one))
        return self._known_places[key]


@dataclass(frozen=True)
class _Place:
    """Predictions of one piece of a story: blocks of targets in a file, by their first target."""

    path: Path
    piece: Piece
    blocks: Mapping[int, str]

    def column(self, target: int) -> Float[np.ndarray, "time"]:
        """Predictions of one target."""
        first = max(start for start in self.blocks if start <= target)
        return read_column(self.path, self.blocks[first], target - first)


def _places_in(readout: Readout) -> Iterator[_Place]:
    path = readout.folder / PREDICTIONS
    names = npz_names(path)
    for number, piece in enumerate(readout.pieces):
        own = [name for name in names if name.startswith(f"piece{number}/")]
        yield _Place(path, piece, {int(name.rpartition("from")[2]): name for name in own})


def _numbers(values: np.ndarray) -> list[float | None]:
    """Numbers for JSON, which knows no NaN."""
    kept = np.isfinite(values)
    return [float(v) if ok else None for v, ok in zip(values.round(4), kept, strict=True)]


def _correlation(predicted: np.ndarray | None, measured: np.ndarray) -> float | None:
    if predicted is None:
        return None
    kept = np.isfinite(predicted)
    sides = predicted[kept].astype(np.float64), measured[kept].astype(np.float64)
    if kept.sum() < 2 or min(np.ptp(side) for side in sides) == 0:
        return None
    return float(np.corrcoef(*sides)[0, 1])
