"""How far a tuning carried a model from the one that it started from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from statistics import fmean

from brainaligner.aligner import LEAST_COMPARED, BrainAligner, layer_similarity
from brainaligner.study._tuning_task import BITS_SEED
from brainaligner.text import RowText

Similarity = Mapping[str, Mapping[str, float]]
"""By layer: ``cka`` and ``rsa``, as `LayerSimilarity` has them."""

SIMILARITY_NOTE = (
    "Similarity",
    "to the model before tuning, on the same text: that of the layer least like it (its number "
    "in brackets, 0 the embeddings); CKA: linear centred kernel alignment, 1 also where states "
    "are only rotated; RSA: whether the same rows are near to each other. run.json has each layer",
)


def similarity_facts(
    before: BrainAligner, after: BrainAligner, texts: Mapping[str, Sequence[RowText]]
) -> dict[str, dict[str, float]]:
    """How like each layer is to what it was; nothing where too few rows have words."""
    n_rows = sum(bool(text.own) for told in texts.values() for text in told)
    if n_rows < LEAST_COMPARED:
        return {}
    found = layer_similarity(before, after, texts, seed=BITS_SEED)
    return {str(layer): asdict(one) for layer, one in found.items()}


def similarity_cell(models: Sequence[Similarity]) -> str:
    """The lowest similarity over layers, each with its layer; of several models, of their means."""
    if not all(models):
        return "n/a"
    return ", ".join(f"{name.upper()} {_lowest(models, name)}" for name in ("cka", "rsa"))


def _lowest(models: Sequence[Similarity], name: str) -> str:
    means = {layer: fmean(model[layer][name] for model in models) for layer in models[0]}
    known = {layer: mean for layer, mean in means.items() if mean == mean}  # NaN is no number
    if not known:
        return "n/a"
    layer = min(known, key=known.__getitem__)
    return f"{known[layer]:.3f} ({layer})"
