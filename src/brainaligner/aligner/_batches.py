"""Which examples meet in a batch: the same on any number of ranks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Int64


@runtime_checkable
class Source(Protocol):
    """One side of the data, as a training loop asks for it."""

    @property
    def n_examples(self) -> int:
        """What an epoch consists of, counted in what batches are made of."""
        ...

    @property
    def n_batches(self) -> int:
        """Forward passes of one epoch, over all ranks."""
        ...

    @property
    def n_steps(self) -> int:
        """Steps of one epoch."""
        ...

    def epoch_batches(self, epoch: int) -> Sequence[Sequence[Any]]:
        """What stands in each batch of an epoch."""
        ...

    def batch(self, members: Sequence[Any], epoch: int) -> Any:
        """Tensors of one batch."""
        ...


class EpochBatches:
    """Batches of the current epoch for one rank: every so many members of each whole batch.

    `epoch` is set from outside before each pass; masks and batches follow from it.

    Parameters
    ----------
    source : Source
    rank, ranks : int
    """

    def __init__(self, source: Source, *, rank: int = 0, ranks: int = 1) -> None:
        self.source, self.rank, self.ranks = source, rank, ranks
        self.epoch = 0

    def __len__(self) -> int:
        return self.source.n_batches

    def __iter__(self) -> Iterator[list[Any]]:
        for batch in self.source.epoch_batches(self.epoch):
            yield list(batch[self.rank :: self.ranks])


class EpochData:
    """What a DataLoader asks for a batch; its length counts examples."""

    def __init__(self, batches: EpochBatches) -> None:
        self.batches = batches

    def __len__(self) -> int:
        return self.batches.source.n_examples

    def __getitems__(self, members: Sequence[Any]) -> Any:
        return self.batches.source.batch(members, self.batches.epoch)


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
