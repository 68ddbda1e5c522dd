"""Voxelwise ridge: one decomposition, then targets block by block."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float32, Int64, Shaped

from brainaligner.core import Progress, Witness, no_progress, no_witness, show_settings
from brainaligner.encoding._basis import Basis, Projected, basis_on
from brainaligner.encoding._checks import (
    check_features,
    check_rows,
    check_selection,
    check_sides,
    check_target_block,
)
from brainaligner.encoding._choice import AlphaChoice, best_index, join_choices
from brainaligner.encoding._decompose import Decomposition, check_decomposition, decompose
from brainaligner.encoding._device import compute_device
from brainaligner.encoding._fit import RidgeBlock, RidgeFit, predict
from brainaligner.encoding._kept import ProjectedBlocks, Scratch, Shelf
from brainaligner.encoding._left_out import leave_story_out_scorer, left_out_products
from brainaligner.encoding._select import Scorer, unscored, validation_scorer
from brainaligner.encoding._settings import RidgeSettings
from brainaligner.encoding._stories import (
    Designs,
    Stories,
    as_designs,
    read_design,
)
from brainaligner.encoding._witnessed import WitnessedDesigns, witnessed_sides

DTYPES = {"float32": torch.float32, "float64": torch.float64}
TARGET_BLOCK = 4096
KEEP_BYTES = 2 << 30


def fit_ridge(
    train: Stories,
    validation: Stories | None = None,
    *,
    settings: RidgeSettings,
    decomposition: Decomposition | None = None,
    device: str = "cpu",
    target_block: int = TARGET_BLOCK,
    progress: Progress = no_progress,
) -> RidgeFit:
    """Solve ``argmin_W ||Y - X W||_F^2 + alpha ||W||_F^2`` and keep all weights in memory.

    (The Huth-lab code penalises with ``alpha**2``: its alpha is the square root of ours.)
    `stream_ridge` is the same computation with memory bounded by the block.

    Parameters
    ----------
    train : Stories
    validation : Stories, optional
        Needed to choose among several alphas by ``selection="validation"``; never
        trained on. Leave it out with ``selection="leave_story_out"``.
    settings : RidgeSettings
    decomposition : Decomposition, optional
        Of these training stories, with these settings; made here when left out.
    device : str
        Any torch device with float64.
    target_block : int
        Targets computed at once.

    Raises
    ------
    InputError
        If shapes disagree, a value is not finite, the device cannot be used, or the
        alphas cannot be chosen from what was given.
    """
    blocks = stream_ridge(
        train,
        validation,
        (),
        settings=settings,
        decomposition=decomposition,
        device=device,
        target_block=target_block,
        progress=progress,
    )
    n_features = read_design(train, 0).shape[1]
    weights = np.empty((n_features, train.n_targets), dtype=settings.products)
    intercept = np.empty(train.n_targets)
    choices = []
    for block in blocks:
        weights[:, block.targets] = block.weights
        intercept[block.targets] = block.intercept
        choices.append(block.choice)
    return RidgeFit(join_choices(choices), weights, intercept)


def stream_ridge(
    train: Stories,
    validation: Stories | None,
    test: Designs | Sequence[Shaped[np.ndarray, "..."]],
    *,
    settings: RidgeSettings,
    decomposition: Decomposition | None = None,
    device: str = "cpu",
    target_block: int = TARGET_BLOCK,
    keep_bytes: int = KEEP_BYTES,
    scratch: Scratch | None = None,
    progress: Progress = no_progress,
    witness: Witness = no_witness,
) -> Iterator[RidgeBlock]:
    """Fit and predict block after block of targets, in memory bounded by the block.

    Solves ``argmin_W ||Y - X W||_F^2 + alpha ||W||_F^2`` (the Huth-lab code penalises with
    ``alpha**2``: its alpha is the square root of ours). A shared alpha takes two passes over
    the responses: one to score all alphas on all targets, one to fit. Projected responses
    of the first pass are kept for the second up to `keep_bytes` on the device, beyond that on disk,
    and computed again where there is none.

    Parameters
    ----------
    train, validation, settings, decomposition, device, target_block
        As in `fit_ridge`.
    test : Designs, or sequence of float arrays (time, feature)
        What to predict; may be empty.
    keep_bytes : int
    scratch : Scratch, optional
        For a temporary file of up to ``features x targets`` numbers (``time x targets`` in dual
        form), and where stories are left out ``alphas x time x features`` more, gone when the
        last block is given.
    progress : Progress
    witness : Witness
        Shown the designs and responses of each side as they are read, in the roles ``"fit"``,
        ``"choose"`` and ``"predict"``.

    Returns
    -------
    iterator of RidgeBlock
        In the order of targets. Inputs are checked before it is returned, values as they
        are read.
    """
    on = compute_device(device)
    show_settings(settings, witness)
    train, validation = witnessed_sides(train, validation, witness)
    wanted = WitnessedDesigns(as_designs(test), "predict", witness)
    check_target_block(target_block)
    check_sides(train, validation)
    check_selection(train, validation, settings.selection, n_choices=len(settings.alphas))
    if decomposition is None:
        decomposition = decompose(train, settings=settings, device=device, progress=progress)
    else:
        check_decomposition(decomposition, train, settings)
    check_rows(train, decomposition.n_rows)
    check_features((validation, wanted), decomposition.n_features)
    basis = basis_on(decomposition, train, products=DTYPES[settings.products], device=on)
    if _leaves_out(settings):
        basis = replace(basis, products=left_out_products(basis, settings.alphas))
    shelf = Shelf(on, keep_bytes=keep_bytes, scratch=scratch)
    scorer = _scorer(basis, validation, settings, shelf)
    blocks = target_blocks(train.n_targets, target_block)
    return _fitted_blocks(_Task(basis, scorer, settings, progress), blocks, wanted, shelf)


@dataclass(frozen=True, eq=False)
class _Task:
    basis: Basis
    scorer: Scorer
    settings: RidgeSettings
    progress: Progress

    def score(self, block: Projected) -> Float32[np.ndarray, "alpha target"]:
        return self.scorer(block).to(torch.float32).cpu().numpy()


def _fitted_blocks(
    task: _Task, blocks: list[slice], test: Designs, shelf: Shelf
) -> Iterator[RidgeBlock]:
    shared = task.settings.alpha == "shared" and len(task.settings.alphas) > 1
    scores: list[Float32[np.ndarray, "alpha target"]] = []
    index: Int64[np.ndarray, "target"] | None = None
    kept = ProjectedBlocks(task.basis, shelf)
    with shelf:
        if shared:
            for b, targets in enumerate(blocks):
                projected = task.basis.project(targets)
                scores.append(task.score(projected))
                kept.put(b, projected)
                task.progress("scores of alphas", b + 1, len(blocks))
            index = best_index(np.concatenate(scores, axis=1), shared=True)
        for b, targets in enumerate(blocks):
            projected = kept.take(b, targets)
            r = scores[b] if shared else task.score(projected)
            best = best_index(r, shared=False) if index is None else index[targets]
            yield _fitted(task, projected, (r, best), test)
            task.progress("ridge weights", b + 1, len(blocks))


def _fitted(
    task: _Task,
    block: Projected,
    scored: tuple[Float32[np.ndarray, "alpha target"], Int64[np.ndarray, "target"]],
    test: Designs,
) -> RidgeBlock:
    r, best = scored
    alphas, basis = task.settings.alphas, task.basis
    choice = AlphaChoice(alphas, np.array(alphas)[best], r, task.settings.alpha == "shared")
    weights, intercept = basis.solve(
        block, choice.alpha.tolist(), dtype=DTYPES[task.settings.products]
    )
    fit = RidgeFit(choice, weights.cpu().numpy(), intercept.cpu().numpy())
    predictions = tuple(
        predict(fit, read_design(test, i), device=str(basis.device)) for i in range(len(test))
    )
    return RidgeBlock(choice, fit.weights, fit.intercept, block.targets, predictions)


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


def target_blocks(n_targets: int, target_block: int) -> list[slice]:
    """Cut targets into consecutive blocks of at most `target_block`."""
    starts = range(0, n_targets, target_block)
    return [slice(start, min(start + target_block, n_targets)) for start in starts]
