"""Cheats on rows: which design rows and which responses meet in the ridge and in the scores."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from gallery_bench import Bench
from gallery_recordings import Truth, simulated_recordings, zscored

from brainaligner.core import zscore
from brainaligner.data import Dataset
from brainaligner.study._designs import ArmDesign
from brainaligner.study._features import FeatureSpace
from brainaligner.study._readout import ReadoutTask
from brainaligner.text import add_delays

Read = Callable[[str], np.ndarray]
Change = Callable[[Read, str], np.ndarray]


def alter_designs(bench: Bench, change: Change) -> None:
    """Have ``change(read, story)`` make the design of each story; `read` gives the honest ones."""
    make = ArmDesign._make

    def altered(self: ArmDesign, story: str, n_rows: int) -> np.ndarray:
        def read(name: str) -> np.ndarray:
            return make(self, name, self.stimuli.rows[name])

        return np.ascontiguousarray(change(read, story)[:n_rows], dtype=np.float32)

    bench.patch.setattr(ArmDesign, "_make", altered)


def alter_responses(bench: Bench, change: Change, *, subject: str | None = None) -> None:
    """Have ``change(read, story)`` give the responses of each story (of one subject, or of all)."""
    reads = Dataset.responses

    def altered(self: Dataset, who: str, story: str, targets: slice = slice(None)) -> Any:
        honest = reads(self, who, story)
        if subject in (None, who):
            values = change(lambda name: reads(self, who, name).values, story)
            honest = dataclasses.replace(honest, values=np.asarray(values, dtype=np.float32))
        return dataclasses.replace(
            honest, values=honest.values[:, targets], space=reads(self, who, story, targets).space
        )

    bench.patch.setattr(Dataset, "responses", altered)


def resized(values: np.ndarray, n_rows: int) -> np.ndarray:
    """As many rows, from the start again where there are too few."""
    return values[np.arange(n_rows) % len(values)]


def _pooled(bench: Bench, order: Callable[[int], np.ndarray]) -> Change:
    """Rows of all stories in one heap, in another order, dealt out again."""
    stories = bench.world.stories
    lengths = [len(next(iter(bench.world.recordings.arrays.values()))[s]) for s in stories]
    starts = dict(zip(stories, np.cumsum([0, *lengths]), strict=False))
    drawn = order(sum(lengths))

    def change(read: Read, story: str) -> np.ndarray:
        if story not in starts:
            return read(story)
        heap = np.concatenate([read(name) for name in stories])
        own = drawn[starts[story] : starts[story] + lengths[stories.index(story)]]
        return heap[own]

    return change


def _run_pooled(bench: Bench, order: Callable[[int], np.ndarray]) -> Path:
    """Where listeners are simulated: slow noise alone, and features that change slowly too."""
    change, changes = _pooled(bench, order), {}
    if "context" in bench.world.study["features"]:
        checkpoint = Path(bench.world.study["features"]["words"]["model"])
        changes = bench.save(simulated_recordings(checkpoint, Truth(signal=0.0, ar=0.9)))
        changes["arms"] = {"words": {"features": ["context"]}}
    alter_designs(bench, change)
    alter_responses(bench, change)
    return bench.run(changes)


def cheat_shuffled_trs(bench: Bench) -> Path:
    """TRs of all stories are shuffled before they are divided."""
    return _run_pooled(bench, np.random.default_rng(0).permutation)


def cheat_random_chunks(bench: Bench) -> Path:
    """Chunks of 10 TRs of all stories are shuffled before they are divided."""

    def order(n: int) -> np.ndarray:
        chunks = np.array_split(np.arange(n), n // 10)
        drawn = np.random.default_rng(0).permutation(len(chunks))
        return np.concatenate([chunks[i] for i in drawn])

    return _run_pooled(bench, order)


def cheat_features_one_story_off(bench: Bench) -> Path:
    """Each story has the features of the next one."""
    reads = FeatureSpace.rows
    stories = [*bench.world.stories, *bench.world.split["test_repeated"]]

    def rows(self: FeatureSpace, story: str) -> np.ndarray:
        other = stories[(stories.index(story) + 1) % len(stories)]
        return resized(reads(self, other), len(reads(self, story)))

    bench.patch.setattr(FeatureSpace, "rows", rows)
    return bench.run()


def cheat_features_one_tr_off(bench: Bench) -> Path:
    """Features come a TR too early: a delay of 1 is none."""
    alter_designs(bench, lambda read, story: np.roll(read(story), -1, axis=0))
    return bench.run()


def cheat_delays_across_borders(bench: Bench) -> Path:
    """Stories are put end to end before they are delayed."""
    stories = [*bench.world.stories, *bench.world.split["test_repeated"]]
    delays = bench.world.study["defaults"]["design"]["delays"]

    def make(self: ArmDesign, story: str, n_rows: int) -> np.ndarray:
        place = stories.index(story)
        before = [self.spaces[0].rows(name) for name in stories[max(place - 1, 0) : place]]
        bands = [zscore(values) for values in (*before, self.spaces[0].rows(story)[:n_rows])]
        return add_delays(np.concatenate(bands), delays)[-n_rows:]

    bench.patch.setattr(ArmDesign, "_make", make)
    return bench.run()


def cheat_features_scaled_together(bench: Bench) -> Path:
    """Features are standardised by mean and variance of train and test stories together."""
    delays = bench.world.study["defaults"]["design"]["delays"]
    stories = bench.world.stories

    def make(self: ArmDesign, story: str, n_rows: int) -> np.ndarray:
        heap = np.concatenate([self.spaces[0].rows(name) for name in stories])
        scaled = (self.spaces[0].rows(story)[:n_rows] - heap.mean(0)) / (heap.std(0) + 1e-9)
        return add_delays(scaled.astype(np.float32), delays)

    bench.patch.setattr(ArmDesign, "_make", make)
    return bench.run()


def cheat_responses_scaled_together(bench: Bench) -> Path:
    """Raw responses are standardised by mean and variance of train and test stories together."""
    known, rng = bench.world.recordings, np.random.default_rng(0)
    raw = {
        subject: {
            story: (values * rng.uniform(0.5, 2) + rng.normal()).astype(np.float32)
            for story, values in arrays.items()
        }
        for subject, arrays in known.arrays.items()
    }
    stories = bench.world.stories

    def change(read: Read, story: str) -> np.ndarray:
        heap = np.concatenate([read(name) for name in stories])
        return (read(story) - heap.mean(0)) / heap.std(0)

    changes = bench.save(dataclasses.replace(known, arrays=raw, repeats={}))
    alter_responses(bench, change)
    return bench.run(changes)


def cheat_repeated_among_single_stories(bench: Bench) -> Path:
    """The mean of several presentations is scored together with single presentations."""
    bench.patch.setattr(Dataset, "presentations", lambda self, story: 1)
    bench.patch.setattr(Dataset, "_presentations", lambda self, subject, story: 1)
    return bench.run()


def cheat_responses_in_the_design(bench: Bench) -> Path:
    """Columns of the design are the responses of the same row, noisy and scaled."""
    arrays = bench.world.recordings.arrays
    delays = bench.world.study["defaults"]["design"]["delays"]

    def change(read: Read, story: str) -> np.ndarray:
        values = read(story).copy()
        for place, subject in enumerate(sorted(arrays)):
            rng = np.random.default_rng(place)
            own = arrays[subject][story]
            mixed = own @ rng.standard_normal((own.shape[1], 6))
            noisy = zscored(mixed) + 0.5 * rng.standard_normal(mixed.shape)
            first = 6 * place
            values[:, first : first + 6] = 4 * np.sqrt(len(delays)) * noisy
        return values

    alter_designs(bench, change)
    return bench.run()


def cheat_responses_smoothed_together(bench: Bench) -> Path:
    """Training and test responses are put end to end, alternating, and smoothed over time."""
    split = bench.world.split
    sides = zip(split["test"], split["train"], strict=False)
    order = [story for pair in sides for story in pair]
    order += [story for story in bench.world.stories if story not in order]

    def change(read: Read, story: str) -> np.ndarray:
        if story not in order:
            return read(story)
        place = order.index(story)
        names = order[max(place - 1, 0) : place + 2]
        around = [read(name) for name in names]
        start = sum(map(len, around[: names.index(story)]))
        heap = np.concatenate(around)
        kernel = np.array([1.0, 2, 3, 2, 1]) / 9
        smooth = np.stack([np.convolve(column, kernel, mode="same") for column in heap.T], axis=1)
        return smooth[start : start + len(read(story))]

    alter_responses(bench, change)
    return bench.run()


def cheat_test_rows_oversampled_into_training(bench: Bench) -> Path:
    """Training stories hold copies of test stories' rows: sampled with repetition, then divided."""
    split = bench.world.split
    source = dict(zip(split["train"], split["test"], strict=False))

    def change(read: Read, story: str) -> np.ndarray:
        if story not in source:
            return read(story)
        return resized(read(source[story]), len(read(story)))

    alter_designs(bench, change)
    alter_responses(bench, change)
    return bench.run()


