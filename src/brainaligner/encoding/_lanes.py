"""What a ridge needs on each of its devices."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float32

from brainaligner.encoding._basis import Basis, Projected, basis_on
from brainaligner.encoding._decompose import Decomposition
from brainaligner.encoding._device import DTYPES
from brainaligner.encoding._fit import Route
from brainaligner.encoding._in_turn import Sides
from brainaligner.encoding._kept import ProjectedBlocks, Scratch, Shelf
from brainaligner.encoding._left_out import leave_story_out_scorer, left_out_products
from brainaligner.encoding._select import Scorer, unscored, validation_scorer
from brainaligner.encoding._settings import RidgeSettings
from brainaligner.encoding._stories import Stories


@dataclass(frozen=True, eq=False)
class Lane:
    """What a fit needs on one device."""

    basis: Basis
    scorer: Scorer
    shelf: Shelf
    kept: ProjectedBlocks

    def score(self, block: Projected) -> Float32[np.ndarray, "alpha target"]:
        """Pearson r of every alpha."""
        return self.scorer(block).to(torch.float32).cpu().numpy()


def make_lanes(
    decomposition: Decomposition,
    sides: Sides,
    settings: RidgeSettings,
    devices: Sequence[torch.device],
    *,
    keep: tuple[int, Scratch | None],
) -> list[Lane]:
    """Put a decomposition on each device, with its share of `keep`: bytes, and a disk."""
    train, validation, _ = sides
    products = DTYPES[settings.products]
    found: list[Lane] = []
    for on in devices:
        basis = basis_on(decomposition, train, products=products, device=on)
        if _leaves_out(settings) and not found:
            products = left_out_products(basis, settings.alphas)
        basis = replace(basis, products=products)
        shelf = Shelf(on, keep_bytes=keep[0] // len(devices), scratch=keep[1])
        scorer = _scorer(basis, validation, settings, shelf)
        found.append(Lane(basis, scorer, shelf, ProjectedBlocks(basis, shelf)))
    return found


def route_of(lanes: Sequence[Lane]) -> Route:
    """Say what was chosen."""
    basis = lanes[0].basis
    return Route(
        "dual" if basis.decomposition.dual else "primal",
        basis.eigenvalues.numel(),
        "float64" if basis.exact == torch.float64 else "float32",
        tuple(str(lane.basis.device) for lane in lanes),
    )


def _leaves_out(settings: RidgeSettings) -> bool:
    return settings.selection == "leave_story_out" and len(settings.alphas) > 1


def _scorer(
    basis: Basis, validation: Stories | None, settings: RidgeSettings, shelf: Shelf
) -> Scorer:
    if _leaves_out(settings):
        return leave_story_out_scorer(basis, settings.alphas, shelf)
    if validation is not None:
        return validation_scorer(basis, validation, settings.alphas)
    return unscored(settings.alphas)
