"""A SIMULATED tree in the layout of ds003020, with the real words and numbers of rows."""

from __future__ import annotations

import csv
import gzip
import json
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path

import h5py
import numpy as np
import torch
from scipy.signal import lfilter

from acceptance.runs import DATA

REPEATED, N_REPEATS, N_PARCELS = "wheretheressmoke", 10, 424
Words = list[tuple[str, float, float]]
Responses = Callable[[Words, int, int], np.ndarray]  # words, rows, voxels -> (repeat, row, voxel)
_TR_S, _FIRST_ROW_S = 2.0, 10.0


def write_tree(
    derivative: Path, voxels: Mapping[str, int], responses: Responses | None = None
) -> None:
    """Write transcripts, scans and parcels of all stories.

    Parameters
    ----------
    derivative : Path
    voxels : mapping of str to int
        How many each listener has.
    responses : callable, optional
        Responses of one listener to one story, once for each time it is heard. Without it the
        files have their shapes and no numbers in them.
    """
    source = Path(DATA) / "lebel2023-pcs"
    scans: Mapping[str, int] = json.loads((source / "respdict.json").read_text(encoding="utf-8"))
    words = _words(source / "words.csv.gz")
    grids = derivative / "TextGrids"
    grids.mkdir(parents=True, exist_ok=True)
    for story, told in words.items():
        (grids / f"{story}.TextGrid").write_text(_textgrid(told), encoding="utf-8")
    (derivative / "respdict.json").write_text(json.dumps(scans), encoding="utf-8")
    for subject, n_voxels in voxels.items():
        folder = derivative / "preprocessed_data" / subject
        folder.mkdir(parents=True, exist_ok=True)
        for story, n_scans in scans.items():
            shape = (N_REPEATS if story == REPEATED else 1, n_scans - 20, n_voxels)
            heard = responses(words[story], *shape[1:]) if responses else None
            _write_story(folder / f"{story}.hf5", shape, heard)
    np.savez(derivative / "parcels.npz", **_parcels(voxels))
    said = "SIMULATED: nobody was measured for these responses.\n"
    (derivative / "SIMULATED.txt").write_text(said, encoding="utf-8")


def _write_story(path: Path, shape: tuple[int, int, int], heard: np.ndarray | None) -> None:
    with h5py.File(path, "w") as file:
        mean = None if heard is None else heard[: shape[0]].mean(axis=0)
        file.create_dataset("data", shape[1:], np.float64, mean)
        if shape[0] > 1:
            file.create_dataset("individual_repeats", shape, np.float64, heard)


def noisy_word_rate(words: Words, n_rows: int, n_voxels: int) -> np.ndarray:
    """Every voxel follows the number of words of the last two TRs, more or less, under noise.

    Returns
    -------
    float64 array, shape (repeat, row, voxel)
    """
    told = zlib.crc32(" ".join(word for word, *_ in words).encode())
    rng = np.random.default_rng([told, n_voxels])  # another noise in each story
    onsets = np.array([onset for _, onset, _ in words])
    edges = _FIRST_ROW_S + _TR_S * np.arange(n_rows + 1)
    rate = np.convolve(np.histogram(onsets, edges)[0], [0.5, 0.5])[:n_rows]
    rate = (rate - rate.mean()) / rate.std()
    noise = lfilter([1.0], [1.0, -0.5], rng.standard_normal((N_REPEATS, n_rows, n_voxels)), axis=1)
    return np.linspace(0.0, 1.0, n_voxels) * rate[:, None] + noise


def _words(path: Path) -> dict[str, Words]:
    words: dict[str, Words] = {}
    with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            place = (row["word"], float(row["onset_s"]), float(row["offset_s"]))
            words.setdefault(row["story"], []).append(place)
    return words


def _textgrid(words: Words) -> str:
    """A word tier beside an empty phone tier, in Praat's short form."""
    end = words[-1][2]
    head = ['File type = "ooTextFile"', 'Object class = "TextGrid"', "", "0", str(end), "<exists>"]
    phones = ["2", '"IntervalTier"', '"phone"', "0", str(end), "1", "0", str(end), '""']
    tier = ['"IntervalTier"', '"word"', "0", str(end), str(len(words))]
    lines = [line for w, on, off in words for line in (str(on), str(off), f'"{_quoted(w)}"')]
    return "\n".join([*head, *phones, *tier, *lines, ""])


def _quoted(word: str) -> str:
    return word.replace('"', '""')


def _parcels(voxels: Mapping[str, int]) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    arrays = {
        "names": np.array([f"parcel {i}" for i in range(N_PARCELS)]),
        "coordinates": rng.integers(-70, 70, (N_PARCELS, 3)).astype(np.float64),
    }
    for subject, n_voxels in voxels.items():
        owner = np.sort(rng.integers(0, N_PARCELS, n_voxels))
        counts = np.bincount(owner, minlength=N_PARCELS)
        arrays |= {
            f"{subject}/data": 1.0 / np.repeat(counts, counts),
            f"{subject}/indices": np.arange(n_voxels),
            f"{subject}/indptr": np.concatenate([[0], np.cumsum(counts)]),
            f"{subject}/shape": np.array([N_PARCELS, n_voxels]),
        }
    return arrays


def write_bert(folder: Path, width: int, layers: int) -> None:
    """Random weights of a BERT, with the tokenizer of the embedded model.

    Parameters
    ----------
    folder : Path
    width : int
        A multiple of 64, or 32.
    layers : int
    """
    from transformers import AutoTokenizer, BertConfig, BertForMaskedLM

    from brainaligner.text import model_info

    torch.manual_seed(0)
    config = BertConfig(
        hidden_size=width,
        num_hidden_layers=layers,
        num_attention_heads=max(width // 64, 1),
        intermediate_size=4 * width,
    )
    BertForMaskedLM(config).save_pretrained(folder)
    AutoTokenizer.from_pretrained(model_info("embedded").folder).save_pretrained(folder)
