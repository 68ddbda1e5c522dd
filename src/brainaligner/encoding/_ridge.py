"""Voxelwise ridge: one decomposition, then targets block by block."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from jaxtyping import Float32, Int64, Shaped

from brainaligner.core import InputError, Progress, Witness, no_progress, no_witness, show_settings
from brainaligner.encoding._basis import Basis, Projected
from brainaligner.encoding._checks import (
    check_features,
    check_rows,
    check_selection,
    check_sides,
    check_target_block,
)
from brainaligner.encoding._choice import AlphaChoice, best_index, join_choices
from brainaligner.encoding._dealt import dealt
from brainaligner.encoding._decompose import Decomposition, check_decomposition, decompose
from brainaligner.encoding._device import DTYPES, compute_device
from brainaligner.encoding._fit import RidgeBlock, RidgeFit, Route, predict
from brainaligner.encoding._in_turn import Sides, in_turn
from brainaligner.encoding._kept import Scratch
from brainaligner.encoding._lanes import Lane, make_lanes, route_of
from brainaligner.encoding._left_out import STORY
from brainaligner.encoding._settings import RidgeSettings
from brainaligner.encoding._stories import Designs, Stories, as_designs, read_design
from brainaligner.encoding._witnessed import WitnessedDesigns, witnessed_sides

TARGET_BLOCK = 4096
KEEP_BYTES = 2 << 30
_T = TypeVar("_T")


def fit_ridge(
    train: Stories,
    validation: Stories | None = None,
    *,
    settings: RidgeSettings,
    decomposition: Decomposition | None = None,
    device: str | Sequence[str] = "cpu",
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
    device : str or sequence of str
        Any torch device with float64. Blocks of targets are dealt to several in turn.
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
    device: str | Sequence[str] = "cpu",
    target_block: int = TARGET_BLOCK,
    keep_bytes: int = KEEP_BYTES,
    scratch: Scratch | None = None,
    ahead: bool = False,
    progress: Progress = no_progress,
    witness: Witness = no_witness,
) -> Iterator[RidgeBlock]:
    """Fit and predict block after block of targets, in memory bounded by the block.

    Solves ``argmin_W ||Y - X W||_F^2 + alpha ||W||_F^2`` (the Huth-lab code penalises with
    ``alpha**2``: its alpha is the square root of ours). A shared alpha takes two passes over
    the responses: one to score all alphas on all targets, one to fit. Projected responses
    of the first pass are kept for the second up to `keep_bytes` on the device, beyond that on disk,
    and computed again where there is none. Leaving stories out in float32 holds a matrix for each
    alpha of the story in hand, alphas x time x features.

    Parameters
    ----------
    train, validation, settings, decomposition, device, target_block
        As in `fit_ridge`.
    test : Designs, or sequence of float arrays (time, feature)
        What to predict; may be empty.
    keep_bytes : int
    scratch : Scratch, optional
        For one temporary file for each device, gone when the last block is given: in all, up to
        ``features x targets`` numbers (``time x targets`` in dual form); where stories are left
        out, on each device ``(alphas + 1) x time x features`` more.
    ahead : bool
        Read the next story's responses in another thread while one story is multiplied. Stories
        then have to bear being read, and the witness being called, from threads that take turns;
        so they have with several devices, which always read ahead.
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
    devices = [compute_device(name) for name in _names(device)]
    show_settings(settings, witness)
    train, validation = witnessed_sides(train, validation, witness)
    wanted = WitnessedDesigns(as_designs(test), "predict", witness)
    check_target_block(target_block)
    check_sides(train, validation)
    check_selection(train, validation, settings.selection, n_choices=len(settings.alphas))
    if decomposition is None:
        decomposition = decompose(
            train, settings=settings, device=str(devices[0]), progress=progress
        )
    else:
        check_decomposition(decomposition, train, settings)
    check_rows(train, decomposition.n_rows)
    check_features((validation, wanted), decomposition.n_features)
    sides: Sides = (train, validation, wanted)
    stop: Callable[[], None] = _nothing
    if ahead or len(devices) > 1:
        sides, stop = in_turn(*sides)
    lanes = make_lanes(decomposition, sides, settings, devices, keep=(keep_bytes, scratch))
    blocks = target_blocks(train.n_targets, target_block)
    task = _Task(lanes, blocks, settings, sides[2], route_of(lanes), progress, stop)
    return _fitted_blocks(task)


