"""What one-TR texts cost beside padding them to 256 tokens, and beside the model's own rate.

``python benchmarks/text_features.py [--shape minilm|bert-large] [--texts 1000] [--padded 32]
[--turns 3] [--threads 1] [--dtype float32]`` draws a model of that shape and texts of 1 to 14
words, as many as a TR of 2 s holds. By turns, in one process and in CPU seconds:

``ours``    `row_states` of all texts, tokenisation included: a layer's mean over own tokens;
``padded``  the usual loop: batches of 32 texts padded to 256 tokens through transformers' own
            model, states averaged afterwards; `padded` of the texts, scaled to all of them;
``full``    transformers' own model on batches of 4,096 tokens without padding, all texts of the
            mean length: what the model itself needs for as many tokens.

``padded_to_ours`` is wanted to be 20 at least with a BERT-large shape, ``ours_to_full`` 1.3 at
most, ``difference`` (largest, from the padded states) 1e-4 in float32. JSON goes to stdout. Linux
only.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from aligner_step import SHAPES, peak_mib, write_model

from brainaligner.text import LanguageModel, RowText, TextSettings, load_language_model, row_states

PADDED_LENGTH, PADDED_BATCH, FULL_TOKENS = 256, 32, 4096
Timed = tuple[float, np.ndarray]


def draw_texts(n_texts: int) -> list[RowText]:
    """Texts of 1 to 14 words, 7.5 in the mean."""
    rng = np.random.default_rng(0)
    sizes = rng.integers(1, 15, n_texts)
    return [RowText((), tuple(f"w{i}" for i in rng.integers(0, 30_000, n))) for n in sizes]


def timed(run: Callable[[], np.ndarray]) -> Timed:
    """CPU seconds, and what came out."""
    begun = time.process_time()
    found = run()
    return time.process_time() - begun, found


def ours(model: LanguageModel, texts: list[RowText], settings: TextSettings) -> np.ndarray:
    """States of all texts, (text, width)."""
    return row_states(model, {"story": texts}, [settings.layer], settings=settings)[settings.layer][
        "story"
    ]


@torch.inference_mode()
def padded(model: LanguageModel, texts: list[RowText], layer: int) -> np.ndarray:
    """The same through the usual loop, written without this package's help."""
    found = []
    for start in range(0, len(texts), PADDED_BATCH):
        batch = model.tokenizer(
            [" ".join(text.own) for text in texts[start : start + PADDED_BATCH]],
            padding="max_length",
            max_length=PADDED_LENGTH,
            truncation=True,
            return_special_tokens_mask=True,
            return_tensors="pt",
        )
        own = 1.0 - batch.pop("special_tokens_mask").float()
        states = model.module(**batch, output_hidden_states=True).hidden_states[layer].float()
        found.append((states * own[..., None]).sum(1) / own.sum(1, keepdim=True))
    return torch.cat(found).numpy()


@torch.inference_mode()
def full(model: LanguageModel, n_tokens: int, length: int) -> np.ndarray:
    """As many tokens in rows of one length, in batches of 4,096 tokens."""
    rows = torch.randint(5, 30_000, (-(-n_tokens // length), length))
    for batch in rows.split(FULL_TOKENS // length):
        model.module(input_ids=batch, output_hidden_states=True)
    return np.empty(0)


def measure(given: argparse.Namespace, model: LanguageModel) -> dict[str, Any]:
    """Medians over turns, and how far the two ways of reading lie apart."""
    layer = SHAPES[given.shape]["num_hidden_layers"]
    settings = TextSettings(layer=layer, dtype=given.dtype)
    texts = draw_texts(given.texts)
    n_tokens = sum(len(text.own) + 2 for text in texts)
    length = round(n_tokens / len(texts))
    scale = {"ours": 1.0, "padded": len(texts) / given.padded, "full": 1.0}
    ways = {
        "ours": lambda: ours(model, texts, settings),
        "padded": lambda: padded(model, texts[: given.padded], layer),
        "full": lambda: full(model, n_tokens, length),
    }
    seconds: dict[str, list[float]] = {way: [] for way in ways}
    states = {}
    for turn in range(given.turns):
        for way, run in ways.items():
            print(f"turn {turn + 1}: {way}", file=sys.stderr)
            spent, states[way] = timed(run)
            seconds[way].append(spent * scale[way])
    median = {way: statistics.median(of) for way, of in seconds.items()}
    apart = np.abs(states["ours"][: given.padded] - states["padded"]).max()
    return {
        **vars(given),
        "tokens": n_tokens,
        "seconds": {way: round(of, 2) for way, of in median.items()},
        "padded_to_ours": round(median["padded"] / median["ours"], 1),
        "ours_to_full": round(median["ours"] / median["full"], 3),
        "difference": float(apart),
        "spread_of_states": float(states["padded"].std()),
        "peak_mib": round(peak_mib(), 1),
    }


def main() -> None:
    """Measure and print JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shape", choices=SHAPES, default="minilm")
    parser.add_argument("--texts", type=int, default=1000)
    parser.add_argument("--padded", type=int, default=32)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--dtype", choices=("float32", "bfloat16"), default="float32")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    with tempfile.TemporaryDirectory() as folder:
        write_model(given.shape, Path(folder))
        model = load_language_model(folder, dtype=given.dtype)
    print(json.dumps(measure(given, model), indent=1))


if __name__ == "__main__":
    main()
