"""Pooled states that are kept are those that are computed."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from brainaligner.aligner import BrainAligner
from brainaligner.aligner import _pooling as pooling
from brainaligner.aligner._layer_cache import keep_states, story_files
from brainaligner.aligner._pooling import kept_pooled, pooled_states
from brainaligner.aligner._span import LayerSpan
from brainaligner.aligner._token_table import TokenTable, text_table
from brainaligner.core import no_progress
from brainaligner.text import RowText, TextSettings

Aligners = Callable[..., BrainAligner]
Rows = dict[str, np.ndarray]
TEXTS = {
    "a": [RowText((), ("w1", "w2")), RowText((), ()), RowText(("w1", "w2"), ("w3",))],
    "b": [RowText((), ()), RowText(("w5", "w9"), ("w7",))],
    "silent": [RowText((), ())],
}


def _setup(aligner: BrainAligner, texts: dict[str, list[RowText]]) -> tuple[LayerSpan, TokenTable]:
    span = LayerSpan(aligner.reader.module, 3, 2, (1, 3))
    return span, text_table(aligner.reader, texts, TextSettings(max_tokens=20))


def _kept(span: LayerSpan, table: TokenTable, folder: Path) -> Rows:
    folder.mkdir(parents=True, exist_ok=True)
    files = story_files(span, table, folder, width=16)
    cpu = torch.device("cpu")
    below = keep_states(span, files, pad=table.pad, device=cpu, progress=no_progress)
    return kept_pooled(span, table, below, device="cpu", progress=no_progress)


def _computed(span: LayerSpan, table: TokenTable) -> Rows:
    return pooled_states(span, table, None, device="cpu", progress=no_progress)


def _assert_equal(found: Rows, wanted: Rows) -> None:
    assert list(found) == list(wanted)
    for story, rows in wanted.items():
        np.testing.assert_allclose(found[story], rows, atol=1e-6)


def test_kept_states_are_computed_once(
    tiny: Aligners, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    span, table = _setup(tiny("bert"), TEXTS)
    _assert_equal(_kept(span, table, tmp_path), _computed(span, table))
    wanted = _computed(span, table)
    monkeypatch.setattr(pooling, "pooled_states", None)  # it would be called
    _assert_equal(_kept(span, table, tmp_path), wanted)


def test_a_story_is_read_beside_other_stories(tiny: Aligners, tmp_path: Path) -> None:
    span, table = _setup(tiny("bert"), {"b": TEXTS["b"]})
    _kept(span, table, tmp_path)
    span, table = _setup(tiny("bert"), TEXTS)
    _assert_equal(_kept(span, table, tmp_path), _computed(span, table))


def test_other_stories_change_no_digit(tiny: Aligners, tmp_path: Path) -> None:
    alone = _setup(tiny("bert"), {"b": TEXTS["b"]})
    beside = _setup(tiny("bert"), TEXTS)
    one, other = _kept(*alone, tmp_path / "a"), _kept(*beside, tmp_path / "b")
    assert one["b"].tobytes() == other["b"].tobytes()


def test_a_folder_that_another_run_empties_costs_nothing(
    tiny: Aligners, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def emptied(*given: Any, **named: Any) -> Rows:
        shutil.rmtree(tmp_path / "states", ignore_errors=True)
        return pooled_states(*given, **named)

    monkeypatch.setattr(pooling, "pooled_states", emptied)
    span, table = _setup(tiny("bert"), TEXTS)
    _assert_equal(_kept(span, table, tmp_path / "states"), _computed(span, table))


def test_a_file_that_was_cut_short_is_made_anew(tiny: Aligners, tmp_path: Path) -> None:
    span, table = _setup(tiny("bert"), TEXTS)
    _kept(span, table, tmp_path)
    pooled = [path for path in tmp_path.iterdir() if path.name.count(".") == 2]
    assert len(pooled) == 2
    pooled[0].write_bytes(pooled[0].read_bytes()[:-3])
    _assert_equal(_kept(span, table, tmp_path), _computed(span, table))


def test_other_upper_weights_or_shares_of_the_words_have_their_own(
    tiny: Aligners, tmp_path: Path
) -> None:
    span, table = _setup(tiny("bert"), TEXTS)
    _kept(span, table, tmp_path)
    with torch.no_grad():
        span._stack()[2][2].output.dense.weight += 0.1
    try:
        _assert_equal(_kept(span, table, tmp_path), _computed(span, table))
        moved = [replace(token, weights=np.roll(token.weights, 1)) for token in table.tokens]
        other = replace(table, tokens=tuple(moved))
        _assert_equal(_kept(span, other, tmp_path), _computed(span, other))
    finally:
        with torch.no_grad():
            span._stack()[2][2].output.dense.weight -= 0.1
