"""Voxels that a language model predicts: the encoder that the report calls ES."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int64

from brainaligner.brain._choice import best_targets, chosen_vectors, most_targets
from brainaligner.brain._folds import (
    RecordedStories,
    alpha_facts,
    checked_designs,
    fitted_in_step,
    story_parts,
)
from brainaligner.brain._material import BrainMaterial, BrainVectors, Provenance
from brainaligner.brain._reading import Facts, TargetReader, labelled_seed, scale_fact
from brainaligner.brain._settings import BrainSettings, EncoderOptions
from brainaligner.core import InputError, Progress, no_progress
from brainaligner.encoding import AlphaChoice, join_choices


def encoding_selection(
    material: BrainMaterial,
    *,
    settings: BrainSettings,
    seed: int,
    options: EncoderOptions,
    progress: Progress = no_progress,
) -> BrainVectors:
    """The targets that the plain language model predicts best, among the significant ones.

    A ridge from ``material.designs`` to every target, ``argmin ||Y - X W||^2 + alpha ||W||^2``
    (Huth lab: the square root of this alpha), is cross-validated in folds of stories inside
    ``fitted_on``: each fold's alpha is chosen by leaving out the other folds' stories in
    turn. Out-of-fold predictions are put end to end for r and for p by
    :func:`brainaligner.evaluation.block_permutation`; targets with an adjusted p
    (Benjamini & Hochberg) of at most `fdr` may stay, those of highest r first. Other stories
    are read for their vectors, after the choice.

    Parameters
    ----------
    material : BrainMaterial
        With `designs`; they are asked for the same story many times.
    settings : BrainSettings
    seed : int
        Of the folds and of the permutations.
    options : EncoderOptions
    progress : callable

    Raises
    ------
    InputError
        If there are no designs, too few training stories for the folds, or no target is
        significant.
    """
    checked_designs(material, settings.kind)
    found = cross_validated(
        material, settings=settings, seed=seed, options=options, progress=progress
    )
    significant = found.significant(settings.fdr)
    if not significant.any():
        raise _none_significant(material, found, settings)
    score = np.where(significant, found.r, np.nan)
    choice = best_targets(score, most_targets(len(score), settings))
    reader = TargetReader(material, settings.standardise, options, progress)
    provenance = Provenance(
        "encoding_selection",
        material.subject,
        fitted_on=material.fitted_on,
        chosen_on=material.fitted_on,
        facts=choice.facts("r") | found.facts(settings) | scale_fact(settings.standardise),
    )
    return chosen_vectors(reader, choice, provenance)


@dataclass(frozen=True, eq=False)
class CrossValidated:
    """How well each target is predicted out of fold.

    Parameters
    ----------
    r, p : float64 arrays, shape (target,)
        NaN where the responses or their predictions have no variance.
    block_rows : int64 array, shape (target,)
        Shortest permuted block, in rows (TRs).
    alphas : tuple of AlphaChoice
        One for each fold.
    """

    r: Float64[np.ndarray, "target"]
    p: Float64[np.ndarray, "target"]
    block_rows: Int64[np.ndarray, "target"]
    alphas: tuple[AlphaChoice, ...]

    def significant(self, level: float, *, dependent: bool = False) -> np.ndarray:
        """Targets whose adjusted p is at most `level`; `dependent`: Yekutieli's."""
        from brainaligner.evaluation import fdr_bh, fdr_by

        return (fdr_by if dependent else fdr_bh)(self.p) <= level

    def facts(self, settings: BrainSettings) -> Facts:
        """What a reader should know of the test."""
        rows = self.block_rows
        facts: Facts = {
            "tested": float(np.isfinite(self.p).sum()),
            "significant": float(self.significant(settings.fdr).sum()),
            "significant by Benjamini and Yekutieli": float(
                self.significant(settings.fdr, dependent=True).sum()
            ),
            "block rows": f"{rows.min()} to {rows.max()}",
        }
        return facts | alpha_facts(self.alphas)


def cross_validated(
    material: BrainMaterial,
    *,
    settings: BrainSettings,
    seed: int,
    options: EncoderOptions,
    progress: Progress,
) -> CrossValidated:
    """Predict every training story from the other folds and test each target."""
    from brainaligner.evaluation import BlockPermutation, block_permutation

    parts = _checked_parts(material, settings, seed)
    divisions = [(_others(parts, part), part) for part in parts]
    held_out = RecordedStories(material, sum(parts, ()), settings)
    tests: list[BlockPermutation] = []
    choices: list[tuple[AlphaChoice, ...]] = []
    for step in fitted_in_step(
        material, divisions, settings=settings, options=options, progress=progress
    ):
        targets = step[0].targets
        tested = block_permutation(
            [rows for fit in step for rows in fit.predictions],
            [held_out.responses(i, targets) for i in range(len(held_out))],
            n_permutations=settings.n_permutations,
            seed=labelled_seed(seed, "permutations"),
        )
        tests.append(tested)
        choices.append(tuple(fit.choice for fit in step))
        progress("block permutations", targets.stop, held_out.n_targets)
    r, p, block_rows = (
        np.concatenate([getattr(test, name) for test in tests]) for name in ("r", "p", "block_rows")
    )
    return CrossValidated(r, p, block_rows, tuple(map(join_choices, zip(*choices, strict=True))))


def _checked_parts(
    material: BrainMaterial, settings: BrainSettings, seed: int
) -> tuple[tuple[str, ...], ...]:
    parts = story_parts(material, settings.n_folds, seed=seed, least=1)
    fewest = min(len(_others(parts, part)) for part in parts)
    if len(settings.ridge.alphas) > 1 and fewest < 2:
        raise InputError(
            f"training stories of {material.subject}",
            got=f"{fewest} to choose alpha in a fold",
            wanted="two or more in each fold's training part",
            do="Add training stories or folds, or give the ridge a single alpha.",
        )
    return parts


def _others(parts: tuple[tuple[str, ...], ...], part: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(story for other in parts if other is not part for story in other)


def _none_significant(
    material: BrainMaterial, found: CrossValidated, settings: BrainSettings
) -> InputError:
    least = np.nanmin(found.p) if np.isfinite(found.p).any() else float("nan")
    return InputError(
        f"encoding selection of {material.subject}",
        got=f"none of {found.p.size} targets significant at FDR {settings.fdr:g} "
        f"(smallest p {least:.3g}; {settings.n_permutations} permutations cannot give less "
        f"than {1 / (settings.n_permutations + 1):.2g})",
        wanted="at least one target that the designs predict",
        do="Check the designs' clock and delays; give more training stories or permutations, a "
        "larger fdr, or use another encoder.",
    )
