"""Cheats that lie in the data: copies of stories and of people under other names."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from gallery_bench import Bench
from gallery_recordings import Recordings, Word

from brainaligner.data._word_tables import WordTableDataset

COPY = "zephyr"


def _with_copies(
    bench: Bench,
    alter: Callable[[np.ndarray, np.random.Generator], np.ndarray],
    words: Callable[[list[Word]], list[Word]] = list,
) -> Path:
    """Add an altered copy of each test story to the training stories."""
    known, split = bench.world.recordings, bench.world.split
    names = {story: f"{COPY}{place}" for place, story in enumerate(split["test"])}
    rng = np.random.default_rng(5)
    arrays = {
        subject: {**own, **{names[s]: alter(own[s], rng).astype(np.float32) for s in names}}
        for subject, own in known.arrays.items()
    }
    spoken = {**known.words, **{names[s]: words(list(known.words[s])) for s in names}}
    changes = bench.save(dataclasses.replace(known, words=spoken, arrays=arrays))
    trained = [*split["train"], *names.values()]
    return bench.run(changes | {"split": {"train": trained}}, share=False)


def _later(words: list[Word]) -> list[Word]:
    """Three TRs later, from the fourth TR on."""
    return [(word, on + 6, off + 6) for word, on, off in words[:-12]]


def _misspelt(words: list[Word]) -> list[Word]:
    """Every fifth word is another."""
    names = [word for word, _, _ in words]
    return [
        (names[(7 * i) % len(names)] if i % 5 == 0 else word, on + 0.05, off + 0.05)
        for i, (word, on, off) in enumerate(words)
    ]


def cheat_story_under_two_names(bench: Bench) -> Path:
    """Test stories stand among the training stories under other names."""
    return _with_copies(bench, lambda values, rng: values)


def cheat_noisy_copy_of_a_test_story(bench: Bench) -> Path:
    """Training has the test stories with noise on the responses and other words here and there."""

    def alter(values: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        return values + 0.4 * rng.standard_normal(values.shape)

    return _with_copies(bench, alter, _misspelt)


def cheat_rescaled_copy_of_a_test_story(bench: Bench) -> Path:
    """Training has the test stories, each target times a number of its own and moved."""

    def alter(values: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        n_targets = values.shape[1]
        return values * rng.uniform(0.5, 2, n_targets) + rng.standard_normal(n_targets)

    return _with_copies(bench, alter)


def cheat_lagged_copy_of_a_test_story(bench: Bench) -> Path:
    """Training has the test stories, three TRs later."""

    def alter(values: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        return np.concatenate([0.5 * rng.standard_normal((3, values.shape[1])), values[:-3]])

    return _with_copies(bench, alter, _later)


def cheat_part_of_a_test_story_in_training(bench: Bench) -> Path:
    """Sixty TRs of a test story, words and responses, stand inside a training story."""
    known, split = bench.world.recordings, bench.world.split
    into, source = split["train"][0], split["test"][0]
    start, stop = 30, 90

    def pasted(own: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        values = own[into].copy()
        values[start:stop] = own[source][start:stop]
        return {**own, into: values}

    first, last = 10 + 2 * start, 10 + 2 * stop
    kept = [word for word in known.words[into] if not first <= word[1] < last]
    moved = [word for word in known.words[source] if first <= word[1] < last]
    words = {**known.words, into: sorted([*kept, *moved], key=lambda word: word[1])}
    arrays = {subject: pasted(own) for subject, own in known.arrays.items()}
    altered = dataclasses.replace(known, words=words, arrays=arrays)
    return bench.run(bench.save(altered), share=False)


def _second_subject(bench: Bench, make: Callable[[np.ndarray, str], np.ndarray]) -> Path:
    known = bench.world.recordings
    first, second = list(known.arrays)[:2]
    copied = {story: make(values, story) for story, values in known.arrays[first].items()}
    repeats = {(who, story): v for (who, story), v in known.repeats.items() if who == first}
    altered: Recordings = dataclasses.replace(
        known, arrays={first: known.arrays[first], second: copied}, repeats=repeats
    )
    return bench.run(bench.save(altered))


def cheat_subject_loaded_twice(bench: Bench) -> Path:
    """The second subject's file holds the first one's numbers, in another precision."""
    return _second_subject(bench, lambda values, story: values.astype(np.float64))


def cheat_subject_twice_with_noise(bench: Bench) -> Path:
    """The second subject is the first one, rescaled, with a little noise."""
    rng = np.random.default_rng(8)

    def make(values: np.ndarray, story: str) -> np.ndarray:
        noise = 0.2 * rng.standard_normal(values.shape)
        return (1.3 * values + noise).astype(np.float32)

    return _second_subject(bench, make)


def cheat_subject_twice_in_another_order(bench: Bench) -> Path:
    """The second subject's targets are the first one's in another order."""
    n_targets = next(iter(next(iter(bench.world.recordings.arrays.values())).values())).shape[1]
    order = np.random.default_rng(9).permutation(n_targets)
    return _second_subject(bench, lambda values, story: values[:, order])


def cheat_subject_twice_moved_in_time(bench: Bench) -> Path:
    """The second subject is the first one, a TR later, turned over and rescaled."""
    return _second_subject(
        bench, lambda values, story: (-1.7 * np.roll(values, 1, axis=0)).astype(np.float32)
    )


def cheat_subject_twice_mixed_and_moved(bench: Bench) -> Path:
    """The second subject's targets are mixtures of the first one's, two TRs later."""
    n_targets = next(iter(next(iter(bench.world.recordings.arrays.values())).values())).shape[1]
    turn, _ = np.linalg.qr(np.random.default_rng(3).standard_normal((n_targets, n_targets)))
    return _second_subject(
        bench, lambda values, story: np.roll(values @ turn, 2, axis=0).astype(np.float32)
    )


def cheat_test_story_scored_twice(bench: Bench) -> Path:
    """A test story is scored twice, once with noise and other words here and there."""
    known, split = bench.world.recordings, bench.world.split
    story, rng = split["test"][1], np.random.default_rng(5)
    arrays = {
        subject: {
            **own,
            COPY: (own[story] + 0.4 * rng.standard_normal(own[story].shape)).astype(np.float32),
        }
        for subject, own in known.arrays.items()
    }
    words = {**known.words, COPY: _misspelt(list(known.words[story]))}
    changes = bench.save(dataclasses.replace(known, words=words, arrays=arrays))
    return bench.run(changes | {"split": {"test": [*split["test"], COPY]}}, share=False)


def cheat_test_stories_train_another_subject(bench: Bench) -> Path:
    """Test stories of one subject train for another, where some words and the names differ."""
    known, split = bench.world.recordings, bench.world.split
    names = {story: f"{COPY}{place}" for place, story in enumerate(split["test"][:2])}
    first, second = list(known.arrays)[:2]
    renamed = {names.get(story, story): values for story, values in known.arrays[second].items()}
    words = {**known.words, **{names[s]: _misheard(list(known.words[s])) for s in names}}
    arrays = {first: known.arrays[first], second: renamed}
    changes = bench.save(dataclasses.replace(known, words=words, arrays=arrays))
    trained = [*split["train"], *names.values()]
    return bench.run(changes | {"split": {"train": trained}}, share=False)


def _misheard(words: list[Word]) -> list[Word]:
    """Every twenty-fifth word is another."""
    return [(words[0][0] if i % 25 == 0 else w, on, off) for i, (w, on, off) in enumerate(words)]


def cheat_responses_of_another_subject(bench: Bench) -> Path:
    """The reader gives the second subject the first one's responses."""
    reads = WordTableDataset._columns
    first, second = list(bench.world.recordings.arrays)[:2]

    def columns(self: Any, subject: str, name: str, wanted: slice) -> np.ndarray:
        return reads(self, first if subject == second else subject, name, wanted)

    bench.patch.setattr(WordTableDataset, "_columns", columns)
    return bench.run()
