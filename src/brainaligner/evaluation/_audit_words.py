"""Whether stories share their words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import numpy as np
from jaxtyping import UInt64

RUN = 8
"""Words in a row that are compared."""

MOST_SHARED = 0.25
"""Share of a story's runs of words that may stand in another one: openings and songs do."""

REMARKABLE = 0.05
"""Share from which on a reader is told: set phrases stay under it."""

_COMMON = 4  # stories that must share a run of words before it counts as everybody's

Words = UInt64[np.ndarray, "_word"]


def word_runs(words: Words) -> frozenset[bytes]:
    """All runs of 8 words of a story, or the whole of a shorter one."""
    if len(words) == 0:
        return frozenset()
    length = min(RUN, len(words))
    return frozenset(words[i : i + length].tobytes() for i in range(len(words) - length + 1))


def shared_words(
    stories: Mapping[str, Words], others: Mapping[str, Words]
) -> dict[str, tuple[str, float]]:
    """For each story the other that holds the largest share of its runs, and that share.

    A story is not compared with one of its own name. Runs that stand in half of the others or
    more, and in four at least, count for none of them: they are what such stories begin or end
    with.
    """
    holders: dict[bytes, list[str]] = {}
    for name, words in others.items():
        for run in word_runs(words):
            holders.setdefault(run, []).append(name)
    common = max(_COMMON, (len(others) + 1) // 2)
    holders = {run: names for run, names in holders.items() if len(names) < common}
    return {name: _largest(name, word_runs(words), holders) for name, words in stories.items()}


def _largest(
    story: str, runs: frozenset[bytes], holders: Mapping[bytes, list[str]]
) -> tuple[str, float]:
    counts = Counter(name for run in runs for name in holders.get(run, ()) if name != story)
    if not counts:
        return "", 0.0
    other, count = counts.most_common(1)[0]
    return other, count / len(runs)
