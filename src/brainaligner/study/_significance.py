"""Stage ``significance``: which targets of an arm are predicted better than chance, and than Z."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path

import numpy as np
from jaxtyping import Int64

from brainaligner.core import Piece, StoryGroup
from brainaligner.evaluation import (
    SignificanceSettings,
    TargetGain,
    TargetSignificance,
    join_pieces,
    target_gain,
    target_significance,
)
from brainaligner.study._arms import ArmRun
from brainaligner.study._disk import npz_names, npz_writer, read_array, read_json
from brainaligner.study._options import RunOptions
from brainaligner.study._plan import Plan
from brainaligner.study._progress import Reporter
from brainaligner.study._readout import PREDICTIONS, ReadoutTask, readout_recipe
from brainaligner.study._scoring import base_name
from brainaligner.study._store import Recipe, Store

VERSION = 2
ARRAYS = "significance.npz"
TARGETS_AT_ONCE = 16_384
OF_ARM, OF_GAIN = ("r", "p", "block_rows"), ("difference", "p")


@dataclass(frozen=True, eq=False)
class SignificanceTask:
    """Tests of one arm in one subject.

    Parameters
    ----------
    plan : Plan
    run, reference : ArmRun
        The arm, and the nuisance block alone beside it (None: there is none, or it is the arm).
    subject : str
    """

    plan: Plan
    run: ArmRun
    reference: ArmRun | None
    subject: str

    @property
    def settings(self) -> SignificanceSettings:
        """What the study file says."""
        assert self.plan.prepared.config.significance is not None
        return self.plan.prepared.config.significance

    @cached_property
    def groups(self) -> tuple[StoryGroup, ...]:
        """Groups of test stories that are scored in the arm."""
        return self.plan.groups_of(self.run, self.subject)

    @property
    def paired(self) -> tuple[StoryGroup, ...]:
        """Those of them that are scored in the reference too."""
        if self.reference is None:
            return ()
        return tuple(
            g for g in self.groups if g in self.plan.groups_of(self.reference, self.subject)
        )

    @property
    def cuts(self) -> tuple[int, ...]:
        """Rows dropped at each end of each story, ascending."""
        return tuple(sorted(self.plan.prepared.config.evaluation.cuts))

    def readout_tasks(self, run: ArmRun) -> tuple[ReadoutTask, ...]:
        """One for each fold."""
        return self.plan.tasks[run.name, self.subject]

    def rows_of(self, groups: Sequence[StoryGroup]) -> int:
        """Rows of the stories of some groups."""
        rows = self.plan.prepared.dataset.n_rows
        return sum(rows(self.subject, story) for group in groups for story in group.stories)

    @cached_property
    def recipe(self) -> Recipe:
        """Predictions of arm and reference, and the responses to all scored stories."""
        stories = sorted({story for group in self.groups for story in group.stories})
        digests = self.plan.prepared.digests[self.subject]
        settings = {
            "permutations": self.settings.permutations,
            "seed": self.plan.prepared.config.evaluation.seed,
            "cuts": self.cuts,
            "groups": [[group.name, *group.stories] for group in self.groups],
            "paired": [group.name for group in self.paired],
        }
        inputs = {f"responses/{story}": digests[story] for story in stories}
        sides = {"readout": self.run, "reference": self.reference if self.paired else None}
        for role, run in sides.items():
            tasks = () if run is None else self.readout_tasks(run)
            inputs |= {f"{role}/{i}": readout_recipe(task).key for i, task in enumerate(tasks)}
        return Recipe("significance", VERSION, settings, inputs)


@dataclass(frozen=True, eq=False)
class ArmSignificance:
    """Tests of one arm in one subject, read from the store where they are asked for.

    Parameters
    ----------
    task : SignificanceTask
    folder : Path
    selected : int64 array, shape (column,), optional
        Targets that the arm's own brain encoder selected, in any fold; None where none did.
    """

    task: SignificanceTask
    folder: Path
    selected: Int64[np.ndarray, "column"] | None = None

    def of(self, group: str, cut: int) -> TargetSignificance:
        """Tests on one group of stories."""
        return TargetSignificance(*(self._read(group, cut, name) for name in OF_ARM))

    def gain(self, group: str, cut: int) -> TargetGain | None:
        """Tests against the nuisance block alone; None where it was not scored there."""
        if group not in [one.name for one in self.task.paired]:
            return None
        return TargetGain(*(self._read(group, cut, f"gain/{name}") for name in OF_GAIN))

    def _read(self, group: str, cut: int, name: str) -> np.ndarray:
        return read_array(self.folder / ARRAYS, f"{base_name(group, cut)}/{name}")


def significance_tasks(plan: Plan) -> list[SignificanceTask]:
    """All tests of a study; none where it leaves them out.

    The reference of an arm with words is the first arm of the nuisance block alone that has
    the arm's delays, or the first one of any delays.
    """
    if plan.prepared.config.significance is None:
        return []
    subjects = plan.prepared.division.splits
    return [
        SignificanceTask(plan, run, _reference(plan.runs, run), subject)
        for run in plan.runs
        for subject in subjects
    ]


def _reference(runs: Sequence[ArmRun], run: ArmRun) -> ArmRun | None:
    if run.arm.design.nuisance == "alone":
        return None
    alone = [other for other in runs if other.arm.design.nuisance == "alone"]
    alike = [other for other in alone if other.arm.design.delays == run.arm.design.delays]
    return next(iter((*alike, *alone)), None)


def ensure_significances(
    plan: Plan, *, store: Store, options: RunOptions, reporter: Reporter
) -> tuple[ArmSignificance, ...]:
    """Test the targets of all arms where that has not been done yet; readouts are there."""
    tasks, found = significance_tasks(plan), []
    for done, task in enumerate(tasks, start=1):
        write = partial(_test, task=task, store=store, options=options)
        folder = store.ensure(task.recipe, write)
        found.append(ArmSignificance(task, folder, _selected(task, store)))
        reporter("significance", done, len(tasks))
    return tuple(found)


def _test(folder: Path, task: SignificanceTask, store: Store, options: RunOptions) -> None:
    """Test some targets at a time, which bounds the memory; no p depends on its neighbours."""
    size = task.plan.prepared.dataset.space(task.subject).size
    found: dict[str, list[np.ndarray]] = {}
    for start in range(0, size, TARGETS_AT_ONCE):
        targets = slice(start, min(start + TARGETS_AT_ONCE, size))
        for name, values in tested(task, targets, store, options):
            found.setdefault(name, []).append(values)
    with npz_writer(folder / ARRAYS) as add:
        for name, parts in found.items():
            add(name, np.concatenate(parts))


def tested(
    task: SignificanceTask, targets: slice, store: Store, options: RunOptions
) -> Iterator[tuple[str, np.ndarray]]:
    """Name and values of everything that is found of some targets."""
    predictions = _predictions(task, task.run, task.groups, targets, store)
    responses = _responses(task, targets)
    reference: Mapping[str, np.ndarray] = {}
    if task.reference is not None and task.paired:
        reference = _predictions(task, task.reference, task.paired, targets, store)
    seed = task.plan.prepared.config.evaluation.seed
    for group in task.groups:
        p, y = ([side[s] for s in group.stories] for side in (predictions, responses))
        for cut in task.cuts:
            place = base_name(group.name, cut)
            found = target_significance(
                p, y, cut=cut, settings=task.settings, seed=seed, device=options.ridge_device
            )
            yield from ((f"{place}/{name}", getattr(found, name)) for name in OF_ARM)
            if group in task.paired:
                gain = target_gain([reference[s] for s in group.stories], p, y, cut=cut)
                yield from ((f"{place}/gain/{name}", getattr(gain, name)) for name in OF_GAIN)


def _predictions(
    task: SignificanceTask,
    run: ArmRun,
    groups: Sequence[StoryGroup],
    targets: slice,
    store: Store,
) -> dict[str, np.ndarray]:
    """Predictions in the store of the stories of some groups."""
    scored = {story for group in groups for story in group.stories}
    pieces: list[Piece] = []
    rows: list[np.ndarray] = []
    for one in task.readout_tasks(run):
        path = store.path(readout_recipe(one)) / PREDICTIONS
        for i, piece in enumerate(one.fold.test):
            if piece.story in scored:
                pieces.append(piece)
                rows.append(_columns(path, i, targets))
    return join_pieces(pieces, rows)


def _columns(path: Path, number: int, targets: slice) -> np.ndarray:
    """Some targets of the predictions of one piece, from the blocks that hold them."""
    names = sorted(name for name in npz_names(path) if name.startswith(f"piece{number}/"))
    starts = [int(name.rpartition("from")[2]) for name in names]
    ends = [*starts[1:], targets.stop]
    return np.concatenate(
        [
            read_array(path, name)[:, max(targets.start - start, 0) : targets.stop - start]
            for name, start, end in zip(names, starts, ends, strict=True)
            if start < targets.stop and end > targets.start
        ],
        axis=1,
    )


def _responses(task: SignificanceTask, targets: slice) -> dict[str, np.ndarray]:
    """Responses to the scored pieces of all groups."""
    scored = {story for group in task.groups for story in group.stories}
    tested = [p for one in task.readout_tasks(task.run) for p in one.fold.test if p.story in scored]
    read = task.plan.prepared.dataset.responses
    return join_pieces(
        tested, [read(task.subject, p.story, targets).values[p.rows] for p in tested]
    )


def _selected(task: SignificanceTask, store: Store) -> Int64[np.ndarray, "column"] | None:
    """Targets that the encoders of an arm's tunings chose among the subject's own."""
    chosen: set[int] = set()
    for tuning, _ in task.plan.tunings_of(task.run, task.subject):
        own = [brain for brain in tuning.brains if brain.source == task.subject]
        if not own or not store.has(own[0].recipe):
            return None
        columns = read_json(store.path(own[0].recipe) / "provenance.json")["columns"]
        if columns is None:
            return None
        chosen |= set(columns)
    every = task.plan.prepared.dataset.space(task.subject).size
    return np.array(sorted(chosen)) if 0 < len(chosen) < every else None


def counted_bases(found: ArmSignificance) -> Iterator[tuple[StoryGroup, int]]:
    """Groups of stories and cuts that were tested."""
    for group in found.task.groups:
        for cut in found.task.cuts:
            yield group, cut
