"""Banded ridge: feature spaces with penalties of their own, searched by himalaya."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float32, Float64, Int64

from brainaligner.core import (
    InputError,
    Progress,
    Witness,
    frozen_array,
    no_progress,
    no_witness,
    show_settings,
)
from brainaligner.encoding._banded_search import candidate_shares, search_penalties
from brainaligner.encoding._basis import basis_on
from brainaligner.encoding._checks import check_selection, check_sides
from brainaligner.encoding._choice import Edge, grid_edge
from brainaligner.encoding._decompose import decompose
from brainaligner.encoding._device import compute_device
from brainaligner.encoding._settings import BandedSettings, RidgeSettings
from brainaligner.encoding._stories import ArrayStories, Stories, read_design, read_responses
from brainaligner.encoding._witnessed import witnessed_sides


@dataclass(frozen=True, eq=False)
class BandedFit:
    """A fitted banded ridge: ``prediction = design @ weights + intercept``.

    Parameters
    ----------
    alphas : tuple of float
        The grid.
    alpha : float64 array, shape (target,)
    deltas : float64 array, shape (band, target)
        ``log(g_b / alpha)``: the negative log penalty of each band.
    validation_r : float32 array, shape (candidate, target)
        Best r over alphas, for each candidate share; 0 for a series without variance.
    weights : float32 array, shape (feature, target)
    intercept : float64 array, shape (target,)
    """

    alphas: tuple[float, ...]
    alpha: Float64[np.ndarray, "target"]
    deltas: Float64[np.ndarray, "band target"]
    validation_r: Float32[np.ndarray, "candidate target"]
    weights: Float32[np.ndarray, "feature target"]
    intercept: Float64[np.ndarray, "target"]

    def __post_init__(self) -> None:
        for name in ("alpha", "deltas", "validation_r", "weights", "intercept"):
            object.__setattr__(self, name, frozen_array(getattr(self, name)))

    @property
    def edge(self) -> Edge:
        """At which ends of the grid the chosen alphas lie."""
        return self._edge[0]

    @property
    def n_edge(self) -> int:
        """How many targets' alphas lie there; targets without any r do not count."""
        return self._edge[1]

    @property
    def _edge(self) -> tuple[Edge, int]:
        counted = np.abs(self.validation_r).max(axis=0) > 1e-6
        return grid_edge(self.alphas, self.alpha, counted)


def fit_banded(
    train: Stories,
    validation: Stories | None,
    bands: Sequence[slice],
    *,
    settings: BandedSettings,
    device: str = "cpu",
    progress: Progress = no_progress,
    witness: Witness = no_witness,
) -> BandedFit:
    """Choose each target's share of every band and alpha, then fit on the training stories.

    Solves ``argmin_W ||Y - sum_b X_b W_b||_F^2 + sum_b (alpha / g_b) ||W_b||_F^2``. The
    search over shares and alphas is himalaya's random search (Dupré la Tour et al. 2022),
    through features where they are fewer than the training TRs and through kernels
    otherwise. Validation stories choose and are never trained on. Everything is held in
    memory at once, in float64.

    Parameters
    ----------
    train, validation : Stories
        `validation` is None with ``selection="leave_story_out"``.
    bands : sequence of slice
        Columns of each feature space; together, in order, they cover the design.
    settings : BandedSettings
    device : str
        "cpu" or a CUDA device.
    progress : Progress
    witness : Witness
        Shown the designs and responses of both sides as they are read, in the roles ``"fit"``
        and ``"choose"``.

    Raises
    ------
    InputError
        If bands do not cover the features, stories disagree, or nothing could choose.
    """
    on = compute_device(device)
    check_sides(train, validation)
    check_selection(train, validation, settings.selection, n_choices=2)
    show_settings(settings, witness)
    train, validation = witnessed_sides(train, validation, witness)
    loaded = _in_memory(train)
    held_out = None if validation is None else _in_memory(validation)
    n_features = loaded.designs[0].shape[1]
    _check_bands(bands, n_features)
    if held_out is not None:
        read_design(held_out, 0, n_features)
    shares = candidate_shares(len(bands), settings)
    alpha, candidate, r = search_penalties((loaded, held_out), bands, shares, settings, on)
    weights = np.empty((n_features, loaded.n_targets), dtype=np.float32)
    intercept = np.empty(loaded.n_targets)
    used = np.unique(candidate)
    for step, c in enumerate(used):
        at = np.flatnonzero(candidate == c)
        factors = np.repeat(np.sqrt(shares[c]), [band.stop - band.start for band in bands])
        weights[:, at], intercept[at] = _solve(loaded, factors, (at, alpha[at]), settings, on)
        progress("banded weights", step + 1, len(used))
    deltas = np.log(shares[candidate].T / alpha)
    return BandedFit(settings.alphas, alpha, deltas, r, weights, intercept)


def _solve(
    train: ArrayStories,
    factors: Float64[np.ndarray, "feature"],
    asked: tuple[Int64[np.ndarray, "some"], Float64[np.ndarray, "some"]],
    settings: BandedSettings,
    device: torch.device,
) -> tuple[Float64[np.ndarray, "feature some"], Float64[np.ndarray, "some"]]:
    """Ridge on bands multiplied by the roots of their shares: the same as band penalties."""
    targets, alpha = asked
    scaled = ArrayStories(
        [design * factors for design in train.designs],
        [responses[:, targets] for responses in train.matrices],
    )
    plain = RidgeSettings(settings.alphas, intercept=settings.intercept, products="float64")
    decomposition = decompose(scaled, settings=plain, device=str(device))
    basis = basis_on(decomposition, scaled, products=torch.float64, device=device)
    weights, intercept = basis.solve(
        basis.project(slice(0, targets.size)), alpha.tolist(), dtype=torch.float64
    )
    return weights.cpu().numpy() * factors[:, None], intercept.cpu().numpy()


def _in_memory(stories: Stories) -> ArrayStories:
    designs = [read_design(stories, i) for i in range(len(stories))]
    everything = slice(0, stories.n_targets)
    shapes = [(design.shape[0], stories.n_targets) for design in designs]
    found = [read_responses(stories, i, everything, shape) for i, shape in enumerate(shapes)]
    return ArrayStories(designs, found)


def _check_bands(bands: Sequence[slice], n_features: int) -> None:
    edges = [0]
    for band in bands:
        whole = band.start == edges[-1] and band.step in (None, 1) and band.stop is not None
        edges.append(band.stop if whole and band.stop > band.start else -1)
    if edges[-1] != n_features or -1 in edges:
        raise InputError(
            "bands",
            got=", ".join(f"{band.start}:{band.stop}" for band in bands) or "none",
            wanted=f"slices that follow each other from 0 to {n_features}",
            do="Order the columns of the design by band and give each band's slice.",
        )
