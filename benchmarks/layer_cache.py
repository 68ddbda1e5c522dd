"""What an epoch of tuning costs with and without the states below the trained layers kept.

``python benchmarks/layer_cache.py [--shape minilm|bert-large] [--trained 2] [--rows 256]
[--turns 3]`` draws a model of that shape and stories of rows with 1 to 14 words and ten rows of
left context. Two epochs of `align` are run in one process and by turns, in CPU seconds, with the
top layers trained in float32:

``cached``     states of the frozen layers are read from the disk;
``recomputed`` each batch passes all layers.

The second epoch counts. ``before_s`` is what comes before the first step: making the cache, and
starting the heads, for which all layers are passed once in either way. ``ratio`` is recomputed by
cached; ``difference`` the largest one of any trained weight after both epochs, but for key biases,
which softmax does not see. JSON goes to stdout.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from aligner_step import SHAPES, peak_mib, write_model

from brainaligner.aligner import (
    Aligned,
    BrainAligner,
    ObjectiveSettings,
    PredictSettings,
    ResponseHeadSettings,
    StoryMaterial,
    align,
    load_aligner,
)
from brainaligner.text import RowText

N_STORIES, N_TARGETS, CONTEXT = 4, 200, 10
SETTINGS = ObjectiveSettings(
    predict=PredictSettings(),
    heads=ResponseHeadSettings(rank=50),
    epochs=2,
    evaluations=1,
    nuisance="none",
)


def tell(names: list[str], n_rows: int, *, seed: int) -> StoryMaterial:
    """Stories of random words with left context, and responses that are noise."""
    rng = np.random.default_rng(seed)
    texts = {name: _rows(n_rows, rng) for name in names}
    responses = {
        name: rng.standard_normal((n_rows, N_TARGETS)).astype(np.float32) for name in names
    }
    return StoryMaterial(texts, {"S1": responses})


def _rows(n_rows: int, rng: np.random.Generator) -> list[RowText]:
    own = [
        tuple(f"w{i}" for i in rng.integers(0, 4000, rng.integers(1, 15))) for _ in range(n_rows)
    ]
    return [
        RowText(tuple(w for row in own[max(0, i - CONTEXT) : i] for w in row), words)
        for i, words in enumerate(own)
    ]


def epoch_seconds(
    aligner: BrainAligner,
    sides: tuple[StoryMaterial, StoryMaterial],
    settings: ObjectiveSettings,
) -> tuple[dict[str, float], Aligned]:
    """CPU seconds of the second epoch, and of all before the first step; and what was tuned."""
    steps: list[float] = []
    begun = time.process_time()

    def note(label: str, done: int, _: int) -> None:
        if label == "tuning":
            steps.append(time.process_time())

    with tempfile.TemporaryDirectory() as folder:
        done = align(
            aligner, *sides, settings=settings, folder=Path(folder), progress=note,
        )  # fmt: skip
    half = len(steps) // 2
    return {"epoch": steps[-1] - steps[half - 1], "before": steps[0] - begun}, done


def largest_difference(one: Aligned, other: Aligned) -> float:
    """Of any weight but key biases."""
    pairs = zip(one.aligner.tower.named_parameters(), other.aligner.tower.parameters(), strict=True)
    return max(
        float((a - b).abs().max().detach()) for (n, a), b in pairs if not n.endswith("key.bias")
    )


def main() -> None:
    """Measure and print JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shape", choices=SHAPES, default="minilm")
    parser.add_argument("--trained", type=int, default=2, help="how many of the top layers")
    parser.add_argument("--rows", type=int, default=256)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    sides = tell([f"s{n}" for n in range(N_STORIES)], given.rows, seed=0), tell(["v"], 64, seed=1)
    with tempfile.TemporaryDirectory() as folder:
        write_model(given.shape, Path(folder))
        aligner = load_aligner(folder, brain_width=None)
    found: dict[str, list[dict[str, float]]] = {"on": [], "off": []}
    tuned: dict[str, Aligned] = {}
    for turn in range(given.turns):
        for cache in found:
            print(f"turn {turn + 1}: cache {cache}", file=sys.stderr)
            settings = replace(SETTINGS, trained_layers=given.trained, cache=cache)
            seconds, tuned[cache] = epoch_seconds(aligner, sides, settings)
            found[cache].append(seconds)
    epochs = {c: statistics.median(s["epoch"] for s in all_of) for c, all_of in found.items()}
    before = {c: statistics.median(s["before"] for s in all_of) for c, all_of in found.items()}
    result: dict[str, Any] = {
        "shape": given.shape,
        "trained_layers": given.trained,
        "rows": given.rows * N_STORIES,
        "turns": given.turns,
        "threads": given.threads,
        "cached_s": round(epochs["on"], 2),
        "recomputed_s": round(epochs["off"], 2),
        "ratio": round(epochs["off"] / epochs["on"], 2),
        "before_s": {"cached": round(before["on"], 2), "recomputed": round(before["off"], 2)},
        "difference": largest_difference(tuned["on"], tuned["off"]),
        "peak_mib": round(peak_mib(), 1),
    }
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
