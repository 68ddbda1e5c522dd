"""What a language model still knows of language: bits per hidden token, or per next one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Int64

from brainaligner.aligner._layout import Batch
from brainaligner.aligner._material import AlignerMaterial
from brainaligner.aligner._model import BrainAligner
from brainaligner.aligner._settings import AlignerSettings
from brainaligner.aligner._tally import (
    Costs,
    TokenBits,
    log_shares,
    masked_bits,
    summed_bits,
    token_losses,
    unigram_bits,
)
from brainaligner.core import InputError
from brainaligner.text import RowText, TextSettings, token_rows

Texts = Mapping[str, Sequence[RowText]]
_LN2 = float(np.log(2.0))


@dataclass(frozen=True, eq=False)
class _Asked:
    """One row as a causal model reads it, and which of its tokens are asked for."""

    story: str
    ids: Int64[np.ndarray, "token"]
    at: Int64[np.ndarray, "own"]

    @property
    def labels(self) -> Int64[np.ndarray, "own"]:
        return self.ids[self.at]


def token_bits(
    aligner: BrainAligner,
    texts: Texts,
    *,
    settings: AlignerSettings = AlignerSettings(),  # noqa: B008 - frozen
    seed: int,
) -> TokenBits:
    """Measure how many bits a token of some texts costs, as the model's kind predicts them.

    A masked model: the mean of ``-log2 p(token | the other tokens)`` over hidden tokens, as
    `masked_bits` has it without a brain. A causal model: the mean of ``-log2 p(token | all
    tokens before it in the row's text)`` over the tokens of each row's own words, each once;
    tokens of the left context are read, not asked for. Where the tokenizer puts nothing before
    a text (GPT-2, Qwen), the token for the start or the end of a text is read first, so that
    the first word has something before it.

    Bits of models with different tokenizers cannot be compared: their tokens differ.

    Parameters
    ----------
    aligner : BrainAligner
        With a head that predicts tokens.
    texts : mapping of story to its row texts
        Rows without words are left out.
    settings : AlignerSettings
        `max_tokens` and `batch`; for a masked model its masks as well.
    seed : int
        Of masks; a causal model draws nothing.

    Raises
    ------
    InputError
        If the head was drawn and not learned, or there is no token to ask for.
    """
    _check_head(aligner)
    if aligner.info.kind == "encoder":
        material = AlignerMaterial(texts)
        return masked_bits(aligner, material, brain="none", settings=settings, seed=seed)
    rows = _asked(aligner, texts, settings)
    return summed_bits([row.story for row in rows], _costs(aligner, rows, settings.batch))


def token_floor(
    aligner: BrainAligner,
    training: Texts,
    validation: Texts,
    *,
    settings: AlignerSettings = AlignerSettings(),  # noqa: B008 - frozen
    seed: int,
) -> TokenBits:
    """Bits of the tokens of `token_bits` when only frequencies in training texts are known.

    ``p(v) = (n_v + 0.3) / sum_u (n_u + 0.3)`` (`unigram_bits`); for a causal model over its
    whole vocabulary, counted over the rows' own words.

    Parameters
    ----------
    aligner : BrainAligner
        Its tokenizer alone is used.
    training, validation : mapping of story to its row texts
        Where frequencies are counted, and the texts of `token_bits`.
    settings, seed
        As in `token_bits`.
    """
    if aligner.info.kind == "encoder":
        sides = AlignerMaterial(training), AlignerMaterial(validation)
        return unigram_bits(aligner, *sides, settings=settings, seed=seed)
    known, rows = (_asked(aligner, texts, settings) for texts in (training, validation))
    n_tokens = aligner.tower.config.vocab_size
    logs = log_shares([row.labels for row in known], n_tokens=n_tokens)
    where = np.repeat(np.arange(len(rows)), [len(row.at) for row in rows])
    labels = np.concatenate([row.labels for row in rows] or [np.zeros(0, dtype=np.int64)])
    costs = (where, -logs[labels] / _LN2, labels == int(logs.argmax()))
    return summed_bits([row.story for row in rows], costs)


def _asked(aligner: BrainAligner, texts: Texts, settings: AlignerSettings) -> list[_Asked]:
    """Rows with words, each with what comes before its first token."""
    rows = [(story, text) for story, told in texts.items() for text in told if text.own]
    limit = min(settings.max_tokens, aligner.info.max_tokens) - 1
    reading = TextSettings(max_tokens=max(limit, 1))
    tokens = token_rows(aligner.reader, [text for _, text in rows], settings=reading)
    start, found = _start(aligner), []
    for (story, _), token in zip(rows, tokens, strict=True):
        ids, own = token.ids, token.weights > 0
        if start is not None and own.any():
            ids, own = np.concatenate([[start], ids]), np.concatenate([[False], own])
        at = np.flatnonzero(own)
        found.append(_Asked(story, ids, at[at > 0]))
    return [row for row in found if len(row.at)]


def _start(aligner: BrainAligner) -> int | None:
    """What a causal model reads before a text, where its tokenizer puts nothing there."""
    tokenizer = aligner.tokenizer
    if tokenizer("a", return_special_tokens_mask=True)["special_tokens_mask"][0]:
        return None
    known = (tokenizer.bos_token_id, tokenizer.eos_token_id)
    return next((int(token) for token in known if token is not None), None)


def _costs(aligner: BrainAligner, rows: Sequence[_Asked], batch: int) -> Costs:
    was_training = aligner.training
    aligner.eval()
    device = next(aligner.parameters()).device
    parts: list[Costs] = []
    with torch.inference_mode():
        for places in _batches(rows, batch):
            inputs = _inputs([rows[i] for i in places])
            losses, hits = token_losses(aligner, {k: v.to(device) for k, v in inputs.items()})
            where = np.repeat(places, [len(rows[i].at) for i in places])
            parts.append((where, losses.double().cpu().numpy() / _LN2, hits.cpu().numpy()))
    aligner.train(was_training)
    if not parts:
        return np.zeros(0, dtype=np.int64), np.zeros(0), np.zeros(0)
    where, bits, hits_all = (np.concatenate(column) for column in zip(*parts, strict=True))
    return where, bits, hits_all


def _batches(rows: Sequence[_Asked], batch: int) -> Iterator[Int64[np.ndarray, "batch"]]:
    order = np.argsort([len(row.ids) for row in rows], kind="stable")
    yield from (order[start : start + batch] for start in range(0, len(order), batch))


def _inputs(rows: Sequence[_Asked]) -> Batch:
    """Texts padded on the right; what stands before a token predicts it."""
    width = max(len(row.ids) for row in rows)
    ids = np.zeros((len(rows), width), dtype=np.int64)
    mask = np.zeros((len(rows), width), dtype=np.int64)
    for n, row in enumerate(rows):
        ids[n, : len(row.ids)], mask[n, : len(row.ids)] = row.ids, 1
    made = {
        "input_ids": ids,
        "attention_mask": mask,
        "selected": np.concatenate([n * width + row.at - 1 for n, row in enumerate(rows)]),
        "labels": np.concatenate([row.labels for row in rows]),
    }
    return {name: torch.from_numpy(values) for name, values in made.items()}


def _check_head(aligner: BrainAligner) -> None:
    if not aligner.has_head:
        raise InputError(
            f"model {aligner.info.name!r}",
            got=f"a checkpoint without a head that predicts tokens ({aligner.fresh[0]} is missing)",
            wanted="a head, for bits per token",
            do="Learn one first (learn_head), or choose a checkpoint with a head.",
        )
