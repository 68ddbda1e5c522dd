"""A material as an aligner reads it: token ids, and what fits its model."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np

from brainaligner.aligner._layout import Example, Examples, Frame
from brainaligner.aligner._masking import name_key, read_vocabulary
from brainaligner.aligner._material import AlignerMaterial
from brainaligner.aligner._model import BrainAligner
from brainaligner.aligner._settings import AlignerSettings
from brainaligner.core import InputError
from brainaligner.text import TextSettings, token_rows


def read_examples(
    aligner: BrainAligner, material: AlignerMaterial, *, settings: AlignerSettings
) -> Examples:
    """Tokenise a material as the aligner reads it.

    Room for brain vectors is kept with and without them, so that both read the same text.

    Raises
    ------
    InputError
        If brain vectors do not fit the aligner, or the model lacks what the settings ask for.
    """
    _check_brain(aligner, material, settings)
    texts = [
        (story, row, text)
        for story, rows in material.texts.items()
        for row, text in enumerate(rows)
        if text.own
    ]
    limit = _text_limit(aligner, settings)
    reading = TextSettings(pooling="all", max_tokens=limit)
    tokens = token_rows(aligner.reader, [text for _, _, text in texts], settings=reading)
    found = [(story, row, token) for (story, row, _), token in zip(texts, tokens, strict=True)]
    examples = tuple(
        Example(story, row, name_key(story), token.ids[token.weights > 0])
        for story, row, token in found
        if token.weights.any()
    )
    vocabulary = read_vocabulary(aligner.tokenizer)
    return Examples(examples, _frame(aligner), vocabulary, material.brain, settings)


def _frame(aligner: BrainAligner) -> Frame:
    encoded = aligner.tokenizer("a", return_special_tokens_mask=True)
    ids = np.array(encoded["input_ids"])
    text = np.flatnonzero(~np.array(encoded["special_tokens_mask"], dtype=bool))
    before, after = ids[: text[0]].tolist(), ids[text[-1] + 1 :].tolist()
    pad = aligner.tower.config.pad_token_id
    return Frame(tuple(before), tuple(after), _first_position(aligner), int(pad or 0))


def _first_position(aligner: BrainAligner) -> int:
    """RoBERTa's table of positions has a place for padding, and counts from the next one."""
    for name, part in aligner.tower.named_modules():
        if name.endswith("position_embeddings"):
            padding = getattr(part, "padding_idx", None)
            return 0 if padding is None else int(padding) + 1
    return 0


def _text_limit(aligner: BrainAligner, settings: AlignerSettings) -> int:
    """Tokens of text that fit beside special tokens and brain vectors."""
    frame = _frame(aligner)
    longest = min(settings.max_tokens, aligner.info.max_tokens)
    limit = longest - len(frame.before) - len(frame.after) - len(settings.brain_rows)
    if limit < 1:
        raise InputError(
            "aligner settings: max_tokens",
            got=f"{longest} tokens, {len(settings.brain_rows)} of them brain vectors",
            wanted="room for at least one token of text",
            do="Raise max_tokens or read fewer brain rows.",
        )
    return limit


def check_inputs(aligner: BrainAligner, *, settings: AlignerSettings, with_brain: bool) -> None:
    """Refuse settings of inputs that a model cannot follow."""
    _text_limit(aligner, settings)
    if with_brain:
        _check_places(aligner, settings)


def _check_brain(
    aligner: BrainAligner, material: AlignerMaterial, settings: AlignerSettings
) -> None:
    if material.brain is None:
        return
    if material.brain_width != aligner.brain_width:
        raise InputError(
            "aligner material: brain",
            got=f"vectors of width {material.brain_width}",
            wanted=f"width {aligner.brain_width}, as the aligner was loaded with",
            do="Load the aligner with the width of these vectors.",
        )
    _check_places(aligner, settings)


def _check_places(aligner: BrainAligner, settings: AlignerSettings) -> None:
    for name, is_used, wanted in _wanted_inputs(aligner.tower, settings):
        if is_used:
            raise InputError(
                f"aligner settings: {name}",
                got=repr(getattr(settings, name)),
                wanted=wanted,
                do="Choose the other setting, or another model.",
            )


def _wanted_inputs(tower: Any, settings: AlignerSettings) -> list[tuple[str, bool, str]]:
    """Settings that this model cannot follow, each with what it could."""
    takes = inspect.signature(tower.forward).parameters
    segments = getattr(tower.config, "type_vocab_size", 0) if "token_type_ids" in takes else 0
    lacks_segment = settings.brain_segment >= max(segments, 1)
    lacks_positions = settings.brain_positions == "text_kept" and "position_ids" not in takes
    return [
        ("brain_segment", lacks_segment, "0: this model knows no second segment"),
        ("brain_positions", lacks_positions, "'in_line': this model takes no position ids"),
    ]
