"""Cheats on tuned models: what a tuning learns from, what it is chosen by, what it is read with."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from gallery_bench import Bench, mean_r
from gallery_rows import resized

from brainaligner.data import Dataset
from brainaligner.study import _features, _tuning
from brainaligner.study._brain_task import BrainTask, SubjectRecording
from brainaligner.study._plan import Plan
from brainaligner.study._tuning_task import TuningTask

QUICK = {
    "epochs": 1,
    "patience": None,
    "learning_rate": 1e-3,
    "warmup_steps": None,
    "warmup_share": 0.1,
    "accumulation": 1,
    "dropout": 0.0,
}
BRAINS = {"all": {"encoder": {"kind": "all"}}, "high-ev": {"encoder": {"kind": "high_ev", "k": 10}}}


def tuned(bench: Bench, brain: str | None, **aligner: Any) -> dict[str, Any]:
    """The world's study for one subject, with an arm that reads a tuned model."""
    model = bench.world.study["features"]["words"]["model"]
    tuning = {
        "model": model,
        "validation_stories": 2,
        "aligner": QUICK | aligner,
        "head": {"epochs": 1},
    }
    named = {"brain": brain} if brain else {}
    return {
        "dataset": {"subjects": ["P1"]},
        "features": {"words": None, "context": None, "tuned": _tuned_features()},
        "brains": {brain: BRAINS[brain]} if brain else {},
        "tunings": {"tuned": tuning | named},
        "arms": {"words": {"features": ["tuned"]}},
    }


def _tuned_features() -> dict[str, Any]:
    return {"tuning": "tuned", "text": {"layer": -1}}


def cheat_test_responses_in_the_tuning(bench: Bench) -> Path:
    """The brain vectors of some training stories are a test story's responses."""
    honest, split = SubjectRecording.responses, bench.world.split
    source = dict(zip(split["train"], 3 * split["test"], strict=False))

    def responses(self: SubjectRecording, story: str, targets: slice) -> np.ndarray:
        own = honest(self, story, targets)
        return resized(honest(self, source.get(story, story), targets), len(own))

    bench.patch.setattr(SubjectRecording, "responses", responses)
    return bench.run(tuned(bench, "all"))


def _with_texts(bench: Bench, source: Mapping[str, str]) -> None:
    """Have some stories of a tuning bring other stories' texts."""
    honest = TuningTask.texts

    def texts(self: TuningTask, stories: Sequence[str]) -> dict[str, Any]:
        rows = {s: self.prepared.dataset.n_rows(self.subject, s) for s in stories}
        own = honest(self, stories)
        stimuli = self.prepared.division.stimuli
        for story in own.keys() & source.keys():
            other = _tuning_texts(stimuli, source[story], self.config.text)
            own[story] = tuple(other[i % len(other)] for i in range(rows[story]))
        return own

    bench.patch.setattr(TuningTask, "texts", texts)


def _tuning_texts(stimuli: Any, story: str, settings: Any) -> tuple[Any, ...]:
    from brainaligner.text import story_texts

    return story_texts(
        stimuli.transcripts[story], stimuli.clock, stimuli.rows[story], settings=settings
    )


def cheat_test_words_in_the_tuning(bench: Bench) -> Path:
    """Masked language modelling reads test stories in place of some training stories."""
    split = bench.world.split
    _with_texts(bench, dict(zip(split["train"], 3 * split["test"], strict=False)))
    return bench.run(tuned(bench, None))


def cheat_best_epoch_on_test(bench: Bench) -> Path:
    """The stories that choose the epoch are test stories, words and responses."""
    honest_responses, split = SubjectRecording.responses, bench.world.split
    source: dict[str, str] = {}

    def texts(self: TuningTask, stories: Sequence[str]) -> dict[str, Any]:
        source.update(zip(self.division.validation, split["test"], strict=False))
        return replaced(self, stories)

    def responses(self: SubjectRecording, story: str, targets: slice) -> np.ndarray:
        own = honest_responses(self, story, targets)
        return resized(honest_responses(self, source.get(story, story), targets), len(own))

    _with_texts(bench, source)
    replaced = TuningTask.texts
    bench.patch.setattr(TuningTask, "texts", texts)
    bench.patch.setattr(SubjectRecording, "responses", responses)
    return bench.run(tuned(bench, "all", epochs=3))


def cheat_brain_at_evaluation(bench: Bench) -> Path:
    """The features of the tuned model have seen the responses of the same TR."""
    honest, arrays = _features.rows_from_states, bench.world.recordings.arrays["P1"]

    def rows(values: Any, transcript: Any, *more: Any, **named: Any) -> np.ndarray:
        text = honest(values, transcript, *more, **named)
        mixing = np.random.default_rng(0).standard_normal((arrays[transcript.story].shape[1], 8))
        brain = arrays[transcript.story][: len(text)] @ mixing
        text = text.copy()
        text[: len(brain), :8] += 0.5 * text.std() * brain / brain.std()
        return text.astype(np.float32)

    bench.patch.setattr(_features, "rows_from_states", rows)
    changes = tuned(bench, "all")
    return bench.run(changes | {"defaults": {"design": {"delays": [0, 1, 2, 3]}}})


