"""Tiny listeners with repeats and parcels, and studies that tune a tiny model beside them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from study_trees import N_ROWS, STORIES, merged, responses, save_words, word_lines

SUBJECTS = ("UTS01", "UTS02", "UTS03")
REPEATED = "fig"
N_TARGETS = 8
N_PARCELS = 424
PARCELS = "atlas/parcels.npz"
SPLIT = {
    "counts": None,
    "train": ["apple", "birch", "cedar"],
    "validation": ["daisy"],
    "test": ["elder"],
    "test_repeated": [REPEATED],
}


def recordings(subject: str) -> dict[str, np.ndarray]:
    """Responses of one subject by story."""
    return responses(STORIES, n_voxels=N_TARGETS, seed=10 + SUBJECTS.index(subject))


def save_recordings(folder: Path, subject: str, arrays: Mapping[str, np.ndarray]) -> None:
    """Write one subject; the repeated story is the mean of three presentations."""
    noise = np.random.default_rng(7).standard_normal((3, N_ROWS, N_TARGETS))
    with h5py.File(folder / f"{subject}.hf5", "w") as file:
        for story, values in arrays.items():
            file[story] = values
        repeats = arrays[REPEATED] + 0.5 * (noise - noise.mean(0))
        file[f"repeats/{REPEATED}"] = repeats.astype(np.float32)


def save_listeners(folder: Path, subjects: Sequence[str] = SUBJECTS) -> Path:
    """Write subjects in the own-data format, with repeats and a file of parcels."""
    folder.mkdir(parents=True, exist_ok=True)
    save_words(folder, word_lines(STORIES))
    for subject in subjects:
        save_recordings(folder, subject, recordings(subject))
    facts = {"tr": 2.0, "first_centre": 11.0, "space": "voxels", "repeated": {REPEATED: 3}}
    (folder / "dataset.json").write_text(json.dumps(facts), encoding="utf-8")
    (folder / "atlas").mkdir()
    save_parcels(folder / PARCELS, subjects)
    return folder


def save_parcels(path: Path, subjects: Sequence[str], *, n_columns: int = N_TARGETS) -> None:
    """Write parcels as ``brainaligner data parcels`` does: one parcel for each pair of targets."""
    rng = np.random.default_rng(0)
    arrays = {"coordinates": rng.integers(-60, 61, size=(N_PARCELS, 3)).astype(np.float64)}
    filled = n_columns // 2
    ends = 2 * np.minimum(np.arange(N_PARCELS + 1), filled)
    for subject in subjects:
        arrays[f"{subject}/data"] = np.full(n_columns, 0.5)
        arrays[f"{subject}/indices"] = np.arange(n_columns, dtype=np.int32)
        arrays[f"{subject}/indptr"] = ends.astype(np.int32)
        arrays[f"{subject}/shape"] = np.array([N_PARCELS, n_columns])
    np.savez(path, **arrays)


BRAINLM = {
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 16,
    "decoder_hidden_size": 16,
    "decoder_num_hidden_layers": 1,
    "decoder_num_attention_heads": 1,
    "decoder_intermediate_size": 16,
    "image_size": [432, 208],
    "patch_size": 16,
}
ES = {
    "encoder": {
        "kind": "encoding_selection",
        "k": 3,
        "fdr": 0.99,
        "n_folds": 2,
        "n_permutations": 20,
        "ridge": {"alphas": [100.0]},
    },
    "features": "plain",
    "design": {"delays": [1, 2]},
}
BRAINS: dict[str, Any] = {
    "es": ES,
    "all": {"encoder": {"kind": "all"}},
    "noise": {"encoder": {"kind": "noise", "width": 5}},
    "pca": {"encoder": {"kind": "pca", "width": 3}},
    "shifted": {"encoder": {"kind": "all", "shift": True}},
    "other": {"encoder": {"kind": "all"}, "subject": "next"},
    "high-ev": {"encoder": {"kind": "high_ev", "k": 3}},
    "brainlm": {"brainlm": {"hop": 16}, "parcels": PARCELS, "random": BRAINLM},
}
QUICK = {
    "epochs": 1,
    "patience": None,
    "learning_rate": 1e-3,
    "warmup_steps": None,
    "warmup_share": 0.1,
    "accumulation": 1,
    "dropout": 0.0,
}


def tuning(checkpoint: Path, brain: str | None = None, **more: Any) -> dict[str, Any]:
    """An entry of ``tunings`` that trains for an epoch, in the plain protocol."""
    own = {"model": str(checkpoint), "validation_stories": 1, "aligner": QUICK, "cross_fit": None}
    head = {"head": {"epochs": 1}}
    return merged(own | head | ({"brain": brain} if brain else {}), more)


def tuned_study(
    checkpoint: Path, data: Path, tunings: Mapping[str, Mapping[str, Any]], **more: Any
) -> dict[str, Any]:
    """A study with an arm for the plain model and one for each tuning, named after it."""
    text = {"text": {"layer": -1}}
    study = {
        "name": "tuned",
        "dataset": {"reader": "folder", "folder": str(data)},
        "split": {key: value for key, value in SPLIT.items() if value is not None},
        "features": {"plain": {"model": str(checkpoint), **text}}
        | {name: {"tuning": name, **text} for name in tunings},
        "brains": {
            name: BRAINS[name]
            for name in {t["brain"]: None for t in tunings.values() if "brain" in t}
        },
        "tunings": dict(tunings),
        "defaults": {"design": {"delays": [1, 2]}, "ridge": {"alphas": [1.0, 100.0, 10000.0]}},
        "arms": {name: {"features": [name]} for name in ("plain", *tunings)},
        "evaluation": {"n_bootstrap": 20, "n_shifts": 20, "cuts": [0, 5]},
        "controls": [],
        "null_draws": 2,
    }
    return merged(study, more)


def recipes(out: Path, stage: str) -> dict[str, dict[str, Any]]:
    """Recipes of all artifacts of a stage, by key."""
    return {
        path.parent.name: json.loads(path.read_text(encoding="utf-8"))
        for path in sorted((out / "store" / stage).glob("*/recipe.json"))
    }


def keys(out: Path, *stages: str) -> dict[str, set[str]]:
    """Keys of the artifacts of some stages."""
    return {stage: set(recipes(out, stage)) for stage in stages}
