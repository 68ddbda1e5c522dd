"""SIMULATED: a planted feature that no linear map of frozen states has, and none at all."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.stats import t as student

from brainaligner.aligner import (
    BrainAligner,
    LanguageSettings,
    ObjectiveSettings,
    PredictSettings,
    ResponseHeadSettings,
    StoryMaterial,
    align,
    load_aligner,
    shift_brain,
)
from brainaligner.core import zscore
from brainaligner.encoding import ArrayStories, RidgeSettings, fit_ridge, predict
from brainaligner.text import LanguageModel, RowText, TextSettings, add_delays, row_states

Result = dict[str, Any]
Rows = dict[str, np.ndarray]

WORDS = tuple(f"w{i}" for i in range(40))
SIDES = {"train": 16, "stop": 3, "test": 12}
N_ROWS, N_TARGETS, DELAYS = 80, 12, (1, 2, 3)
SUBJECTS = ("S1", "S2")
LEVEL = 0.95
N_NULL = 200
FIRST_NULL = 1000  # apart from the null runs that this check was first tried on
READING = TextSettings(layer=2, max_tokens=40)
TUNING = ObjectiveSettings(
    predict=PredictSettings(),
    heads=ResponseHeadSettings(delays=DELAYS, rank=4, alpha=1e3, kind="cross_fitted"),
    read_layers=(2,),
    trained_layers="all",
    stretch=25,
    stretches=4,
    learning_rate=3e-3,
    epochs=12,
    evaluations=1,
    patience=4,
    nuisance="none",
)


@dataclass(frozen=True, eq=False)
class World:
    """Made-up stories and the responses to them.

    Parameters
    ----------
    texts : mapping of side to mapping of story to row texts
    responses : mapping of subject to mapping of story to array, shape (time, target)
    """

    texts: dict[str, dict[str, list[RowText]]]
    responses: dict[str, Rows]

    def material(self, side: str, responses: dict[str, Rows] | None = None) -> StoryMaterial:
        """Texts and responses of one side; None: its own responses."""
        known = self.responses if responses is None else responses
        stories = self.texts[side]
        return StoryMaterial(stories, {s: {t: y[t] for t in stories} for s, y in known.items()})


def planted(scratch: Path) -> Result:
    """Prediction recovers the planted feature; its controls do not; nulls claim no gain.

    A row has three words, each of one of two kinds. The planted feature is the product of the
    kinds of the first two: no linear map of the words has it. Responses are that feature, and the
    mean kind of the words, through a response function, with autocorrelated noise.
    """
    model = _tiny_model(scratch / "model")
    true = _each(scratch / "planted", range(5), partial(_compare, model, "planted"))
    null = _each(
        scratch / "null", range(FIRST_NULL, FIRST_NULL + N_NULL), partial(_compare, model, "null")
    )
    arms = ("predict", "language", "shifted")
    gains = {arm: [run[arm]["gain"] for run in true] for arm in arms}
    claims = {arm: float(np.mean([run[arm]["low"] > 0 for run in null])) for arm in arms}
    found = sum(run["predict"]["low"] > 0 for run in true)
    flat = max(sum(run[arm]["low"] > 0 for run in true) for arm in ("language", "shifted"))
    nominal = (1 - LEVEL) / 2
    room = nominal + 2 * np.sqrt(nominal * (1 - nominal) / N_NULL)
    return {
        "passed": bool(found == len(true) and flat == 0 and max(claims.values()) <= room),
        "simulated": True,
        "frozen_r": float(np.mean([run["frozen_r"] for run in true])),
        "gain_by_run": gains,
        "null_claims_of_a_gain": claims,
        "null_mean_gain": {arm: float(np.mean([r[arm]["gain"] for r in null])) for arm in arms},
        "null_runs": len(null),
        "at_most": float(room),
    }


def _each(folder: Path, seeds: range, run: Callable[[int], Result]) -> list[Result]:
    """Results of every run; those that are there are not made again."""
    folder.mkdir(parents=True, exist_ok=True)
    found = []
    for seed in seeds:
        path = folder / f"{seed}.json"
        if not path.exists():
            made = path.with_suffix(".part")
            made.write_text(json.dumps(run(seed)), encoding="utf-8")
            made.replace(path)
        found.append(json.loads(path.read_text(encoding="utf-8")))
    return found


def _compare(model: Path, kind: str, seed: int) -> Result:
    world = _world(kind, seed)
    source = load_aligner(str(model), brain_width=None)
    frozen = _story_scores(source, world)
    found: Result = {"frozen_r": float(frozen.mean())}
    for arm, (settings, responses) in _arms(world, seed).items():
        tuned = _tuned(source, world, settings, responses)
        gains = (_story_scores(tuned, world) - frozen).mean(axis=0)
        half = student.ppf((1 + LEVEL) / 2, len(gains) - 1) * gains.std(ddof=1) / len(gains) ** 0.5
        found[arm] = {"gain": float(gains.mean()), "low": float(gains.mean() - half)}
    return found


def _arms(world: World, seed: int) -> dict[str, tuple[ObjectiveSettings, dict[str, Rows]]]:
    own = replace(TUNING, seed=seed)
    language = replace(own, predict=None, language=LanguageSettings())
    shifted = {s: shift_brain(y, seed=seed) for s, y in world.responses.items()}
    return {
        "predict": (own, world.responses),
        "language": (language, {}),
        "shifted": (own, shifted),
    }


def _tuned(
    source: BrainAligner, world: World, settings: ObjectiveSettings, responses: dict[str, Rows]
) -> BrainAligner:
    train, stop = (world.material(side, responses) for side in ("train", "stop"))
    with tempfile.TemporaryDirectory() as folder:
        return align(source, train, stop, settings=settings, folder=Path(folder)).aligner


def _story_scores(aligner: BrainAligner, world: World) -> np.ndarray:
    """Mean r over targets of each subject's test stories: (subject, story)."""
    model = LanguageModel(
        aligner.info, aligner.tokenizer, aligner.reader.module, torch.device("cpu")
    )
    texts = {s: rows for side in world.texts.values() for s, rows in side.items()}
    states = row_states(model, texts, [2], settings=READING)[2]
    designs = {s: add_delays(zscore(rows), DELAYS) for s, rows in states.items()}
    return np.array([_subject_scores(designs, world, y) for y in world.responses.values()])


