"""What one training step costs beside the forward and backward passes that it must do.

``python benchmarks/aligner_step.py [--shape minilm|bert-large] [--steps 12] [--turns 2]
[--batch 32] [--threads 1]`` draws a model of that shape, and stories of rows with 1 to 14 words. It
times, in CPU seconds, in one process and taking turns:

``step``   a step of `tune`: masks, batches, Trainer, loss on the hidden tokens, AdamW;
``floor``  on the same batches, made beforehand: the forward pass of all layers and of the head
           on the hidden tokens, and the backward pass through what is trained; nothing else.

``ratio`` is step by floor; wanted is 1.3 at most with frozen lower layers. It is given with the
map from brain vectors trained (gradients pass all layers, in step and floor alike), with a drawn
one, and for text alone. JSON goes to stdout. Linux only.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from brainaligner.aligner import (
    AlignerMaterial,
    AlignerSettings,
    BrainAligner,
    TuningOptions,
    load_aligner,
    tune,
)
from brainaligner.aligner._batches import EpochBatches
from brainaligner.aligner._examples import read_examples
from brainaligner.aligner._parts import trainee
from brainaligner.aligner._tally import token_losses
from brainaligner.text import RowText

WIDTH, WARM = 60, 2
SHAPES = {
    "minilm": {"hidden_size": 384, "num_hidden_layers": 6, "num_attention_heads": 12},
    "bert-large": {"hidden_size": 1024, "num_hidden_layers": 24, "num_attention_heads": 16},
}
ARMS = {
    "trained projection": (True, {}),
    "drawn projection": (True, {"train_projection": False}),
    "text alone": (False, {}),
}


def write_model(shape: str, folder: Path) -> None:
    """Write a random BERT of that shape, with 30,522 words."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import BertConfig, BertForMaskedLM, PreTrainedTokenizerFast

    named = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *(f"w{i}" for i in range(30_517))]
    words = Tokenizer(models.WordLevel({word: i for i, word in enumerate(named)}, "[UNK]"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    words.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    roles = ("pad_token", "unk_token", "cls_token", "sep_token", "mask_token")
    PreTrainedTokenizerFast(
        tokenizer_object=words, **dict(zip(roles, named, strict=False))
    ).save_pretrained(folder)
    size = SHAPES[shape]
    config = BertConfig(vocab_size=30_522, intermediate_size=4 * size["hidden_size"], **size)
    BertForMaskedLM(config).save_pretrained(folder)


def tell(story: str, n_rows: int, *, brain: bool, seed: int) -> AlignerMaterial:
    """One story of random words."""
    rng = np.random.default_rng(seed)
    rows = [
        RowText((), tuple(f"w{i}" for i in rng.integers(0, 4000, rng.integers(1, 15))))
        for _ in range(n_rows)
    ]
    vectors = {story: rng.standard_normal((n_rows, WIDTH)).astype(np.float32)}
    return AlignerMaterial({story: rows}, vectors if brain else None)


def step_seconds(
    aligner: BrainAligner, settings: AlignerSettings, steps: int, *, brain: bool
) -> list[float]:
    """Seconds of each step of `tune`, from one to the next."""
    ends: list[float] = []
    rows = steps * settings.batch * settings.accumulation
    sides = [
        tell(story, n, brain=brain, seed=s)
        for s, (story, n) in enumerate({"a": rows, "b": 8}.items())
    ]
    with tempfile.TemporaryDirectory() as folder:
        tune(
            aligner, *sides, settings=settings, folder=Path(folder), options=TuningOptions(),
            progress=lambda *_: ends.append(time.process_time()),
        )  # fmt: skip
    return np.diff(ends)[WARM:].tolist()


def floor_seconds(
    aligner: BrainAligner, settings: AlignerSettings, steps: int, *, brain: bool
) -> list[float]:
    """Seconds of the passes alone for each step: batches are made before the clock starts."""
    model = trainee(aligner, settings=settings, with_brain=brain).train()
    rows = steps * settings.batch * settings.accumulation
    examples = read_examples(model, tell("a", rows, brain=brain, seed=0), settings=settings)
    batches = [examples.batch(batch, 0) for batch in EpochBatches(examples)]
    seconds = []
    for start in range(0, len(batches), settings.accumulation):
        begun = time.process_time()
        for batch in batches[start : start + settings.accumulation]:
            token_losses(model, batch)[0].sum().backward()
        seconds.append(time.process_time() - begun)
        model.zero_grad()
    return seconds[WARM + 1 :]


def peak_mib() -> float:
    """Largest resident memory of this process so far."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM:"))


def compare(aligner: BrainAligner, arm: str, given: argparse.Namespace) -> dict[str, float]:
    """Medians of step and floor, over all steps of all turns."""
    brain, change = ARMS[arm]
    settings = AlignerSettings(epochs=1, batch=given.batch, **change)
    found: dict[str, list[float]] = {"step": [], "floor": []}
    for _ in range(given.turns):
        found["step"] += step_seconds(aligner, settings, given.steps, brain=brain)
        found["floor"] += floor_seconds(aligner, settings, given.steps, brain=brain)
    step, floor = (statistics.median(found[name]) for name in ("step", "floor"))
    return {"step_s": round(step, 4), "floor_s": round(floor, 4), "ratio": round(step / floor, 3)}


def main() -> None:
    """Measure and print JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shape", choices=SHAPES, default="minilm")
    parser.add_argument("--steps", type=int, default=12, help="of each turn; 4 or more")
    parser.add_argument("--turns", type=int, default=2)
    parser.add_argument("--batch", type=int, default=32, help="rows of a forward pass")
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    result: dict[str, Any] = {"shape": given.shape, "threads": given.threads, "brain_width": WIDTH}
    with tempfile.TemporaryDirectory() as folder:
        write_model(given.shape, Path(folder))
        aligner = load_aligner(folder, brain_width=WIDTH)
    result["weights_mib"] = round(sum(w.nbytes for w in aligner.parameters()) / 2**20, 1)
    for arm in ARMS:
        print(arm, file=sys.stderr)
        result[arm] = compare(aligner, arm, given)
    result["peak_mib"] = round(peak_mib(), 1)
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
