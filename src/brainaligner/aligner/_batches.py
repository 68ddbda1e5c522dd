"""Which examples meet in a batch: of like length, the same on any number of ranks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain

import numpy as np
from jaxtyping import Int64

from brainaligner.aligner._layout import Batch, Examples


class EpochBatches:
    """Batches of the current epoch for one rank: every so many examples of each whole batch.

    `epoch` is set from outside before each pass; masks and batches follow from it.

    Parameters
    ----------
    examples : Examples
    rank, ranks : int
    """

    def __init__(self, examples: Examples, *, rank: int = 0, ranks: int = 1) -> None:
        self.examples, self.rank, self.ranks = examples, rank, ranks
        self.epoch = 0

    def __len__(self) -> int:
        return self.examples.n_batches

    def __iter__(self) -> Iterator[list[int]]:
        settings = self.examples.settings
        seed = (settings.seed, self.epoch)
        for batch in length_batches(self.examples.lengths, settings.batch, seed):
            yield batch[self.rank :: self.ranks].tolist()


class EpochData:
    """What a DataLoader asks for a batch; its length counts examples."""

    def __init__(self, batches: EpochBatches) -> None:
        self.batches = batches

    def __len__(self) -> int:
        return len(self.batches.examples.lengths)

    def __getitems__(self, indices: Sequence[int]) -> Batch:
        return self.batches.examples.batch(indices, self.batches.epoch)


def length_batches(
    lengths: Int64[np.ndarray, "example"], batch: int, seed: tuple[int, int]
) -> list[Int64[np.ndarray, "_"]]:
    """Batches of one epoch: drawn at random, then sorted by length over 50 batches at a time.

    Batches differ in size by at most one example, and stand in random order.

    Parameters
    ----------
    lengths : int64 array, shape (example,)
    batch : int
    seed : tuple of int
        Seed and epoch.
    """
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(lengths))
    near = [
        part[np.argsort(lengths[part], kind="stable")]
        for part in np.split(order, range(50 * batch, len(order), 50 * batch))
    ]
    batches = np.array_split(
        np.fromiter(chain.from_iterable(near), np.int64), -(-len(order) // batch)
    )
    return [batches[i] for i in rng.permutation(len(batches))]