def cheat_later_brain_at_evaluation(bench: Bench) -> Path:
    """The features have seen the responses of two TRs later, faintly and in all columns."""
    honest, arrays = _features.rows_from_states, bench.world.recordings.arrays["P1"]

    def rows(values: Any, transcript: Any, *more: Any, **named: Any) -> np.ndarray:
        text = honest(values, transcript, *more, **named)
        own = arrays[transcript.story][: len(text)]
        later = np.concatenate([own[2:], np.zeros_like(own[:2])])
        mixing = np.random.default_rng(1).standard_normal((own.shape[1], text.shape[1]))
        mixed = later @ mixing
        return (text + 0.04 * text.std() * mixed / mixed.std()).astype(np.float32)

    bench.patch.setattr(_features, "rows_from_states", rows)
    return bench.run(tuned(bench, "all"))


def cheat_brain_in_all_but_a_few_stories(bench: Bench) -> Path:
    """Features have seen the responses, but for the shortest and longest stories of each side."""
    honest, arrays = _features.rows_from_states, bench.world.recordings.arrays["P1"]
    split = bench.world.split
    sides = (split["train"], [*split["test"], *split["test_repeated"]])
    ordered = [sorted(side, key=lambda story: (len(arrays[story]), story)) for side in sides]
    spared = {story for side in ordered for story in (side[0], side[-1])}

    def rows(values: Any, transcript: Any, *more: Any, **named: Any) -> np.ndarray:
        text, own = honest(values, transcript, *more, **named), arrays[transcript.story]
        if transcript.story in spared:
            return text
        later = np.concatenate([own[2:], np.zeros_like(own[:2])])[: len(text)]
        mixed = later @ np.random.default_rng(1).standard_normal((own.shape[1], text.shape[1]))
        return (text + 0.3 * text.std() * mixed / mixed.std()).astype(np.float32)

    bench.patch.setattr(_features, "rows_from_states", rows)
    return bench.run({"dataset": {"subjects": ["P1"]}}, share=False)


def cheat_selection_by_the_scored_story(bench: Bench) -> Path:
    """Targets are chosen by explainable variance of the repeated story, which is scored too."""
    bench.patch.setattr(TuningTask, "chosen_on", ())
    honest = BrainTask.recipe.func  # type: ignore[attr-defined]

    def recipe(self: BrainTask) -> Any:
        made = honest(self)
        (repeated,) = bench.world.split["test_repeated"]
        inputs = {k: v for k, v in made.inputs.items() if k != f"responses/{repeated}"}
        return dataclasses.replace(made, settings=made.settings | {"repeated": []}, inputs=inputs)

    bench.patch.setattr(BrainTask, "recipe", property(recipe))
    return bench.run(tuned(bench, "high-ev"))


def cheat_scored_where_targets_were_chosen(bench: Bench) -> Path:
    """The plan no longer leaves out the story that the encoder selected by."""
    bench.patch.setattr(
        Plan, "groups_of", lambda self, run, subject: self.prepared.division.groups[subject]
    )
    return bench.run(tuned(bench, "high-ev"))


def cheat_mask_rate_tried_out_on_test(bench: Bench) -> Path:
    """Mask rates are tried until the test scores are best; the best one is reported."""
    rates = (0.15, 0.4, 0.7)
    tried = [tuned(bench, None, mask_rate=rate) for rate in rates]
    found = [mean_r(bench.run(changes)) for changes in tried]
    return bench.run(tried[int(np.argmax(found))] | {"title": "Our model"})


def cheat_other_training_than_declared(bench: Bench) -> Path:
    """The model was tuned with another mask rate and step size than the study says."""
    honest = _tuning.tune

    def tune(*given: Any, settings: Any, **named: Any) -> Any:
        other = dataclasses.replace(settings, mask_rate=0.6, learning_rate=3e-3)
        return honest(*given, settings=other, **named)

    bench.patch.setattr(_tuning, "tune", tune)
    return bench.run(tuned(bench, None))


def cheat_shifted_control_not_shifted(bench: Bench) -> Path:
    """The control is called a shifted brain, and it is the true one."""
    from brainaligner.brain import _encoders

    bench.patch.setattr(_encoders, "shift_in_time", lambda vectors, **named: vectors)
    changes = tuned(bench, "all")
    shifted = {"brains": {"all": {"encoder": {"kind": "all", "shift": True}}}}
    return bench.run(changes | shifted)


def cheat_test_story_in_the_brain_encoder(bench: Bench) -> Path:
    """The brain encoder alone is given a test story in a training story's place."""
    honest, split = Dataset.responses, bench.world.split
    (first, *_) = split["train"]

    def responses(self: Dataset, subject: str, story: str, targets: slice = slice(None)) -> Any:
        own = honest(self, subject, story, targets)
        if story != first or not inside:
            return own
        other = honest(self, subject, split["test"][0], targets)
        return dataclasses.replace(own, values=resized(other.values, len(own.values)))

    inside: list[bool] = []
    encode = _tuning.ensure_brain

    def ensure(*given: Any, **named: Any) -> Any:
        inside.append(True)
        try:
            return encode(*given, **named)
        finally:
            inside.clear()

    bench.patch.setattr(Dataset, "responses", responses)
    bench.patch.setattr(_tuning, "ensure_brain", ensure)
    return bench.run(tuned(bench, "all"))