def _subject_scores(designs: Rows, world: World, responses: Rows) -> list[float]:
    sides = {
        side: ArrayStories([designs[s] for s in stories], [responses[s] for s in stories])
        for side, stories in world.texts.items()
    }
    fit = fit_ridge(sides["train"], sides["stop"], settings=RidgeSettings())
    return [
        float(np.mean([np.corrcoef(a, b)[0, 1] for a, b in zip(p.T, responses[s].T, strict=True)]))
        for s in world.texts["test"]
        for p in [predict(fit, designs[s])]
    ]


def _world(kind: str, seed: int) -> World:
    rng = np.random.default_rng([seed, len(kind)])
    kinds = rng.choice([-1.0, 1.0], len(WORDS))
    texts, drives = {}, {}
    for side, n_stories in SIDES.items():
        texts[side] = {}
        for n in range(n_stories):
            words = rng.integers(len(WORDS), size=(N_ROWS, 3))
            texts[side][f"{side}{n}"] = [RowText((), tuple(WORDS[w] for w in row)) for row in words]
            of = kinds[words]
            drives[f"{side}{n}"] = np.stack([of[:, 0] * of[:, 1], of.mean(axis=1)], axis=1)
    strength = {"planted": (0.6, 0.5), "null": (0.0, 0.0)}[kind]
    responses = {
        subject: dict(_responses(drives, strength, np.random.default_rng([seed, n, 7])))
        for n, subject in enumerate(SUBJECTS)
    }
    return World(texts, responses)


def _responses(
    drives: Rows, strength: tuple[float, float], rng: np.random.Generator
) -> Iterator[tuple[str, np.ndarray]]:
    maps = rng.standard_normal((2, N_TARGETS))
    for story, drive in drives.items():
        heard = add_delays(drive, DELAYS).reshape(N_ROWS, len(DELAYS), 2)
        felt = np.einsum("tdf,d->tf", heard, [0.5, 1.0, 0.5]) * strength
        noise = np.empty((N_ROWS, N_TARGETS))
        noise[0] = rng.standard_normal(N_TARGETS)
        for t in range(1, N_ROWS):
            noise[t] = 0.5 * noise[t - 1] + 0.75**0.5 * rng.standard_normal(N_TARGETS)
        yield story, zscore(felt @ maps + noise).astype(np.float32)


def _tiny_model(folder: Path) -> Path:
    """A random BERT of two layers that knows the words as single tokens."""
    import transformers as hf
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    if (folder / "config.json").exists():
        return folder
    special = ("[UNK]", "[PAD]", "[CLS]", "[SEP]", "[MASK]")
    tokenizer = Tokenizer(
        models.WordPiece({w: i for i, w in enumerate((*special, *WORDS))}, unk_token="[UNK]")
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    roles = ("unk_token", "pad_token", "cls_token", "sep_token", "mask_token")
    named = dict(zip(roles, special, strict=True))
    hf.PreTrainedTokenizerFast(tokenizer_object=tokenizer, **named).save_pretrained(folder)
    torch.manual_seed(0)
    config = hf.BertConfig(
        vocab_size=len(special) + len(WORDS),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=64,
        max_position_embeddings=64,
        initializer_range=0.1,
    )
    hf.BertForMaskedLM(config).save_pretrained(folder)
    return folder
