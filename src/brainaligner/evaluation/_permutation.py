"""Whether r beats chance: blocks of the prediction permuted within their story."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import scipy.fft
from jaxtyping import Float64, Int32, Int64

from brainaligner.core import InputError, frozen_array
from brainaligner.evaluation._blocks import SHORTEST_BLOCK
from brainaligner.evaluation._layout import BlockLayout, draw_permutations, target_block_rows
from brainaligner.evaluation._permuted_sums import (
    PERMUTATIONS_AT_ONCE,
    block_pairs,
    count_reached,
    one_torch_thread,
)
from brainaligner.evaluation._rows import Rows, centred_rows, paired_rows

BLOCK_BYTES = 64 << 20
_TIE = 1e-12  # sums this close, in units of |p| |y|, are one sum that was rounded twice
_MOST_TARGETS = 256  # more at once do not fit into a processor's cache


@dataclass(frozen=True, eq=False)
class BlockPermutation:
    """How often permuted predictions did at least as well.

    Parameters
    ----------
    r : float64 array, shape (target,)
        Pearson r on concatenated stories; NaN where a side has no variance.
    p : float64 array, shape (target,)
        One-sided, ``(b + 1) / (m + 1)``; NaN where `r` is.
    block_rows : int64 array, shape (target,)
        Shortest block of each target, in rows (TRs).
    n_permutations : int
        `m`; no p is under ``1 / (m + 1)``.
    """

    r: Float64[np.ndarray, "target"]
    p: Float64[np.ndarray, "target"]
    block_rows: Int64[np.ndarray, "target"]
    n_permutations: int

    def __post_init__(self) -> None:
        for name in ("r", "p", "block_rows"):
            object.__setattr__(self, name, frozen_array(getattr(self, name)))


def block_permutation(
    predictions: Sequence[Rows],
    responses: Sequence[Rows],
    *,
    n_permutations: int = 1000,
    seed: int,
    widen: bool = True,
    block_bytes: int = BLOCK_BYTES,
    device: str = "cpu",
) -> BlockPermutation:
    r"""Test r of each target by permuting blocks of its prediction within each story.

    .. math:: p = \frac{b + 1}{m + 1}, \qquad b = \#\{r_{permuted} \ge r\}

    (Phipson & Smyth 2010, doi:10.2202/1544-6115.1585). Blocks are permuted without
    replacement: means and variances stay, and with them all of r but the sum of products. A
    target's block is as long as the first lag at which the product of the prediction's and
    the response's autocorrelation falls under .05, at least 10 rows, rounded up to 10, 14,
    20, 28, 40 ... rows (steps of the root of 2, to half the longest story at most). Targets
    of one length share their permutations, which depend on `seed`, the length and the
    stories alone: a target's p is the same whatever targets stand beside it.

    A story of T rows has ``n = T // length`` blocks that all move ``T // n`` rows. The
    ``T % n < n`` rows that are left over, at most one behind each block, stay where they
    are, in the observed as in every permuted sum; so does a story with a single block. The
    permutations thus remain a group that acts on equal blocks, and nothing is compared but
    what moved: the level is kept, for a loss of power that fewer than ``1 / length`` of
    the rows can cause.

    Cutting a slow series into blocks loses what hangs together across their borders, so
    that permuted sums scatter too little: with lag-1 autocorrelation .9 on both sides the
    rule above gives 10 to 20 rows, and 8 to 9 % of unrelated series pass at 5 % (.6: 5.6 %).
    With `widen` the permuted sums of a target are therefore spread about their mean by
    ``max(1, s_shift / s_block)``, and 4.2 to 5.8 % pass (3.3 to 5.4 % in eight stories of 11 to
    97 rows): `s_block` is the standard deviation over all permutations (Hoeffding 1951, Ann.
    Math. Statist. 22:558) and `s_shift` that over all circular shifts of the stories,
    ``s_shift^2 = sum_stories sum_{f > 0} |P_f|^2 |Y_f|^2 / T^2`` with discrete
    Fourier transforms P and Y, which a true relation of the two sides leaves as it is.

    Permuted series are never formed. For each story ``C[b, c] = sum_t p_b[t] y_c[t]`` over
    its blocks b and c; a permutation is a sum of n entries of C, and all permutations of a
    story are one product of a sparse 0-1 matrix with C, (permutation, block x block) times
    (block x block, target). The product is float32; each sum that lies nearer to the
    observed one than float32 can err is added up again in float64. The count is therefore that
    of float64.

    Parameters
    ----------
    predictions, responses : sequences of float arrays, shape (time, target)
        One of each per story, in the same order, already cut.
    n_permutations : int
        `m`, at least 20.
    seed : int
    widen : bool
        False gives plain permutations.
    block_bytes : int
        Memory for the targets that are worked on at once. Permutations take 4 bytes
        beside it for each of m times the blocks of all stories.
    device : str
        Torch device of the float32 products.

    Raises
    ------
    InputError
        If the two sides do not fit each other, a value is not finite, no story has 20 rows
        (two blocks), or a number is out of range.
    """
    p, y = paired_rows(predictions, responses)
    lengths = [len(rows) for rows in p]
    _check_numbers(lengths, n_permutations, seed, block_bytes)
    block_rows = target_block_rows(p, y)
    r, p_value = np.full((2, p[0].shape[1]), np.nan)
    for block in np.unique(block_rows):
        layout = [BlockLayout(rows, int(block)) for rows in lengths]
        draws = draw_permutations(layout, n_permutations=n_permutations, seed=seed)
        group = _Group(layout, [block_pairs(draw) for draw in draws], device)
        wide = group.targets_at_once(block_bytes)
        for targets in _chunks(np.flatnonzero(block_rows == block), wide):
            sides = centred_rows(p, targets), centred_rows(y, targets)
            with one_torch_thread():
                r[targets], p_value[targets] = group.test(*sides, widen=widen)
    return BlockPermutation(r, p_value, block_rows, n_permutations)


@dataclass(frozen=True, eq=False)
class _Group:
    """The permutations that all targets of one block length share."""

    layout: Sequence[BlockLayout]
    pairs: Sequence[Int32[np.ndarray, "permutation _block"]]
    device: str

    def targets_at_once(self, block_bytes: int) -> int:
        """How many targets fit into `block_bytes`: both sides, all C, and the permuted sums."""
        rows = sum(story.n_rows for story in self.layout)
        entries = sum(story.n_blocks**2 for story in self.layout)
        largest = max(story.n_blocks**2 for story in self.layout)
        each = 8 * (6 * rows + 2 * entries + 3 * largest + 2 * PERMUTATIONS_AT_ONCE)
        return min(_MOST_TARGETS, max(1, block_bytes // each))

    def test(
        self,
        p: Float64[np.ndarray, "time target"],
        y: Float64[np.ndarray, "time target"],
        *,
        widen: bool,
    ) -> tuple[Float64[np.ndarray, "target"], Float64[np.ndarray, "target"]]:
        """r and p of some targets, from rows that are centred over all stories."""
        p, y, varies = *(rows / _size(rows) for rows in (p, y)), (p.any(axis=0) & y.any(axis=0))
        cross, sums = self._sums(p, y)
        threshold = sums.observed - _TIE
        if widen:  # spreading the permuted sums is moving the threshold towards their mean
            threshold = sums.mean + (threshold - sums.mean) / sums.widening
        b = count_reached(self.pairs, cross, threshold, device=self.device)
        p_value = (b + 1) / (len(self.pairs[0]) + 1)
        r = np.clip(np.einsum("tv,tv->v", p, y), -1.0, 1.0)
        return np.where(varies, r, np.nan), np.where(varies, p_value, np.nan)

    def _sums(
        self, p: Float64[np.ndarray, "time target"], y: Float64[np.ndarray, "time target"]
    ) -> tuple[list[Float64[np.ndarray, "_pair target"]], _MovedSums]:
        """C of each story, and what is known of sums of products over the rows that move."""
        crosses = []
        total = _MovedSums(*np.zeros((4, p.shape[1])))
        start = 0
        for story in self.layout:
            rows = slice(start, start + story.n_rows)
            start += story.n_rows
            crosses.append(_cross_products(p[rows][story.rows], y[rows][story.rows]))
            total = total.plus(_moved_sums(crosses[-1], story, p[rows], y[rows]))
        return crosses, total


def _size(rows: Float64[np.ndarray, "time target"]) -> Float64[np.ndarray, "target"]:
    """Root of the sum of squares; 1 where that is 0."""
    size = np.sqrt(np.einsum("tv,tv->v", rows, rows))
    return np.where(size > 0, size, 1.0)


@dataclass(frozen=True, eq=False)
class _MovedSums:
    """Sum of products over moved rows: as observed, and its mean and variances when moved.

    Both sides have unit length, so that the sum over all rows is r.
    """

    observed: Float64[np.ndarray, "target"]
    mean: Float64[np.ndarray, "target"]
    block_variance: Float64[np.ndarray, "target"]
    shift_variance: Float64[np.ndarray, "target"]

    def plus(self, other: _MovedSums) -> _MovedSums:
        """Add those of one more story, which moves independently."""
        names = ("observed", "mean", "block_variance", "shift_variance")
        return _MovedSums(*(getattr(self, name) + getattr(other, name) for name in names))

    @property
    def widening(self) -> Float64[np.ndarray, "target"]:
        """Standard deviation over shifts in units of that over permutations, at least 1."""
        varies = self.block_variance > 0
        ratio = self.shift_variance / np.where(varies, self.block_variance, np.inf)
        return np.sqrt(np.maximum(ratio, 1.0))


def _moved_sums(
    cross: Float64[np.ndarray, "pair target"],
    story: BlockLayout,
    p: Float64[np.ndarray, "time target"],
    y: Float64[np.ndarray, "time target"],
) -> _MovedSums:
    n = story.n_blocks
    observed = cross[:: n + 1].sum(axis=0)
    if n == 1:
        return _MovedSums(observed, observed, *np.zeros((2, len(observed))))
    square = cross.reshape(n, n, -1)
    away = square - square.mean(axis=0) - square.mean(axis=1, keepdims=True)
    away += square.mean(axis=(0, 1))
    power = np.abs(scipy.fft.rfft(p, axis=0)[1:] * scipy.fft.rfft(y, axis=0)[1:]) ** 2
    twice = 2 * power.sum(axis=0) - (0 if len(p) % 2 else power[-1])  # both signs of f
    moved = story.rows.size / len(p)
    return _MovedSums(
        observed,
        cross.sum(axis=0) / n,
        np.einsum("bcv,bcv->v", away, away) / (n - 1),
        moved * twice / len(p) ** 2,
    )


def _cross_products(
    p: Float64[np.ndarray, "block row target"], y: Float64[np.ndarray, "block row target"]
) -> Float64[np.ndarray, "pair target"]:
    """``C[b, c] = sum_t p_b[t] y_c[t]`` of every target, as rows ``b * n_blocks + c``."""
    cross = np.matmul(p.transpose(2, 0, 1), y.transpose(2, 1, 0))
    return np.ascontiguousarray(cross.reshape(len(cross), -1).T)


def _chunks(indices: Int64[np.ndarray, "some"], size: int) -> Iterator[Int64[np.ndarray, "_some"]]:
    for start in range(0, len(indices), size):
        yield indices[start : start + size]


def _check_numbers(
    lengths: Sequence[int], n_permutations: int, seed: int, block_bytes: int
) -> None:
    if n_permutations < 20 or seed < 0 or block_bytes < 1:
        raise InputError(
            "block permutation",
            got=f"{n_permutations} permutations, seed {seed}, block_bytes {block_bytes}",
            wanted="at least 20 permutations, a seed of 0 or more, at least one byte",
            do="Correct the number.",
        )
    if max(lengths) < 2 * SHORTEST_BLOCK:
        raise InputError(
            "block permutation",
            got=f"no story longer than {max(lengths)} rows",
            wanted=f"a story of {2 * SHORTEST_BLOCK} rows or more: two blocks that change places",
            do="Give whole stories.",
        )
