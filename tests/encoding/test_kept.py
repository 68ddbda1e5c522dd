"""Projected blocks come back as they were put in, wherever they were kept."""

from __future__ import annotations

import errno
import resource
import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from brainaligner.encoding import RidgeSettings, Scratch, stream_ridge
from tests.encoding.test_ridge import GRID, TRAIN, VALIDATION, CountedStories, planted_stories

ONCE = 2 * (len(TRAIN) + 1)  # two blocks, each with a row that is taken off


def blocks(train: Any, *, form: str = "primal", products: str = "float32", **options: Any) -> Any:
    """Weights and predictions of every block of three of six targets, joined."""
    validation = planted_stories(13, VALIDATION, n_targets=6)
    asked = RidgeSettings(alphas=GRID, form=form, products=products)
    found = list(
        stream_ridge(train, validation, validation, settings=asked, target_block=3, **options)
    )
    weights = np.concatenate([block.weights for block in found], axis=1)
    return weights, np.concatenate([block.predictions[0] for block in found], axis=1)


@pytest.mark.parametrize("products", ["float32", "float64"])
@pytest.mark.parametrize("form", ["primal", "dual"])
@settings(max_examples=10)
@given(keep_bytes=st.integers(0, 1500))
def test_disk_memory_and_a_second_pass_give_the_same_bytes(
    form: str, products: str, keep_bytes: int
) -> None:
    train = planted_stories(12, TRAIN, n_targets=6)
    again = blocks(train, form=form, products=products, keep_bytes=0)
    with tempfile.TemporaryDirectory() as folder:
        kept = blocks(
            train,
            form=form,
            products=products,
            keep_bytes=keep_bytes,
            scratch=Scratch(Path(folder)),
        )
    for one, other in zip(again, kept, strict=True):
        np.testing.assert_array_equal(one, other)


def test_the_disk_spares_the_second_pass_and_nothing_is_left(tmp_path: Path) -> None:
    train = CountedStories(planted_stories(12, TRAIN, n_targets=6))
    blocks(train, keep_bytes=0, scratch=Scratch(tmp_path))
    assert train.reads == ONCE
    assert list(tmp_path.iterdir()) == []


def test_a_stream_that_is_left_early_leaves_nothing(tmp_path: Path) -> None:
    train = planted_stories(12, TRAIN, n_targets=6)
    stream = stream_ridge(
        train,
        planted_stories(13, VALIDATION, n_targets=6),
        (),
        settings=RidgeSettings(alphas=GRID),
        target_block=3,
        keep_bytes=0,
        scratch=Scratch(tmp_path),
    )
    next(stream)
    stream.close()
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_costs_a_second_pass_and_no_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train = CountedStories(planted_stories(12, TRAIN, n_targets=6))
    wanted = blocks(train, keep_bytes=0)
    train.reads = 0

    def full(**_: Any) -> Any:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("tempfile.TemporaryFile", full)
    found = blocks(train, keep_bytes=0, scratch=Scratch(tmp_path))
    assert train.reads == 2 * ONCE
    for one, other in zip(wanted, found, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("limit", [0, 1, 100, 200, 10_000])
def test_a_disk_that_fills_in_the_middle_of_a_block_costs_no_more_either(
    tmp_path: Path, limit: int
) -> None:
    train = CountedStories(planted_stories(12, TRAIN, n_targets=6))
    wanted = blocks(train, keep_bytes=0)
    train.reads = 0
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    try:
        found = blocks(train, keep_bytes=0, scratch=Scratch(tmp_path))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert train.reads == (ONCE if limit == 10_000 else 2 * ONCE)
    for one, other in zip(wanted, found, strict=True):
        np.testing.assert_array_equal(one, other)


def test_space_that_is_for_others_is_left_free(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train = CountedStories(planted_stories(12, TRAIN, n_targets=6))
    monkeypatch.setattr("shutil.disk_usage", lambda _: shutil._ntuple_diskusage(9e9, 0, 5000))
    for spare, reads in ((0, ONCE), (5000, 2 * ONCE)):
        train.reads = 0
        blocks(train, keep_bytes=0, scratch=Scratch(tmp_path, spare))
        assert train.reads == reads
