"""Whether a banded ridge's shares, penalties and predictions are what its data give.

With ``D = diag(sqrt(g_b))`` over the columns of band b,
``W = D (D X'X D + alpha I)^-1 D X'Y`` solves
``argmin_W ||Y - X W||^2 + sum_b (alpha / g_b) ||W_b||^2`` (Huth lab: its alpha
is the root of ours).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float64

from brainaligner.core import Piece
from brainaligner.encoding import BandedSettings, candidate_shares
from brainaligner.evaluation import Fault, Unproven
from brainaligner.study._audit_arm import ArmAudit
from brainaligner.study._audit_rank import Sums, piece_sums
from brainaligner.study._audit_refit import by_piece, correlation
from brainaligner.study._audit_refit_faults import REFITTED, design_rows, prediction_faults
from brainaligner.study._audit_witness import Found
from brainaligner.study._designs import word_design
from brainaligner.study._readout import ReadoutTask

_ROUNDING = 5e-3
_BESIDE = 2
_MOST_OPERATIONS = 2e11
_MOST_BYTES = 2**31


def banded_faults(arm: ArmAudit, i: int, task: ReadoutTask, *, thorough: bool) -> Iterator[Found]:
    """Fit a few targets again with their stored shares and penalties; score some candidates again.

    Parameters
    ----------
    arm : ArmAudit
    i : int
        Number of the readout.
    task : ReadoutTask
    thorough : bool
        Also where that takes long; and all candidates.
    """
    settings, stored = task.design.arm.banded, arm.fit(i)
    assert settings is not None
    columns = list(arm.columns)[REFITTED]
    if len(stored["alpha"]) <= columns[-1]:
        return  # other targets: the scores say so
    if "deltas" not in stored:
        yield Unproven("predictions", arm.where, "an older version kept no shares of bands")
        return
    width = task.design.n_feature_columns + 16
    heavy = width**2 * (sum(task.rows.values()) + 60.0 * width) > _MOST_OPERATIONS
    if (heavy and not thorough) or 8 * width**2 > _MOST_BYTES:
        yield Unproven("predictions", arm.where, "not fitted again: brainaligner audit does")
        return
    again = BandedAgain(arm, task, settings)
    shares, known = np.exp(stored["deltas"] + np.log(stored["alpha"])).T, again.shares
    nearest = np.abs(shares[:, None] - known[None]).max(axis=2)
    candidate = nearest.argmin(axis=1)
    if nearest.min(axis=1).max() > 1e-6 or not np.isin(stored["alpha"], settings.alphas).all():
        yield _choice(arm, "shares or alphas", "are not those that the study draws from")
        return
    table = stored["validation_r"].astype(np.float64)
    short = table.max(axis=0) - table[candidate, np.arange(len(candidate))]
    if not short.max() <= 1e-6:
        yield _choice(
            arm, f"{short.max():.3g} below the best r", "another share is better on validation"
        )
        return
    own, alpha = candidate[columns], stored["alpha"][columns].astype(np.float64)
    yield from _table_faults(arm, again, table[:, columns], (own, alpha), thorough=thorough)
    yield from prediction_faults(arm, i, again.predict(own, alpha))


@dataclass(frozen=True, eq=False)
class BandedAgain:
    """A banded ridge of a few targets, from sums over training rows."""

    arm: ArmAudit
    task: ReadoutTask
    settings: BandedSettings

    @cached_property
    def widths(self) -> list[int]:
        """Columns of each band; Z, where it is in, is the last."""
        design = word_design(self.task.design)
        whole = self.rows(self.task.fold.train[0]).shape[1]
        alone = design.arm.design.nuisance == "alone"
        own = [] if alone else [s.width * len(design.arm.design.delays) for s in design.spaces]
        return [*own, whole - sum(own)] if whole > sum(own) else own

    @cached_property
    def shares(self) -> Float64[np.ndarray, "candidate band"]:
        """Candidates that the settings draw."""
        return candidate_shares(len(self.widths), self.settings)

    def rows(self, piece: Piece) -> np.ndarray:
        """Design rows of a piece."""
        return design_rows(self.arm.truth, self.task, piece)

    def responses(self, piece: Piece) -> np.ndarray:
        """Responses of the targets that are fitted again."""
        known = self.arm.truth.responses(self.arm.subject)
        return by_piece(known, range(len(self.arm.columns))[REFITTED])(piece)

    @cached_property
    def sums(self) -> Sums:
        """Over all training rows."""
        return piece_sums(self.task.fold.train, self.rows, self.responses)

    def weights(
        self, candidate: int, alphas: np.ndarray, *, without: Piece | None = None
    ) -> Float64[np.ndarray, "alpha feature target"]:
        """Weights at one candidate and several alphas, of all training pieces but one."""
        own = self.sums
        if without is not None:
            own = own.less(piece_sums([without], self.rows, self.responses))
        gram, cross = own.xx, own.xy
        if self.settings.intercept:
            gram, cross = own.centred, own.xy - np.outer(own.x, own.y) / own.n
        factors = np.repeat(np.sqrt(self.shares[candidate]), self.widths)
        values, vectors = np.linalg.eigh(gram * np.outer(factors, factors))
        turned = vectors.T @ (factors[:, None] * cross)
        shrunk = [(values > 1e-12 * values[-1]) / (np.maximum(values, 0) + a) for a in alphas]
        return np.stack([factors[:, None] * (vectors @ (s[:, None] * turned)) for s in shrunk])

    def predict(self, candidate: np.ndarray, alpha: np.ndarray) -> tuple[np.ndarray, ...]:
        """Predictions of the test pieces, each target with its own candidate and alpha."""
        weights = np.stack(
            [
                self.weights(int(c), np.array([a]))[0][:, place]
                for place, (c, a) in enumerate(zip(candidate, alpha, strict=True))
            ],
            axis=1,
        )
        own = self.sums
        constant = (own.y - own.x @ weights) / own.n if self.settings.intercept else 0.0
        return tuple(self.rows(p) @ weights + constant for p in self.task.fold.test)

    def validation_r(self, candidate: int) -> Float64[np.ndarray, "alpha target"]:
        """r of each alpha over all validation rows."""
        weights = self.weights(candidate, np.array(self.settings.alphas))
        rows = np.concatenate([self.rows(p) for p in self.task.validation]).astype(np.float64)
        measured = np.concatenate([self.responses(p) for p in self.task.validation])
        return np.stack([correlation(rows @ w, measured.astype(np.float64)) for w in weights])

    def left_out_r(self, candidate: int) -> Float64[np.ndarray, "alpha target"]:
        """Mean over training pieces of r of each alpha, fitted to the others."""
        found = []
        for piece in self.task.fold.train:
            weights = self.weights(candidate, np.array(self.settings.alphas), without=piece)
            rows, measured = (of(piece).astype(np.float64) for of in (self.rows, self.responses))
            found.append(np.stack([correlation(rows @ w, measured) for w in weights]))
        return np.mean(found, axis=0)


def _table_faults(
    arm: ArmAudit,
    again: BandedAgain,
    table: np.ndarray,
    chosen: tuple[np.ndarray, np.ndarray],
    *,
    thorough: bool,
) -> Iterator[Found]:
    """Scores of the chosen candidates, and of some beside, computed again."""
    candidate, alpha = chosen
    by_story = again.settings.selection == "leave_story_out"
    if by_story and not thorough:
        yield Unproven("choice", arm.where, "stories are left out again by brainaligner audit")
        return
    order = np.random.default_rng(len(table)).permutation(len(table)).tolist()
    beside = [c for c in order if c not in candidate]
    used = [*dict.fromkeys(candidate.tolist()), *(beside if thorough else beside[:_BESIDE])]
    for c in used:
        r = again.left_out_r(c) if by_story else again.validation_r(c)
        off = float(np.abs(r.max(axis=0) - table[c]).max())
        own = candidate == c
        places = np.searchsorted(again.settings.alphas, alpha[own])
        short = (r.max(axis=0)[own] - r[places, np.flatnonzero(own)]).max(initial=0.0)
        if not max(off, short) <= _ROUNDING:
            yield _choice(
                arm,
                f"r off by up to {max(off, short):.3g}",
                "validation scores are not those of the validation stories",
            )
            return


def _choice(arm: ArmAudit, figure: str, said: str) -> Fault:
    return Fault("choice-not-reproduced", arm.where, figure, said)
