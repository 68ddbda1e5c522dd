"""How well an aligner predicts the hidden tokens of a material."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, get_args

import numpy as np
import torch
from jaxtyping import Float64, Int64

from brainaligner.aligner._examples import read_examples
from brainaligner.aligner._layout import Batch, Examples
from brainaligner.aligner._masking import FIXED
from brainaligner.aligner._material import AlignerMaterial, shift_brain
from brainaligner.aligner._model import BrainAligner
from brainaligner.aligner._settings import AlignerSettings
from brainaligner.core import InputError, unknown_name

BrainInput = Literal["true", "shifted", "none"]
PSEUDO_COUNT = 0.3
"""Added to every token's count in the training texts, so that none is impossible.

Of 0.01 to 1 it gave the fewest bits on held-out stories of ds003020: a floor that is no straw man.
"""

_LN2 = float(np.log(2.0))


@dataclass(frozen=True)
class TokenBits:
    """How many bits a token costs that is hidden, or that comes next (`token_bits`).

    Parameters
    ----------
    bits : float
        Mean of ``-log2 p(token)`` over the tokens.
    accuracy : float
        Share of tokens that were the most probable ones.
    tokens : int
    by_story : mapping of str to float
        `bits` of each story that has such a token.
    """

    bits: float
    accuracy: float
    tokens: int
    by_story: Mapping[str, float]


def masked_bits(
    aligner: BrainAligner,
    material: AlignerMaterial,
    *,
    brain: BrainInput,
    settings: AlignerSettings,
    seed: int,
) -> TokenBits:
    """Measure bits per masked token under masks that stay the same for one seed.

    Parameters
    ----------
    aligner : BrainAligner
    material : AlignerMaterial
    brain : {"true", "shifted", "none"}
        Read the material's brain vectors, those moved circularly within their story by at least
        40 rows (`shift_brain` with `seed`), or text alone. The hidden tokens are the same.
    settings : AlignerSettings
        Those that it was tuned with: masks, brain rows and places.
    seed : int
        Of masks and shifts, in place of ``settings.seed``.

    Raises
    ------
    InputError
        For brain vectors that are wanted and not given, or not fit for the aligner.
    """
    if brain not in get_args(BrainInput):
        raise unknown_name("masked bits", "brain", str(brain), get_args(BrainInput))
    drawn = replace(settings, seed=seed)
    examples = read_examples(aligner, _with_input(material, brain, seed), settings=drawn)
    return summed_bits(examples.stories, _token_costs(aligner, examples))


def unigram_bits(
    aligner: BrainAligner,
    training: AlignerMaterial,
    validation: AlignerMaterial,
    *,
    settings: AlignerSettings,
    seed: int,
) -> TokenBits:
    """Bits per masked token when only the tokens' frequencies in training texts are known.

    ``p(v) = (n_v + 0.3) / sum_u (n_u + 0.3)`` over the vocabulary without special tokens. The
    tokens are those that `masked_bits` takes with the same settings and seed.
    """
    drawn = replace(settings, seed=seed)
    known = read_examples(aligner, AlignerMaterial(training.texts), settings=drawn)
    asked = read_examples(aligner, AlignerMaterial(validation.texts), settings=drawn)
    logs = log_frequencies(known, n_tokens=aligner.tower.config.vocab_size)
    batch = _all_hidden(asked)
    costs = -logs[batch.labels] / _LN2
    return summed_bits(asked.stories, (batch.examples, costs, batch.labels == int(logs.argmax())))


def log_frequencies(examples: Examples, *, n_tokens: int) -> Float64[np.ndarray, "token"]:
    """Natural logarithm of each token's smoothed frequency; special tokens count as unseen."""
    may_hide = examples.vocabulary.may_hide
    return log_shares([e.ids[may_hide(e.ids)] for e in examples.examples], n_tokens=n_tokens)


def log_shares(
    texts: Iterable[Int64[np.ndarray, "_"]], *, n_tokens: int
) -> Float64[np.ndarray, "token"]:
    """Natural logarithm of each token's share of some texts, after `PSEUDO_COUNT` is added."""
    counts = np.full(n_tokens, PSEUDO_COUNT)
    for ids in texts:
        np.add.at(counts, ids, 1.0)
    return np.log(counts / counts.sum())


Costs = tuple[Int64[np.ndarray, "token"], np.ndarray, np.ndarray]
"""Of each hidden token: its example, its bits, whether it was the most probable one."""


def summed_bits(stories_of: Sequence[str], costs: Costs) -> TokenBits:
    """Sum tokens up over stories and over all; `stories_of` names the story of each example."""
    where, bits, hits = costs
    if not len(bits):
        raise InputError(
            "bits of tokens",
            got="no selected token",
            wanted="at least one",
            do="Give more text or raise mask_rate.",
        )
    stories = np.array(stories_of)[where]
    by_story = {str(story): float(bits[stories == story].mean()) for story in np.unique(stories)}
    return TokenBits(float(bits.mean()), float(hits.mean()), len(bits), by_story)


def fixed_batches(
    examples: Examples, *, rank: int = 0, ranks: int = 1
) -> list[tuple[list[int], Batch]]:
    """Batches under fixed masks, by length, with the examples behind them."""
    order = np.argsort(examples.lengths, kind="stable")
    size = examples.settings.batch * 4
    parts = [order[start : start + size].tolist() for start in range(0, len(order), size)]
    return [(part, examples.batch(part, FIXED)) for part in parts[rank::ranks]]


@dataclass(frozen=True, eq=False)
class _Hidden:
    examples: Int64[np.ndarray, "token"]
    labels: Int64[np.ndarray, "token"]


def _all_hidden(examples: Examples) -> _Hidden:
    every = range(len(examples.lengths))
    labels = examples.batch(list(every), FIXED)["labels"].numpy()
    return _Hidden(examples.batch_rows(list(every), FIXED), labels)


def token_losses(aligner: torch.nn.Module, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
    """Cost of each hidden token of a batch in nats, and whether it was the most probable one."""
    labels = batch["labels"]
    logits = aligner(**{name: value for name, value in batch.items() if name != "labels"})
    losses = torch.nn.functional.cross_entropy(logits.float(), labels, reduction="none")
    return losses, logits.argmax(-1) == labels


def _token_costs(aligner: BrainAligner, examples: Examples) -> Costs:
    was_training = aligner.training
    aligner.eval()
    parts: list[Costs] = []
    with torch.inference_mode():
        for indices, batch in fixed_batches(examples):
            losses, hits = token_losses(aligner, batch)
            rows = examples.batch_rows(indices, FIXED)
            parts.append((rows, losses.double().numpy() / _LN2, hits.numpy()))
    aligner.train(was_training)
    where, bits, hits_all = (np.concatenate(column) for column in zip(*parts, strict=True))
    return where, bits, hits_all


def _with_input(material: AlignerMaterial, brain: BrainInput, seed: int) -> AlignerMaterial:
    if brain == "none":
        return AlignerMaterial(material.texts)
    if material.brain is None:
        raise InputError(
            "masked bits",
            got=f"brain={brain!r} and a material without brain vectors",
            wanted="brain vectors",
            do="Give them, or ask for brain='none'.",
        )
    if brain == "true":
        return material
    return AlignerMaterial(material.texts, shift_brain(material.brain, seed=seed))
