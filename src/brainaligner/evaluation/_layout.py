"""Which rows move together when blocks change places within their story."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int64

from brainaligner.evaluation._blocks import NEGLIGIBLE, SHORTEST_BLOCK, autocorrelation
from brainaligner.evaluation._rows import Rows, target_blocks


def target_block_rows(p: Sequence[Rows], y: Sequence[Rows]) -> Int64[np.ndarray, "target"]:
    """Block length of each target, rounded up to one of :func:`rungs`."""
    longest = max(len(rows) for rows in p)
    steps = rungs(longest)
    found = np.full(p[0].shape[1], SHORTEST_BLOCK, dtype=np.int64)
    for targets in target_blocks(len(found), 2 * sum(len(rows) for rows in p)):
        n_lags = longest // 2 + 1
        both = autocorrelation(p, targets, n_lags) * autocorrelation(y, targets, n_lags)
        low = both < NEGLIGIBLE
        first = np.where(low.any(axis=0), low.argmax(axis=0), n_lags - 1)
        at = np.minimum(np.searchsorted(steps, first), len(steps) - 1)
        found[targets] = np.where(np.isfinite(both[0]), steps[at], SHORTEST_BLOCK)
    return found


def rungs(longest: int) -> Int64[np.ndarray, "rung"]:
    """The block lengths in use, in rows: 10, 14, 20, 28 ... and half the longest story."""
    most = longest // 2
    n_steps = 1 + int(2 * np.log2(most / SHORTEST_BLOCK) + 1e-9)
    steps = np.round(SHORTEST_BLOCK * 2 ** (np.arange(n_steps) / 2)).astype(np.int64)
    return np.unique(np.append(steps[steps <= most], most))


@dataclass(frozen=True)
class BlockLayout:
    """Where the blocks of a story of `n_rows` rows lie, each at least `least` rows."""

    n_rows: int
    least: int

    @property
    def n_blocks(self) -> int:
        """Blocks that change places; with one, nothing moves."""
        return max(1, self.n_rows // self.least)

    @property
    def rows(self) -> Int64[np.ndarray, "block row"]:
        """Rows of each block, counted from the start of the story."""
        starts = np.arange(self.n_blocks) * self.n_rows // self.n_blocks
        return starts[:, None] + np.arange(self.n_rows // self.n_blocks)


def draw_permutations(
    layout: Sequence[BlockLayout], *, n_permutations: int, seed: int
) -> Iterator[Int64[np.ndarray, "permutation block"]]:
    """For each story, which block of the prediction comes to the place of each block."""
    rng = np.random.default_rng([seed, layout[0].least])
    for story in layout:
        in_order = np.tile(np.arange(story.n_blocks), (n_permutations, 1))
        yield rng.permuted(in_order, axis=1)
