"""How like a tuned model's states are to those of the model that it started from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float32, Float64

from brainaligner.aligner._model import BrainAligner
from brainaligner.core import InputError
from brainaligner.text import RowText, TextSettings, row_states

LEAST_COMPARED = 3
"""Rows of text that a comparison of layers needs at least."""


@dataclass(frozen=True)
class LayerSimilarity:
    """How like the pooled states of one layer are in two models; 1: alike.

    Parameters
    ----------
    cka : float
        Linear centred kernel alignment (`linear_cka`): 1 also where one is the other rotated.
    rsa : float
        Agreement of which rows are near to which (`dissimilarity_agreement`).
    """

    cka: float
    rsa: float


def layer_similarity(
    before: BrainAligner,
    after: BrainAligner,
    texts: Mapping[str, Sequence[RowText]],
    *,
    n_rows: int = 1000,
    max_tokens: int = 256,
    seed: int = 0,
) -> dict[int, LayerSimilarity]:
    """Compare two models of one shape layer by layer, on the same rows of text.

    Parameters
    ----------
    before, after : BrainAligner
        Read with text alone, in evaluation mode; the heads do not enter.
    texts : mapping of story to its row texts
        States are the mean over the tokens of a row's own words. Rows without words are left
        out.
    n_rows : int
        At most that many rows are compared, drawn without replacement where there are more.
    max_tokens : int
        Tokens of text in the input; the leftmost are dropped.
    seed : int
        Of this draw.

    Returns
    -------
    dict of int to LayerSimilarity
        By layer: 0 the embeddings, k ``hidden_states[k]``. NaN where a model gives all rows the
        same state.

    Raises
    ------
    InputError
        If the models differ in layers or width, or fewer than three rows have words.
    """
    _check_models(before, after)
    rows = _drawn_rows(texts, n_rows, seed)
    layers = range(before.info.n_layers + 1)
    reading = TextSettings(max_tokens=max_tokens)
    old, new = (
        row_states(model.reader, {"rows": rows}, layers, settings=reading)
        for model in (before, after)
    )
    return {k: _similarity(old[k]["rows"], new[k]["rows"]) for k in layers}


def linear_cka(
    one: Float[np.ndarray, "row feature"], other: Float[np.ndarray, "row feature_too"]
) -> float:
    """Linear centred kernel alignment of two sets of states of the same rows.

    ``||Y'X||_F^2 / (||X'X||_F ||Y'Y||_F)`` with centred columns (Kornblith et al. 2019),
    computed as ``<XX', YY'> / (||XX'||_F ||YY'||_F)``, which is the same. Rotations and one
    factor for all features leave it as it is. The biased estimator: with few rows of many
    features it is high for unrelated states too.
    """
    kernels = [centred @ centred.T for centred in map(_centred, (one, other))]
    return _cosine(kernels[0].ravel(), kernels[1].ravel())


def dissimilarity_agreement(
    one: Float[np.ndarray, "row feature"], other: Float[np.ndarray, "row feature_too"]
) -> float:
    """Representational similarity of two sets of states of the same rows.

    Spearman's correlation between the upper triangles of the matrices of ``1 - r`` between
    rows, r being Pearson's over features (Kriegeskorte et al. 2008).
    """
    ranks = [_ranks(_distances(states)) for states in (one, other)]
    return _cosine(*(rank - rank.mean() for rank in ranks))


def _similarity(
    one: Float32[np.ndarray, "row width"], other: Float32[np.ndarray, "row width"]
) -> LayerSimilarity:
    return LayerSimilarity(linear_cka(one, other), dissimilarity_agreement(one, other))


def _drawn_rows(
    texts: Mapping[str, Sequence[RowText]], n_rows: int, seed: int
) -> tuple[RowText, ...]:
    """Rows with words in their order, at most so many of them."""
    rows = [text for told in texts.values() for text in told if text.own]
    if len(rows) < LEAST_COMPARED or n_rows < LEAST_COMPARED:
        raise InputError(
            "layer similarity",
            got=f"{len(rows)} rows with words, of which {n_rows} are compared",
            wanted=f"at least {LEAST_COMPARED}",
            do="Give more text or raise n_rows.",
        )
    size = min(n_rows, len(rows))
    kept = np.random.default_rng(seed).choice(len(rows), size, replace=False)
    return tuple(rows[i] for i in np.sort(kept))


def _centred(states: Float[np.ndarray, "row feature"]) -> Float64[np.ndarray, "row feature"]:
    values = states.astype(np.float64)
    centred: np.ndarray = values - values.mean(axis=0)
    return centred


def _distances(states: Float[np.ndarray, "row feature"]) -> Float64[np.ndarray, "pair"]:
    """``1 - r`` of each pair of rows, once."""
    rows = _centred(states.T).T
    with np.errstate(invalid="ignore", divide="ignore"):
        rows = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    found: np.ndarray = 1.0 - (rows @ rows.T)[np.triu_indices(len(rows), k=1)]
    return found


def _ranks(values: Float64[np.ndarray, "pair"]) -> Float64[np.ndarray, "pair"]:
    """Ranks from 1; equal values share the mean of theirs. NaN throughout where one is NaN."""
    if np.isnan(values).any():
        return np.full_like(values, np.nan)
    _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    found: np.ndarray = (ends - (counts - 1) / 2)[places]
    return found


def _cosine(one: Float64[np.ndarray, "value"], other: Float64[np.ndarray, "value"]) -> float:
    """Cosine of two vectors; exactly 1 where they are equal, NaN where one is 0."""
    length = float(np.sqrt((one * one).sum() * (other * other).sum()))
    return float((one * other).sum() / length) if length else float("nan")


def _check_models(before: BrainAligner, after: BrainAligner) -> None:
    shapes = [(model.info.n_layers, model.info.width) for model in (before, after)]
    if shapes[0] != shapes[1]:
        raise InputError(
            "layer similarity",
            got=" and ".join(f"{n} layers of width {width}" for n, width in shapes),
            wanted="two models of one shape",
            do="Compare a tuned model with the one that it started from.",
        )
