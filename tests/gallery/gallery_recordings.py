"""Listeners for the gallery: simulated ones with a planted truth, and slices of real ones."""

from __future__ import annotations

import csv
import gzip
import itertools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import h5py
import numpy as np
import torch

Word = tuple[str, float, float]
Arrays = Mapping[str, np.ndarray]

SIMULATED = {
    "train": ("anchor", "bellows", "candle", "drover", "ember", "ferry", "gable", "harbour"),
    "validation": ("island", "juniper", "kettle"),
    "test": ("lantern", "meadow", "needle"),
    "test_repeated": ("orchard",),
}
REAL = {
    "train": (
        "myfathershands",
        "thetiniestbouquet",
        "wildwomenanddancingqueens",
        "jugglingandjesus",
        "golfclubbing",
        "thetriangleshirtwaistconnection",
    ),
    "validation": ("againstthewind", "inamoment"),
    "test": ("sweetaspie", "theinterview", "metsmagic"),
    "test_repeated": ("wheretheressmoke",),
}
VOCABULARY = tuple(
    "".join(parts)
    for parts in itertools.product(
        ("ba", "do", "fi", "gu", "ke", "la", "mo", "ne", "pi", "ru", "sa", "to", "vi"),
        ("bar", "den", "fil", "gor", "kin", "lum", "mas", "net", "pol", "rik", "sun", "tef"),
    )
)
N_TARGETS = 40
N_REPEATS = 4
WIDTH = 32
HAEMODYNAMIC = (0.5, 1.0, 0.8, 0.4)
"""Weights of the words of 1 to 4 TRs before a row."""


@dataclass(frozen=True)
class Recordings:
    """A dataset in memory, to be altered and written.

    Parameters
    ----------
    words : mapping of story to words with onset and offset, in seconds
    arrays : mapping of subject to mapping of story to array (time, target)
    repeated : mapping of story to presentations that its responses average
    repeats : mapping of (subject, story) to array (repeat, time, target)
    space : str
        What a target is.
    """

    words: Mapping[str, Sequence[Word]]
    arrays: Mapping[str, Arrays]
    repeated: Mapping[str, int] = field(default_factory=dict)
    repeats: Mapping[tuple[str, str], np.ndarray] = field(default_factory=dict)
    space: str = "voxels"

    def save(self, folder: Path) -> Path:
        """Write a dataset of the reader ``folder``."""
        folder.mkdir(parents=True)
        with (folder / "words.csv").open("w", encoding="utf-8", newline="") as file:
            table = csv.writer(file)
            table.writerow(("story", "word", "onset_s", "offset_s"))
            for story, words in self.words.items():
                table.writerows((story, *word) for word in words)
        for subject, arrays in self.arrays.items():
            with h5py.File(folder / f"{subject}.hf5", "w") as file:
                for story, values in arrays.items():
                    file[story] = values
                for (who, story), values in self.repeats.items():
                    if who == subject:
                        file[f"repeats/{story}"] = values
        facts = {"tr": 2.0, "first_centre": 11.0, "space": self.space}
        text = json.dumps(facts | {"repeated": dict(self.repeated)})
        (folder / "dataset.json").write_text(text, encoding="utf-8")
        return folder


def zscored(values: np.ndarray) -> np.ndarray:
    """Each column with mean 0 and variance 1 within its story."""
    return ((values - values.mean(0)) / values.std(0)).astype(np.float32)


def smooth_noise(rng: np.random.Generator, shape: tuple[int, ...], ar: float) -> np.ndarray:
    """Gaussian noise of variance 1 with correlation `ar` from one row to the next (axis -2)."""
    drawn = rng.standard_normal(shape)
    for t in range(1, shape[-2]):
        drawn[..., t, :] = ar * drawn[..., t - 1, :] + np.sqrt(1 - ar**2) * drawn[..., t, :]
    return drawn


def spoken(n_rows: int, *, seed: int, opening: Sequence[str] = ()) -> list[Word]:
    """Words of a story, some of them frequent, from 8 s to the end of the scan."""
    rng = np.random.default_rng(seed)
    share = 1 / (np.arange(len(VOCABULARY)) + 4.0)
    drawn = rng.choice(len(VOCABULARY), size=2000, p=share / share.sum())
    names = itertools.chain(opening, (VOCABULARY[i] for i in drawn))
    words, onset = [], 8.0 + float(rng.uniform(0, 0.5))
    while onset < 2 * n_rows + 8:
        words.append((next(names), onset, onset + 0.2))
        onset += float(rng.uniform(0.25, 0.9)) * (1 + 2.0 * (rng.random() < 0.05))
    return words


