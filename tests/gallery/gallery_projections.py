"""Cheats on what the audit makes again: projections, folds, shares of bands."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from gallery_bench import Bench
from gallery_rows import resized
from gallery_tuning import tuned

from brainaligner.data import Dataset
from brainaligner.encoding import _banded
from brainaligner.study import _projection, _readout_fits, _tuning
from brainaligner.study._brain_task import BrainTask, SubjectRecording
from brainaligner.study._readout import ReadoutTask

REDUCED = {"rank": [3, 6, 12], "alpha": [100, 3000]}


def _arm(**reduced: Any) -> dict[str, Any]:
    return {"arms": {"words": {"features": ["words"], "reduced_rank": REDUCED | reduced}}}


def _while(
    bench: Bench, module: Any, name: str, into: Sequence[str], source: Sequence[str]
) -> None:
    """Have some stories bring others' responses while one function runs, and only then."""
    honest, reads, inside = getattr(module, name), Dataset.responses, []
    other = dict(zip(into, len(into) * list(source), strict=False))

    def responses(self: Dataset, subject: str, story: str, targets: slice = slice(None)) -> Any:
        own = reads(self, subject, story, targets)
        if not inside or story not in other:
            return own
        values = reads(self, subject, other[story], targets).values
        return dataclasses.replace(own, values=resized(values, len(own.values)))

    def called(*given: Any, **named: Any) -> Any:
        inside.append(True)
        try:
            return honest(*given, **named)
        finally:
            inside.pop()

    bench.patch.setattr(Dataset, "responses", responses)
    bench.patch.setattr(module, name, called)


def cheat_test_stories_in_the_projection(bench: Bench) -> Path:
    """The projection is fitted to test stories' responses in some training stories' place."""
    split = bench.world.split
    _while(bench, _projection, "fit_reduced_rank", split["train"][:3], split["test"])
    return bench.run(_arm())


def cheat_test_stories_in_the_projection_of_folds(bench: Bench) -> Path:
    """The same where the projection is cross-fitted."""
    split = bench.world.split
    _while(bench, _projection, "fit_reduced_rank", split["train"][:3], split["test"])
    return bench.run(_arm(cross_fit=2))


def cheat_rank_chosen_on_test(bench: Bench) -> Path:
    """Rank and first alpha are scored on test responses in the validation stories' place."""
    split = bench.world.split
    _while(bench, _projection, "second_stage_r", split["validation"], split["test"])
    return bench.run(_arm())


def cheat_projection_edited_in_the_store(bench: Bench) -> Path:
    """What leads to the test responses is added to the kept projection; all else follows."""
    honest = _projection._Maker.write

    def write(self: Any, folder: Path) -> None:
        honest(self, folder)
        path = folder / "projection.npz"
        with np.load(path) as file:
            arrays = {name: file[name] for name in file.files}
        weights = arrays["weights/0"]
        task = next(iter(self.task.readouts.values()))
        rows = [self.task.design.story(p.story, task.rows[p.story]) for p in task.fold.test]
        read = task.prepared.dataset.responses
        measured = [read(task.subject, p.story).values for p in task.fold.test]
        x, y = np.concatenate(rows), np.concatenate(measured)
        fitted = np.linalg.solve(x.T @ x + 100 * np.eye(x.shape[1]), x.T @ y)
        arrays["weights/0"] = weights + fitted[:, : weights.shape[1]]
        np.savez(path, **arrays)

    bench.patch.setattr(_projection._Maker, "write", write)
    return bench.run(_arm())


def cheat_shares_chosen_on_test(bench: Bench) -> Path:
    """Shares of bands and penalties are searched on the test stories, inside the banded ridge."""
    tasks: list[ReadoutTask] = []
    honest_sides, honest_search = _readout_fits._sides, _banded.search_penalties

    def sides(task: ReadoutTask) -> Any:
        tasks.append(task)
        return honest_sides(task)

    def search(given: Any, *more: Any) -> Any:
        if not tasks:  # planted signals of a diagnostic, before any readout
            return honest_search(given, *more)
        task = tasks[-1]
        return honest_search((given[0], _banded._in_memory(task.stories(task.fold.test))), *more)

    bench.patch.setattr(_readout_fits, "_sides", sides)
    bench.patch.setattr(_banded, "search_penalties", search)
    banded = {"n_iter": 3, "alphas": [10.0, 100.0, 1000.0, 10000.0]}
    arm = {"features": ["words", "context"], "banded": banded}
    return bench.run({"arms": {"words": arm}})


def cheat_held_out_story_in_a_fold_model(bench: Bench) -> Path:
    """Each fold's model is tuned beside responses to a story that it should never see."""
    honest_read, encode = SubjectRecording.responses, _tuning.ensure_brain
    source: dict[str, str] = {}

    def ensure(task: BrainTask, **named: Any) -> Any:
        source.update({task.division.train[0]: task.division.held_out[0]})
        try:
            return encode(task, **named)
        finally:
            source.clear()

    def responses(self: SubjectRecording, story: str, targets: slice) -> np.ndarray:
        own = honest_read(self, story, targets)
        return resized(honest_read(self, source.get(story, story), targets), len(own))

    bench.patch.setattr(_tuning, "ensure_brain", ensure)
    bench.patch.setattr(SubjectRecording, "responses", responses)
    return bench.run(tuned(bench, "all"))
