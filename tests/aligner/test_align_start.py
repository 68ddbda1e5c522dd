"""Tuning on objectives before its first step: stretches, responses and fitted heads."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tuned_aligners import SIDES, TARGETS, TINY, TRAIN, Aligners, prepared

from brainaligner.aligner._heads import start_heads
from brainaligner.aligner._masking import FIXED
from brainaligner.aligner._parts import layer_stack
from brainaligner.aligner._stretches import scaled_rows
from brainaligner.text import add_delays


@pytest.mark.parametrize("epoch", [0, 1, FIXED])
def test_every_row_lies_in_one_stretch(tiny: Aligners, tmp_path: Path, epoch: int) -> None:
    _, (side, _) = prepared(tiny(), tmp_path, TINY)
    batches = side.epoch_batches(epoch)
    assert len(batches) == side.n_batches
    rows = [
        (stretch.story, row)
        for batch in batches
        for stretch in batch
        for row in range(stretch.start, stretch.start + 8)
        if 0 <= row < 30
    ]
    assert sorted(rows) == [(story, row) for story in TRAIN for row in range(30)]


def test_batches_hold_the_responses_of_their_rows(tiny: Aligners, tmp_path: Path) -> None:
    settings = replace(TINY, nuisance="none")
    _, (side, _) = prepared(tiny(), tmp_path, settings)
    for stretches in side.epoch_batches(3):
        batch = side.batch(stretches, 3)
        for n, stretch in enumerate(stretches):
            for subject, one in zip(TARGETS, batch["subjects"], strict=True):
                for i in range(8):
                    row = stretch.start + i
                    assert bool(one["present"][n, i]) == (0 <= row < 30)
                    got = one["observed"][n, i].numpy()
                    rows = SIDES[0].responses[subject][stretch.story]
                    assert np.array_equal(got, rows[row] if 0 <= row < 30 else 0 * got)


@pytest.mark.parametrize("kind", ["trained", "cross_fitted"])
def test_before_the_first_step_the_model_is_the_linear_control(
    tiny: Aligners, tmp_path: Path, kind: Any
) -> None:
    """Stretches, delays inside the graph and heads against designs of whole stories."""
    settings = replace(TINY, heads=replace(TINY.heads, kind=kind))
    model, (side, _) = prepared(tiny(), tmp_path, settings)
    started = start_heads(side.original, side.responses, settings=settings)
    model.eval()
    for stretches in side.epoch_batches(0):
        batch = side.batch(stretches, 0)
        with torch.no_grad():
            found = model(batch)
        for n, stretch in enumerate(stretches):
            fold = side.folds[stretch.story]
            heads = (*started.parts, started.whole)[fold]
            if kind == "cross_fitted":
                assert stretch.story in started.folds[fold]
            design = add_delays(scaled_rows(side.original[stretch.story]), (1, 2))
            for k, subject in enumerate(TARGETS):
                wanted = heads.predict(subject, design)
                inside = [i for i in range(8) if 0 <= stretch.start + i < 30]
                rows = [stretch.start + i for i in inside]
                got = found[f"predicted/{k}"][n, inside].numpy()
                assert np.allclose(got, wanted[rows], atol=1e-5)


def test_cross_fitted_heads_do_not_know_the_story_that_they_predict(
    tiny: Aligners, tmp_path: Path
) -> None:
    settings = replace(TINY, heads=replace(TINY.heads, kind="cross_fitted"))
    _, (side, _) = prepared(tiny(), tmp_path, settings)
    before = start_heads(side.original, side.responses, settings=settings)
    moved: dict[str, dict[str, np.ndarray]] = {s: dict(y) for s, y in side.responses.items()}
    for stories in moved.values():
        stories["elm"] = np.flip(stories["elm"], axis=0).copy()
    after = start_heads(side.original, moved, settings=settings)
    for k, fold in enumerate(before.folds):
        same = np.array_equal(before.parts[k].bottleneck, after.parts[k].bottleneck)
        assert same == ("elm" in fold)
    assert not np.array_equal(before.whole.bottleneck, after.whole.bottleneck)


def test_heads_equal_a_regression_by_numpy(tiny: Aligners, tmp_path: Path) -> None:
    """Two-stage reduced rank by eigenvectors of W'X'XW, with one penalty of the second stage."""
    settings = replace(TINY, heads=replace(TINY.heads, alphas=(7.0,)))
    _, (side, _) = prepared(tiny(), tmp_path, settings)
    found = start_heads(side.original, side.responses, settings=settings).whole
    x = np.concatenate([add_delays(scaled_rows(side.original[s]), (1, 2)) for s in TRAIN]).astype(
        np.float64
    )
    y = {s: np.concatenate([v[t] for t in TRAIN]).astype(float) for s, v in side.responses.items()}
    both = np.concatenate(list(y.values()), axis=1)
    w = np.linalg.solve(x.T @ x + 10.0 * np.eye(x.shape[1]), x.T @ both)
    _, vectors = np.linalg.eigh(w.T @ x.T @ x @ w)
    g = x @ w @ vectors[:, ::-1][:, :3]
    g /= g.std(axis=0).mean()
    for subject, rows in y.items():
        u = np.linalg.solve(g.T @ g + 7.0 * np.eye(3), g.T @ rows)
        got = found.predict(subject, x.astype(np.float32))
        assert np.allclose(got, g @ u, atol=1e-4)


def test_nuisance_is_taken_out_with_the_weights_of_training_stories(
    tiny: Aligners, tmp_path: Path
) -> None:
    _, sides = prepared(tiny(), tmp_path, TINY)
    z, y = (
        np.concatenate([SIDES[0].nuisance[s] for s in TRAIN]),
        np.concatenate([SIDES[0].responses["S1"][s] for s in TRAIN]),
    )
    b = np.linalg.solve(z.T @ z, z.T @ y)
    for side, given in zip(sides, SIDES, strict=True):
        for story, rows in side.responses["S1"].items():
            wanted = given.responses["S1"][story] - given.nuisance[story] @ b
            assert np.allclose(rows, wanted, atol=1e-5)


def test_head_layers_are_the_models_own(tiny: Aligners) -> None:
    assert len(layer_stack(tiny())) == 3
