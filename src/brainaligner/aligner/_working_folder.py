"""Checkpoints in the caller's folder: which one is whole, which may go, whose run it is."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from brainaligner.aligner._layout import Examples
from brainaligner.aligner._model import BrainAligner
from brainaligner.aligner._settings import AlignerSettings
from brainaligner.aligner._stretches import Side
from brainaligner.core import InputError, array_digest

_WHOLE, _RUN, _STATE = "complete", "run.json", "trainer_state.json"
WEIGHTS = "model.safetensors"


def checkpoint_step(folder: Path) -> int:
    """Steps behind a checkpoint, from its folder's name."""
    return int(folder.name.rpartition("-")[2])


def whole_checkpoints(folder: Path) -> list[Path]:
    """Checkpoints that were written to the end, oldest first."""
    found = [path for path in folder.glob("checkpoint-*") if (path / _WHOLE).exists()]
    return sorted(found, key=checkpoint_step)


def mark_whole(checkpoint: Path) -> None:
    """Say that a checkpoint is complete, once its files are on the disk."""
    for path in checkpoint.iterdir():
        with path.open("rb") as file:
            os.fsync(file.fileno())
    (checkpoint / _WHOLE).touch()


def drop_checkpoints(folder: Path, *, kept: Iterable[int]) -> None:
    """Remove all checkpoints but those of some steps; the mark goes first."""
    steps = set(kept)
    for path in folder.glob("checkpoint-*"):
        if checkpoint_step(path) not in steps:
            (path / _WHOLE).unlink(missing_ok=True)
            shutil.rmtree(path)


def drop_torn_checkpoints(folder: Path) -> None:
    """Remove what a process that was ended left half written."""
    drop_checkpoints(folder, kept=[checkpoint_step(path) for path in whole_checkpoints(folder)])


def trainer_state(checkpoint: Path) -> dict[str, Any]:
    """What transformers' Trainer noted: steps, history, best loss."""
    return json.loads((checkpoint / _STATE).read_text(encoding="utf-8"))


def claim_folder(folder: Path, digest: str) -> None:
    """Write down whose run a folder holds.

    Raises
    ------
    InputError
        If it holds another run: other settings, material or weights to start from.
    """
    folder.mkdir(parents=True, exist_ok=True)
    note = folder / _RUN
    if note.exists():
        held = json.loads(note.read_text(encoding="utf-8"))["digest"]
        if held != digest:
            raise InputError(
                f"working folder {folder}",
                got="a run with other settings, material or weights",
                wanted="an empty folder, or the same run to go on with",
                do="Give another folder, or remove this one.",
            )
        return
    text = json.dumps({"digest": digest}) + "\n"
    made = note.with_suffix(".part")
    made.write_text(text, encoding="utf-8")
    made.replace(note)


def run_digest(
    aligner: BrainAligner, sides: Iterable[Examples], *, settings: AlignerSettings
) -> str:
    """SHA-256 of all that a tuned model follows from."""
    whole = hashlib.sha256(json.dumps(asdict(settings), sort_keys=True).encode())
    _add_weights(whole, aligner)
    for examples in sides:
        for example in examples.examples:
            whole.update(f"{example.story}\0{example.row}\0".encode() + example.ids.tobytes())
        for story in sorted(examples.brain or {}):
            assert examples.brain is not None
            whole.update(f"{story}\0{array_digest(np.asarray(examples.brain[story]))}".encode())
        whole.update(b"|")
    return whole.hexdigest()


def objective_digest(aligner: BrainAligner, sides: Iterable[Side]) -> str:
    """SHA-256 of all that a model tuned on objectives follows from."""
    whole = hashlib.sha256()
    _add_weights(whole, aligner)
    for side in sides:
        whole.update(json.dumps(asdict(side.settings), sort_keys=True).encode())
        for story, rows in side.table.rows.items():
            whole.update(f"{story}\0{side.folds[story]}\0".encode() + rows.tobytes())
        for token in side.table.tokens:
            whole.update(token.ids.tobytes() + token.weights.tobytes() + b"\0")
        for subject, stories in side.responses.items():
            for story, rows in stories.items():
                whole.update(f"{subject}\0{story}\0{array_digest(np.asarray(rows))}".encode())
        whole.update(b"|")
    return whole.hexdigest()


def _add_weights(whole: Any, aligner: BrainAligner) -> None:
    for name, weight in aligner.state_dict().items():
        whole.update(f"{name}{array_digest(weight.detach().cpu().numpy())}".encode())
