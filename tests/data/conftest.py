"""Small datasets on disk, whole and sound, for tests to break."""

from __future__ import annotations

import json
from pathlib import Path

import h5py
import numpy as np
import pytest
from anatomy_trees import write_placed_tree
from data_trees import LABELS, N_ROWS, story_textgrid, word_times


@pytest.fixture
def lebel_tree(tmp_path: Path) -> Path:
    """Two subjects, three stories, one of them with three repeats; the derivative folder."""
    root = tmp_path / "ds003020" / "derivative"
    (root / "TextGrids").mkdir(parents=True)
    for i, story in enumerate(("buck", "life", "souls")):
        text = story_textgrid(0.25 * i)
        (root / "TextGrids" / f"{story}.TextGrid").write_text(text, encoding="utf-8")
    respdict = dict.fromkeys(("buck", "life", "souls"), N_ROWS + 20)
    (root / "respdict.json").write_text(json.dumps(respdict), encoding="utf-8")
    rng = np.random.default_rng(0)
    for subject, n_voxels in (("UTS01", 12), ("UTS02", 9)):
        folder = root / "preprocessed_data" / subject
        folder.mkdir(parents=True)
        for story in respdict:
            repeats = rng.standard_normal((3, N_ROWS, n_voxels))
            with h5py.File(folder / f"{story}.hf5", "w") as file:
                file["data"] = repeats.mean(axis=0) if story == "souls" else repeats[0]
                if story == "souls":
                    file["individual_repeats"] = repeats
    return root


@pytest.fixture
def own_folder(tmp_path: Path) -> Path:
    """Words of three stories; one npz and one hf5 subject."""
    folder = tmp_path / "own"
    folder.mkdir()
    rng = np.random.default_rng(1)
    rows = ["story,word,onset_s,offset_s"]
    for i, story in enumerate(("alpha", "beta", "gamma")):
        for word, onset in zip(LABELS, word_times(), strict=False):
            rows.append(f"{story},{word},{onset + 0.1 * i},{onset + 0.1 * i + 0.5}")
    (folder / "words.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    stories = {
        name: rng.standard_normal((N_ROWS, 5)).astype(np.float32)
        for name in ("alpha", "beta", "gamma")
    }
    np.savez(folder / "P1.npz", **stories)
    with h5py.File(folder / "P2.hf5", "w") as file:
        for name in stories:
            repeats = rng.standard_normal((2, N_ROWS, 7))
            file[name] = repeats.mean(axis=0)
            if name == "gamma":
                file["repeats/gamma"] = repeats
    facts = {"tr": 1.5, "first_centre": 9.0, "space": "parcels", "repeated": {"gamma": 2}}
    (folder / "dataset.json").write_text(json.dumps(facts), encoding="utf-8")
    return folder


@pytest.fixture(scope="session")
def placed_tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Simulated listeners on fsaverage5, with surfaces, transforms and FreeSurfer folders."""
    return write_placed_tree(tmp_path_factory.mktemp("placed") / "tree")
