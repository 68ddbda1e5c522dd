"""Texts to embed, and the states that transformers alone gives of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from brainaligner.study import RunOptions

LINES = ("we walked along the river", "she laughed", "nobody said a word until the bridge was warm")
ROWS = ("we,0.1,0.3", "walked,0.9,1.2", "along,1.5,1.9", "the,4.5,4.6", "river,4.9,5.2")
OPTIONS = RunOptions(Path("unused"))
UNCHECKED = pytest.mark.usefixtures("unchecked")  # typer hands commands another Context


def table(folder: Path, *rows: str, header: str = "word,onset_s,offset_s") -> Path:
    """Write a table of timed words, tale.csv."""
    path = folder / "tale.csv"
    path.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    return path


def sentence_means(
    model: Path, sentences: tuple[str, ...], layer: int, *, special: bool = False
) -> np.ndarray:
    """Mean state of each sentence's tokens, one sentence at a time, by transformers alone."""
    from transformers import AutoModel, AutoTokenizer

    tokenizer, module = (k.from_pretrained(model) for k in (AutoTokenizer, AutoModel))
    means = []
    for sentence in sentences:
        with torch.no_grad():
            ids = tokenizer(sentence, return_tensors="pt")
            states = module(**ids, output_hidden_states=True).hidden_states[layer][0]
        means.append((states if special else states[1:-1]).mean(0).numpy())
    return np.stack(means)
