"""Which tokens are hidden, and by what."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from tiny_aligners import CLS, FAST, MASK, PAD, SEP, UNK, tell

from brainaligner.aligner import AlignerSettings, BrainAligner
from brainaligner.aligner._batches import EpochBatches
from brainaligner.aligner._examples import read_examples
from brainaligner.aligner._masking import Vocabulary, draw_masks

Aligners = Callable[..., BrainAligner]


def test_shares_over_a_million_tokens_are_within_sampling_error() -> None:
    vocabulary = Vocabulary(mask=MASK, ordinary=np.arange(5, 45))
    settings = AlignerSettings()
    ids = np.random.default_rng(0).integers(5, 45, (2000, 500))
    drawn = [
        draw_masks(row, vocabulary, key=(1, 0, 9, i), settings=settings)
        for i, row in enumerate(ids)
    ]
    read, selected = (np.stack(part) for part in zip(*drawn, strict=True))
    changed = read != ids
    assert not (changed & ~selected).any()

    def close(count: int, n: int, share: float) -> None:
        assert abs(count / n - share) < 4 * (share * (1 - share) / n) ** 0.5

    n = int(selected.sum())
    close(n, ids.size, 0.15)
    close(int((read[selected] == MASK).sum()), n, 0.8)
    swapped = selected & changed & (read != MASK)
    close(int(swapped.sum()), n, 0.1)
    assert set(np.unique(read[swapped])) == set(range(5, 45))
    counts = np.bincount(read[swapped] - 5, minlength=40)
    expected = counts.sum() / 40
    assert ((counts - expected) ** 2 / expected).sum() < 39 + 4 * (2 * 39) ** 0.5
    # Neighbours are drawn apart: the rate after a selected token is the same.
    close(int((selected[:, 1:] & selected[:, :-1]).sum()), selected[:, 1:].size, 0.15**2)


def test_masks_follow_from_seed_epoch_story_and_row_alone() -> None:
    vocabulary = Vocabulary(mask=MASK, ordinary=np.arange(5, 45))
    ids, settings = np.arange(5, 45), replace(FAST, mask_rate=0.5)
    keys = [(1, 0, 9, 3), (2, 0, 9, 3), (1, 1, 9, 3), (1, 0, 8, 3), (1, 0, 9, 4)]
    drawn = [draw_masks(ids, vocabulary, key=key, settings=settings)[0].tobytes() for key in keys]
    again = [draw_masks(ids, vocabulary, key=key, settings=settings)[0].tobytes() for key in keys]
    assert drawn == again
    assert len(set(drawn)) == len(keys)


def test_an_examples_masks_do_not_depend_on_other_stories_or_batches(tiny: Aligners) -> None:
    both, one = tell(("a", "b")), tell(("a", "b"))
    alone = replace(one, texts={"b": one.texts["b"]})
    whole = read_examples(tiny(), both, settings=FAST)
    part = read_examples(tiny(), alone, settings=FAST)
    of_b = [i for i, example in enumerate(whole.examples) if example.story == "b"]
    for i, j in zip(of_b, range(len(part.examples)), strict=True):
        assert np.array_equal(whole.masked(i, 4)[0], part.masked(j, 4)[0])


@pytest.mark.parametrize("place", ["before", "after"])
def test_special_and_brain_positions_are_never_hidden(tiny: Aligners, place: str) -> None:
    settings = replace(FAST, mask_rate=1.0, brain_place=place, brain_rows=(0, 1, 2))
    material = tell(("a",), n_rows=60)
    unknown = replace(material.texts["a"][5], own=("w1", "nonsense", "w2"))
    texts = {"a": (*material.texts["a"][:5], unknown, *material.texts["a"][6:])}
    examples = read_examples(tiny(), replace(material, texts=texts), settings=settings)
    for epoch in range(3):
        for batch in EpochBatches(examples):
            inputs = examples.batch(batch, epoch)
            assert not set(inputs["labels"].tolist()) & {UNK, PAD, CLS, SEP, MASK}
            ids = inputs["input_ids"].flatten()
            assert not set(inputs["selected"].tolist()) & set(inputs["brain_at"].tolist())
            untouched = torch.isin(ids, torch.tensor([CLS, SEP, UNK])).nonzero().flatten()
            assert not set(inputs["selected"].tolist()) & set(untouched.tolist())


def test_every_example_stands_in_one_batch_per_epoch_on_any_number_of_ranks(tiny: Aligners) -> None:
    examples = read_examples(tiny(), tell(("a", "b", "c")), settings=FAST)
    whole = [set(batch) for batch in EpochBatches(examples)]
    assert sorted(i for batch in whole for i in batch) == list(range(len(examples.lengths)))
    ranks = [list(EpochBatches(examples, rank=rank, ranks=2)) for rank in range(2)]
    assert [set(a) | set(b) for a, b in zip(*ranks, strict=True)] == whole
    later = EpochBatches(examples)
    later.epoch = 1
    assert [set(batch) for batch in later] != whole
