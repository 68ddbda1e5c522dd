"""Studies with regions and single presentations, on a simulated tree and on own data."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from study_trees import merged, run_process, save_study, tiny_study

SIZES = {"SIM01": 260, "SIM02": 220}
TREE = {"n_voxels": [*SIZES.values()], "signal": [1.5, 1.2], "n_repeats": 4, "n_directions": 4}
ANNOT = [f"freesurfer_subjdir/{{subject}}/label/{side}.aparc.annot" for side in ("lh", "rh")]
CUTS = (0, 10)


def save_labelled_tree(folder: Path, checkpoint: Path) -> Path:
    """Write a tree with anatomy and labels, as the command line does."""
    simulation = {"features": "one", "tree": TREE}
    study = merged(tiny_study(checkpoint, folder), {"arms": {"second": None}})
    study["dataset"] = {"reader": "simulated", "simulation": simulation}
    path = save_study(folder / "simulated.yaml", study)
    done = run_process("data", "simulate", folder / "tree", "--study", path, "--anatomy")
    assert done.code == 0, done.err
    return folder / "tree"


def region_study(checkpoint: Path, tree: Path, **dataset: Any) -> dict[str, Any]:
    """The tiny study on that tree."""
    changes = {
        "dataset": {"reader": "lebel2023", "folder": str(tree), **dataset},
        "split": {"counts": [8, 2, 3]},
        "evaluation": {"cuts": [*CUTS]},
    }
    return merged(tiny_study(checkpoint, tree), changes)


def save_own_repeats(data: Path, shape: tuple[int, ...] | None, *, announced: int = 3) -> None:
    """Make 'fig' a story heard several times by P1, as an HDF5 file; P2 has its mean alone."""
    with np.load(data / "P1.npz") as archive:
        stories = {name: archive[name] for name in archive.files}
    (data / "P1.npz").unlink()
    with h5py.File(data / "P1.hf5", "w") as file:
        for name, values in stories.items():
            file[name] = values
        if shape is not None:
            noise = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
            file["repeats/fig"] = noise
    facts = json.loads((data / "dataset.json").read_text()) | {"repeated": {"fig": announced}}
    (data / "dataset.json").write_text(json.dumps(facts))
