"""What calls of every command need."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
from placed_trees import write_atlas, write_placed_tree
from study_trees import save_study, tiny_study
from tuning_trees import SUBJECTS, save_listeners, tuned_study, tuning

ESCAPE = "\x1b["


def save_places(home: Path, finished: Path, checkpoint: Path, sound_data: Path) -> dict[str, Path]:
    """Write a tree with anatomy, an atlas, studies and texts, and copy a finished run."""
    tree = write_placed_tree(home / "tree")
    write_atlas(home)
    sizes = {f"SIM0{i + 1}": n for i, n in enumerate(_sizes(tree))}
    np.savez(home / "values.npz", **{name: np.zeros(n) for name, n in sizes.items()})
    (home / "text.txt").write_text("we walked along\nthe river\n", encoding="utf-8")
    (home / "space.yaml").write_text("features.one.text.layer: {choices: [1, 2]}\n")
    text = {"text": tuning(checkpoint)}
    heard = save_listeners(home / "listeners", SUBJECTS[:1])
    seen = tuned_study(checkpoint, heard, {"seen": tuning(checkpoint, "brainlm")})
    return {
        "run": shutil.copytree(finished, home / "out") / "tiny",  # a comparison is counted there
        "study": save_study(home / "study.yaml", tiny_study(checkpoint, sound_data)),
        "tuned": save_study(home / "tuned.yaml", tuned_study(checkpoint, sound_data, text)),
        "brainlm": save_study(home / "brainlm.yaml", seen),
        "data": sound_data,
        "tree": tree,
        "atlas": home / "atlas",
        "values": home / "values.npz",
        "text": home / "text.txt",
        "space": home / "space.yaml",
        "model": checkpoint,
    }


def _sizes(tree: Path) -> list[int]:
    from brainaligner.data import open_dataset

    dataset = open_dataset("lebel2023", tree)
    return [dataset.space(subject).size for subject in dataset.subjects]