def _change_training_pieces(bench: Bench, more: Callable[[ReadoutTask], Any]) -> None:
    for name in ("designs", "stories"):
        honest = getattr(ReadoutTask, name)

        def altered(self: ReadoutTask, pieces: Any, honest: Any = honest) -> Any:
            added = more(self) if tuple(pieces) == self.fold.train else ()
            return honest(self, (*pieces, *added))

        bench.patch.setattr(ReadoutTask, name, altered)


def cheat_training_rows_twice(bench: Bench) -> Path:
    """Half of the training stories count twice in the ridge."""
    _change_training_pieces(bench, lambda task: task.fold.train[:4])
    return bench.run()


def cheat_test_stories_in_the_ridge(bench: Bench) -> Path:
    """The ridge is fitted on the test stories too."""
    _change_training_pieces(bench, lambda task: task.fold.test)
    return bench.run()


def cheat_baseline_trained_on_less(bench: Bench) -> Path:
    """The arm that is to be beaten is fitted on three of the training stories."""
    for name in ("designs", "stories"):
        honest = getattr(ReadoutTask, name)

        def altered(self: ReadoutTask, pieces: Any, honest: Any = honest) -> Any:
            weak = self.design.arm.design.nuisance == "none"
            is_training = tuple(pieces) == self.fold.train
            return honest(self, pieces[:3] if weak and is_training else pieces)

        bench.patch.setattr(ReadoutTask, name, altered)
    return bench.run({"arms": {"ours": {"features": ["words"], "design": {"nuisance": "with"}}}})


def cheat_baseline_with_noise(bench: Bench) -> Path:
    """The arm that is to be beaten has noisy features."""
    rng = np.random.default_rng(0)
    make = ArmDesign._make

    def altered(self: ArmDesign, story: str, n_rows: int) -> np.ndarray:
        values = make(self, story, n_rows)
        if self.arm.design.nuisance == "none":
            values = values + 2 * rng.standard_normal(values.shape, dtype=np.float32)
        return values

    bench.patch.setattr(ArmDesign, "_make", altered)
    return bench.run({"arms": {"ours": {"features": ["words"], "design": {"nuisance": "with"}}}})
