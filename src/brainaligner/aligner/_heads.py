"""From pooled states to responses: where the maps start, and the module that holds them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Float32, Int64
from torch import nn

from brainaligner.aligner._loss_settings import ResponseHeadSettings
from brainaligner.aligner._objective_settings import ObjectiveSettings
from brainaligner.aligner._stretches import Pooled, scaled_rows
from brainaligner.core import InputError, story_folds
from brainaligner.encoding import (
    ArrayStories,
    ReducedRankSettings,
    RidgeSettings,
    StackedStories,
    fit_reduced_rank,
    fit_ridge,
)
from brainaligner.text import add_delays


@dataclass(frozen=True, eq=False)
class LinearHeads:
    """One linear prediction of responses from delayed, scaled states.

    Parameters
    ----------
    bottleneck : float32 array, shape (delay * feature, rank)
        V, divided so that its columns have a mean standard deviation of 1.
    maps : mapping of subject to float32 array, shape (rank, target)
        U_s.
    """

    bottleneck: Float32[np.ndarray, "column rank"]
    maps: Mapping[str, Float32[np.ndarray, "_ _"]]

    def predict(
        self, subject: str, design: Float[np.ndarray, "time column"]
    ) -> Float32[np.ndarray, "time target"]:
        """Predicted responses of one story."""
        return (design @ self.bottleneck) @ self.maps[subject]


@dataclass(frozen=True, eq=False)
class StartedHeads:
    """Heads of the frozen model, and what they say of the targets.

    Parameters
    ----------
    whole : LinearHeads
        Fitted to all training stories.
    parts : tuple of LinearHeads
        For each fold, those fitted to the stories outside it; empty where none are asked for.
    folds : tuple of tuple of str
        Training stories of each fold.
    reliability : mapping of subject to float32 array, shape (target,)
        Weights of the targets, of mean 1.
    """

    whole: LinearHeads
    parts: tuple[LinearHeads, ...]
    folds: tuple[tuple[str, ...], ...]
    reliability: Mapping[str, Float32[np.ndarray, "_"]]


def start_heads(
    states: Pooled, responses: Mapping[str, Pooled], *, settings: ObjectiveSettings
) -> StartedHeads:
    """Fit the heads of the frozen model on training stories.

    Reduced-rank regression over all subjects' targets, then one ridge for each subject
    (`fit_reduced_rank`, `fit_ridge`), as the linear control has it.

    Parameters
    ----------
    states : mapping of story to float32 array, shape (time, feature)
        Pooled, not scaled.
    responses : mapping of subject to mapping of story to float32 array, shape (time, target)

    Raises
    ------
    InputError
        If no two stories were heard by all subjects, or the rank is too large.
    """
    heads = settings.heads
    designs = {s: add_delays(scaled_rows(rows), heads.delays) for s, rows in states.items()}
    exponent = settings.predict.reliability if settings.predict is not None else 0.0
    whole = _fit(designs, responses, heads)
    folds: tuple[tuple[str, ...], ...] = ()
    parts: tuple[LinearHeads, ...] = ()
    if heads.kind == "cross_fitted" or exponent > 0:
        folds = story_folds(states, heads.folds, seed=settings.seed)
        parts = tuple(
            _fit({s: x for s, x in designs.items() if s not in fold}, responses, heads)
            for fold in folds
        )
    weights = {
        subject: _reliability(subject, designs, stories, (parts, folds), exponent)
        for subject, stories in responses.items()
    }
    kept = heads.kind == "cross_fitted"
    return StartedHeads(whole, parts if kept else (), folds if kept else (), weights)


def _fit(
    designs: Pooled, responses: Mapping[str, Pooled], heads: ResponseHeadSettings
) -> LinearHeads:
    rows = {s: {len(y[s]) if s in y else 0 for y in responses.values()} for s in designs}
    common = [story for story, counts in rows.items() if len(counts) == 1 and 0 not in counts]
    if len(common) < 2:
        raise InputError(
            "heads",
            got=f"{len(common)} training stories that all of {', '.join(responses)} heard alike",
            wanted="two or more",
            do="Tune each subject apart (subjects: own), or give more training stories.",
        )
    stacked = StackedStories([_stories(designs, y, common) for y in responses.values()])
    reduced = fit_reduced_rank(
        stacked,
        settings=ReducedRankSettings(rank=(heads.rank,), alpha=(heads.alpha,)),
        ridge=RidgeSettings(),
    )[0]
    bottleneck = (reduced.weights / reduced.scale(heads.rank)).astype(np.float32)
    codes = {story: design @ bottleneck for story, design in designs.items()}
    ridge = RidgeSettings(alphas=heads.alphas, selection="leave_story_out")
    maps = {
        subject: fit_ridge(
            _stories(codes, y, [s for s in designs if s in y]), settings=ridge
        ).weights
        for subject, y in responses.items()
    }
    return LinearHeads(bottleneck, {s: np.asarray(m, np.float32) for s, m in maps.items()})


def _stories(designs: Pooled, responses: Pooled, names: Sequence[str]) -> ArrayStories:
    return ArrayStories(
        [designs[story][: len(responses[story])] for story in names],
        [responses[story] for story in names],
    )


def _reliability(
    subject: str,
    designs: Pooled,
    responses: Pooled,
    fitted: tuple[tuple[LinearHeads, ...], tuple[tuple[str, ...], ...]],
    exponent: float,
) -> Float32[np.ndarray, "target"]:
    """``max(r, 0) ** exponent``, of mean 1; r of each story predicted from the other folds."""
    n_targets = next(iter(responses.values())).shape[1]
    if exponent == 0:
        return np.ones(n_targets, dtype=np.float32)
    predicted, measured = [], []
    for heads, fold in zip(*fitted, strict=True):
        for story in (story for story in fold if story in responses):
            rows = responses[story]
            predicted.append(heads.predict(subject, designs[story][: len(rows)]))
            measured.append(rows)
    weights = np.maximum(_correlation(np.concatenate(predicted), np.concatenate(measured)), 0.0)
    weights = weights**exponent
    if not weights.sum():
        raise InputError(
            f"reliability of {subject}",
            got="no target that the frozen model predicts",
            wanted="one at least",
            do="Use reliability: 0.",
        )
    return (weights / weights.mean()).astype(np.float32)


def _correlation(a: np.ndarray, b: np.ndarray) -> Float[np.ndarray, "target"]:
    a, b = a - a.mean(0, dtype=np.float64), b - b.mean(0, dtype=np.float64)
    spread = np.sqrt(np.square(a).sum(0) * np.square(b).sum(0))
    return np.asarray((a * b).sum(0) / np.where(spread > 0, spread, np.inf))


class ResponseHeads(nn.Module):
    """Heads of all subjects as trainable (or fixed) weights, one set for each fold.

    Parameters
    ----------
    started : StartedHeads
    subjects : sequence of str
    with_brain : bool
        Whether brain activity that is not hidden adds to the bottleneck (`masked_brain`); its
        maps start at 0.
    """

    def __init__(self, started: StartedHeads, subjects: Sequence[str], *, with_brain: bool) -> None:
        super().__init__()
        sets = (*started.parts, started.whole)
        self.bottleneck = nn.Parameter(_stacked([one.bottleneck for one in sets]))
        self.maps = nn.ParameterList(
            [nn.Parameter(_stacked([one.maps[s] for one in sets])) for s in subjects]
        )
        self.offsets = nn.ParameterList(
            [nn.Parameter(torch.zeros(len(sets), one.shape[2])) for one in self.maps]
        )
        rank = self.bottleneck.shape[2]
        self.from_brain = nn.ParameterList(
            [nn.Parameter(torch.zeros(m.shape[2], rank)) for m in self.maps] if with_brain else []
        )

    def codes(
        self,
        delayed: Float[torch.Tensor, "stretch row column"],
        fold: Int64[torch.Tensor, "stretch"],
    ) -> Float[torch.Tensor, "stretch row rank"]:
        """V' x of each row, by the heads of its story's fold."""
        return torch.bmm(delayed, self.bottleneck[fold])

    def predicted(
        self,
        codes: Float[torch.Tensor, "stretch row rank"],
        fold: Int64[torch.Tensor, "stretch"],
        subject: int,
        *,
        seen: Float[torch.Tensor, "stretch row target"] | None = None,
    ) -> Float[torch.Tensor, "stretch row target"]:
        """Responses of one subject; `seen` is brain activity, 0 where it is hidden."""
        if seen is not None:
            codes = codes + seen @ self.from_brain[subject]
        return torch.bmm(codes, self.maps[subject][fold]) + self.offsets[subject][fold][:, None]


def _stacked(arrays: Sequence[np.ndarray]) -> torch.Tensor:
    return torch.from_numpy(np.stack(arrays).astype(np.float32))