def save_tiny_bert(folder: Path, words: Sequence[str] = VOCABULARY) -> Path:
    """Write a random BERT of two layers that knows some words."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    names = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    pieces = {piece: i for i, piece in enumerate([*names, *words])}
    tokenizer = Tokenizer(models.WordPiece(pieces, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    roles = ("pad_token", "unk_token", "cls_token", "sep_token", "mask_token")
    named = dict(zip(roles, names, strict=True))
    torch.manual_seed(3)
    model = BertModel(
        BertConfig(
            vocab_size=len(pieces),
            hidden_size=WIDTH,
            num_hidden_layers=2,
            num_attention_heads=2,
            intermediate_size=48,
            max_position_embeddings=128,
        )
    )
    with torch.no_grad():  # weights of 0.02 would leave words nearly equal
        for weight in model.parameters():
            weight.add_(0.2 * torch.randn(weight.shape))
    model.save_pretrained(folder)
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, **named).save_pretrained(folder)
    return folder


def word_vectors(checkpoint: Path) -> dict[str, np.ndarray]:
    """Eight numbers for each word: a projection of the model's own embeddings."""
    from safetensors.numpy import load_file

    state = load_file(checkpoint / "model.safetensors")
    (table,) = [w for name, w in state.items() if name.endswith("word_embeddings.weight")]
    found = table[5:] @ np.random.default_rng(11).standard_normal((WIDTH, 8))
    return dict(zip(VOCABULARY, (found - found.mean(0)) / found.std(0), strict=True))


def heard(words: Sequence[Word], n_rows: int, vectors: Mapping[str, np.ndarray]) -> np.ndarray:
    """Mean vector of each row's words, spread over the next rows as a haemodynamic response."""
    stimulus = np.zeros((n_rows, 8))
    for row in range(n_rows):
        inside = [vectors[w] for w, on, _ in words if 10 + 2 * row <= on < 12 + 2 * row]
        stimulus[row] = np.mean(inside, axis=0) if inside else 0.0
    spread = np.zeros_like(stimulus)
    for delay, weight in enumerate(HAEMODYNAMIC, start=1):
        spread[delay:] += weight * stimulus[:-delay]
    return spread / spread.std()


@dataclass(frozen=True)
class Truth:
    """How simulated listeners respond.

    Parameters
    ----------
    signal : float
        Largest ratio of signal to noise (standard deviations) among the targets.
    ar : float
        Correlation of the noise from one row to the next.
    alike : float
        Share of the variance of the weights that listeners have in common.
    subjects : tuple of str
    openings : mapping of story to its first words
    """

    signal: float = 1.4
    ar: float = 0.7
    alike: float = 0.5
    subjects: tuple[str, ...] = ("P1", "P2")
    openings: Mapping[str, Sequence[str]] = field(default_factory=dict)


def simulated_recordings(checkpoint: Path, truth: Truth = Truth()) -> Recordings:
    """Listeners whose responses follow the words through the model's own embeddings."""
    stories = [story for side in SIMULATED.values() for story in side]
    vectors = word_vectors(checkpoint)
    words = {
        s: spoken(110 + 7 * (i % 5), seed=i, opening=truth.openings.get(s, ()))
        for i, s in enumerate(stories)
    }
    spread = {s: heard(words[s], 110 + 7 * (i % 5), vectors) for i, s in enumerate(stories)}
    shared = np.random.default_rng(1).standard_normal((8, N_TARGETS))
    arrays: dict[str, dict[str, np.ndarray]] = {}
    repeats = {}
    (repeated,) = SIMULATED["test_repeated"]
    for number, subject in enumerate(truth.subjects):
        rng = np.random.default_rng([2, number])
        own = rng.standard_normal((8, N_TARGETS))
        weights = np.sqrt(truth.alike) * shared + np.sqrt(1 - truth.alike) * own
        weights *= truth.signal * rng.beta(1, 1.6, N_TARGETS) / np.sqrt(8)
        signals = {story: values @ weights for story, values in spread.items()}
        arrays[subject] = {
            s: zscored(v + smooth_noise(rng, v.shape, truth.ar)) for s, v in signals.items()
        }
        single = signals[repeated] + smooth_noise(
            rng, (N_REPEATS, *signals[repeated].shape), truth.ar
        )
        repeats[subject, repeated] = single.astype(np.float32)
        arrays[subject][repeated] = single.mean(0).astype(np.float32)
    return Recordings(words, arrays, {repeated: N_REPEATS}, repeats)


def real_recordings(folder: Path, *, subjects: Sequence[str], n_targets: int) -> Recordings:
    """The first components of some of the published listeners, twelve short stories."""
    stories = {story for side in REAL.values() for story in side}
    words: dict[str, list[Word]] = {story: [] for story in sorted(stories)}
    with gzip.open(folder / "lebel2023-pcs" / "words.csv.gz", "rt", encoding="utf-8") as lines:
        for line in csv.DictReader(lines):
            if line["story"] in stories:
                place = (float(line["onset_s"]), float(line["offset_s"]))
                words[line["story"]].append((line["word"], *place))
    arrays = {}
    for subject in subjects:
        with np.load(folder / "lebel2023-pcs" / f"{subject}.npz") as file:
            arrays[subject] = {story: file[story][:, :n_targets] for story in words}
    (repeated,) = REAL["test_repeated"]
    return Recordings(words, arrays, {repeated: 10}, space="components")
