"""Tiny datasets, a tiny language model and study files, for tests to run and to break."""

from __future__ import annotations

import hashlib
import json
import os
import resource
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml

N_ROWS, N_VOXELS = 48, 6
STORIES = ("apple", "birch", "cedar", "daisy", "elder", "fig")
SPOKEN = (
    "we walked along the river and nobody said a word until the bridge was behind us then she "
    "laughed and the whole evening turned warm again"
)
WORDS = SPOKEN.split()
NAMED = {
    "counts": None,
    "train": ["apple", "birch", "cedar"],
    "validation": ["daisy"],
    "test": ["elder", "fig"],
}
"""A split that gives all stories by name, for studies whose own split has counts."""


@dataclass(frozen=True)
class Outcome:
    """What one call of the command line gave."""

    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[str]:
        """Lines of stderr."""
        return self.err.strip().splitlines()


Cli = Callable[..., Outcome]
"""Calls the command line in this process: ``cli("run", study_file)``."""

StudyFile = Callable[..., Path]
"""Writes the tiny study with changes: ``study_file({"name": "other"}, data=folder)``."""


def save_checkpoint(folder: Path) -> Path:
    """Write a random BERT, 16 wide, of two layers, with a tokenizer that knows `WORDS`."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    names = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    vocabulary = {piece: i for i, piece in enumerate([*names, *sorted(set(WORDS))])}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    roles = ("pad_token", "unk_token", "cls_token", "sep_token", "mask_token")
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, **dict(zip(roles, names, strict=True))
    )
    torch.manual_seed(3)
    model = BertModel(
        BertConfig(
            vocab_size=len(vocabulary),
            hidden_size=16,
            num_hidden_layers=2,
            num_attention_heads=2,
            intermediate_size=24,
            max_position_embeddings=96,
        )
    )
    with torch.no_grad():  # initial weights of 0.02 would hide mistakes
        for weight in model.parameters():
            weight.add_(0.2 * torch.randn(weight.shape))
    model.save_pretrained(folder)
    fast.save_pretrained(folder)
    return folder


def word_lines(stories: Sequence[str], *, n_rows: int = N_ROWS, seed: int = 0) -> list[str]:
    """Lines of a word table: about one word a second from 8 s to the end of the scan."""
    rng = np.random.default_rng(seed)
    lines = []
    for story in stories:
        onset = 8.0
        while onset < 10 + 2 * n_rows - 2:
            word = WORDS[rng.integers(len(WORDS))]
            lines.append(f"{story},{word},{onset:.3f},{onset + 0.2:.3f}")
            onset += float(rng.uniform(0.4, 1.6))
    return lines


def save_words(folder: Path, lines: Sequence[str]) -> None:
    """Write ``words.csv``."""
    text = "\n".join(["story,word,onset_s,offset_s", *lines]) + "\n"
    (folder / "words.csv").write_text(text, encoding="utf-8")


def responses(
    stories: Sequence[str], *, n_rows: int = N_ROWS, n_voxels: int = N_VOXELS, seed: int = 0
) -> dict[str, np.ndarray]:
    """Smooth random responses."""
    rng = np.random.default_rng(seed)
    noise = {story: rng.standard_normal((n_rows + 2, n_voxels)) for story in stories}
    return {s: (v[2:] + v[1:-1] + v[:-2]).astype(np.float32) for s, v in noise.items()}


def save_own_data(folder: Path, *, stories: Sequence[str] = STORIES, n_rows: int = N_ROWS) -> Path:
    """Write two subjects in the own-data format."""
    folder.mkdir(parents=True, exist_ok=True)
    save_words(folder, word_lines(stories, n_rows=n_rows))
    for seed, subject in enumerate(("P1", "P2")):
        np.savez(folder / f"{subject}.npz", **responses(stories, n_rows=n_rows, seed=seed))
    facts = {"tr": 2.0, "first_centre": 11.0, "space": "voxels"}
    (folder / "dataset.json").write_text(json.dumps(facts), encoding="utf-8")
    return folder


def tiny_study(checkpoint: Path, data: Path) -> dict[str, Any]:
    """A study of two arms that takes about a second."""
    return {
        "name": "tiny",
        "dataset": {"reader": "folder", "folder": str(data)},
        "split": {"counts": [3, 1, 2]},
        "features": {
            "one": {"model": str(checkpoint), "text": {"layer": 1}},
            "two": {"model": str(checkpoint), "text": {"layer": 2, "context_rows": 2}},
        },
        "defaults": {"design": {"delays": [1, 2]}, "ridge": {"alphas": [1, 100, 10000]}},
        "arms": {"first": {"features": ["one"]}, "second": {"features": ["two"]}},
        "evaluation": {"n_bootstrap": 20, "n_shifts": 20, "cuts": [0, 5]},
        "controls": [],
        "null_draws": 2,
        "other_listeners": {"shown": False},
    }


def merged(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    """Merge nested mappings; None above removes a key."""
    result = dict(below)
    for key, value in above.items():
        if isinstance(value, dict) and isinstance(below.get(key), dict):
            result[key] = merged(below[key], value)
        elif value is None:
            result.pop(key, None)
        else:
            result[key] = value
    return result


def save_study(path: Path, study: dict[str, Any]) -> Path:
    """Write a study file."""
    path.write_text(yaml.safe_dump(study, sort_keys=False), encoding="utf-8")
    return path


def contents(folder: Path) -> dict[str, str]:
    """Digest of every file below a folder, by path relative to it; locks do not count."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.suffix != ".lock"
    }


