"""How many permuted sums of products reach a threshold, in float32 and yet exactly."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float32, Float64, Int32, Int64

if TYPE_CHECKING:
    import torch

PERMUTATIONS_AT_ONCE = 2000
_PAIRS_AT_ONCE = 2**15
_ROUNDING = 2.0**-24  # of one float32 operation, relative


@contextmanager
def one_torch_thread() -> Iterator[None]:
    """Keep torch to one thread for a while, and give back those that it had.

    Each product is so small that threads wait for each other longer than they work: where
    other processes use the cores too, two of them take many times as long as one.
    """
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def block_pairs(
    draws: Int64[np.ndarray, "permutation block"],
) -> Int32[np.ndarray, "permutation block"]:
    """Rows of the flattened C (block x block, target) that each permutation adds up."""
    n_blocks = draws.shape[1]
    return (draws * n_blocks + np.arange(n_blocks)).astype(np.int32)


def count_reached(
    pairs: Sequence[Int32[np.ndarray, "permutation _block"]],
    cross: Sequence[Float64[np.ndarray, "_pair target"]],
    threshold: Float64[np.ndarray, "target"],
    *,
    device: str,
) -> Int64[np.ndarray, "target"]:
    r"""Count the permutations whose sum over all stories is at least the threshold.

    A sum of the entries c of a permutation, in float32 and in any order, lies within

    .. math:: 2^{-24} \sum_{stories} (n + 2 + n_{stories}) \sum_b \max_a |C_{ab}|

    of the exact one (Higham 2002, Accuracy and Stability of Numerical Algorithms, chapter 4).
    Sums further than that from the threshold are decided; the others are added up again in
    float64, and these decide.

    Parameters
    ----------
    pairs : sequence of int32 arrays, shape (permutation, block)
        From :func:`block_pairs`, one for each story.
    cross : sequence of float64 arrays, shape (block x block, target)
        The block-by-block products C of each story, none over 1 in size.
    threshold : float64 array, shape (target,)
        None is reached where it is NaN.
    device : str
        Torch device of the float32 sums.
    """
    import torch

    error = _float32_error(pairs, cross)
    low, high = _float32_bounds(threshold, error)
    ends = tuple(torch.from_numpy(end).to(device) for end in (low, high))
    tables = [torch.from_numpy(c.astype(np.float32)).to(device) for c in cross]
    count = np.zeros(len(threshold), dtype=np.int64)
    for start in range(0, len(pairs[0]), PERMUTATIONS_AT_ONCE):
        part = [story[start : start + PERMUTATIONS_AT_ONCE] for story in pairs]
        sums = _float32_sums(part, tables)
        above = sums > ends[1]
        count += above.sum(0, dtype=torch.int32).cpu().numpy()
        for rows, targets in _undecided(sums, above, ends[0]):
            exact = sum(
                _exact_sums(story[rows], c, targets) for story, c in zip(part, cross, strict=True)
            )
            np.add.at(count, targets[exact >= threshold[targets]], 1)
    return count


def _float32_error(
    pairs: Sequence[Int32[np.ndarray, "permutation _block"]],
    cross: Sequence[Float64[np.ndarray, "_pair target"]],
) -> Float64[np.ndarray, "target"]:
    total = np.zeros(cross[0].shape[1])
    for story, c in zip(pairs, cross, strict=True):
        n_blocks = story.shape[1]
        largest = np.abs(c).reshape(n_blocks, n_blocks, -1).max(axis=0).sum(axis=0)
        total += (n_blocks + 2 + len(pairs)) * largest
    return 1.01 * _ROUNDING * total + 1e-30  # the last for what float32 cannot hold at all


def _float32_bounds(
    threshold: Float64[np.ndarray, "target"], error: Float64[np.ndarray, "target"]
) -> tuple[Float32[np.ndarray, "target"], Float32[np.ndarray, "target"]]:
    """Ends of what is undecided, rounded outwards."""
    low = np.nextafter((threshold - error).astype(np.float32), np.float32(-np.inf))
    high = np.nextafter((threshold + error).astype(np.float32), np.float32(np.inf))
    return low, high


def _float32_sums(
    pairs: Sequence[Int32[np.ndarray, "permutation _block"]], tables: Sequence[torch.Tensor]
) -> torch.Tensor:
    """Sums of each permutation (permutation, target): a 0-1 matrix times C, never formed."""
    import torch
    from torch.nn.functional import embedding_bag

    total = None
    for story, table in zip(pairs, tables, strict=True):
        index = torch.from_numpy(story).to(table.device)
        sums = embedding_bag(index, table, mode="sum")
        total = sums if total is None else total.add_(sums)
    assert total is not None
    return total


def _undecided(
    sums: torch.Tensor, above: torch.Tensor, low: torch.Tensor
) -> Iterator[tuple[Int64[np.ndarray, "some"], Int64[np.ndarray, "some"]]]:
    """Permutations and targets of sums that float32 does not tell from the threshold."""
    near = (sums >= low) ^ above
    columns = near.any(0).nonzero()[:, 0]
    found = near[:, columns].nonzero()
    rows, targets = found[:, 0].cpu().numpy(), columns[found[:, 1]].cpu().numpy()
    for start in range(0, len(rows), _PAIRS_AT_ONCE):
        yield rows[start : start + _PAIRS_AT_ONCE], targets[start : start + _PAIRS_AT_ONCE]


def _exact_sums(
    pairs: Int32[np.ndarray, "some block"],
    cross: Float64[np.ndarray, "pair target"],
    targets: Int64[np.ndarray, "some"],
) -> Float64[np.ndarray, "some"]:
    return cross[pairs, targets[:, None]].sum(axis=1)
