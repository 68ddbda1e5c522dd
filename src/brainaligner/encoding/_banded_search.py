"""The search over band shares and alphas, by himalaya."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from jaxtyping import Float32, Float64, Int64

from brainaligner.encoding._settings import BandedSettings
from brainaligner.encoding._stories import ArrayStories

SMALLEST_SHARE = 1e-6
TARGETS_AT_ONCE = 4096


def candidate_shares(
    n_bands: int, settings: BandedSettings
) -> Float64[np.ndarray, "candidate band"]:
    """Equal shares, then Dirichlet draws; none under 1e-6, so that a log exists."""
    rng = np.random.default_rng(settings.seed)
    draws = [rng.dirichlet(np.full(n_bands, (0.1, 1.0)[k % 2])) for k in range(settings.n_iter - 1)]
    shares = np.clip([np.full(n_bands, 1 / n_bands), *draws], SMALLEST_SHARE, None)
    return shares / shares.sum(axis=1, keepdims=True)


@contextmanager
def himalaya_backend(device: torch.device) -> Iterator[Any]:
    """Lend himalaya's process-wide backend to one computation, and restore it."""
    from himalaya.backend import get_backend, set_backend

    before = get_backend()
    try:
        yield set_backend("torch_cuda" if device.type == "cuda" else "torch")
    finally:
        set_backend(before)


Chosen = tuple[Float64[np.ndarray, "target"], np.ndarray, Float32[np.ndarray, "candidate target"]]


def search_penalties(
    sides: tuple[ArrayStories, ArrayStories | None],
    bands: Sequence[slice],
    shares: Float64[np.ndarray, "candidate band"],
    settings: BandedSettings,
    device: torch.device,
) -> Chosen:
    """Each target's alpha, the number of its candidate shares, and r of every candidate."""
    designs, responses, splits = _stacked(sides)
    with himalaya_backend(device) as backend:
        xs = [backend.asarray(designs[:, band]) for band in bands]
        options = {
            "n_iter": shares,
            "alphas": backend.asarray(np.array(settings.alphas)),
            "cv": splits,
            "score_func": _finite_correlation,
            "fit_intercept": settings.intercept,
            "n_targets_batch": TARGETS_AT_ONCE,
            "n_alphas_batch": 1,
            "progress_bar": False,
        }
        search = _search_features if designs.shape[1] <= len(splits[0][0]) else _search_kernels
        deltas, scores = search(xs, backend.asarray(responses), options)
        deltas, scores = (backend.to_numpy(found) for found in (deltas, scores))
    return *_nearest(deltas, shares, settings), scores.astype(np.float32)


def _search_features(xs: list[Any], y: Any, options: dict[str, Any]) -> tuple[Any, Any]:
    from himalaya.ridge import solve_group_ridge_random_search

    found = solve_group_ridge_random_search(xs, y, warn=False, **options)
    return found[0], found[2]


def _search_kernels(xs: list[Any], y: Any, options: dict[str, Any]) -> tuple[Any, Any]:
    from himalaya.kernel_ridge import solve_multiple_kernel_ridge_random_search

    kernels = torch.stack([x @ x.T for x in xs])
    # himalaya centres kernels only on the way to dual weights, which are not used here
    weights = "dual" if options["fit_intercept"] else None
    found = solve_multiple_kernel_ridge_random_search(kernels, y, return_weights=weights, **options)
    return found[0], found[2]


def _finite_correlation(measured: Any, predicted: Any) -> Any:
    from himalaya.scoring import correlation_score

    return torch.nan_to_num(correlation_score(measured, predicted), nan=0.0)


def _nearest(
    deltas: Float64[np.ndarray, "band target"],
    shares: Float64[np.ndarray, "candidate band"],
    settings: BandedSettings,
) -> tuple[Float64[np.ndarray, "target"], Int64[np.ndarray, "target"]]:
    """Candidate and alpha of each target: shares sum to 1, so alpha is 1 / sum exp(delta)."""
    grid = np.array(settings.alphas)
    found = 1.0 / np.exp(deltas).sum(axis=0)
    alpha = grid[np.abs(np.log(grid)[:, None] - np.log(found)).argmin(axis=0)]
    distance = np.log(shares)[:, :, None] - (deltas + np.log(alpha))
    return alpha, np.abs(distance).max(axis=1).argmin(axis=0)


Stacked = tuple[
    Float64[np.ndarray, "time feature"],
    Float64[np.ndarray, "time target"],
    list[tuple[Int64[np.ndarray, "_"], Int64[np.ndarray, "_"]]],
]


def _stacked(sides: tuple[ArrayStories, ArrayStories | None]) -> Stacked:
    """Stack both sides; splits train on training rows, and test the side that chooses."""
    train, validation = sides
    stories = [*range(len(train))] if validation is None else [0] * len(train)
    both = (train,) if validation is None else sides
    labels = np.repeat(stories, [design.shape[0] for design in train.designs])
    designs = [design for side in both if side for design in side.designs]
    responses = [matrix for side in both if side for matrix in side.matrices]
    x, y = (np.concatenate(rows).astype(np.float64) for rows in (designs, responses))
    if validation is not None:
        return x, y, [(np.arange(labels.size), np.arange(labels.size, x.shape[0]))]
    held_out = [labels == story for story in stories]
    return x, y, [(np.flatnonzero(~rows), np.flatnonzero(rows)) for rows in held_out]