def artifacts(out: Path) -> dict[str, int]:
    """Modification times of every artifact in the store, by path relative to it."""
    store = out / "store"
    return {
        str(path.relative_to(store)): path.stat().st_mtime_ns
        for path in sorted(store.rglob("*"))
        if path.is_file() and not path.name.startswith("openings.jsonl")
    }


DIAGNOSTIC_STAGES = {
    "checks",
    "contrast",
    "lag_curve",
    "null_again",
    "null_refit",
    "other_refit",
    "other_subject",
    "reduced",
    "significance",
    "story_likeness",
    "simulation_check",
    "subject_likeness",
    "test_checks",
}


def made_stages(before: dict[str, int], after: dict[str, int]) -> dict[str, int]:
    """How many artifacts of each stage were made between two looks at a store.

    Stages of the diagnostics are left out: tests of their own count them.
    """
    assert before.items() <= after.items(), "an artifact changed or disappeared"
    new = {tuple(path.split("/")[:2]) for path in after.keys() - before.keys()}
    counts: dict[str, int] = {}
    for stage, _ in (place for place in new if place[0] not in DIAGNOSTIC_STAGES):
        counts[stage] = counts.get(stage, 0) + 1
    return counts


def command(*arguments: str | Path) -> list[str]:
    """The command line for a process of its own."""
    return [sys.executable, "-m", "brainaligner", *map(str, arguments)]


def environment() -> dict[str, str]:
    """An environment of one thread, without data, network or caches of the user's."""
    own = {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "COLUMNS": "80"}
    not_ours = ("BRAINALIGNER_DATA", "PYTHONDONTWRITEBYTECODE")  # compiled once, not at each start
    return {k: v for k, v in os.environ.items() if k not in not_ours} | own


def run_process(*arguments: str | Path, largest_file: int | None = None) -> Outcome:
    """Run the command line in a process of its own; it may write files of `largest_file` bytes."""

    def limit() -> None:
        if largest_file is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (largest_file, largest_file))

    done = subprocess.run(
        command(*arguments),
        capture_output=True,
        text=True,
        env=environment(),
        preexec_fn=limit,
        timeout=240,
        check=False,
    )
    return Outcome(done.returncode, done.stdout, done.stderr)


def textgrid(words: Sequence[str], *, seconds: float = 1.5) -> str:
    """A long TextGrid with a phone tier and a word tier, words of equal length."""
    edges = [round(8 + i * seconds, 3) for i in range(len(words) + 1)]
    marks = [("", 0.0, edges[0]), *zip(words, edges, edges[1:], strict=False)]
    head = f'File type = "ooTextFile"\nObject class = "TextGrid"\n\nxmin = 0\nxmax = {edges[-1]}\n'
    lines = [head + "tiers? <exists>\nsize = 2\nitem []:"]
    for i, (name, entries) in enumerate({"phone": marks[:1], "word": marks}.items(), start=1):
        lines += [f'    item [{i}]:\n        class = "IntervalTier"\n        name = "{name}"']
        lines += [f"        xmin = 0\n        xmax = {edges[-1]}"]
        lines += [f"        intervals: size = {len(entries)}"]
        for j, (label, start, end) in enumerate(entries, start=1):
            lines += [f"        intervals [{j}]:\n            xmin = {start}"]
            lines += [f'            xmax = {end}\n            text = "{label}"']
    return "\n".join(lines) + "\n"


def save_lebel_tree(folder: Path) -> Path:
    """Write one subject of four stories in the layout of ds003020."""
    import h5py

    root = folder / "derivative"
    recordings = root / "preprocessed_data" / "UTS01"
    recordings.mkdir(parents=True)
    (root / "TextGrids").mkdir()
    for i, (story, values) in enumerate(responses(STORIES[:4]).items()):
        words = [WORDS[(i + j) % len(WORDS)] for j in range(60)]
        (root / "TextGrids" / f"{story}.TextGrid").write_text(textgrid(words), encoding="utf-8")
        with h5py.File(recordings / f"{story}.hf5", "w") as file:
            file["data"] = values
    volumes = dict.fromkeys(STORIES[:4], N_ROWS + 20)
    (root / "respdict.json").write_text(json.dumps(volumes), encoding="utf-8")
    return folder


def assert_refused(done: Outcome, said: str, out: Path) -> None:
    """See one clear line of error that has these words, exit code 2, and no output."""
    assert done.code == 2, (done.code, done.err)
    errors = [line for line in done.lines if line.startswith("error: ")]
    assert len(errors) == 1, done.err
    assert done.lines[-1] == errors[0], done.err
    assert "Traceback" not in done.err
    assert ": got " in errors[0], errors[0]
    assert "; wanted " in errors[0], errors[0]
    assert said in errors[0], errors[0]
    assert not out.exists(), sorted(out.rglob("*"))