@dataclass(frozen=True, eq=False)
class _Task:
    lanes: Sequence[Lane]
    blocks: Sequence[slice]
    settings: RidgeSettings
    test: Designs
    route: Route
    progress: Progress
    stop: Callable[[], None]

    def each(self, what: str, work: Callable[[Lane, int], _T]) -> Iterator[_T]:
        """Work on every block, on one device or another, with progress."""
        results = dealt(self.lanes, len(self.blocks), work, stop=self.stop)
        for done, result in enumerate(results, start=1):
            yield result
            self.progress(what, done, len(self.blocks))


def _fitted_blocks(task: _Task) -> Iterator[RidgeBlock]:
    shared = task.settings.alpha == "shared" and len(task.settings.alphas) > 1
    n_targets = task.blocks[-1].stop
    scores = np.empty((len(task.settings.alphas), n_targets if shared else 0), dtype=np.float32)
    index: Int64[np.ndarray, "target"] | None = None

    def score(lane: Lane, b: int) -> Float32[np.ndarray, "alpha target"]:
        projected = lane.basis.project(task.blocks[b])
        found = lane.score(projected)
        lane.kept.put(b, projected)  # the same lane will be asked for it
        return found

    def fit(lane: Lane, b: int) -> RidgeBlock:
        targets = task.blocks[b]
        projected = lane.kept.take(b, targets)
        r = scores[:, targets].copy() if shared else lane.score(projected)
        best = best_index(r, shared=False) if index is None else index[targets]
        return _fitted(task, lane.basis, projected, (r, best))

    with ExitStack() as stack:
        for lane in task.lanes:
            stack.enter_context(lane.shelf)
        if shared:
            for targets, r in zip(task.blocks, task.each("scores of alphas", score), strict=True):
                scores[:, targets] = r
            index = best_index(scores, shared=True)
            for lane in task.lanes:
                lane.shelf.forget(STORY)
        yield from task.each("ridge weights", fit)


def _fitted(
    task: _Task,
    basis: Basis,
    block: Projected,
    scored: tuple[Float32[np.ndarray, "alpha target"], Int64[np.ndarray, "target"]],
) -> RidgeBlock:
    r, best = scored
    settings, test = task.settings, task.test
    alpha = np.array(settings.alphas)[best]
    choice = AlphaChoice(settings.alphas, alpha, r, settings.alpha == "shared")
    weights, intercept = basis.solve(block, alpha.tolist(), dtype=DTYPES[settings.products])
    fit = RidgeFit(choice, weights.cpu().numpy(), intercept.cpu().numpy())
    predictions = tuple(
        predict(fit, read_design(test, i), device=str(basis.device)) for i in range(len(test))
    )
    return RidgeBlock(choice, fit.weights, fit.intercept, block.targets, predictions, task.route)


def _nothing() -> None:
    """Nobody has to be stopped."""


def _names(device: str | Sequence[str]) -> Sequence[str]:
    if isinstance(device, str) or not isinstance(device, Sequence):
        return (device,)
    if not device:
        raise InputError("devices", got="none", wanted="one or more", do="Name some, or 'cpu'.")
    return device


def target_blocks(n_targets: int, target_block: int) -> list[slice]:
    """Cut targets into consecutive blocks of at most `target_block`."""
    starts = range(0, n_targets, target_block)
    return [slice(start, min(start + target_block, n_targets)) for start in starts]
